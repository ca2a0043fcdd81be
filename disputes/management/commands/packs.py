"""Shows the policy packs: which are there, what they say and why, and what changed between two versions."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from disputes.holds.policies import packs as shipped_or_own
from disputes.policy.describing import (
    Change,
    Stated,
    by_section,
    changes_between,
    find_version,
    stated_in,
    title_of,
)
from disputes.policy.packs import Pack, PackError, Packs, load_packs

READ = {"yes": "yes", "part": "in part"}
UNSURE = "[yellow]in part[/]"


class Command(BaseCommand):
    help = (
        "Lists the policy packs (no argument), shows one (NAME), or what differs between its versions (diff NAME, "
        "diff NAME FROM TO)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("words", nargs="*", metavar="NAME | diff NAME [FROM TO]")
        parser.add_argument("--at", help="a local day or instant in place of now, such as 2026-01-30")
        parser.add_argument("--directory", help="read the packs of this folder in place of POLICY_DIRECTORY")
        parser.add_argument("--json", action="store_true", help="print JSON in place of tables")

    def handle(self, *args: Any, **options: Any) -> None:
        packs, at = _packs(options["directory"]), _instant(options["at"])
        found: Any
        shown: Iterable[Table]
        match options["words"]:
            case []:
                found = _listed(packs, at)
                shown = (_list_table(found, at),)
            case ["diff", name]:
                pairs = _pairs(packs, name)
                found = [_diff_json(before, after) for before, after in pairs]
                shown = (_diff_table(before, after) for before, after in pairs)
            case ["diff", name, first, second]:
                before, after = _version(packs, name, first), _version(packs, name, second)
                found = _diff_json(before, after)
                shown = (_diff_table(before, after),)
            case [name] if name != "diff":
                pack = _in_force(packs, name, at)
                found = _pack_json(pack)
                shown = _pack_tables(pack)
            case _:
                raise CommandError("give nothing, NAME, diff NAME, or diff NAME FROM TO")
        if options["json"]:
            self.stdout.write(json.dumps(found, ensure_ascii=False, indent=2))
            return
        # A pipe has no width of its own: a line that a program reads is not broken.
        out: Any = self.stdout
        console = Console(file=out._out, highlight=False, width=None if self.stdout.isatty() else 160)
        for table in shown:
            console.print(table)


def _packs(directory: str | None) -> Packs:
    try:
        return load_packs(Path(directory)) if directory else shipped_or_own()
    except PackError as error:
        raise CommandError(str(error)) from None


def _instant(raw: str | None) -> datetime:
    if raw is None:
        return timezone.now()
    try:
        at = datetime.fromisoformat(raw)
    except ValueError:
        raise CommandError(f"--at: not a day or an instant: {raw}") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=ZoneInfo(settings.LENDER_TIME_ZONE))


def _rows(packs: Packs, name: str) -> Sequence[Pack]:
    if name not in packs.by_name:
        raise CommandError(f"no pack {name!r}; there are {', '.join(packs.names())}")
    return packs.by_name[name]


def _in_force(packs: Packs, name: str, at: datetime) -> Pack:
    _rows(packs, name)
    return packs.in_force(name, at, settings.LENDER_TIME_ZONE)


def _version(packs: Packs, name: str, version: str) -> Pack:
    rows = _rows(packs, name)
    try:
        return find_version(packs, name, version)
    except KeyError:
        there = ", ".join(pack.version for pack in rows)
        raise CommandError(f"{name} has no version {version!r}; there are {there}") from None


def _pairs(packs: Packs, name: str) -> list[tuple[Pack, Pack]]:
    rows = _rows(packs, name)
    return list(pairwise(rows))


# --- JSON ---


def _listed(packs: Packs, at: datetime) -> list[dict[str, Any]]:
    return [
        {
            "pack": name,
            "lenders": name == settings.POLICY_PACK,
            "version": pack.version,
            "valid_from": pack.valid_from.isoformat() if pack.valid_from else None,
            "in_force": pack is _in_force(packs, name, at),
            "digest": pack.digest,
        }
        for name in packs.names()
        for pack in packs.by_name[name]
    ]


def _stated_json(stated: Stated | None) -> dict[str, Any] | None:
    if stated is None:
        return None
    source = stated.source
    return {"value": stated.value, "clause": source.clause, "force": source.force, "read": source.read}


def _pack_json(pack: Pack) -> dict[str, Any]:
    return {
        "pack": pack.name,
        "version": pack.version,
        "valid_from": pack.valid_from.isoformat() if pack.valid_from else None,
        "digest": pack.digest,
        "values": {stated.key: _stated_json(stated) for stated in stated_in(pack)},
    }


def _diff_json(before: Pack, after: Pack) -> dict[str, Any]:
    return {
        "pack": after.name,
        "from": before.version,
        "to": after.version,
        "changes": {
            change.key: {"from": _stated_json(change.before), "to": _stated_json(change.after)}
            for change in changes_between(before, after)
        },
    }


# --- tables ---


def _list_table(rows: Sequence[dict[str, Any]], at: datetime) -> Table:
    day = at.astimezone(ZoneInfo(settings.LENDER_TIME_ZONE)).date()
    table = Table("pack", "version", "since", f"in force on {day}", "digest", title="Policy packs")
    for row in rows:
        name = f"{row['pack']} (the lender's)" if row["lenders"] else row["pack"]
        mark = "[green]yes[/]" if row["in_force"] else ""
        table.add_row(escape(name), escape(row["version"]), row["valid_from"] or "always", mark, row["digest"])
    return table


def _pack_tables(pack: Pack) -> Iterable[Table]:
    since = f"since {pack.valid_from}" if pack.valid_from else "always in force"
    for heading, rows in by_section(pack):
        table = Table("key", "value", "clause", "force", "read", title=heading, title_justify="left", expand=True)
        for stated in rows:
            source = stated.source
            read = UNSURE if source.read == "part" else READ[source.read]
            table.add_row(stated.key, escape(stated.words), escape(source.clause), source.force, read)
        table.caption = f"{pack.name} {pack.version}, {since}"
        yield table


def _diff_table(before: Pack, after: Pack) -> Table:
    title = f"{after.name}: from {before.version} to {after.version}"
    table = Table("key", "before", "after", title=title, title_justify="left", expand=True)
    changes: Sequence[Change] = changes_between(before, after)
    for change in changes:
        called = f"{escape(title_of(change.key))}\n[dim]{escape(change.key)}[/]"
        table.add_row(called, _side(change.before), _side(change.after))
    if not changes:
        table.caption = "nothing differs"
    return table


def _side(stated: Stated | None) -> str:
    if stated is None:
        return "[dim]not there[/]"
    source = stated.source
    unsure = f", read {UNSURE}" if source.read == "part" else ""
    return f"{escape(stated.words)}\n[dim]{escape(source.clause)} ({source.force}{unsure})[/]"
