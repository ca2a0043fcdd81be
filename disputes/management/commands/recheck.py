"""Proves that stored checks give the same answer again, from their stored input."""

from __future__ import annotations

import json
import sys
import uuid
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, TypeVar

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from config.values.ids import read_reference
from disputes.cases.bulk import Done, check_open, count_chunks
from disputes.cases.replaying import PROVEN, RESULTS, SAME, Replayed, replay, stored_checks
from disputes.check.judging import ENGINE_VERSION

Shown = TypeVar("Shown")

FLIPPED, CANNOT_RUN, STOPPED = 1, 2, 130

WORDS = {
    "same": "the same",
    "flipped": "flipped",
    "other_engine": "answered otherwise by this engine than by the one that made them",
    "altered": "with an input that is not what its digest says",
    "unreadable": "unreadable",
    "pack_gone": "without their pack",
}


class Command(BaseCommand):
    help = (
        "Replays stored checks from their stored input and prints those that do not give the same answer to the byte. "
        "Writes nothing. Ctrl-C stops it, and says how to go on. Ends with 0 where every check gives the same answer "
        "(another engine's may differ: that is said, and is no fault), 1 where one does not, or cannot be replayed, "
        "2 where it cannot run, 130 where it was stopped. With --open it judges the open disputes by today's records "
        "instead, and writes what is new."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # Every command of Django's has a --version of its own.
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", metavar="ISO", help="only checks made then or later")
        parser.add_argument("--version", dest="engine", metavar="ENGINE", help="only checks made by this engine")
        parser.add_argument("--dispute", metavar="D-…", help="only checks of this dispute")
        parser.add_argument("--after", metavar="ID", help="go on after the check with this id")
        parser.add_argument("--open", action="store_true", help="judge every open dispute anew, by today's records")
        parser.add_argument("--json", action="store_true", help="print NDJSON: one line a check, then the sums")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["open"]:
            self._check_open(after=_id(options["after"]), options=options)
            return
        checks = stored_checks(
            since=_instant(options["since"]), engine=options["engine"], dispute=_reference(options["dispute"])
        )
        after = _id(options["after"])
        counts: Counter[str] = Counter()
        edited, last = 0, after
        try:
            for one in self._shown(replay(checks=checks, after=after), total=checks.count):
                counts[one.result] += 1
                edited += bool(one.pack_edited)
                if one.result != SAME or one.pack_edited:
                    self.stdout.write(json.dumps(one.render()) if options["json"] else told(one))
                last = one.check
        except KeyboardInterrupt:
            self._sum(counts, edited, as_json=options["json"])
            go_on = f" Go on with --after {last}" if last else ""
            self.stderr.write(f"Stopped.{go_on}")
            sys.exit(STOPPED)
        self._sum(counts, edited, as_json=options["json"])
        if any(count and result not in PROVEN for result, count in counts.items()):
            sys.exit(FLIPPED)

    def _shown(self, rows: Iterable[Shown], *, total: Callable[[], int]) -> Iterator[Shown]:
        """The rows, with a bar on a terminal."""
        if not self.stderr.isatty():
            yield from rows
            return
        columns = (TextColumn("checks"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(file=sys.stderr), transient=True) as progress:
            yield from progress.track(rows, total=total())

    def _check_open(self, *, after: uuid.UUID | None, options: dict[str, Any]) -> None:
        if options["since"] or options["engine"] or options["dispute"]:
            said = "--open judges every open dispute; --since, --version and --dispute choose stored checks"
            raise CommandError(said, returncode=CANNOT_RUN)
        done, last = Done(), after
        stopped = False
        try:
            for reached, chunk in self._shown(check_open(after=after, clock=timezone.now), total=count_chunks):
                done, last = done + chunk, reached
        except KeyboardInterrupt:
            stopped = True
        said = f"{done.written} written, {done.same} the same, {done.left} left to the workers, one by one"
        sums = {"written": done.written, "same": done.same, "left": done.left}
        self.stdout.write(json.dumps(sums) if options["json"] else f"Open disputes: {said}.")
        if stopped:
            self.stderr.write(f"Stopped. Go on with --open --after {last}" if last else "Stopped.")
            sys.exit(STOPPED)

    def _sum(self, counts: Counter[str], edited: int, *, as_json: bool) -> None:
        if as_json:
            sums = {"checks": counts.total(), **{result: counts[result] for result in RESULTS}, "pack_edited": edited}
            self.stdout.write(json.dumps({"engine_version": ENGINE_VERSION, **sums}))
            return
        said = [f"{counts[result]} {WORDS[result]}" for result in RESULTS if counts[result] or result == SAME]
        said += [f"{edited} by a pack that was edited since"] if edited else []
        self.stdout.write(f"{counts.total()} checks by engine {ENGINE_VERSION}: {', '.join(said)}.")


def told(one: Replayed) -> str:
    """One check in a line."""
    line = f"{one.check} {one.dispute} engine {one.engine}, {one.pack}: {WORDS[one.result]}"
    if one.pack_edited:
        line += ", pack edited"
    if one.parts:
        line += f"; {', '.join(one.parts)}: {_short(one.was)} -> {_short(one.now)}"
    return line


def _short(parts: Iterable[str | None]) -> str:
    return "/".join(part or "-" for part in parts)


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = parse_datetime(text) or datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"--since {text}: no instant; write 2026-03-01T00:00:00+08:00", returncode=CANNOT_RUN
        ) from None
    if found.tzinfo is None:
        raise CommandError(
            f"--since {text}: name the offset, such as +08:00 (the lender's zone is {settings.LENDER_TIME_ZONE})",
            returncode=CANNOT_RUN,
        )
    return found


def _id(text: str | None) -> uuid.UUID | None:
    try:
        return None if text is None else uuid.UUID(text)
    except ValueError:
        raise CommandError(f"--after {text}: no id of a check", returncode=CANNOT_RUN) from None


def _reference(text: str | None) -> str | None:
    if text is None:
        return None
    found = read_reference(text)
    if found is None:
        raise CommandError(f"--dispute {text}: no reference of a dispute", returncode=CANNOT_RUN)
    return found
