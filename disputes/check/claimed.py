"""Payments that a customer names, looked for among the loan's repayments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from disputes.check.facts import ClaimedPayment, RepaymentVersion
from disputes.check.matter import Matter
from disputes.check.presence import once
from disputes.check.standing import local_day
from disputes.check.versions import StandingRepayment, group, known

DAYS_APART = 3
"""A bank's value date may be so many days from the day that the customer remembers."""

DAYS_ALIKE = 31
"""A payment of the same amount so many days away is worth a look before anybody is asked for a receipt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """`status`: ``found`` (shown at the list), ``found_late`` (shown only after it), ``made_later`` (paid after the
    message), ``reversed`` (undone by then), ``not_found``. `by`: ``reference``, ``amount_and_day`` or None."""

    claimed: ClaimedPayment
    status: str
    by: str | None
    found: StandingRepayment | None


@once
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
        apart = abs((local_day(row.version.paid_at, matter.was.time_zone) - claimed.paid_on).days)
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


def reaches(matter: Matter, claimed: ClaimedPayment) -> bool:
    """Whether the records of repayments could show a payment of that day: their feed is complete up to its end, or the
    lender sends no watermarks."""
    if not matter.pack.records.watermarks:
        return True
    marks = [mark.complete_until for mark in matter.history.watermarks if mark.feed == "repayments"]
    return bool(marks) and local_day(max(marks), matter.was.time_zone) > claimed.paid_on


def nearest_alike(matter: Matter, claimed: ClaimedPayment) -> RepaymentVersion | None:
    """A payment that the records know, none of those matched, that may be the one meant: the same reference with
    another amount, the same amount up to a month away, or either on another loan or void by now."""
    matched = {match.found.version.external_id for match in match_claims(matter) if match.found is not None}
    newest = (known(versions, None) for versions in group(matter.history.repayments).values())
    rows = [row for row in newest if row is not None and row.external_id not in matched]
    return _nearest(rows, claimed, matter) if claimed.currency == matter.currency else None


def _nearest(rows: Iterable[RepaymentVersion], claimed: ClaimedPayment, matter: Matter) -> RepaymentVersion | None:
    wanted = claimed.reference.strip().casefold()
    near: list[tuple[bool, int, datetime, str, RepaymentVersion]] = []
    for row in rows:
        named = bool(wanted) and wanted in (row.reference.strip().casefold(), row.external_id.casefold())
        apart = abs(local_day(row.paid_at, matter.was.time_zone) - claimed.paid_on)
        if named or (row.amount == claimed.amount and apart <= timedelta(days=DAYS_ALIKE)):
            near.append((not named, apart.days, row.paid_at, row.external_id, row))
    return min(near, key=lambda one: one[:4])[4] if near else None
