"""The verdict: what the causes that hold mean for the ground that the customer gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from disputes.check.causes import TOO_FEW_DAYS, Cause
from disputes.check.facts import ACCOUNT_GROUNDS
from disputes.check.recipient import RECIPIENT_GROUNDS

CUSTOMER_RIGHT = "customer_right"
PARTLY_RIGHT = "partly_right"
LENDER_RIGHT = "lender_right"
INCONCLUSIVE = "inconclusive"

CONTACT_GROUNDS = frozenset({"too_frequent", "outside_hours"})
COVERED_GROUNDS = ACCOUNT_GROUNDS | CONTACT_GROUNDS | RECIPIENT_GROUNDS
"""Grounds that criteria can settle; any other is a person's to judge."""


class Verdict(NamedTuple):
    """`cause`: the row that explains the message; None: none holds."""

    verdict: str
    cause: Cause | None


def decide(
    *,
    ground: str,
    holding: Sequence[Cause],
    tells: bool = True,
    fresh: bool = True,
    contacts_tell: bool = True,
    claims_something: bool = True,
    too_few_days: bool = False,
) -> Verdict:
    """The verdict on `ground`, from the causes that hold, in the table's order.

    `tells`: the records hold the account; `fresh`: they are recent enough to speak of it against the customer;
    `contacts_tell`: they can tell how often the person was written to; `claims_something`: the message named an amount
    or days, without which nobody can say that they were right; `too_few_days`: there were arrears, only not enough for
    the rule.

    1. the cause is the first that answers the ground, else the first that holds; 2. a ground that no criterion covers
    is inconclusive; 3. a cause that answers makes the customer right, or right in part where that is all that it
    shows; 4. where none answers, the recipient is a person's to judge, and records that are missing or too old tell
    nothing of the account, nor of how often; 5. only other causes: right in part; 6. none: the lender.
    """
    answering = [cause for cause in holding if ground in cause.answers] if holding else []
    named = answering or holding
    verdict = INCONCLUSIVE
    if ground in COVERED_GROUNDS:
        if answering:
            in_part = too_few_days and all(cause.in_part == TOO_FEW_DAYS for cause in answering)
            verdict = PARTLY_RIGHT if in_part else CUSTOMER_RIGHT
        elif _can_tell(ground, tells and fresh, contacts_tell):
            verdict = _without_answer(ground, holding, claims_something)
    return Verdict(verdict, named[0] if named else None)


def _can_tell(ground: str, account_tells: bool, contacts_tell: bool) -> bool:
    """Whether silence of the records speaks against the customer."""
    if ground in RECIPIENT_GROUNDS:
        return False
    if ground in ACCOUNT_GROUNDS:
        return account_tells
    return contacts_tell or ground != "too_frequent"


def _without_answer(ground: str, holding: Sequence[Cause], claims_something: bool) -> str:
    if holding and any(cause.counts for cause in holding):
        return PARTLY_RIGHT
    if ground == "wrong_amount" and not claims_something:
        return INCONCLUSIVE
    return LENDER_RIGHT
