"""The lender's calendars as business time, and the calendar and queue that exist where nobody has made any."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from functools import lru_cache

import holidays
import structlog
from django.conf import settings

from disputes.policy.business_time import BeyondCalendar, BusinessCalendar, OpenTime, compile_calendar
from disputes.routing.models import Calendar, Queue

log = structlog.get_logger(__name__)

YEARS_AHEAD = 2
LENDER = "Lender"
ALL = "All disputes"


def default_calendar() -> Calendar:
    """The oldest calendar; where there is none: weekdays nine to six in the lender's zone, its country's holidays off.

    Needs a transaction; of two at once the unique name lets one write.
    """
    found = Calendar.objects.order_by("pk").first()
    if found is not None:
        return found
    country = settings.DEFAULT_REGION if settings.DEFAULT_REGION in supported_countries() else ""
    made, _ = Calendar.objects.get_or_create(
        name=LENDER, defaults={"zone": settings.LENDER_TIME_ZONE, "country": country}
    )
    return made


def default_queue() -> Queue:
    """The queue that takes whatever no other takes. Needs a transaction."""
    found, _ = Queue.objects.get_or_create(name=ALL, defaults={"place": 10_000})
    return found


def supported_countries() -> frozenset[str]:
    return frozenset(holidays.list_supported_countries())


def due_after(calendar: Calendar, *, start: datetime, seconds: int) -> datetime:
    """When so many open seconds have run since `start` (aware UTC).

    A calendar with no room for them in ten years (it has no hours, or next to none) must not keep a dispute from being
    opened: the term then runs day and night, and the log says so.
    """
    for years in (YEARS_AHEAD, 10):
        try:
            return open_time(calendar, at=start, years=years).add(start, seconds)
        except BeyondCalendar:
            continue
        except (ValueError, KeyError, NotImplementedError) as error:  # hours, a zone or a country that nobody can read
            log.error("calendar_unreadable", calendar=calendar.pk, error=type(error).__name__)
            return start + timedelta(seconds=seconds)
    log.warning("calendar_without_room", calendar=calendar.pk, seconds=seconds)
    return start + timedelta(seconds=seconds)


def open_seconds(calendar: Calendar, *, start: datetime, end: datetime) -> int:
    """Open seconds from `start` to `end`."""
    return open_time(calendar, at=start, years=max(YEARS_AHEAD, end.year - start.year + 1)).between(start, end)


def open_time(calendar: Calendar, *, at: datetime, years: int = YEARS_AHEAD) -> OpenTime:
    """A calendar's open time from the year before `at` to so many years after it; kept by what the calendar says."""
    key = (
        calendar.pk,
        calendar.revision,
        calendar.zone,
        repr(sorted(calendar.hours.items())),
        calendar.country,
        calendar.subdivision,
        tuple(sorted(calendar.days_off)),
        repr(sorted(calendar.extra_days.items())),
    )
    return _compiled(key, range(at.year - 1, at.year + years + 1), _Frozen(calendar))


class _Frozen:
    """Carries the row into the cache without being part of its key."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Frozen)


@lru_cache(maxsize=32)
def _compiled(key: object, years: range, row: _Frozen) -> OpenTime:
    return compile_calendar(
        business_calendar(row.calendar, years=years), first=date(years[0], 1, 1), last=date(years[-1], 12, 31)
    )


def business_calendar(calendar: Calendar, *, years: Iterable[int]) -> BusinessCalendar:
    """A calendar's row as the pure value, with the public holidays of `years`.

    A make-up working day that a country announces has the hours of the weekday on which most of its work is done: the
    lender's first weekday with hours, unless `extra_days` names one.
    """
    wanted = set(years)
    weekly = {
        int(day): tuple((str(first), str(until)) for first, until in intervals)
        for day, intervals in calendar.hours.items()
        if intervals
    }
    own, public, extra = set(calendar.days_off), set(), {}
    if calendar.country:
        found = holidays.country_holidays(calendar.country, subdiv=calendar.subdivision or None, years=sorted(wanted))
        # Frozen for the years asked: the object grows when it is asked about another, and mixes in fixed dates.
        public = {day for day in list(found.keys()) if day.year in wanted}
        usual = min(weekly, default=0)
        extra = {day: usual for day in getattr(found, "weekend_workdays", ()) if day.year in wanted}
    # The lender's own word on a day is the last.
    extra = {day: weekday for day, weekday in extra.items() if day not in own}
    extra |= {date.fromisoformat(day): int(weekday) for day, weekday in calendar.extra_days.items()}
    return BusinessCalendar(
        zone=calendar.zone,
        weekly=weekly,
        days_off=frozenset(own | public),
        extra_days=extra,
    )
