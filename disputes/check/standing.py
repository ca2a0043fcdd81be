"""How an account stands: days past due and all that a message presupposes, from what a position keeps.

The one place where a schedule and a sum become days past due: the dispute's check and the gate both read it here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter
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


_due_on = itemgetter(0)


@lru_cache(maxsize=1024)
def zone_named(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises ZoneInfoNotFoundError."""
    return ZoneInfo(name)


@lru_cache(maxsize=4096)
def local_day(at: datetime, time_zone: str) -> date:
    """The local date of an aware instant."""
    return at.astimezone(zone_named(time_zone)).date()


def standing(*, position: Position, at: datetime) -> Standing:
    """How the account of `position` stands at `at` (aware). Instalments may come in any order."""
    due, amounts = position.due_on, position.amounts
    if not _is_in_order(due):
        due, amounts = zip(*sorted(zip(due, amounts, strict=True), key=_due_on), strict=True)
    return stands(local_day(at, position.time_zone), due, list(accumulate(amounts)), position.paid, position, position)


@lru_cache(maxsize=4096)
def _is_in_order(days: tuple[date, ...]) -> bool:
    """Many loans fall due on the same days."""
    return list(days) == sorted(days)


def stands(
    day: date,
    due: Sequence[date],
    sums: Sequence[Decimal],
    paid: Decimal,
    terms: Position | LoanVersion | None,
    dated: Position | LoanVersion | None,
) -> Standing:
    """How an account stands on the local `day`, with `paid` paid.

    `due`: the days on which its instalments fall due, oldest first; `sums`: what was owed with each, all before it
    included. `terms` hold grace and tolerance, `dated` what counts by its own dates; None: the loan itself is not
    known.
    """
    count = len(sums)
    owed = sums[-1] if count else ZERO
    # Money goes to the oldest first: those before `unpaid` are paid, those before `ahead` were due before the day.
    unpaid = bisect_right(sums, paid)
    ahead = bisect_left(due, day)
    outstanding = owed - paid if unpaid < count else ZERO
    days = delinquent = grace_days = 0
    overdue = ZERO
    oldest: date | None = None
    next_due: date | None = None
    settled = arrangement_kept = paused = False
    if dated is not None:
        if dated.settled_on is not None or dated.written_off_on is not None:
            settled = is_settled(dated.settled_on, dated.written_off_on, day)
        arrangement_kept = bool(dated.arrangements) and any(arrangement_is_kept(one, day) for one in dated.arrangements)
        paused = bool(dated.pauses) and any(covers(pause, day) for pause in dated.pauses)
    if terms is not None:
        grace_days = terms.grace_days
    if unpaid < ahead and not settled:
        # The tolerance is for the arrears as a whole: many small rests add up.
        beyond = bisect_right(sums, paid + terms.tolerance, unpaid) if terms is not None and terms.tolerance else unpaid
        if beyond < ahead:
            oldest = due[beyond]
            overdue = sums[ahead - 1] - paid
            days = (day - oldest).days
            delinquent = days - grace_days
            if dated is not None and dated.pauses:
                delinquent -= paused_days(pauses=dated.pauses, due_on=oldest, day=day)
            if delinquent < 0:
                delinquent = 0
    next_amount = ZERO
    if not settled and unpaid < count and ahead < count:
        next_due, next_amount = _next_due(due, sums, paid, unpaid if unpaid > ahead else ahead)
    return tuple.__new__(
        Standing,
        (
            day,
            days,
            delinquent,
            overdue,
            oldest,
            next_due,
            next_amount,
            next_amount if next_due == day else ZERO,
            ZERO if settled else outstanding,
            paid - owed if paid > owed else ZERO,
            settled,
            0 < days <= grace_days,
            arrangement_kept,
            paused,
        ),
    )


def _next_due(due: Sequence[date], sums: Sequence[Decimal], paid: Decimal, first: int) -> tuple[date | None, Decimal]:
    """The day of the first instalment from `first` on with something unpaid, and what is unpaid of that day's."""
    before = sums[first - 1] if first and sums[first - 1] > paid else paid
    first = bisect_right(sums, before, first)
    if first == len(sums):
        return None, ZERO
    day = due[first]
    return day, sums[bisect_right(due, day, first) - 1] - before


def is_settled(settled_on: date | None, written_off_on: date | None, day: date) -> bool:
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
        due_on=tuple([one.due_on for one in view.instalments]),
        amounts=tuple([one.amount for one in view.instalments]),
        paid=sum((row.version.amount for row in view.repayments if row.reversed_at is None), ZERO),
    )


def position_of(*, history: History, at: datetime, known_at: datetime | None = None) -> Position:
    """The position at `at`, worked out from every version: the slow, pure way to what the gate keeps.

    A loan whose own record has not come has its lines and payments, the lender's zone, no grace and no currency; one
    that was voided has no lines.
    """
    return position_of_view(view_of(history=history, at=at, known_at=known_at))
