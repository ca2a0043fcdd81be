"""Whether a message had the gate's permit when it went out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from disputes.check.facts import CollectionMessage, PermitFact, StandingHold
from disputes.check.finding import CUSTOMER, Finding
from disputes.check.matter import Matter
from disputes.check.presence import once
from disputes.check.rendering import render_instant

AGAINST_HOLD = "against_hold"
CLOCKS_APART = timedelta(minutes=1)
"""How far a sender's clock may be behind the gate's before a permit counts as granted after the message was sent."""


@once
def permit_of(matter: Matter) -> PermitFact | None:
    """The permit that the message names, where the gate granted it, however the sender wrote its id."""
    name = matter.message.permit
    if name is None:
        return None
    return next((one for one in matter.history.permits if _plain(one.id) == _plain(name)), None)


def _plain(name: str) -> str:
    return name.strip().casefold().replace("-", "")


def is_unauthorised(matter: Matter) -> bool:
    """Since the lender's `gate_required_from`: no valid permit, a permit used before, or against a hold."""
    since = matter.history.gate_required_from
    return since is not None and matter.message.sent_at >= since and bool(permit_faults(matter))


def permit_fault(matter: Matter) -> str:
    """The first of `permit_faults`, of a message that has one."""
    return permit_faults(matter)[0]


@once
def permit_faults(matter: Matter) -> tuple[str, ...]:
    """What was missing: ``no_permit`` ``unknown_permit`` ``other_permit`` (for another phone, loan, channel or
    category) ``later_permit`` (granted only after it was sent) ``expired_permit`` ``returned_permit`` ``used_permit``
    ``against_hold``, in this order."""
    faults = _faults_of_permit(matter.message, permit_of(matter))
    return (*faults, AGAINST_HOLD) if _standing(matter) else faults


def _faults_of_permit(message: CollectionMessage, permit: PermitFact | None) -> tuple[str, ...]:
    if permit is None:
        return ("no_permit",) if message.permit is None else ("unknown_permit",)
    rows = (
        ("other_permit", _is_for_another(message, permit)),
        ("later_permit", permit.granted_at - message.sent_at > CLOCKS_APART),
        ("expired_permit", permit.expires_at <= message.sent_at),
        ("returned_permit", permit.unused_at is not None),
        ("used_permit", permit.used_by is not None and permit.used_by != message.external_id),
    )
    return tuple(fault for fault, holds in rows if holds)


def _is_for_another(message: CollectionMessage, permit: PermitFact) -> bool:
    return is_for_another(
        permit=permit, phone=message.phone, loan=message.loan, channel=message.channel, category=message.category
    )


def is_for_another(*, permit: PermitFact, phone: str | None, loan: str | None, channel: str, category: str) -> bool:
    """Whether a permit was granted for another message than one of this phone (its digest), loan, channel and category.

    A permit may name no loan where the gate asks for none, and a message may have lost its phone to an erasure.
    """
    return (
        (phone is not None and permit.phone != phone)
        or (permit.loan is not None and permit.loan != loan)
        or (permit.channel, permit.category) != (channel, category)
    )


def _standing(matter: Matter) -> tuple[StandingHold, ...]:
    at = matter.message.sent_at
    return tuple(
        one for one in matter.history.holds if one.since <= at and (one.released_at is None or at < one.released_at)
    )


def unauthorised(matter: Matter) -> Finding | None:
    """Sent without a valid permit, or against a hold."""
    if matter.history.gate_required_from is None or not is_unauthorised(matter):
        return None
    faults = permit_faults(matter)
    permit = permit_of(matter)
    facts: dict[str, Any] = {
        "faults": list(faults),
        "gate_required_from": render_instant(matter.history.gate_required_from),
        "permit": None if permit is None else _permit_facts(permit),
        "holds": [
            {
                "source": one.source,
                "reason": one.reason,
                "since": render_instant(one.since),
                "released_at": render_instant(one.released_at),
            }
            for one in sorted(_standing(matter), key=lambda one: (one.since, one.id))
        ],
    }
    text = "sent_against_hold" if AGAINST_HOLD in faults else "unauthorised_send"
    return Finding(name="unauthorised_send", speaks_for=CUSTOMER, facts=facts, text=text)


def _permit_facts(permit: PermitFact) -> dict[str, Any]:
    return {
        "id": permit.id,
        "granted_at": render_instant(permit.granted_at),
        "expires_at": render_instant(permit.expires_at),
        "channel": permit.channel,
        "category": permit.category,
        "used_by": permit.used_by,
        "unused_at": render_instant(permit.unused_at),
    }
