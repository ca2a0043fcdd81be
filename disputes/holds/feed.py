"""The suppression feed: what changed of the holds, numbered in commit order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from django.db import connection, transaction

from config.api.locks import FEED_NUMBER, NAMESPACE
from config.statements import Statement, run
from disputes.holds.models import Change, Hold, Scope, SuppressionChange
from disputes.holds.permits import PermitOut
from disputes.holds.scopes import covers_of_keys
from disputes.notices.webhooks import Listeners, announced

log = structlog.get_logger(__name__)

LISTED = 1000
"""How many permits one row, or one webhook, lists: of a campaign that is paused there may be hundreds of thousands."""

TOLD_AT_ONCE = 10 * LISTED
"""How many permits one statement brings to the database: its text stands in memory several times."""


@dataclass(kw_only=True, slots=True)
class _Waiting:
    """Changes of one transaction that have no number yet. `block`: its outermost block, so that those of a
    transaction that was rolled back are never taken for this one's."""

    block: object
    rows: list[dict[str, Any]] = field(default_factory=list)


def _waiting() -> _Waiting:
    current = transaction.get_connection()
    # The outermost block that is ours; a test case's own counts where there is no other.
    blocks = current.atomic_blocks
    outermost = next((block for block in blocks if not getattr(block, "_from_testcase", False)), None) or blocks[0]
    found: _Waiting | None = getattr(current, "_recourse_changes", None)
    if found is None or found.block is not outermost:
        found = _Waiting(block=outermost)
        current._recourse_changes = found  # type: ignore[attr-defined]
    return found


def note_change(*, kind: str, hold: Hold, keys: Sequence[str], permits_out: Sequence[PermitOut] = ()) -> None:
    """Keeps a change of a hold until `number_changes` writes it. Needs the hold's transaction."""
    waiting = _waiting()
    if not waiting.rows:
        transaction.on_commit(lambda: _number_late(waiting))
    waiting.rows.append(
        {
            "kind": kind,
            "hold": str(hold.pk),
            "scope": hold.scope,
            "reason": hold.reason,
            "keys": sorted(key for key in keys if key[0] != "s"),
            "permits_out": permits_out,
            "dispute": str(hold.dispute) if hold.dispute else None,
        }
    )


def number_changes(
    *, listeners: Listeners | None = None, after: Sequence[Statement] = (), at: datetime | None = None
) -> None:
    """Writes the feed's rows of this transaction. Its owner calls it last: no lane and no row is locked after it.
    `listeners`: of webhooks, where its owner has read them; `after`: what of its own it has still to write, which goes
    in the same call, before the lock; `at`: when the changes were made, where its owner has asked the database.

    1. the webhooks of what was placed and released, after every row's lock, so that they stand in order among the
    dispute's own; 2. one advisory lock, held until the commit; 3. in the next statements the numbers. Whoever waits for
    the lock draws a higher number and commits later, so a reader that has seen a number has seen all below it.
    """
    waiting = _waiting()
    if not waiting.rows:
        run(*after)
        return
    rows, waiting.rows = waiting.rows, []
    webhooks = _announced(rows, listeners, at)
    numbered = _numbered(rows)
    run(*after, *webhooks, _lock_numbers(), next(numbered))
    for more in numbered:
        run(more)


def _numbered(rows: Sequence[dict[str, Any]]) -> Iterator[Statement]:
    """What writes the feed's rows, in their order: one statement, but where very many permits are recalled."""
    told: list[dict[str, Any]] = []
    room = TOLD_AT_ONCE
    for part in (part for row in rows for part in _parts(row)):
        if told and len(part["permits_out"]) > room:
            yield Statement(_NUMBERED, [json.dumps(told)])
            told, room = [], TOLD_AT_ONCE
        told.append(part)
        room -= len(part["permits_out"])
    yield Statement(_NUMBERED, [json.dumps(told)])


def _parts(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows that tell of one change. Permits that have no room in the first stand in rows of their own right after
    it, by which nothing else changes, so that whoever reads only ever meets lists of a bounded length."""
    out: Sequence[PermitOut] = row["permits_out"]
    for first in range(0, len(out) or 1, LISTED):
        kind = Change.CHANGED if first else row["kind"]
        yield {**row, "kind": kind, "permits_out": [permit.render() for permit in out[first : first + LISTED]]}


_NUMBERED = "SELECT disputes_number_changes(%s::jsonb)"


def _lock_numbers() -> Statement:
    return Statement("SELECT pg_advisory_xact_lock(%s, %s)", [NAMESPACE, FEED_NUMBER])


def _announced(rows: Sequence[dict[str, Any]], listeners: Listeners | None, at: datetime | None) -> Iterator[Statement]:
    """`hold.placed` and `hold.released`, in order for one dispute, or for the hold where it has none, and `rule.paused`
    of a sending rule's. What a hold covers is told by the feed, which asks for a right of its own; so are the permits
    for which a body has no room, and `permits_out_count` says how many there are."""
    told = [row for row in rows if row["kind"] in (Change.PLACED, Change.RELEASED)]
    if not told:
        return
    if listeners is None:
        listeners = Listeners()
        run(listeners.asked)
    if not listeners.asked.rows:
        return
    at = at or _clock()
    for row in told:
        out: Sequence[PermitOut] = row["permits_out"]
        said = {
            **{name: row[name] for name in ("scope", "reason", "dispute")},
            "permits_out": [permit.render() for permit in out[:LISTED]],
            "permits_out_count": len(out),
        }
        yield from announced(
            event=f"hold.{row['kind']}",
            key=row["dispute"] or row["hold"],
            data={"hold": {"id": row["hold"], **said}},
            at=at,
            listeners=listeners,
        )
        if row["scope"] == Scope.SENDING_RULE and row["kind"] == Change.PLACED:
            # Under the hold's key: after the permits to recall, and before its release.
            for rule in sorted(covers_of_keys(row["keys"]).rules):
                data = {"rule": {"id": rule, "hold": row["hold"]}}
                yield from announced(event="rule.paused", key=row["hold"], data=data, at=at, listeners=listeners)


def _clock() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at: datetime = cursor.fetchone()[0]
    return at


def _number_late(waiting: _Waiting) -> None:
    """A transaction that wrote holds and forgot the feed: late is better than lost, and loud."""
    if not waiting.rows:
        return
    log.error("feed_numbered_late", changes=len(waiting.rows))
    rows = waiting.rows
    with transaction.atomic():
        _waiting().rows.extend(rows)
        number_changes()


def last_number() -> int:
    """The feed's highest number that is committed; 0 where it is empty."""
    row = SuppressionChange.objects.order_by("-number").values_list("number", flat=True).first()
    return row or 0
