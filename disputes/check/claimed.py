"""Payments that a customer names, looked for among the loan's repayments."""

from __future__ import annotations

from dataclasses import dataclass

from disputes.check.facts import ClaimedPayment
from disputes.check.matter import Matter
from disputes.check.standing import local_day
from disputes.check.versions import StandingRepayment

DAYS_APART = 3
"""A bank's value date may be so many days from the day that the customer remembers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """`status`: ``found`` (shown at the list), ``found_late`` (shown only after it), ``made_later`` (paid after the
    message), ``reversed`` (undone by then), ``not_found``. `by`: ``reference``, ``amount_and_day`` or None."""

    claimed: ClaimedPayment
    status: str
    by: str | None
    found: StandingRepayment | None


def match_claims(matter: Matter) -> tuple[Match, ...]:
    """Each claimed payment with at most one repayment, each repayment used once.

    A reference (or the payment's id) that agrees comes first, then the same amount within three days, the nearest day
    first.
    """
    free = list(matter.payments)
    matches = []
    by_reference: dict[int, StandingRepayment] = {}
    for number, claimed in enumerate(matter.claim.claimed_payments):
        row = _by_reference(claimed, free, matter)
        if row is not None:
            by_reference[number] = row
            free.remove(row)
    for number, claimed in enumerate(matter.claim.claimed_payments):
        row, by = by_reference.get(number), "reference"
        if row is None:
            row, by = _by_amount_and_day(claimed, free, matter), "amount_and_day"
            if row is not None:
                free.remove(row)
        status = "not_found" if row is None else _status(row, matter)
        matches.append(Match(claimed=claimed, status=status, by=by if row else None, found=row))
    return tuple(matches)


def _by_reference(claimed: ClaimedPayment, rows: list[StandingRepayment], matter: Matter) -> StandingRepayment | None:
    wanted = claimed.reference.strip().casefold()
    if not wanted or claimed.currency != matter.currency:
        return None
    for row in rows:
        names = (row.version.reference.strip().casefold(), row.version.external_id.casefold())
        if wanted in names and row.version.amount == claimed.amount:
            return row
    return None


def _by_amount_and_day(
    claimed: ClaimedPayment, rows: list[StandingRepayment], matter: Matter
) -> StandingRepayment | None:
    if claimed.currency != matter.currency:
        return None
    near = []
    for row in rows:
        apart = abs((local_day(row.version.paid_at, matter.was.view.time_zone) - claimed.paid_on).days)
        if row.version.amount == claimed.amount and apart <= DAYS_APART:
            near.append((row.reversed_at is not None, apart, row.version.paid_at, row.version.external_id, row))
    return min(near, key=lambda one: one[:4])[4] if near else None


def _status(row: StandingRepayment, matter: Matter) -> str:
    if row.version.paid_at > matter.message.sent_at:
        return "made_later"
    if row.reversed_at is not None:
        return "reversed"
    shown = {one.version.external_id for one in matter.listed.view.repayments}
    return "found" if row.version.external_id in shown else "found_late"
