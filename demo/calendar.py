"""The demo lender's days: local hours of its zone, none of them after the day on which it is made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

ZONE = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class Days:
    """`today`: the local date on which the lender is made; it has sent nothing of that day yet."""

    today: date
    zone: str = ZONE

    def instant(self, day: date, hour: int, minute: int = 0) -> datetime:
        """A local time of a day (aware), but never after the start of today."""
        zone = ZoneInfo(self.zone)
        wanted = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
        return min(wanted, datetime(self.today.year, self.today.month, self.today.day, tzinfo=zone))

    def at(self, day: date, hour: int, minute: int = 0) -> str:
        """The same as RFC 3339."""
        return self.instant(day, hour, minute).isoformat()

    def has_come(self, day: date) -> bool:
        """Whether the day is over."""
        return day < self.today
