"""Contact hours: whether a person may be written to at an instant, and from when on they may.

Hours are half-open local intervals that may wrap midnight, read off the wall clock of every zone that the records
point to: all must allow. The person's own blocked windows close what the pack leaves open; the windows that they
agreed to open what it closes, where the pack lets them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from disputes.policy.packs import ContactHours, LocalInterval, Pack

HORIZON = timedelta(days=16)
"""Windows repeat by the week; two weeks and a margin see every pattern of several zones."""

_DAYS = ("mo", "tu", "we", "th", "fr", "sa", "su")


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A weekly window of the person's own: the weekdays on which it begins (0 Monday), and its local hours."""

    days: frozenset[int]
    hours: LocalInterval


@dataclass(frozen=True, kw_only=True, slots=True)
class Preferences:
    """The person's own wishes."""

    blocked: tuple[Window, ...] = ()
    agreed: tuple[Window, ...] = ()


NO_WISHES = Preferences()


@dataclass(frozen=True, kw_only=True, slots=True)
class HoursAnswer:
    """`next_allowed_at`: the first instant (UTC) at or after the one asked at which contact is allowed; None: allowed
    now, or never within two weeks."""

    allowed: bool
    next_allowed_at: datetime | None = None


OPEN = HoursAnswer(allowed=True)


def read_preferences(raw: Mapping[str, Any] | None) -> Preferences:
    """The wishes from their JSON form ``{"blocked": [{"days", "from", "until"}], "agreed": […]}``.

    `days`: weekdays by their first two letters or more, in any case (``MO``, ``mon``, ``Monday``); none: every day.
    `from`, `until`: ``HH:MM``; none: from or until midnight; ``24:00`` is midnight. Raises ValueError, naming the
    place.
    """
    if not raw:
        return NO_WISHES
    for key in raw:
        if key not in ("blocked", "agreed"):
            raise ValueError(f"{key}: unknown")
    return Preferences(
        blocked=_read_windows(raw.get("blocked"), "blocked"), agreed=_read_windows(raw.get("agreed"), "agreed")
    )


def _read_windows(raw: object, place: str) -> tuple[Window, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list | tuple):
        raise ValueError(f"{place}: not a list")
    windows = []
    for number, row in enumerate(raw):
        where = f"{place}.{number}"
        if not isinstance(row, Mapping):
            raise ValueError(f"{where}: not an object")
        for key in row:
            if key not in ("days", "from", "until"):
                raise ValueError(f"{where}.{key}: unknown")
        hours = LocalInterval(
            first=read_time(row.get("from") or "00:00", f"{where}.from"),
            until=read_time(row.get("until") or "24:00", f"{where}.until"),
        )
        windows.append(Window(days=_read_days(row.get("days"), where), hours=hours))
    return tuple(windows)


def _read_days(raw: object, where: str) -> frozenset[int]:
    if not raw:
        return frozenset(range(7))
    if not isinstance(raw, list | tuple):
        raise ValueError(f"{where}.days: not a list")
    days = set()
    for day in raw:
        name = day.lower() if isinstance(day, str) else ""
        full = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
        found = [number for number, whole in enumerate(full) if len(name) >= 2 and whole.startswith(name)]
        if len(found) != 1:
            raise ValueError(f"{where}.days: {day!r} is not a weekday")
        days.add(found[0])
    return frozenset(days)


def read_time(raw: object, where: str) -> time:
    """``HH:MM`` or ``HH:MM:SS``; ``24:00`` is midnight. Raises ValueError."""
    if raw == "24:00":
        return time(0)
    try:
        if not isinstance(raw, str) or len(raw) not in (5, 8):
            raise ValueError
        parsed = time.fromisoformat(raw)
        if parsed.tzinfo is not None:
            raise ValueError
    except ValueError:
        raise ValueError(f"{where}: not a local time as HH:MM") from None
    return parsed


def check_hours(
    *,
    pack: Pack,
    at: datetime,
    zones: Iterable[str],
    preferences: Preferences | Mapping[str, Any] | None = None,
    category: str,
    answers_own_message: bool = False,
) -> HoursAnswer:
    """Whether contact is allowed at `at` (aware) in every one of `zones` (IANA names, at least one).

    A category that the pack's contact hours do not name is always allowed. `answers_own_message`: it is the first
    answer to a message of the person's own. Raises ValueError without a zone or for unreadable preferences,
    ZoneInfoNotFoundError.
    """
    hours = pack.contact_hours
    if category not in hours.categories or (answers_own_message and hours.reply_free):
        return OPEN
    names = tuple(sorted(set(zones)))
    if not names:
        raise ValueError("contact hours need at least one time zone")
    return _answer(hours.allowed, at.astimezone(UTC), names, _wishes(pack, preferences))


def hours_breached(
    *,
    pack: Pack,
    at: datetime,
    zones: Iterable[str],
    preferences: Mapping[str, Any] | Preferences | None,
    category: str,
    answers_own_message: bool = False,
) -> bool:
    """Whether a message sent at `at` broke the contact hours. Arguments and errors as in `check_hours`.

    Never stricter than the words of the source: where they leave the last instant of an interval free, a message in
    that second is no breach, though a gate may refuse it.
    """
    hours = pack.contact_hours
    if category not in hours.categories or (answers_own_message and hours.reply_free):
        return False
    names = tuple(zones)
    if not names:
        raise ValueError("contact hours need at least one time zone")
    wishes = preferences if isinstance(preferences, Preferences) else read_preferences(preferences)
    return any(breached_locally(hours=hours, local=at.astimezone(ZoneInfo(name)), wishes=wishes) for name in names)


def breached_locally(*, hours: ContactHours, local: datetime, wishes: Preferences) -> bool:
    """Whether an instant, on the clock of one place (`local`), broke the hours there, or the person's `wishes`; of a
    message that keeps contact hours."""
    if wishes.agreed and not hours.agreed:
        wishes = Preferences(blocked=wishes.blocked)
    return not _open_in(hours.allowed, wishes, local, end_free=hours.end_free)


def _wishes(pack: Pack, preferences: Preferences | Mapping[str, Any] | None) -> Preferences:
    """The person's wishes, without the hours that they agreed to where the pack gives those no force."""
    wishes = preferences if isinstance(preferences, Preferences) else read_preferences(preferences)
    return wishes if pack.contact_hours.agreed or not wishes.agreed else Preferences(blocked=wishes.blocked)


@lru_cache(maxsize=4096)
def _answer(
    allowed: tuple[LocalInterval, ...] | None, at: datetime, zones: tuple[str, ...], wishes: Preferences
) -> HoursAnswer:
    locals_ = tuple(ZoneInfo(name) for name in zones)

    def is_open(instant: datetime) -> bool:
        return all(_open_in(allowed, wishes, instant.astimezone(zone)) for zone in locals_)

    if is_open(at):
        return OPEN
    edges: set[datetime] = set()
    for zone in locals_:
        edges.update(_edges(allowed, wishes, at, zone))
    return HoursAnswer(allowed=False, next_allowed_at=next((edge for edge in sorted(edges) if is_open(edge)), None))


def _open_in(
    allowed: tuple[LocalInterval, ...] | None, wishes: Preferences, local: datetime, *, end_free: bool = False
) -> bool:
    clock, weekday = local.time(), local.weekday()
    if wishes.blocked and any(_covers(window, clock, weekday) for window in wishes.blocked):
        return False
    if allowed is None:
        return True
    for hours in allowed:
        if _within(hours, clock) or (end_free and clock.replace(microsecond=0) == hours.until):
            return True
    return any(_covers(window, clock, weekday) for window in wishes.agreed)


def _within(hours: LocalInterval, clock: time) -> bool:
    if hours.first < hours.until:
        return hours.first <= clock < hours.until
    return clock >= hours.first or clock < hours.until


def _covers(window: Window, clock: time, weekday: int) -> bool:
    """A window that wraps midnight belongs to the day on which it begins."""
    first, until = window.hours.first, window.hours.until
    if first < until:
        return weekday in window.days and first <= clock < until
    return (weekday in window.days and clock >= first) or ((weekday - 1) % 7 in window.days and clock < until)


def _edges(
    allowed: tuple[LocalInterval, ...] | None, wishes: Preferences, at: datetime, zone: ZoneInfo
) -> Iterable[datetime]:
    """Every instant (UTC) after `at` at which an answer in `zone` can change: the hours' ends and the clock's
    changes."""
    ends: set[time] = set()
    for hours in (*(allowed or ()), *(window.hours for window in (*wishes.blocked, *wishes.agreed))):
        ends.update((hours.first, hours.until))
    first_day = at.astimezone(zone).date() - timedelta(days=1)
    for ahead in range(HORIZON.days + 1):
        day = first_day + timedelta(days=ahead)
        for end in ends:
            for fold in (0, 1):
                edge = datetime.combine(day, end.replace(fold=fold), tzinfo=zone).astimezone(UTC)
                if edge > at:
                    yield edge
        yield from (change for change in _clock_changes(day, zone) if change > at)


@lru_cache(maxsize=4096)
def _clock_changes(day: date, zone: ZoneInfo) -> tuple[datetime, ...]:
    """The instants (UTC) within the UTC day at which the zone's offset changes (at most one is looked for)."""
    low = datetime.combine(day, time(0), tzinfo=UTC)
    high = low + timedelta(days=1)
    before = low.astimezone(zone).utcoffset()
    if before == high.astimezone(zone).utcoffset():
        return ()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low).total_seconds() // 2)
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return (high,)
