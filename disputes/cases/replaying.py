"""Stored checks replayed from their stored input: the same input and version give the same answer for ever."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from config.values.ciphertext import CannotOpen
from disputes.cases.models import Check
from disputes.check import canonical
from disputes.check.judging import ENGINE_VERSION, judge
from disputes.holds.policies import packs

AT_ONCE = 100
"""Stored checks that are in memory at a time; the input of one may be large."""

SAME = "same"
FLIPPED = "flipped"
OTHER_ENGINE = "other_engine"
ALTERED = "altered"
UNREADABLE = "unreadable"
PACK_GONE = "pack_gone"
RESULTS = (SAME, FLIPPED, OTHER_ENGINE, ALTERED, UNREADABLE, PACK_GONE)
PROVEN = frozenset({SAME, OTHER_ENGINE})
"""Results that say nothing against the promise."""

PARTS = ("verdict", "cause", "detail", "facts", "findings")


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """What became of one stored check.

    `result`: ``same`` (by this engine, or by this one as by the other that made it), ``flipped`` (by the same engine,
    byte for byte), ``other_engine`` (another engine made it, and this one answers otherwise: news, no error),
    ``altered`` (the input is not what its digest says), ``unreadable``, ``pack_gone`` (that version is not there).
    `parts`: which of PARTS differ. `was`, `now`: verdict, cause, detail. `pack_edited`: the pack of that name and
    version is not what it was then; None: not known (the check is older than that is kept).
    """

    check: uuid.UUID
    dispute: str
    engine: str
    result: str
    parts: tuple[str, ...] = ()
    was: tuple[str | None, ...] = ()
    now: tuple[str | None, ...] = ()
    pack: str
    pack_edited: bool | None = None

    def render(self) -> dict[str, Any]:
        """JSON-ready; no personal data."""
        return {
            "check": str(self.check),
            "dispute": self.dispute,
            "result": self.result,
            "engine_version": self.engine,
            "policy": self.pack,
            "pack_edited": self.pack_edited,
            "differs": list(self.parts),
            "was": list(self.was),
            "now": list(self.now),
        }


def stored_checks(
    *, since: datetime | None = None, engine: str | None = None, dispute: str | None = None
) -> QuerySet[Check]:
    """Stored checks, in the order of their ids. `since`: checked then or later; `engine`: made by this version;
    `dispute`: of this reference."""
    rows = Check.objects.order_by("id")
    if since is not None:
        rows = rows.filter(checked_at__gte=since)
    if engine is not None:
        rows = rows.filter(engine_version=engine)
    if dispute is not None:
        rows = rows.filter(dispute__reference=dispute)
    return rows


def replay(*, checks: QuerySet[Check], after: uuid.UUID | None = None) -> Iterator[Replayed]:
    """Replays each, in the order of ids, from the one after `after` on; a few at a time. Writes nothing."""
    named = ("dispute__reference", "engine_version", "policy_name", "policy_version", "policy_digest")
    wanted = checks.select_related("dispute").only("id", *named, "input", "records_digest", *PARTS)
    while True:
        rows = list((wanted if after is None else wanted.filter(pk__gt=after))[:AT_ONCE])
        for row in rows:
            yield _replayed(row)
        if len(rows) < AT_ONCE:
            return
        after = rows[-1].pk


def _replayed(check: Check) -> Replayed:
    said: dict[str, Any] = {
        "check": check.pk,
        "dispute": check.dispute.reference,
        "engine": check.engine_version,
        "pack": f"{check.policy_name} {check.policy_version}",
    }
    try:
        text = check.input.encode()
        stored = canonical.load_input(text)
    except (canonical.UnreadableInput, CannotOpen):
        return Replayed(**said, result=UNREADABLE)
    if canonical.input_digest(text) != check.records_digest:
        return Replayed(**said, result=ALTERED)
    try:
        pack = packs().version(stored.pack_name, stored.pack_version)
    except KeyError:
        return Replayed(**said, result=PACK_GONE)
    edited = None if check.policy_digest is None else check.policy_digest != pack.digest
    found = judge(history=stored.history, message=stored.message, claim=stored.claim, pack=pack).render()
    kept = {part: getattr(check, part) for part in PARTS}
    parts = tuple(part for part in PARTS if _written(found[part]) != _written(kept[part]))
    if not parts:
        return Replayed(**said, result=SAME, pack_edited=edited)
    return Replayed(
        **said,
        result=FLIPPED if check.engine_version == ENGINE_VERSION else OTHER_ENGINE,
        parts=parts,
        was=_short(kept),
        now=_short(found),
        pack_edited=edited,
    )


def _written(value: Any) -> str:
    """The canonical bytes of a rendering: how the database keeps JSON leaves no trace."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _short(rendering: Mapping[str, Any]) -> tuple[str | None, ...]:
    return tuple(rendering[part] for part in ("verdict", "cause", "detail"))
