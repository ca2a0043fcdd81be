"""Holds that a person places and lifts, with a reason."""

from __future__ import annotations

import uuid
from datetime import datetime

from disputes.holds.models import Hold, Reason, Scope, Source
from disputes.holds.placing import PlacedHold, number_changes, place_hold, release_hold
from disputes.holds.scopes import Covers, scope_of_covers
from disputes.journal.recording import Actor

SUPERVISORS = frozenset({Reason.RECORDS_NOT_CORRECTED, Reason.WRONG_NUMBER, Reason.RULE_PAUSED})
"""Holds that only a supervisor lifts: what stands in their way is not over because an agent says so."""
LONGEST = 200


class CannotHold(Exception):
    """The hold cannot be placed or lifted by hand; the message says why."""


def place(
    *,
    why: str,
    actor: Actor,
    now: datetime,
    loan: str | None = None,
    customer: str | None = None,
    phone: bytes | None = None,
    dispute: uuid.UUID | None = None,
) -> PlacedHold:
    """Stops messages about a loan, to a customer or to a phone (its digest) until a person lifts the hold.

    Needs the outermost transaction; may raise BeginAgain. Raises CannotHold: nothing is named, or no reason given.
    """
    covers = Covers(
        loans=frozenset({loan} if loan else ()),
        customers=frozenset({customer} if customer else ()),
        phones=frozenset({phone} if phone else ()),
    )
    if not covers:
        raise CannotHold("Say what to hold: a loan, a phone or a customer.")
    said = _said(why)
    placed = place_hold(
        source=Source.MANUAL,
        scope=scope_of_covers(covers),
        reason=Reason.MANUAL_HOLD,
        covers=covers,
        actor=actor,
        now=now,
        dispute=dispute,
        why=said,
    )
    number_changes()
    return placed


def pause_rule(*, rule: str, why: str, actor: Actor, now: datetime, supervisor: bool) -> PlacedHold:
    """Stops every message of a sending rule (its external id) until a supervisor lifts the hold: the gate answers
    ``rule_paused``.

    Needs the outermost transaction; may raise BeginAgain. A rule that is paused already is paused by this as well: the
    last to go frees it. Raises CannotHold: not a supervisor, no rule named, or no reason given.
    """
    if not supervisor:
        raise CannotHold("Only a supervisor pauses a sending rule.")
    if not rule:
        raise CannotHold("Say which sending rule to pause.")
    placed = place_hold(
        source=Source.MANUAL,
        scope=Scope.SENDING_RULE,
        reason=Reason.RULE_PAUSED,
        covers=Covers(rules=frozenset({rule})),
        actor=actor,
        now=now,
        why=_said(why),
    )
    number_changes()
    return placed


def lift(
    *,
    hold_id: uuid.UUID,
    why: str,
    actor: Actor,
    now: datetime,
    dispute: uuid.UUID | None = None,
    supervisor: bool = False,
) -> bool:
    """Ends a hold, whatever it waits for. Needs the outermost transaction; may raise BeginAgain.

    `dispute`: only where it is this dispute's, or was placed at it. False where it was released before. Raises
    Hold.DoesNotExist; CannotHold: an opt-out, which only its person takes
    back, a hold that only a supervisor lifts, or no reason given.
    """
    holds = Hold.objects.all() if dispute is None else Hold.objects.filter(dispute=dispute)
    hold = holds.get(pk=hold_id)
    if hold.source == Source.OPT_OUT:
        raise CannotHold("An opt-out ends when its person opts in again, not by hand.")
    if hold.reason in SUPERVISORS and not supervisor:
        raise CannotHold("Only a supervisor lifts this hold.")
    lifted = release_hold(hold=hold, actor=actor, reason="by_hand", words=_said(why), now=now)
    number_changes()
    return lifted


def _said(why: str) -> str:
    said = why.strip()
    if not said:
        raise CannotHold("Say why: it is written to the history.")
    return said[:LONGEST]
