"""A calendar's hours and days as people write them: one line a day.

``Monday 09:00-12:00, 13:00-18:00`` · ``2026-02-17`` · ``2026-02-14 Monday`` (worked, with Monday's hours). Every
reading function raises ValueError with what is wrong, for whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from disputes.policy.business_time import minutes_of

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MOST_INTERVALS = 10
MOST_DAYS = 1000

Hours = dict[str, list[list[str]]]
"""Weekday (``"0"``: Monday) → intervals ``["HH:MM", "HH:MM"]``, as a calendar's row keeps them."""


def read_hours(text: str) -> Hours:
    """The week's hours; a weekday that is not named is closed."""
    hours: Hours = {}
    for line in _lines(text):
        name, _, intervals = line.partition(" ")
        day = str(_weekday(name))
        if day in hours:
            raise ValueError(f"{name} stands there twice: write its hours in one line.")
        hours[day] = [_interval(one) for one in intervals.split(",")]
        if len(hours[day]) > MOST_INTERVALS:
            raise ValueError(f"{name} has more than {MOST_INTERVALS} intervals.")
    if not hours:
        raise ValueError("A calendar needs an open hour in the week: no deadline could run on it.")
    return hours


def write_hours(hours: Mapping[str, Sequence[Sequence[str]]]) -> str:
    lines = [
        f"{name} {', '.join('-'.join(interval) for interval in hours[str(day)])}"
        for day, name in enumerate(WEEKDAYS)
        if hours.get(str(day))
    ]
    return "\n".join(lines)


def read_days(text: str) -> list[date]:
    """Dates, sorted, each once."""
    return sorted({_date(line) for line in _lines(text)})


def write_days(days: Sequence[date]) -> str:
    return "\n".join(day.isoformat() for day in sorted(days))


def read_extra_days(text: str) -> dict[str, int]:
    """ISO date → the weekday whose hours it has."""
    found: dict[str, int] = {}
    for line in _lines(text):
        day, _, name = line.partition(" ")
        if not name.strip():
            raise ValueError(f"{line}: say which weekday's hours it has, as in 2026-02-14 Monday.")
        if _date(day).isoformat() in found:
            raise ValueError(f"{day} stands there twice.")
        found[_date(day).isoformat()] = _weekday(name.strip())
    return found


def write_extra_days(days: Mapping[str, int]) -> str:
    return "\n".join(f"{day} {WEEKDAYS[int(weekday)]}" for day, weekday in sorted(days.items()))


def _lines(text: str) -> Iterator[str]:
    lines = [" ".join(line.split()) for line in text.splitlines()]
    if len(lines) > MOST_DAYS:
        raise ValueError(f"More than {MOST_DAYS} lines.")
    return (line for line in lines if line)


def _weekday(name: str) -> int:
    for number, known in enumerate(WEEKDAYS):
        if name.rstrip(":").lower() in (known.lower(), known[:3].lower()):
            return number
    raise ValueError(f"{name!r} is no weekday such as Monday.")


def _interval(text: str) -> list[str]:
    first, dash, until = (part.strip() for part in text.strip().replace("–", "-").partition("-"))
    if not dash:
        raise ValueError(f"{text.strip()!r} is no interval such as 09:00-18:00.")
    if minutes_of(first) == minutes_of("24:00"):
        raise ValueError(f"{text.strip()!r}: a day begins at 00:00.")
    if minutes_of(first) == minutes_of(until):
        raise ValueError(f"{text.strip()!r} has no length; a whole day is 00:00-24:00.")
    return [first, until]


def _date(text: str) -> date:
    try:
        if len(text) != len("2026-02-14") or text[4] + text[7] != "--":  # an ISO week is a date too, for Python
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no date such as 2026-02-14.") from None
