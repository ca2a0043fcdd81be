"""The account as the API shows it: money as strings with its currency, dates and times in ISO form."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from config.values.money import render_amount
from disputes.check.account import Account, completions
from disputes.check.clocks import Clock
from disputes.check.facts import ALWAYS, RepaymentVersion
from disputes.check.standing import ZERO, zone_named


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
