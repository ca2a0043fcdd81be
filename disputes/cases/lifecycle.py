"""The states of a dispute and the moves between them. The only writer of a dispute's status.

Lock order of every move: lanes (through its hold), the loan's row, the dispute's row, the feed's number.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from disputes.cases.models import Comment, Dispute, Outcome, Status
from disputes.cases.watching import unwatch_dispute
from disputes.holds.placing import change_reason, holds_of_dispute, number_changes, release_hold
from disputes.journal.recording import SERVICE, Actor, record_event
from disputes.outbox import queue

MOVES: Mapping[str, frozenset[str]] = {
    Status.CHECKING: frozenset({Status.IN_REVIEW, Status.CLOSED}),
    Status.IN_REVIEW: frozenset({Status.WAITING_CUSTOMER, Status.CLOSED}),
    Status.WAITING_CUSTOMER: frozenset({Status.IN_REVIEW, Status.CLOSED}),
    Status.CLOSED: frozenset(),
}


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
    """Adds an event to the dispute's time line. Needs the dispute's transaction."""
    record_event(subject_type="dispute", subject_id=dispute.pk, kind=kind, actor=actor, at=at, data=data)


def close(*, dispute: Dispute, outcome: str, actor: Actor, now: datetime, by_person: bool) -> None:
    """Closes a dispute that the caller has locked, after its hold's lanes. Needs a transaction.

    1. status and outcome, in one save with the rest; 2. what it watched for is let go; 3. the event and the topic.
    What becomes of the hold is the caller's: a withdrawal releases it, any other outcome must first be delivered.
    """
    move(dispute=dispute, to=Status.CLOSED, act=outcome)
    dispute.outcome = outcome
    dispute.closed_at = now
    dispute.closed_by_person = by_person
    dispute.save(update_fields=["status", "outcome", "closed_at", "closed_by_person", "last_check"])
    unwatch_dispute(dispute=dispute)
    note(dispute=dispute, kind="dispute.closed", actor=actor, at=now, data={"outcome": outcome})
    queue.put(topic="dispute.closed", key=str(dispute.pk), payload={"dispute": str(dispute.pk), "outcome": outcome})


def withdraw(*, dispute_id: uuid.UUID, actor: Actor, now: datetime) -> Dispute:
    """The customer takes the dispute back; its hold ends at once. Needs the outermost transaction.

    1. lanes and release of its holds; 2. the dispute's row and status (WrongState rolls the release back); 3. the
    feed's numbers, last.
    """
    for hold in holds_of_dispute(dispute_id):
        release_hold(hold=hold, actor=actor, reason="withdrawn", now=now)
    dispute = lock_dispute(dispute_id)
    close(dispute=dispute, outcome=Outcome.WITHDRAWN, actor=actor, now=now, by_person=False)
    number_changes()
    return dispute


def add_comment(*, dispute_id: uuid.UUID, text: str, actor: Actor, now: datetime) -> Comment:
    """Adds words of the customer. Needs a transaction. Raises WrongState once the dispute is closed.

    An answer to a question returns the dispute to review.
    """
    dispute = lock_dispute(dispute_id)
    if dispute.status == Status.CLOSED:
        raise WrongState(status=dispute.status, act="commented on")
    comment = Comment.objects.create(dispute=dispute, author_type=actor.type, author_id=actor.id, text=text, at=now)
    note(dispute=dispute, kind="comment.added", actor=actor, at=now, data={"comment": str(comment.pk)})
    if dispute.status == Status.WAITING_CUSTOMER and actor.type != "user":
        move(dispute=dispute, to=Status.IN_REVIEW, act="returned to review")
        dispute.save(update_fields=["status"])
        note(dispute=dispute, kind="dispute.in_review", actor=actor, at=now, data={"because": "customer_answered"})
    return comment


def note_outcome_seen(*, dispute_id: uuid.UUID, now: datetime) -> None:
    """The opener has read the closed dispute: its outcome is delivered. Opens a transaction of its own.

    One conditional UPDATE, so that of many readers at once the first alone writes the topic that ends the hold.
    """
    with transaction.atomic():
        seen = Dispute.objects.filter(pk=dispute_id, status=Status.CLOSED, outcome_delivered_at__isnull=True).update(
            outcome_delivered_at=now
        )
        if seen:
            record_event(
                subject_type="dispute",
                subject_id=dispute_id,
                kind="outcome.delivered",
                actor=SERVICE,
                at=now,
                data={"by": "read"},
            )
            queue.put(topic="outcome.delivered", key=str(dispute_id), payload={"dispute": str(dispute_id)})


def release_after_delivery(*, dispute_id: uuid.UUID, now: datetime) -> bool:
    """Ends the holds of a closed dispute whose outcome has been delivered. Needs the outermost transaction; may be
    called again. False where the outcome is not delivered yet: then nothing may be committed."""
    for hold in holds_of_dispute(dispute_id):
        release_hold(hold=hold, actor=SERVICE, reason="outcome_delivered", now=now)
    dispute = lock_dispute(dispute_id)
    if dispute.status != Status.CLOSED or dispute.outcome_delivered_at is None:
        transaction.set_rollback(True)
        return False
    number_changes()
    return True


def await_delivery(*, dispute_id: uuid.UUID, now: datetime) -> None:
    """Says on the dispute's holds that they wait for the outcome's delivery. Needs a transaction, before the row's
    lock."""
    for hold in holds_of_dispute(dispute_id):
        change_reason(hold=hold, reason="outcome_not_delivered", now=now)
