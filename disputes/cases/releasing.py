"""When the holds of a closed dispute end, and what they answer until then.

Time alone never lifts a hold: every function here writes the release, or what the hold waits for next, from what stands
with the dispute. `settle_holds` is the one place that decides it; all else changes a fact and asks it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import OuterRef, Subquery

from config.api.idempotency import BeginAgain
from disputes.cases import lifecycle
from disputes.cases.models import Comment, Dispute, Outcome, Status
from disputes.cases.transactions import in_transaction
from disputes.cases.watching import unwatch_dispute
from disputes.holds.models import Reason
from disputes.holds.placing import change_reason, holds_of_dispute, number_changes, release_hold
from disputes.holds.policies import pack_in_force
from disputes.journal.recording import SERVICE, Actor
from disputes.notices.models import Notice
from disputes.outbox import queue

log = structlog.get_logger(__name__)

AT_ONCE = 500


def waits_for(*, dispute: Dispute, now: datetime) -> str | None:
    """What the holds of a closed dispute answer; None where they end.

    In this order: 1. a phone that was found to be a wrong number is held for good; 2. a withdrawal or a merger ends
    them at once; 3. an outcome that has not been delivered; 4. upheld by a person, and the records do not show it yet;
    5. after a rejection, until `resume_at`.
    """
    if lifecycle.is_wrong_number(dispute, outcome=dispute.outcome):
        return Reason.WRONG_NUMBER
    if dispute.outcome in (Outcome.WITHDRAWN, Outcome.MERGED):
        return None
    if dispute.outcome_delivered_at is None:
        return Reason.OUTCOME_NOT_DELIVERED
    if dispute.awaits_correction:
        return Reason.RECORDS_NOT_CORRECTED
    if dispute.resume_at is not None and dispute.resume_at > now:
        return Reason.DISPUTE_PENDING
    return None


def settle_holds(*, dispute_id: uuid.UUID, now: datetime, actor: Actor = SERVICE, why: str = "") -> bool:
    """Brings a closed dispute's holds to what `waits_for` says. Needs the outermost transaction; may be called again.
    True where they were released.

    1. what they wait for, read without a lock; 2. their lanes, with the release or the reason; 3. the dispute's row:
    where it says something else by now, raises BeginAgain; 4. the feed's numbers.
    """
    before = Dispute.objects.get(pk=dispute_id)
    if before.status != Status.CLOSED:
        return False
    held = waits_for(dispute=before, now=now)
    for hold in holds_of_dispute(dispute_id):
        if held is None:
            release_hold(hold=hold, actor=actor, reason=why or _released_because(before), now=now)
        else:
            change_reason(hold=hold, reason=held, now=now, actor=actor)
    dispute = lifecycle.lock_dispute(dispute_id)
    if dispute.status != Status.CLOSED or waits_for(dispute=dispute, now=now) != held:
        raise BeginAgain()
    if held is None and dispute.resume_at is not None:
        dispute.resume_at = None
        dispute.save(update_fields=["resume_at"])
    number_changes()
    return held is None


def _released_because(dispute: Dispute) -> str:
    if dispute.outcome == Outcome.REJECTED:
        return "resumed_after_rejection"
    return "outcome_delivered"


def note_outcome_seen(*, dispute_id: uuid.UUID, now: datetime) -> None:
    """The opener has read the closed dispute or its letter: its outcome is delivered. Opens a transaction of its
    own."""
    with transaction.atomic():
        note_delivered(dispute_id=dispute_id, by="read", at=now)


def note_delivered(*, dispute_id: uuid.UUID, by: str, at: datetime, actor: Actor = SERVICE) -> bool:
    """The outcome is delivered. Needs a transaction. `by`: ``read`` ``receipt`` ``presumed`` ``agent``. False where it
    was before, or the dispute is not closed with an outcome that is told.

    One conditional UPDATE, so that of many at once the first alone writes the topic that settles the hold.
    """
    closed = Dispute.objects.filter(pk=dispute_id, status=Status.CLOSED, outcome__in=lifecycle.TOLD)
    dispute = closed.only("outcome", "closed_at").first()
    if dispute is None:
        return False
    resume_at = None
    if dispute.outcome == Outcome.REJECTED:
        resume_at = at + timedelta(hours=pack_in_force(at=at).resume_after_hours)
    # An appeal may have reopened it meanwhile, and another person have closed it again.
    this = closed.filter(outcome=dispute.outcome, closed_at=dispute.closed_at, outcome_delivered_at__isnull=True)
    seen = this.update(outcome_delivered_at=at, resume_at=resume_at)
    if not seen:
        return False
    # The UPDATE holds the row's lock.
    lifecycle.note(dispute=dispute, kind="outcome.delivered", actor=actor, at=at, data={"by": by})
    queue.put(topic="outcome.delivered", key=str(dispute_id), payload={"dispute": str(dispute_id)})
    return True


def note_outcome_failed(*, dispute_id: uuid.UUID, at: datetime) -> bool:
    """The carrier says that the outcome did not arrive: an agent must see to it. Needs a transaction. False where it is
    delivered already, or known."""
    failed = Dispute.objects.filter(
        pk=dispute_id, status=Status.CLOSED, outcome_delivered_at__isnull=True, outcome_failed_at__isnull=True
    ).update(outcome_failed_at=at)
    if failed:
        dispute = lifecycle.lock_dispute(dispute_id)
        lifecycle.note(dispute=dispute, kind="outcome.failed", actor=SERVICE, at=at)
    return bool(failed)


def hear_receipt(*, notice_id: uuid.UUID, delivered: bool) -> None:
    """What became of a notice, as its receipt said. Those that carry no outcome change nothing, nor does one of an
    outcome that was appealed since. Opens a transaction."""
    notice = Notice.objects.filter(pk=notice_id, kind="outcome").first()
    if notice is None:
        return
    with transaction.atomic():
        dispute = Dispute.objects.select_for_update(no_key=True, of=("self",)).filter(pk=notice.subject).first()
        if dispute is None or dispute.closed_at is None or notice.queued_at < dispute.closed_at:
            return
        if delivered and notice.delivered_at is not None:
            note_delivered(dispute_id=notice.subject, by="receipt", at=notice.delivered_at)
        elif not delivered and notice.failed_at is not None:
            note_outcome_failed(dispute_id=notice.subject, at=notice.failed_at)


def say_undeliverable(*, dispute_id: uuid.UUID, why: str, actor: Actor, now: datetime) -> bool:
    """An agent's word that the outcome cannot be delivered: the hold need not wait for it. Needs a transaction. `why`
    is kept, sealed, as a note. Raises WrongState; False where it was delivered."""
    dispute = lifecycle.lock_dispute(dispute_id)
    if dispute.status != Status.CLOSED:
        raise lifecycle.WrongState(status=dispute.status, act="called undeliverable")
    if dispute.outcome_delivered_at is not None:
        return False
    said = _note_why(dispute, why, actor=actor, now=now)
    lifecycle.note(dispute=dispute, kind="outcome.undeliverable", actor=actor, at=now, data=said)
    return note_delivered(dispute_id=dispute_id, by="agent", at=now, actor=actor)


def note_corrected(*, dispute_id: uuid.UUID, actor: Actor, now: datetime, by: str, why: str = "") -> bool:
    """The records show by now what a person upheld (`by`: ``records``), or a supervisor lifts the hold all the same
    (``supervisor``, with a reason). Needs a transaction. False where nothing waited for it."""
    dispute = lifecycle.lock_dispute(dispute_id)
    if not dispute.awaits_correction:
        return False
    dispute.awaits_correction = False
    dispute.save(update_fields=["awaits_correction"])
    unwatch_dispute(dispute=dispute)
    data = {"by": by, **(_note_why(dispute, why, actor=actor, now=now) if why else {})}
    lifecycle.note(dispute=dispute, kind="records.corrected", actor=actor, at=now, data=data)
    queue.put(topic="outcome.delivered", key=str(dispute_id), payload={"dispute": str(dispute_id)})
    return True


def _note_why(dispute: Dispute, why: str, *, actor: Actor, now: datetime) -> dict[str, str]:
    """Words are free text: they stand sealed among the notes, and the event names the note."""
    written = Comment.objects.create(
        dispute=dispute, author_type=actor.type, author_id=actor.id, text=why, internal=True, at=now
    )
    return {"comment": str(written.pk)}


def presume_delivered(*, now: datetime, at_once: int = AT_ONCE) -> int:
    """Outcomes that were handed to the carrier so long ago, without a failure, that they count as delivered. Opens its
    transactions; returns how many."""
    term = timedelta(hours=pack_in_force(at=now).delivery_presumed_hours)
    waiting = Dispute.objects.filter(
        status=Status.CLOSED,
        outcome_delivered_at__isnull=True,
        outcome_failed_at__isnull=True,
        closed_at__lte=now - term,
    )
    closed_at = waiting.filter(pk=OuterRef("subject")).values("closed_at")
    handed_over = Notice.objects.filter(
        kind="outcome", state="handed_over", handed_over_at__lte=now - term, queued_at__gte=Subquery(closed_at)
    )
    ids = list(handed_over.order_by("handed_over_at").values_list("subject", flat=True)[:at_once])
    return _each(ids, lambda pk: note_delivered(dispute_id=pk, by="presumed", at=now))


def resume_due(*, now: datetime, at_once: int = AT_ONCE) -> int:
    """Ends the holds of rejected disputes whose time to read the letter is over. Opens its transactions; returns how
    many."""
    due = Dispute.objects.filter(resume_at__lte=now, status=Status.CLOSED).order_by("resume_at")
    ids = list(due.values_list("pk", flat=True)[:at_once])
    return _each(ids, lambda pk: settle_holds(dispute_id=pk, now=now))


def _each(ids: list[uuid.UUID], work: Callable[[uuid.UUID], Any]) -> int:
    """One transaction a dispute; one that fails does not stop the others."""
    done = 0
    for pk in ids:
        try:
            done += bool(in_transaction(lambda pk=pk: work(pk)))  # type: ignore[misc]
        except Exception:
            log.exception("dispute_left_for_later", dispute=str(pk))
    return done
