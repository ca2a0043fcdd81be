"""The states of a dispute and the moves between them. The only writer of a dispute's status.

Lock order of every move: lanes (through its hold), the loan's row, the dispute's row, its case, the feed's number.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from disputes.cases.letter_links import link_for
from disputes.cases.marking import mark_of
from disputes.cases.models import Decision, DecisionState, Dispute, Outcome, Status
from disputes.cases.telling import tell_outcome
from disputes.cases.watching import unwatch_dispute, watch_closed
from disputes.holds.models import Reason
from disputes.holds.placing import change_reason, holds_of_dispute, number_changes, place_hold, release_hold
from disputes.holds.scopes import scope_of_dispute
from disputes.holds.stopping import RECIPIENT_GROUNDS
from disputes.journal.recording import SERVICE, Actor, record_event
from disputes.notices.webhooks import announce
from disputes.outbox import queue
from disputes.routing import assigning, deadlines

MOVES: Mapping[str, frozenset[str]] = {
    Status.CHECKING: frozenset({Status.IN_REVIEW, Status.CLOSED}),
    Status.IN_REVIEW: frozenset({Status.WAITING_CUSTOMER, Status.CLOSED}),
    Status.WAITING_CUSTOMER: frozenset({Status.IN_REVIEW, Status.CLOSED}),
    Status.CLOSED: frozenset({Status.IN_REVIEW}),  # an appeal, or a reopening
}

FOUND_RIGHT = frozenset({Outcome.UPHELD, Outcome.PARTLY_UPHELD})
TOLD = frozenset({Outcome.UPHELD, Outcome.PARTLY_UPHELD, Outcome.REJECTED})
"""Outcomes that the customer is told: not their own withdrawal, nor that two descriptions were one dispute."""
LATE_RECORDS = timedelta(days=365)
"""How long after closing a late record may still cast doubt on the outcome."""
ANNOUNCED = frozenset(
    {
        "dispute.checked",
        "dispute.waiting_customer",
        "dispute.closed",
        "dispute.appealed",
    }
)
"""Events that go out as webhooks; its opening is told by `disputes.cases.opening`."""


class WrongState(Exception):
    """The dispute's state does not allow this move (409)."""

    def __init__(self, *, status: str, act: str) -> None:
        super().__init__(f"a dispute that is {status} cannot be {act}")
        self.status = status
        self.act = act


def lock_dispute(dispute_id: uuid.UUID) -> Dispute:
    """The dispute with its row locked. Needs a transaction; raises Dispute.DoesNotExist."""
    return Dispute.objects.select_for_update(no_key=True, of=("self",)).get(pk=dispute_id)


def move(*, dispute: Dispute, to: str, act: str) -> None:
    """Changes the status in memory, or raises WrongState. Needs the dispute's row locked; the caller saves."""
    if to not in MOVES[dispute.status]:
        raise WrongState(status=dispute.status, act=act)
    dispute.status = to


def note(*, dispute: Dispute, kind: str, actor: Actor, at: datetime, data: Mapping[str, Any] | None = None) -> None:
    """Adds an event to the dispute's time line, and announces it where the lender's systems may wait for it. Needs the
    dispute's transaction with its row locked, which keeps the events of one dispute in order."""
    record_event(subject_type="dispute", subject_id=dispute.pk, kind=kind, actor=actor, at=at, data=data)
    if kind in ANNOUNCED:
        tell_assigned(dispute=dispute, now=at)
        announce(event=kind, key=str(dispute.pk), data={**announced(dispute), **(data or {})}, at=at)


def tell_assigned(*, dispute: Dispute, now: datetime) -> None:
    """Says to the lender's systems that an agent was given the dispute, where that has not been said yet. Needs the
    dispute's row locked, and comes before whatever changes its status.

    Routing gives a case without the dispute's row, so it cannot announce it in order: whoever says the next thing of
    the dispute says this first, and the outbox where nobody does.
    """
    for told in queue.take_over(topic="dispute.assigned", key=str(dispute.pk)):
        data = {**announced(dispute), "agent": told["agent"]}
        announce(event="dispute.assigned", key=str(dispute.pk), data=data, at=now)


def announced(dispute: Dispute) -> dict[str, Any]:
    """What an event says of the dispute: ids and codes, no personal data."""
    check = dispute.last_check
    return {
        "dispute": {
            "id": str(dispute.pk),
            "reference": dispute.reference,
            "status": dispute.status,
            "outcome": dispute.outcome,
            "ground": dispute.ground,
            "loan": dispute.loan,
            "verdict": check.verdict if check else None,
            "cause": check.cause if check else None,
            **mark_of(dispute),
        },
    }


def close(*, dispute: Dispute, outcome: str, actor: Actor, now: datetime, by_person: bool) -> None:
    """Closes a dispute that the caller has locked, after its hold's lanes. Needs a transaction.

    1. status and outcome, in one save with the rest; 2. what it watched for is let go, unless the records must yet be
    corrected, and late records are watched for; 3. the event and the topic.
    What becomes of the hold is the caller's: a withdrawal releases it, any other outcome must first be delivered. 4. a
    decision that waited for a second person is overtaken, the case leaves its agent, the clocks stop; 5. the customer
    is told the outcome.
    """
    tell_assigned(dispute=dispute, now=now)
    move(dispute=dispute, to=Status.CLOSED, act=outcome)
    dispute.outcome = outcome
    dispute.closed_at = now
    dispute.closed_by_person = by_person
    dispute.waiting_until = None
    fields = ["status", "outcome", "closed_at", "closed_by_person", "last_check", "awaits_correction", "waiting_until"]
    dispute.save(update_fields=fields)
    if not dispute.awaits_correction:
        unwatch_dispute(dispute=dispute)
    if outcome in TOLD and dispute.loan is not None:
        watch_closed(dispute=dispute, until=now + LATE_RECORDS)
    note(dispute=dispute, kind="dispute.closed", actor=actor, at=now, data={"outcome": outcome})
    queue.put(topic="dispute.closed", key=str(dispute.pk), payload={"dispute": str(dispute.pk), "outcome": outcome})
    Decision.objects.filter(dispute=dispute, state=DecisionState.WAITING_SECOND).update(state=DecisionState.OVERTAKEN)
    assigning.leave(dispute=dispute.pk, now=now)
    deadlines.stop_clocks(dispute=dispute.pk, now=now)
    if outcome in TOLD:
        tell_outcome(dispute=dispute, link=settings.PUBLIC_URL + link_for(dispute), now=now)


def withdraw(*, dispute_id: uuid.UUID, actor: Actor, now: datetime) -> Dispute:
    """The customer takes the dispute back; its hold ends at once. Needs the outermost transaction.

    1. lanes and release of its holds, but of a number that a person found to be wrong before this appeal; 2. the
    dispute's row and status (WrongState rolls the release back); 3. the feed's numbers, last.
    """
    wrong = is_wrong_number(Dispute.objects.get(pk=dispute_id), outcome=Outcome.WITHDRAWN)
    for hold in holds_of_dispute(dispute_id):
        if wrong:
            change_reason(hold=hold, reason=Reason.WRONG_NUMBER, now=now, actor=actor)
        else:
            release_hold(hold=hold, actor=actor, reason="withdrawn", now=now)
    dispute = lock_dispute(dispute_id)
    close(dispute=dispute, outcome=Outcome.WITHDRAWN, actor=actor, now=now, by_person=False)
    number_changes()
    return dispute


def await_delivery(*, dispute_id: uuid.UUID, outcome: str, now: datetime) -> None:
    """Says on the holds of a dispute that is being closed what they wait for. Needs a transaction, before the row's
    lock. A phone that was found to be a wrong number is held as one, also where the dispute's own hold was lifted by
    hand before; any other hold waits for the outcome's delivery."""
    dispute = Dispute.objects.select_related("message").get(pk=dispute_id)
    wrong = is_wrong_number(dispute, outcome=outcome)
    standing = holds_of_dispute(dispute_id)
    for hold in standing:
        change_reason(hold=hold, reason=Reason.WRONG_NUMBER if wrong else Reason.OUTCOME_NOT_DELIVERED, now=now)
    if wrong and not standing:
        _hold_number(dispute, now=now)


def is_wrong_number(dispute: Dispute, *, outcome: str | None) -> bool:
    """Whether this outcome finds that the texted phone, where it is known, is not to be written to. An appeal that is
    withdrawn leaves standing what was found before it."""
    known = dispute.message_id is not None or dispute.phone_digest is not None
    if not known or dispute.ground not in RECIPIENT_GROUNDS:
        return False
    if outcome == Outcome.WITHDRAWN:
        final = Decision.objects.filter(dispute=dispute, state=DecisionState.FINAL).order_by("-id")
        outcome = final.values_list("outcome", flat=True).first()
    return outcome in FOUND_RIGHT


def _hold_number(dispute: Dispute, *, now: datetime) -> None:
    scope, covers = scope_of_dispute(
        ground=dispute.ground,
        loan=dispute.loan,
        phone=dispute.message.phone_digest if dispute.message else dispute.phone_digest,
        customer=dispute.customer,
    )
    place_hold(
        source="dispute",
        scope=scope,
        reason=Reason.WRONG_NUMBER,
        covers=covers,
        dispute=dispute.pk,
        actor=SERVICE,
        now=now,
        why=dispute.ground,
    )
