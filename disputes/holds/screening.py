"""Screening: what the gate would say of a whole campaign, without granting anything.

Rows are decided a part at a time, each part of one snapshot. Most rows of a campaign differ in nothing that the gate
looks at: they are sorted into classes (`classing`), one row of each class is decided by the gate's own walk, and its
answer is the class's. Every other row is walked by itself.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import structlog
from django.db import connection, transaction
from django.utils import timezone

from disputes.holds import reading
from disputes.holds.classing import sort_rows
from disputes.holds.gate import MALFORMED, UNDECIDABLE, Answer
from disputes.holds.policies import pack_in_force
from disputes.holds.rows import Rows
from disputes.holds.walking import Walk

log = structlog.get_logger(__name__)

WALKED = 500
"""Rows whose facts are read in one call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Screened:
    """`at`: the database's clock, no later than the snapshot that the answers are true of. `given`: the answers that
    were given; `chosen`: which of them each row has, place by place."""

    at: datetime
    given: Sequence[Answer]
    chosen: Sequence[int]

    @property
    def answers(self) -> list[Answer]:
        """One a row."""
        return [self.given[number] for number in self.chosen]


def screen_rows(rows: Rows, *, caller: str) -> Screened:
    """What the gate would say of each row by itself: a screening takes no slot, so no row stands in another's way.

    `caller`: under whose name request ids are kept. Locks and writes nothing. Opens a transaction, whose one snapshot
    (repeatable read) is no older than the call; inside another transaction it reads what that one sees. Raises what
    the database raises where it cannot be reached.
    """
    given = [MALFORMED, UNDECIDABLE]
    chosen = array("i", bytes(4 * rows.count))
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        with connection.cursor() as cursor:
            if outermost:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            # The statement's beginning: its snapshot is taken after it.
            cursor.execute("SELECT statement_timestamp()")
            at: datetime = cursor.fetchone()[0].astimezone(UTC)
        open_ones = bytearray(b"\1") * rows.count
        for place in rows.malformed:
            open_ones[place] = False
        classes = {}
        for members in sort_rows(rows, at=at, caller=caller):
            for place in members:
                open_ones[place] = False
            # The first speaks for all.
            open_ones[members[0]] = True
            classes[members[0]] = members
        known: dict[Answer, int] = {UNDECIDABLE: 1}
        for place, answer in _walk(rows, _places(open_ones), at=at, caller=caller):
            number = known.setdefault(answer, len(given))
            if number == len(given):
                given.append(answer)
            for member in classes.get(place, (place,)):
                chosen[member] = number
    return Screened(at=at, given=given, chosen=chosen)


def _places(marks: bytearray) -> Iterator[int]:
    """Those that are marked, ascending."""
    place = marks.find(1)
    while place >= 0:
        yield place
        place = marks.find(1, place + 1)


def _walk(rows: Rows, places: Iterator[int], *, at: datetime, caller: str) -> Iterator[tuple[int, Answer]]:
    """The gate's own answers, place by place."""
    now = timezone.now()
    asked = rows.items(places)
    while some := dict(islice(asked, WALKED)):
        read = reading.read_facts(
            items=list(some.values()),
            lanes=None,
            caller=caller,
            pack_at=lambda at: pack_in_force(at=at),
            now=now,
            at=at,
        )
        walk = Walk(read.facts)
        for place, item in some.items():
            try:
                decision = walk.look(item)
            except Exception as error:  # as in the gate: one record that nobody foresaw spoils its own row alone
                log.exception("screening_row_undecidable", loan=item.loan, error=type(error).__name__)
                yield place, UNDECIDABLE
                continue
            yield place, Answer(reasons=decision.reasons, next_allowed_at=decision.next_allowed_at)
