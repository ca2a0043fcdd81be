"""What there is to look at in a matter: a cause or a criterion whose facts are absent is not asked at all.

A matter has a handful of kinds of facts, and most messages have few of them. Each kind is a bit; a cause or criterion
that cannot hold without some of them says which, and one look at the bits gives those that are worth asking. Leaving
one out never changes an answer: asked all the same, it would answer that it does not hold.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from disputes.check.matter import Matter

ACCOUNT = 1
"""The records hold the account."""
NO_ACCOUNT = 2
LATE = 4
"""The records show something of the account that the list did not know."""
CHANGED = 65536
"""More than repayments sets the account as it was apart from what the list knew."""
PRESSES = 8
"""The message presupposes arrears."""
SPARED = 16
"""Grace, an arrangement or a pause, as it was or as known at the list."""
OVER = 32
"""Settled, as it was or as known at the list; or a reminder, which may be of nothing."""
AIMED = 64
"""The sending rule's aim is risk, or before the due date."""
AMOUNT = 128
"""The message names an amount."""
DAYS = 256
"""The message names days past due."""
PAYMENTS = 512
"""The customer names payments."""
OTHERS = 1024
"""Other messages were sent."""
OWNERS = 2048
"""The records hold a customer whose loan it ever was, or the ground asks whose the phone is."""
GATED = 4096
"""The lender sends nothing without a permit, since some day."""
BEHIND = 8192
"""The records are too old to speak against the customer."""

OFTEN_ASKED = 16384
"""The ground asks how often the person was written to."""
HOUR_ASKED = 32768
"""The ground asks whether the hour was right."""

REPROACHED = 131072
"""A cause of the sending holds (whom it reached, how often, at what hour, with what leave), or the ground asks whose
the phone is."""
EVERYTHING = (1 << 18) - 1

_BY_GROUND = {
    "not_my_debt": OWNERS | REPROACHED,
    "third_party_contacted": OWNERS | REPROACHED,
    "too_frequent": OFTEN_ASKED,
    "outside_hours": HOUR_ASKED,
}
T = TypeVar("T")
UNASKED: Any = object()


def bears_on(matter: Matter) -> int:
    """The kinds of facts that this matter has."""
    message, history = matter.message, matter.history
    was, listed = matter.was.standing, matter.listed.standing
    bits = ACCOUNT if matter.tells else NO_ACCOUNT
    if matter.listed is not matter.was:
        bits |= LATE if matter.listed.missing is not None else LATE | CHANGED
    if matter.needs or matter.needs_was:
        bits |= PRESSES
    if (
        was.within_grace
        or was.arrangement_kept
        or was.paused
        or listed.within_grace
        or listed.arrangement_kept
        or listed.paused
    ):
        bits |= SPARED
    if was.settled or listed.settled or message.category == "reminder":
        bits |= OVER
    if matter.aim == "risk" or matter.aim == "pre_due":
        bits |= AIMED
    if message.claimed_amount is not None:
        bits |= AMOUNT
    if message.claimed_days_past_due is not None:
        bits |= DAYS
    if matter.claim.claimed_payments:
        bits |= PAYMENTS
    if history.sent:
        bits |= OTHERS
    if history.customers:
        bits |= OWNERS
    bits |= _BY_GROUND.get(matter.claim.ground, 0)
    if history.gate_required_from is not None:
        bits |= GATED
    if matter.behind:
        bits |= BEHIND
    return bits


def once(asked: Callable[[Matter], T]) -> Callable[[Matter], T]:
    """`asked` is worked out once a matter: several causes and criteria rest on it."""

    @wraps(asked)
    def kept(matter: Matter) -> T:
        answer: T = matter.kept.get(asked, UNASKED)
        if answer is UNASKED:
            answer = matter.kept[asked] = asked(matter)
        return answer

    return kept
