"""The validation period: how long after a debt's notice a written dispute stops collection (12 CFR 1006.34(b)(5))."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from disputes.policy.packs import Pack

_SATURDAY = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationNotice:
    """A notice that tells somebody of a debt, by the local day on which it was sent. `returned`: it came back."""

    sent_on: date
    returned: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationPeriod:
    """`counts_from`: the day on which the notice was sent; `received_on`: the earliest day on which it may be taken to
    be received; `ends_on`: the last day of the period."""

    counts_from: date
    received_on: date
    ends_on: date


def validation_period(
    *,
    pack: Pack,
    notices: Iterable[ValidationNotice],
    holidays: Collection[date] = (),
    received_on: date | None = None,
) -> ValidationPeriod | None:
    """The period of the first notice that did not come back; None where the pack has none, or every notice came back.

    `holidays`: legal public holidays, which are no business days, as Saturdays and Sundays are none; `received_on`:
    the day of receipt where it is known. Local days throughout.
    """
    arrived = sorted(one.sent_on for one in notices if not one.returned)
    if not pack.validation_days or not arrived:
        return None
    received = received_on or _after(arrived[0], pack.validation_receipt_days, holidays)
    return ValidationPeriod(
        counts_from=arrived[0], received_on=received, ends_on=received + timedelta(days=pack.validation_days)
    )


def _after(day: date, business_days: int, holidays: Collection[date]) -> date:
    left = business_days
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < _SATURDAY and day not in holidays
    return day
