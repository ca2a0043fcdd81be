"""Business time: how long the lender has been open between two instants, and when so much of it has run.

Open is when the wall clock of the calendar's zone shows an open time: an hour that comes twice counts twice, one that
is skipped counts nothing. A shift belongs to the local date on which it begins, and a day off cancels all of it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_STEP = timedelta(hours=1)
_SECOND = timedelta(seconds=1)


class BeyondCalendar(ValueError):
    """An instant outside what was compiled, or a term that does not end inside it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BusinessCalendar:
    """When the lender works.

    `zone`: IANA; `weekly`: weekday (0: Monday) → local intervals ``("HH:MM", "HH:MM")``, half-open, over midnight where
    the end is not after the beginning, ``24:00`` being the day's end; `days_off`: dates without work; `extra_days`:
    dates with the hours of the weekday named, whatever day they are.
    """

    zone: str
    weekly: Mapping[int, tuple[tuple[str, str], ...]]
    days_off: frozenset[date]
    extra_days: Mapping[date, int]


class OpenTime:
    """A calendar compiled to UTC: sorted intervals with the seconds that had run before each. All instants are aware;
    fractions of a second are left out."""

    def __init__(self, intervals: Sequence[tuple[int, int]], *, first: int, last: int) -> None:
        self._first, self._last = first, last
        self._opens = [opened for opened, _ in intervals]
        self._closes = [closed for _, closed in intervals]
        self._before = [0]
        for opened, closed in intervals:
            self._before.append(self._before[-1] + closed - opened)

    def between(self, start: datetime, end: datetime) -> int:
        """Open seconds from `start` to `end`; negative where `end` is before it. Raises BeyondCalendar."""
        return self._run(self._second(end)) - self._run(self._second(start))

    def add(self, start: datetime, seconds: int) -> datetime:
        """The first instant (UTC) by which so many open seconds have run since `start`: a term that ends at closing is
        due at closing. Zero is `start`. Raises BeyondCalendar."""
        if seconds <= 0:
            return datetime.fromtimestamp(self._second(start), UTC)
        wanted = self._run(self._second(start)) + seconds
        place = bisect_left(self._before, wanted) - 1
        if place >= len(self._opens):
            raise BeyondCalendar(f"{seconds} open seconds do not fit into the calendar")
        return datetime.fromtimestamp(self._opens[place] + wanted - self._before[place], UTC)

    def next_open(self, at: datetime) -> datetime:
        """`at` itself where it is open, else the next opening (UTC). Raises BeyondCalendar."""
        second = self._second(at)
        place = bisect_right(self._closes, second)
        if place >= len(self._opens):
            raise BeyondCalendar("the calendar has no opening after this")
        return datetime.fromtimestamp(max(second, self._opens[place]), UTC)

    def _run(self, second: int) -> int:
        place = bisect_right(self._opens, second) - 1
        if place < 0:
            return 0
        return self._before[place] + min(second, self._closes[place]) - self._opens[place]

    def _second(self, at: datetime) -> int:
        if at.tzinfo is None:
            raise ValueError("an instant is aware")
        second = int(at.timestamp() // 1)
        if not self._first <= second <= self._last:
            raise BeyondCalendar(f"{at} is outside of the calendar")
        return second


def compile_calendar(calendar: BusinessCalendar, *, first: date, last: date) -> OpenTime:
    """The open time of the local dates `first` to `last`, both included, with shifts that run over into them. Raises
    ValueError for hours that cannot be read."""
    zone = ZoneInfo(calendar.zone)
    pieces: list[tuple[int, int]] = []
    for day in _days(first - _DAY, last):
        for opened, closed in _shifts(calendar, day):
            pieces.extend(_in_utc(opened, closed, zone))
    return OpenTime(_joined(pieces), first=_start(first, zone), last=_start(last + _DAY, zone))


def _days(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + number * _DAY


def _shifts(calendar: BusinessCalendar, day: date) -> Iterator[tuple[datetime, datetime]]:
    """The day's intervals as naive local time."""
    weekday = calendar.extra_days.get(day)
    if weekday is None:
        if day in calendar.days_off:
            return
        weekday = day.weekday()
    midnight = datetime.combine(day, time())
    for first, until in calendar.weekly.get(weekday, ()):
        opened, closed = midnight + minutes_of(first), midnight + minutes_of(until)
        yield opened, closed if closed > opened else closed + _DAY


def minutes_of(text: str) -> timedelta:
    """``HH:MM`` as the time since midnight; ``24:00`` is a whole day. Raises ValueError."""
    hours, colon, minutes = text.partition(":")
    if len(text) != 5 or not colon or not (hours + minutes).isdecimal() or not (hours + minutes).isascii():
        raise ValueError(f"{text!r} is no time of day such as 09:00")
    length = timedelta(hours=int(hours), minutes=int(minutes))
    if int(minutes) > 59 or length > _DAY:
        raise ValueError(f"{text!r} is no time of day such as 09:00")
    return length


def _in_utc(opened: datetime, closed: datetime, zone: ZoneInfo) -> Iterator[tuple[int, int]]:
    """The instants at which the wall clock shows a time in [opened, closed).

    The interval is cut at each change of the zone's offset near it: within a piece of one offset the wall clock runs as
    the instants do, so what it shows of the interval is one stretch of them.
    """
    low = _as_utc(opened) - 2 * _DAY
    high = _as_utc(closed) + 2 * _DAY
    for start, end, offset in _pieces(low, high, zone):
        first = max(start, _as_utc(opened) - offset)
        until = min(end, _as_utc(closed) - offset)
        if first < until:
            yield int(first.timestamp()), int(until.timestamp())


def _as_utc(naive: datetime) -> datetime:
    return naive.replace(tzinfo=UTC)


def _pieces(low: datetime, high: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """[low, high) in stretches of one offset; a change is found to the second between two looks an hour apart."""
    start, offset = low, _offset(low, zone)
    last_seen = _offset(high, zone)
    if offset == last_seen and all(_offset(low + n * _DAY, zone) == offset for n in range((high - low) // _DAY + 1)):
        yield low, high, offset
        return
    at = low
    while at < high:
        step = min(at + _STEP, high)
        if _offset(step, zone) != offset:
            change = _first_with_other(at, step, offset, zone)
            yield start, change, offset
            start, offset = change, _offset(change, zone)
            at = change
        else:
            at = step
    yield start, high, offset


def _first_with_other(before: datetime, after: datetime, offset: timedelta, zone: ZoneInfo) -> datetime:
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if _offset(middle, zone) == offset:
            before = middle if middle > before else before + _SECOND
        else:
            after = middle
    return after


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta(0)


def _joined(pieces: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted, with what overlaps or touches as one."""
    whole: list[tuple[int, int]] = []
    for opened, closed in sorted(pieces):
        if whole and opened <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(whole[-1][1], closed))
        else:
            whole.append((opened, closed))
    return whole


def _start(day: date, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(), tzinfo=zone).timestamp())
