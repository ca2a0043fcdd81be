"""One RRULE line of RFC 5545, daily or slower, in wall time of a zone. Pure.

Dates are worked out in naive local time and given their zone last: a time that does not exist moves forward, one that
comes twice is the first. The line is read here and not by dateutil's parser, which takes rules that never end
(``INTERVAL=0`` hangs), that have no date at all, or that mean something else than was written.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from dateutil import rrule

LONGEST = 500
FAR = timedelta(days=3653)
"""A rule has a date within so long of its start."""

_FREQUENCIES = {"DAILY": rrule.DAILY, "WEEKLY": rrule.WEEKLY, "MONTHLY": rrule.MONTHLY, "YEARLY": rrule.YEARLY}
_DAYS = {"MO": rrule.MO, "TU": rrule.TU, "WE": rrule.WE, "TH": rrule.TH, "FR": rrule.FR, "SA": rrule.SA, "SU": rrule.SU}
_UNTIL = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})(\d{2})(Z?))?", re.ASCII)
_DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,3}", re.ASCII)


class BadRule(ValueError):
    """The rule cannot be used; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recurrence:
    """`first`: the start, as naive wall time in `zone`."""

    rule: str
    zone: str
    first: datetime

    def after(self, instant: datetime) -> datetime | None:
        """The next date of the rule after `instant` (aware), as an aware UTC instant; None where there is none."""
        # At a shift of the zone wall time and instants part: begun a day earlier, and compared as instants.
        local = instant.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None) - timedelta(days=1)
        for found in islice(_compiled(self).xafter(local, inc=True), 64):
            at = as_instant(found, self.zone)
            if at > instant:
                return at
        return None

    def last_up_to(self, instant: datetime) -> datetime | None:
        """The newest date of the rule up to and with `instant`."""
        local = instant.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None) + timedelta(days=1)
        found = _compiled(self).before(local, inc=True)
        while found is not None and as_instant(found, self.zone) > instant:
            found = _compiled(self).before(found)
        return None if found is None else as_instant(found, self.zone)


def as_instant(local: datetime, zone: str) -> datetime:
    """Wall time as an instant: in a gap moved forward by its length, of two the first."""
    return local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)


def read_recurrence(*, rule: str, zone: str, starts_on: date, starts_at: time) -> Recurrence:
    """Reads and checks a schedule's rule. Raises BadRule.

    It must have a date within ten years of its start; as a start that is off the rule would be left out of COUNT or
    counted, as a library pleases, it is only ever the first date or no date.
    """
    try:
        ZoneInfo(zone)
    except (ValueError, KeyError, OSError) as error:
        raise BadRule("The zone is one of the IANA database, such as Asia/Shanghai.") from error
    if not 2000 <= starts_on.year <= 2200:
        raise BadRule("It starts between the years 2000 and 2200.")
    read = Recurrence(rule=rule.strip().upper(), zone=zone, first=datetime.combine(starts_on, starts_at))
    compiled = _compiled(read)
    first = next(iter(compiled), None) if _may_have_a_date(read) else None
    if first is None or first - read.first > FAR:
        raise BadRule("The rule has no date in the ten years after its start.")
    return read


def _compiled(recurrence: Recurrence) -> rrule.rrule:
    """dateutil's rule, from the *first* start each time, so that COUNT and INTERVAL count from there."""
    parts = _parts(recurrence.rule)
    frequency = parts.pop("FREQ", "")
    if frequency not in _FREQUENCIES:
        raise BadRule("FREQ is DAILY, WEEKLY, MONTHLY or YEARLY.")
    if "COUNT" in parts and "UNTIL" in parts:
        raise BadRule("COUNT or UNTIL, not both.")
    numbered = [place for place, _ in _days(parts.get("BYDAY", "")) if place]
    if any(abs(place) > 5 for place in numbered) and (frequency == "MONTHLY" or "BYMONTH" in parts):
        raise BadRule("A month has at most five of a day.")
    if numbered and frequency not in ("MONTHLY", "YEARLY"):
        raise BadRule("BYDAY has a number in MONTHLY and YEARLY rules alone.")
    if "BYMONTHDAY" in parts and frequency == "WEEKLY":
        raise BadRule("A WEEKLY rule has no BYMONTHDAY.")
    if "BYSETPOS" in parts and (frequency == "DAILY" or not {"BYDAY", "BYMONTHDAY", "BYMONTH"} & set(parts)):
        raise BadRule("BYSETPOS needs another BY part, and a rule that is slower than DAILY.")
    options: dict[str, Any] = {"interval": 1}
    for name, text in parts.items():
        option, read = _READERS[name]
        options[option] = read(text, recurrence.zone)
    in_week = max(1, len(_days(parts.get("BYDAY", ""))))
    if frequency == "WEEKLY" and min(map(abs, options.get("bysetpos", [1]))) > in_week:
        # Found out here at once, and not by a walk through all weeks.
        raise BadRule("A week has fewer of these days than BYSETPOS counts.")
    # The calendar ends in 9999: a search that finds nothing would walk there.
    options.setdefault("until", None)
    if options["until"] is None and "count" not in options:
        options["until"] = recurrence.first + FAR * 10
    elif options["until"] is None:
        options.pop("until")
    if "count" in options and _spans_too_long(options["count"], frequency, options["interval"]):
        raise BadRule("COUNT goes on for more than a hundred years.")
    return rrule.rrule(_FREQUENCIES[frequency], dtstart=recurrence.first, cache=False, **options)


def _may_have_a_date(recurrence: Recurrence) -> bool:
    """Whether some day of the ten years fits the rule's months, days of the month and days of the week. Asked first,
    since dateutil looks for a date that never comes until the year 9999."""
    parts = _parts(recurrence.rule)
    months = {int(one) for one in parts.get("BYMONTH", "").split(",") if one}
    in_month = {int(one) for one in parts.get("BYMONTHDAY", "").split(",") if one}
    week = {list(_DAYS).index(name) for _, name in _days(parts.get("BYDAY", ""))}
    step = int(parts.get("INTERVAL", "1")) if parts["FREQ"] == "DAILY" else 1
    for ahead in range(0, FAR.days, step):
        day = recurrence.first.date() + timedelta(days=ahead)
        length = monthrange(day.year, day.month)[1]
        if (
            (not months or day.month in months)
            and (not in_month or in_month & {day.day, day.day - length - 1})
            and (not week or day.weekday() in week)
        ):
            return True
    return False


def _spans_too_long(count: int, frequency: str, interval: int) -> bool:
    return count * interval * {"DAILY": 1, "WEEKLY": 7, "MONTHLY": 28, "YEARLY": 365}[frequency] > 366 * 4000


def _parts(rule: str) -> dict[str, str]:
    text = rule.removeprefix("RRULE:")
    if len(text) > LONGEST or "\n" in text:
        raise BadRule(f"One line of at most {LONGEST} characters.")
    parts: dict[str, str] = {}
    for part in text.removesuffix(";").split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise BadRule("A rule is NAME=VALUE;NAME=VALUE, such as FREQ=MONTHLY;BYMONTHDAY=1.")
        if name != "FREQ" and name not in _READERS:
            raise BadRule(f"{name[:20]} is not taken; FREQ and {', '.join(_READERS)} are.")
        if name in parts:
            raise BadRule(f"{name} stands there twice.")
        parts[name] = value
    return parts


def _whole(name: str, least: int, most: int) -> Callable[[str, str], int]:
    def read(text: str, _zone: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 5 and least <= int(text) <= most):
            raise BadRule(f"{name} is a whole number from {least} to {most}.")
        return int(text)

    return read


def _numbers(name: str, most: int, *, negative: bool) -> Callable[[str, str], list[int]]:
    def read(text: str, _zone: str) -> list[int]:
        values = []
        for one in text.split(","):
            number = int(one) if _NUMBER.fullmatch(one) else 0
            if not 1 <= abs(number) <= most or (number < 0 and not negative):
                raise BadRule(f"{name} is a list of numbers from {-most if negative else 1} to {most}, without 0.")
            values.append(number)
        return values

    return read


def _days(text: str) -> list[tuple[int, str]]:
    days = []
    for one in text.split(",") if text else []:
        found = _DAY.fullmatch(one)
        place = int(found[1]) if found and found[1] else 0
        if found is None or abs(place) > 53 or (found[1] and not place):
            raise BadRule("BYDAY is a list such as MO,TU or 1MO,-1FR.")
        days.append((place, found[2]))
    return days


def _weekdays(text: str, _zone: str) -> list[Any]:
    return [_DAYS[name](place) if place else _DAYS[name] for place, name in _days(text)]


def _week_start(text: str, _zone: str) -> Any:
    if text not in _DAYS:
        raise BadRule("WKST is a day, such as MO.")
    return _DAYS[text]


def _until(text: str, zone: str) -> datetime:
    """As naive wall time: dateutil takes no other beside a naive start. A date means the end of that day."""
    found = _UNTIL.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        year, month, day = (int(part) for part in found.groups()[:3])
        if found[4] is None:
            return datetime(year, month, day, 23, 59, 59)  # noqa: DTZ001 (wall time, by design)
        at = datetime(year, month, day, int(found[4]), int(found[5]), int(found[6]))  # noqa: DTZ001
        return at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) if found[7] else at
    except (
        ValueError,
        OverflowError,
    ) as error:  # OverflowError: the ends of the calendar
        raise BadRule("UNTIL is 20270131, 20270131T090000 or 20270131T010000Z.") from error


_READERS: Mapping[str, tuple[str, Callable[[str, str], Any]]] = {
    "INTERVAL": ("interval", _whole("INTERVAL", 1, 366)),
    "COUNT": ("count", _whole("COUNT", 1, 10_000)),
    "UNTIL": ("until", _until),
    "BYMONTH": ("bymonth", _numbers("BYMONTH", 12, negative=False)),
    "BYMONTHDAY": ("bymonthday", _numbers("BYMONTHDAY", 31, negative=True)),
    "BYDAY": ("byweekday", _weekdays),
    "BYSETPOS": ("bysetpos", _numbers("BYSETPOS", 366, negative=True)),
    "WKST": ("wkst", _week_start),
}
