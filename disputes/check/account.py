"""The account at an instant, on two clocks, line by line, and as the API shows it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from config.values.money import render_amount
from disputes.check.clocks import Clock, clock_of
from disputes.check.facts import ALWAYS, History, InstalmentVersion, RepaymentVersion
from disputes.check.standing import ZERO, Standing, zone_named
from disputes.check.versions import View, view_of

USUAL_ALLOCATION = ("penalties", "fees", "interest", "principal")
OTHER = "other"
"""The component of what the parts of an instalment do not explain."""


class AccountInstalment(NamedTuple):
    """`paid_off_on`: the value date (local) of the payment that completed it; None: not complete, or nothing to pay."""

    external_id: str
    number: int
    due_on: date
    amount: Decimal
    paid: Decimal
    outstanding: Decimal
    paid_off_on: date | None


class AccountRepayment(NamedTuple):
    """`posted_at`: when the records first showed it so (None: always); `reversed_at`: None where it stands."""

    external_id: str
    amount: Decimal
    paid_at: datetime
    posted_at: datetime | None
    reversed_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """A loan's account. Amounts are in `currency`; days are local dates in `time_zone`."""

    exists: bool
    """Whether the records have the loan itself, at that instant."""
    at: datetime
    currency: str
    time_zone: str
    standing: Standing
    instalments: tuple[AccountInstalment, ...]
    repayments: tuple[AccountRepayment, ...]
    clock: Clock = field(compare=False, repr=False)
    """What it was made from."""

    @property
    def days_past_due(self) -> int:
        return self.standing.days_past_due

    @property
    def delinquent_days(self) -> int:
        return self.standing.delinquent_days

    @property
    def overdue_amount(self) -> Decimal:
        return self.standing.overdue_amount

    @property
    def oldest_unpaid_due_on(self) -> date | None:
        return self.standing.oldest_unpaid_due_on

    @property
    def next_due_on(self) -> date | None:
        return self.standing.next_due_on

    @property
    def settled(self) -> bool:
        return self.standing.settled

    @property
    def outstanding(self) -> Decimal:
        return self.standing.outstanding

    @property
    def overpaid(self) -> Decimal:
        return self.standing.overpaid


def account_at(*, history: History, at: datetime, known_at: datetime | None = None) -> Account:
    """The account at `at` (aware), with what the records knew at `known_at` (None: with all that they know today).

    Facts later than `at` are not true yet, whoever knows of them. Money goes to the oldest instalment first, by value
    date; a reversed repayment is as if it had never been, from its reversal on.
    """
    return account_on(clock_of(view_of(history=history, at=at, known_at=known_at)))


def account_of(view: View) -> Account:
    """The account of a view that has been made already."""
    return account_on(clock_of(view))


def account_on(clock: Clock) -> Account:
    """The account of a clock, line by line."""
    zone, settled = zone_named(clock.time_zone), clock.standing.settled
    lines, left = [], clock.paid
    complete = completions(clock.books.sums, clock.counted)
    for one in clock.instalments:
        last = next(complete, None)
        paid = min(left, one.amount)
        left -= paid
        outstanding = ZERO if settled else one.amount - paid
        paid_off_on = None if last is None or not one.amount else last.paid_at.astimezone(zone).date()
        lines.append(
            AccountInstalment(one.external_id, one.number, one.due_on, one.amount, paid, outstanding, paid_off_on)
        )
    return Account(
        exists=clock.terms is not None,
        at=clock.at,
        currency=clock.currency,
        time_zone=clock.time_zone,
        standing=clock.standing,
        instalments=tuple(lines),
        repayments=tuple(
            [
                AccountRepayment(one.external_id, one.amount, one.paid_at, shown_at(one.posted_at), reversed_at)
                for one, reversed_at in clock.view.repayments
            ]
        ),
        clock=clock,
    )


def completions(
    sums: Sequence[Decimal], payments: Iterable[RepaymentVersion], came_in: Decimal = ZERO
) -> Iterator[RepaymentVersion | None]:
    """Of each instalment that is paid, oldest first, the payment that completed it; it ends at the first that is not.

    `sums`: what was owed with each (as in `stands`); `payments`: those that stand, by value date, after `came_in` was
    paid by earlier ones. None: there was nothing to pay.
    """
    last: RepaymentVersion | None = None
    money = iter(payments)
    for owed in sums:
        while came_in < owed:
            last = next(money, None)
            if last is None:
                return
            came_in += last.amount
        yield last


class Part(NamedTuple):
    """One component of an instalment."""

    amount: Decimal
    paid: Decimal
    outstanding: Decimal


def parts_of(
    *, instalment: InstalmentVersion, paid: Decimal, allocation: tuple[str, ...] = (), settled: bool = False
) -> dict[str, Part]:
    """What was paid and is left of an instalment, by component, when `paid` of it came in, in the loan's order of
    allocation.

    A component that the order does not name comes after those that it does, in the usual order; what the parts do not
    explain of the amount stands under ``other``, last. Parts that exceed the amount are taken as they are, up to the
    amount. `settled`: nothing is outstanding any more, whatever was paid.
    """
    parts: dict[str, Part] = {}
    room = instalment.amount

    def take(name: str, amount: Decimal) -> None:
        nonlocal paid, room
        room -= amount
        covered = min(paid, amount)
        paid -= covered
        parts[name] = Part(amount, covered, ZERO if settled else amount - covered)

    for name in (*allocation, *(one for one in USUAL_ALLOCATION if one not in allocation)):
        stated: Decimal | None = getattr(instalment, name, None)
        if stated is not None:
            take(name, min(stated, room))
    if room > ZERO:
        take(OTHER, room)
    return parts


def parts_left(*, instalment: InstalmentVersion, paid: Decimal, allocation: tuple[str, ...] = ()) -> dict[str, Decimal]:
    """What is left of an instalment, by component (as `parts_of`)."""
    parts = parts_of(instalment=instalment, paid=paid, allocation=allocation)
    return {name: part.outstanding for name, part in parts.items()}


def by_component(account: Account) -> tuple[dict[str, Part], ...]:
    """Paid and outstanding of every instalment of the account, by component, in the loan's order of allocation."""
    terms = account.clock.terms
    allocation = terms.allocation if terms is not None else ()
    return tuple(
        [
            parts_of(instalment=one, paid=line.paid, allocation=allocation, settled=account.settled)
            for one, line in zip(account.clock.instalments, account.instalments, strict=True)
        ]
    )


def render(account: Account) -> dict[str, Any]:
    """The ACCOUNT of the API, JSON-ready: money as strings with its currency, dates and times in ISO form (times in
    UTC)."""
    return render_clocks(account.clock)[0]


def render_clocks(*clocks: Clock) -> list[dict[str, Any]]:
    """The ACCOUNT of each clock, as `render` gives it. Clocks of one matter share the lines in which they agree (equal
    clocks all of them), and a line its equal amounts: what is rendered is read, and never changed."""
    first = _Rendering(clocks[0])
    return [
        first.account,
        *[first.account if one is clocks[0] else _Rendering(one, first).account for one in clocks[1:]],
    ]


class _Money(dict[Decimal, dict[str, str]]):
    """Amounts of one currency as the API shows them, each written once."""

    def __init__(self, currency: str) -> None:
        self.currency = currency

    def __missing__(self, amount: Decimal) -> dict[str, str]:
        shown = self[amount] = {"amount": render_amount(amount, self.currency), "currency": self.currency}
        return shown


class _Rendering:
    """One clock's ACCOUNT, and its parts, for the next clock of the same books to take over."""

    __slots__ = ("account", "clock", "lines", "money", "rows")

    def __init__(self, clock: Clock, like: _Rendering | None = None) -> None:
        if like is not None and (like.clock.books is not clock.books or like.clock.missing != ()):
            like = None
        self.clock: Clock = clock
        self.money: _Money = _Money(clock.currency) if like is None else like.money
        self.lines: list[dict[str, Any]]
        self.rows: list[dict[str, Any]]
        stands, money = clock.standing, self.money
        if like is not None and clock.missing:
            self._take_over(like, clock.missing)
        else:
            counted = clock.counted
            self.lines = self._lines(counted, 0, ZERO)
            self.rows = self._rows(clock.view.repayments if clock.missing is None else [(one, None) for one in counted])
        self.account: dict[str, Any] = {
            "days_past_due": stands.days_past_due,
            "delinquent_days": stands.delinquent_days,
            "overdue_amount": money[stands.overdue_amount],
            "oldest_unpaid_due_on": render_day(stands.oldest_unpaid_due_on),
            "next_due_on": render_day(stands.next_due_on),
            "settled": stands.settled,
            "outstanding": money[stands.outstanding],
            "overpaid": money[stands.overpaid],
            "instalments": self.lines,
            "repayments": self.rows,
        }

    def _take_over(self, like: _Rendering, missing: Sequence[RepaymentVersion]) -> None:
        """The first clock knew all that counts, this one all but `missing`: up to the first of those both are alike."""
        books, counted = self.clock.books, like.clock.counted
        gone = {one.external_id for one in missing}
        alike, came_in = 0, ZERO
        for one in counted:
            if one.external_id in gone:
                break
            came_in += one.amount
            alike += 1
        same = bisect_right(books.sums, came_in)
        rest = [one for one in counted[alike:] if one.external_id not in gone]
        self.lines = like.lines[:same] + self._lines(rest, same, came_in)
        self.rows = like.rows[:alike] + [row for row in like.rows[alike:] if row["external_id"] not in gone]

    def _lines(self, counted: Sequence[RepaymentVersion], first: int, came_in: Decimal) -> list[dict[str, Any]]:
        """The lines from the instalment `first` on, that `counted` pay, with `came_in` paid before."""
        clock, money, days, epoch, lines = self.clock, self.money, _DAYS, _EPOCH, []
        books, settled, nothing, offsets = clock.books, clock.standing.settled, money[ZERO], _offsets(clock.time_zone)
        instalments = books.instalments[first:] if first else books.instalments
        for one, last in zip(instalments, completions(books.sums[first:], counted, came_in), strict=False):
            amount = one.amount
            whole, paid_off_on = money[amount], None
            if last is not None and amount:
                since = last.paid_at - epoch
                offset = offsets[since.days]
                paid_off_on = days[(since + offset).days if offset is not None else offsets.day(last.paid_at)]
            lines.append(
                {
                    "number": one.number,
                    "due_on": days[one.due_on],
                    "amount": whole,
                    "paid": whole,
                    "outstanding": nothing,
                    "paid_off_on": paid_off_on,
                }
            )
        left = clock.paid - books.sums[first + len(lines) - 1] if first + len(lines) else clock.paid
        for one in instalments[len(lines) :]:
            amount = one.amount
            lines.append(
                {
                    "number": one.number,
                    "due_on": days[one.due_on],
                    "amount": money[amount],
                    "paid": money[left] if left > ZERO else nothing,
                    "outstanding": nothing if settled else money[amount - left if left > ZERO else amount],
                    "paid_off_on": None,
                }
            )
            left = ZERO
        return lines

    def _rows(self, repayments: Iterable[tuple[RepaymentVersion, datetime | None]]) -> list[dict[str, Any]]:
        money, epoch, days, times, always, rows = self.money, _EPOCH, _DAYS, _TIMES, ALWAYS, []
        for one, reversed_at in repayments:
            paid, posted_at = one.paid_at - epoch, one.posted_at
            posted = posted_at - epoch
            rows.append(
                {
                    "external_id": one.external_id,
                    "amount": money[one.amount],
                    "paid_at": _instant(one.paid_at) if paid.microseconds else days[paid.days] + times[paid.seconds],
                    "posted_at": None
                    if posted_at == always
                    else _instant(posted_at)
                    if posted.microseconds
                    else days[posted.days] + times[posted.seconds],
                    "reversed_at": None if reversed_at is None else _instant(reversed_at),
                }
            )
        return rows


class _Offsets(dict[int, timedelta | None]):
    """What a zone's clocks are ahead of UTC on the so-many-eth UTC day since 1970; None: they were changed that day."""

    def __init__(self, time_zone: str) -> None:
        self.zone = zone_named(time_zone)

    def __missing__(self, day: int) -> timedelta | None:
        if len(self) > 65_536:
            self.clear()
        begins = _EPOCH + timedelta(days=day)
        # No zone has changed its clocks and changed them back within a day.
        offsets = [(begins + timedelta(hours=hours)).astimezone(self.zone).utcoffset() for hours in (0, 24)]
        found = self[day] = offsets[0] if offsets[0] == offsets[1] else None
        return found

    def day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()


@lru_cache(maxsize=64)
def _offsets(time_zone: str) -> _Offsets:
    return _Offsets(time_zone)


def shown_at(posted_at: datetime) -> datetime | None:
    """When the records first showed it; None: they always did."""
    return None if posted_at <= ALWAYS else posted_at


def render_day(day: date | None) -> str | None:
    return None if day is None else _DAYS[day]


def render_instant(at: datetime | None) -> str | None:
    """ISO 8601 in UTC, with microseconds where there are any."""
    return None if at is None else _instant(at)


def _instant(at: datetime) -> str:
    since = at - _EPOCH
    if since.microseconds:
        return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return _DAYS[since.days] + _TIMES[since.seconds]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Days(dict[date | int, str]):
    """ISO text of a date, or of the so-many-eth day since 1970. Many loans fall due on the same days."""

    def __missing__(self, day: date | int) -> str:
        if len(self) > 65_536:
            self.clear()
        written = (day if isinstance(day, date) else date.fromordinal(_EPOCH.toordinal() + day)).isoformat()
        self[day] = written
        return written


class _Times(dict[int, str]):
    """The rest of an instant's ISO text, of a second of the day."""

    def __missing__(self, second: int) -> str:
        written = self[second] = f"T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
        return written


_DAYS, _TIMES = _Days(), _Times()
