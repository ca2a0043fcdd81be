"""The verdict: what the causes that hold mean for the ground that the customer gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from disputes.check.causes import Cause, Holding
from disputes.check.facts import ACCOUNT_GROUNDS

CUSTOMER_RIGHT = "customer_right"
PARTLY_RIGHT = "partly_right"
LENDER_RIGHT = "lender_right"
INCONCLUSIVE = "inconclusive"

COVERED_GROUNDS = ACCOUNT_GROUNDS
"""Grounds that criteria can settle; any other is a person's to judge."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    verdict: str
    cause: str | None
    detail: str | None


def decide(
    *,
    ground: str,
    holding: Sequence[tuple[Cause, Holding]],
    tells: bool,
    fresh: bool,
    claims_something: bool = True,
) -> Verdict:
    """The verdict on `ground`, from the causes that hold, in the table's order.

    `tells`: the records hold the account; `fresh`: they are recent enough to speak against the customer;
    `claims_something`: the message named an amount or days, without which nobody can say that they were right.

    1. the cause is the first that answers the ground, else the first that holds; 2. a ground that no criterion covers
    is inconclusive; 3. a cause that answers makes the customer right, or right in part where that is all that it
    shows; 4. where none answers, records that are missing or too old tell nothing; 5. only other causes: right in
    part; 6. none: the lender.
    """
    answering = [(cause, held) for cause, held in holding if ground in cause.answers]
    named = (answering or list(holding))[:1]
    cause = named[0][0].name if named else None
    detail = named[0][1].detail if named else None
    return Verdict(
        verdict=_weigh(ground, answering, holding, tells, fresh, claims_something), cause=cause, detail=detail
    )


def _weigh(
    ground: str,
    answering: Sequence[tuple[Cause, Holding]],
    holding: Sequence[tuple[Cause, Holding]],
    tells: bool,
    fresh: bool,
    claims_something: bool,
) -> str:
    if ground not in COVERED_GROUNDS:
        return INCONCLUSIVE
    if answering:
        return PARTLY_RIGHT if all(held.partly for _, held in answering) else CUSTOMER_RIGHT
    if not tells or not fresh:
        return INCONCLUSIVE
    if any(cause.name != "unauthorised_send" for cause, _ in holding):
        return PARTLY_RIGHT
    if ground == "wrong_amount" and not claims_something:
        return INCONCLUSIVE
    return LENDER_RIGHT
