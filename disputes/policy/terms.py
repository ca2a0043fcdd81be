"""Calendar deadlines of a dispute."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from disputes.policy.packs import Pack

END_OF_DAY = time(23, 59, 59)


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadlines:
    """Aware instants, in the zone asked for; the last second of the last day is still in time."""

    acknowledge_by: datetime
    first_answer_by: datetime
    decide_by: datetime


def last_day(*, received_on: date, days: int) -> date:
    """The day itself does not count (China: Civil Code 201). A rest day at the end does not move it: the earlier
    day."""
    return received_on + timedelta(days=days)


def decide_days(*, pack: Pack, complexity: str = "simple", extension_told: bool = False) -> int:
    """The days in which a dispute must be decided.

    `complexity`: ``simple`` ``complex`` ``very_complex``; `extension_told`: a further extension was approved and the
    customer was told, without which it does not count (China: CBIRC order 2020 no. 3, art. 18). Raises ValueError.
    """
    if complexity not in ("simple", "complex", "very_complex"):
        raise ValueError(f"unknown complexity {complexity!r}")
    if complexity == "simple":
        return pack.terms.decide_days
    if complexity == "very_complex" and extension_told:
        return pack.terms.decide_extended_days
    return pack.terms.decide_complex_days


def deadlines(
    *, pack: Pack, opened_at: datetime, zone: str, complexity: str = "simple", extension_told: bool = False
) -> Deadlines:
    """The deadlines of a dispute opened at `opened_at` (aware), on the calendar of `zone` (IANA)."""
    local = ZoneInfo(zone)
    received_on = opened_at.astimezone(local).date()

    def end_of(days: int) -> datetime:
        return datetime.combine(last_day(received_on=received_on, days=days), END_OF_DAY, tzinfo=local)

    return Deadlines(
        acknowledge_by=end_of(pack.terms.acknowledge_days),
        first_answer_by=end_of(pack.terms.first_answer_days),
        decide_by=end_of(decide_days(pack=pack, complexity=complexity, extension_told=extension_told)),
    )


def is_repetition(*, pack: Pack, rejected_on: date | None, raised_on: date, same_matter: bool, new: bool) -> bool:
    """Whether a dispute only says again what was answered: the same ground and loan (`same_matter`), rejected on a
    local day not longer ago than the pack's days, with nothing `new`, such as evidence (United States: 12 CFR
    1006.38(a)(1))."""
    if rejected_on is None or not same_matter or new:
        return False
    return raised_on <= rejected_on + timedelta(days=pack.duplicative_days)
