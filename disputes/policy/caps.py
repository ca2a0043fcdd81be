"""Frequency caps: whether one more contact is within them, and from when on it is.

Rolling caps count elapsed hours: a contact exactly that long ago no longer counts. Daily caps count local dates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from disputes.policy.packs import Cap, Pack


class Contact(NamedTuple):
    """One contact, past or planned. `at`: aware; `customer`, `loan`, `phone`: any stable keys (None: it has none)."""

    at: datetime
    customer: str | None
    loan: str | None
    phone: str | bytes | None
    channel: str
    category: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CapAnswer:
    """`cap`: the one that stops it the longest (None: allowed); `next_allowed_at`: the first instant at which none
    does."""

    allowed: bool
    next_allowed_at: datetime | None = None
    cap: Cap | None = None


WITHIN = CapAnswer(allowed=True)


def counts_for(*, cap: Cap, previous: Contact, planned: Contact) -> bool:
    """Whether `previous` takes a slot under `cap` from `planned`.

    A contact that has no key for one of `per` (a message about no loan) shares no slot with any other.
    """
    if cap.channel not in (None, previous.channel) or previous.category not in cap.categories:
        return False
    for part in cap.per:
        key = getattr(planned, part)
        if key is None or getattr(previous, part) != key:
            return False
    return True


def check_cap(*, cap: Cap, previous: Iterable[Contact], planned: Contact, zone: str) -> CapAnswer:
    """Whether `planned` is within `cap` at `planned.at`, given `previous` in any order. `zone`: of the local dates
    (IANA).

    A previous contact later than `planned` counts too: two clocks may differ by a moment.
    """
    if cap.channel not in (None, planned.channel) or planned.category not in cap.categories:
        return WITHIN
    instants = sorted(one.at for one in previous if counts_for(cap=cap, previous=one, planned=planned))
    if len(instants) < cap.count:
        return WITHIN
    # With the `count`-th latest gone there is room for one more.
    leaves = instants[len(instants) - cap.count]
    free_at = _free_at(cap=cap, leaves=leaves, zone=zone)
    if planned.at >= free_at:
        return WITHIN
    return CapAnswer(allowed=False, next_allowed_at=free_at, cap=cap)


def _free_at(*, cap: Cap, leaves: datetime, zone: str) -> datetime:
    """The first instant (UTC) at which a contact at `leaves` no longer counts."""
    if cap.rolling_hours is not None:
        return leaves.astimezone(UTC) + timedelta(hours=cap.rolling_hours)
    local = ZoneInfo(zone)
    day = leaves.astimezone(local).date() + timedelta(days=1)
    return start_of_day(day_of=datetime.combine(day, time(0)), zone=local)


def start_of_day(*, day_of: datetime, zone: ZoneInfo) -> datetime:
    """The first instant (UTC) whose local date in `zone` is that of the naive `day_of`.

    Where midnight comes twice the first is meant; where the clock jumps over it, the instant of the jump.
    """
    day = day_of.date()
    first = datetime.combine(day, time(0), tzinfo=zone).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == datetime.combine(day, time(0)):
        return first
    low, high = first - timedelta(hours=26), first
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).date() < day:
            low = middle
        else:
            high = middle
    return high


def check_caps(*, pack: Pack, previous: Iterable[Contact], planned: Contact, zone: str) -> CapAnswer:
    """Whether `planned` is within every cap of the pack for its channel and category.

    `next_allowed_at` is exact: time alone never closes a cap, so the latest of the caps' instants opens them all.
    """
    kept = tuple(previous)
    worst = WITHIN
    for cap in pack.caps_for(channel=planned.channel, category=planned.category):
        answer = check_cap(cap=cap, previous=kept, planned=planned, zone=zone)
        if answer.next_allowed_at is not None and (
            worst.next_allowed_at is None or answer.next_allowed_at > worst.next_allowed_at
        ):
            worst = answer
    return worst
