"""How an account stands: days past due and all that a message presupposes, from what a position keeps.

The one place where a schedule and a sum become days past due: the dispute's check and the gate both read it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from disputes.check.facts import Arrangement, History, LoanVersion, Period, Position
from disputes.check.versions import View, view_of

ZERO = Decimal(0)
Line = tuple[date, Decimal]
"""An instalment as the figures need it: due on, amount."""


class Standing(NamedTuple):
    """An account on one local day.

    `day`: the local date in the loan's zone. `days_past_due`: from the due date of the oldest instalment with something
    unpaid beyond the tolerance; overdue starts the day after the due date. `delinquent_days`: the same without the
    grace days and the paused days. `oldest_unpaid_due_on`: of the overdue instalments, None where none is.
    `next_due_on`: of the instalments due on that day or later, the first with something unpaid. `settled`: settled or
    written off, from which day on nothing is unpaid. `within_grace`: overdue, but by no more than the grace days.
    `arrangement_kept`, `paused`: on that day.
    """

    day: date
    days_past_due: int
    delinquent_days: int
    overdue_amount: Decimal
    oldest_unpaid_due_on: date | None
    next_due_on: date | None
    next_due_amount: Decimal
    """What is left of the instalments due on `next_due_on`."""
    due_today: Decimal
    """What is left of the instalments due on `day` itself."""
    outstanding: Decimal
    overpaid: Decimal
    settled: bool
    within_grace: bool
    arrangement_kept: bool
    paused: bool


@lru_cache(maxsize=1024)
def zone_named(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises ZoneInfoNotFoundError."""
    return ZoneInfo(name)


def local_day(at: datetime, time_zone: str) -> date:
    """The local date of an aware instant."""
    return at.astimezone(zone_named(time_zone)).date()


def standing(*, position: Position, at: datetime) -> Standing:
    """How the account of `position` stands at `at` (aware). Lines may come in any order."""
    lines = sorted(position.lines, key=_by_due_date)
    return stands(local_day(at, position.time_zone), lines, position.paid, position, position)


def stands(
    day: date,
    lines: Sequence[Line],
    paid: Decimal,
    terms: Position | LoanVersion | None,
    dated: Position | LoanVersion | None,
) -> Standing:
    """How an account stands on the local `day`, with `paid` paid of `lines` (oldest first).

    `terms` hold grace and tolerance, `dated` what counts by its own dates; None: the loan itself is not known.
    """
    tolerance, grace_days = (terms.tolerance, terms.grace_days) if terms is not None else (ZERO, 0)
    owed = overdue = due_today = next_due_amount = outstanding = ZERO
    oldest: date | None = None
    next_due: date | None = None
    opened = False
    for due_on, amount in lines:
        owed += amount
        if owed <= paid:
            continue
        unpaid, opened = amount if opened else owed - paid, True
        outstanding += unpaid
        if due_on < day:
            overdue += unpaid
            # The tolerance is for the arrears as a whole: many small rests add up.
            if oldest is None and overdue > tolerance:
                oldest = due_on
        elif unpaid:
            if due_on == day:
                due_today += unpaid
            if next_due is None or due_on == next_due:
                next_due, next_due_amount = due_on, next_due_amount + unpaid
    settled = dated is not None and is_settled(
        settled_on=dated.settled_on, written_off_on=dated.written_off_on, day=day
    )
    if settled:
        oldest = next_due = None
        due_today = next_due_amount = outstanding = ZERO
    days = delinquent = 0
    if oldest is None:
        overdue = ZERO
    else:
        days = (day - oldest).days
        paused = paused_days(pauses=dated.pauses, due_on=oldest, day=day) if dated is not None and dated.pauses else 0
        delinquent = days - grace_days - paused
        if delinquent < 0:
            delinquent = 0
    return Standing(
        day,
        days,
        delinquent,
        overdue,
        oldest,
        next_due,
        next_due_amount,
        due_today,
        outstanding,
        paid - owed if paid > owed else ZERO,
        settled,
        0 < days <= grace_days,
        dated is not None
        and bool(dated.arrangements)
        and any(arrangement_is_kept(one, day) for one in dated.arrangements),
        dated is not None and bool(dated.pauses) and any(covers(pause, day) for pause in dated.pauses),
    )


def _by_due_date(line: Line) -> date:
    return line[0]


def is_settled(*, settled_on: date | None, written_off_on: date | None, day: date) -> bool:
    """Whether the loan was settled, or the debt given up, on or before `day`."""
    return (settled_on is not None and settled_on <= day) or (written_off_on is not None and written_off_on <= day)


def covers(period: Period | Arrangement, day: date) -> bool:
    """Whether `day` is one of the period's days; its last day is."""
    return period.first <= day and (period.until is None or day <= period.until)


def arrangement_is_kept(arrangement: Arrangement, day: date) -> bool:
    """Whether the arrangement ran on `day` and had been kept so far."""
    return covers(arrangement, day) and (arrangement.kept_until is None or day <= arrangement.kept_until)


def paused_days(*, pauses: Iterable[Period], due_on: date, day: date) -> int:
    """The days, of the union of the pauses, from the later of a pause's beginning and `due_on` to the earlier of its
    end and `day`."""
    spans = sorted(
        (max(pause.first, due_on), day if pause.until is None else min(pause.until, day)) for pause in pauses
    )
    total, reached = 0, due_on
    for first, until in spans:
        first = max(first, reached)
        if until > first:
            total += (until - first).days
            reached = until
    return total


def position_of_view(view: View, *, currency: str = "") -> Position:
    """What a position would keep of these records."""
    terms, dated = view.terms, view.dated
    return Position(
        currency=terms.currency if terms else currency,
        time_zone=view.time_zone,
        grace_days=terms.grace_days if terms else 0,
        tolerance=terms.tolerance if terms else ZERO,
        settled_on=dated.settled_on if dated else None,
        written_off_on=dated.written_off_on if dated else None,
        pauses=dated.pauses if dated else (),
        arrangements=dated.arrangements if dated else (),
        lines=tuple((one.due_on, one.amount) for one in view.instalments),
        paid=sum((row.version.amount for row in view.repayments if row.reversed_at is None), ZERO),
    )


def position_of(*, history: History, at: datetime, known_at: datetime | None = None) -> Position:
    """The position at `at`, worked out from every version: the slow, pure way to what the gate keeps.

    A loan whose own record has not come has its lines and payments, the lender's zone, no grace and no currency; one
    that was voided has no lines.
    """
    return position_of_view(view_of(history=history, at=at, known_at=known_at))
