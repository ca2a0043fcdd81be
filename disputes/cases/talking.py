"""What is said while a dispute is open: the customer's words, an agent's questions and notes."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import structlog

from disputes.cases import lifecycle
from disputes.cases.deciding import must_own
from disputes.cases.models import Comment, Dispute, Status
from disputes.cases.telling import tell_question
from disputes.cases.transactions import in_transaction
from disputes.holds.policies import pack_in_force
from disputes.journal.recording import SERVICE, Actor
from disputes.routing import assigning, deadlines

log = structlog.get_logger(__name__)


def add_comment(*, dispute_id: uuid.UUID, text: str, actor: Actor, now: datetime) -> Comment:
    """Adds words of the customer. Needs a transaction. Raises WrongState once the dispute is closed.

    An answer to a question returns the dispute to review, and to its agent where they can take it.
    """
    dispute = lifecycle.lock_dispute(dispute_id)
    if dispute.status == Status.CLOSED:
        raise lifecycle.WrongState(status=dispute.status, act="commented on")
    comment = Comment.objects.create(dispute=dispute, author_type=actor.type, author_id=actor.id, text=text, at=now)
    lifecycle.note(dispute=dispute, kind="comment.added", actor=actor, at=now, data={"comment": str(comment.pk)})
    if dispute.status == Status.WAITING_CUSTOMER:
        _return_to_review(dispute, actor=actor, because="customer_answered", now=now)
    return comment


def ask_customer(
    *, dispute_id: uuid.UUID, text: str, actor: Actor, user_id: int, any_case: bool, now: datetime
) -> Comment:
    """Asks the customer something: the clocks that may pause do, and the agent's place is free meanwhile. Opens its
    transaction. Raises WrongState, NotYours."""

    def asked() -> Comment:
        dispute = lifecycle.lock_dispute(dispute_id)
        lifecycle.tell_assigned(dispute=dispute, now=now)
        lifecycle.move(dispute=dispute, to=Status.WAITING_CUSTOMER, act="left to the customer")
        must_own(dispute_id=dispute_id, user_id=user_id, any_case=any_case)
        comment = Comment.objects.create(dispute=dispute, author_type=actor.type, author_id=actor.id, text=text, at=now)
        dispute.waiting_until = now + timedelta(days=pack_in_force(at=now).waiting_customer_days)
        deadlines.note_first_answer(dispute=dispute_id, now=now)
        _show(dispute, deadlines.pause_clocks(dispute=dispute_id, now=now))
        dispute.save(update_fields=["status", "waiting_until", "first_answer_by", "decide_by"])
        assigning.set_aside(dispute=dispute_id, now=now)
        data = {"comment": str(comment.pk)}
        lifecycle.note(dispute=dispute, kind="dispute.waiting_customer", actor=actor, at=now, data=data)
        tell_question(dispute=dispute, comment=comment, now=now)
        return comment

    return in_transaction(asked)


def write_note(*, dispute_id: uuid.UUID, text: str, actor: Actor, now: datetime) -> Comment:
    """Adds a note that the customer never sees, also once the dispute is closed. Opens its transaction."""

    def written() -> Comment:
        dispute = lifecycle.lock_dispute(dispute_id)
        note = Comment.objects.create(
            dispute=dispute, author_type=actor.type, author_id=actor.id, text=text, internal=True, at=now
        )
        lifecycle.note(dispute=dispute, kind="note.added", actor=actor, at=now, data={"comment": str(note.pk)})
        return note

    return in_transaction(written)


def return_silent(*, now: datetime, at_once: int = 500) -> int:
    """Returns to review what the customer has not answered within the policy's term; silence never closes a dispute.
    Opens its transactions; returns how many."""
    silent = Dispute.objects.filter(status=Status.WAITING_CUSTOMER, waiting_until__lte=now).order_by("waiting_until")
    return sum(_returned(pk, now=now) for pk in list(silent.values_list("pk", flat=True)[:at_once]))


def _returned(dispute_id: uuid.UUID, *, now: datetime) -> bool:
    def work() -> bool:
        dispute = lifecycle.lock_dispute(dispute_id)
        if dispute.status != Status.WAITING_CUSTOMER or dispute.waiting_until is None or dispute.waiting_until > now:
            return False
        _return_to_review(dispute, actor=SERVICE, because="silence", now=now)
        return True

    try:
        return in_transaction(work)
    except Exception:
        log.exception("dispute_left_for_later", dispute=str(dispute_id))
        return False


def _return_to_review(dispute: Dispute, *, actor: Actor, because: str, now: datetime) -> None:
    """Needs the dispute's row locked."""
    lifecycle.move(dispute=dispute, to=Status.IN_REVIEW, act="returned to review")
    _show(dispute, deadlines.resume_clocks(dispute=dispute.pk, now=now))
    dispute.waiting_until = None
    dispute.save(update_fields=["status", "first_answer_by", "decide_by", "waiting_until"])
    lifecycle.note(dispute=dispute, kind="dispute.in_review", actor=actor, at=now, data={"because": because})
    assigning.bring_back(dispute=dispute.pk, now=now)


def _show(dispute: Dispute, due: deadlines.Due | None) -> None:
    if due is not None:
        dispute.first_answer_by, dispute.decide_by = due.first_answer_by, due.decide_by
