"""Running the check of a dispute and what follows from it."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime
from functools import partial

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from config.api.idempotency import BeginAgain
from disputes.cases import lifecycle, releasing
from disputes.cases.joining import join_message
from disputes.cases.models import Check, Dispute, Outcome, Status
from disputes.cases.queries import needs_of
from disputes.cases.transactions import in_transaction
from disputes.cases.weighing import TRIES, RecordsKeptChanging, weigh
from disputes.holds.placing import number_changes
from disputes.journal.recording import SERVICE
from disputes.outbox import queue
from disputes.policy.packs import Pack
from disputes.records import queries as records
from disputes.records.models import Message
from disputes.routing import assigning
from disputes.routing.assigning import lock_owner
from disputes.routing.queries import owner_of

log = structlog.get_logger(__name__)


def run_check(*, dispute_id: uuid.UUID, now: datetime) -> Check | None:
    """Judges the dispute's message and writes the answer. Opens its transactions; may be called at any time and again.

    1. A dispute whose message nobody could find looks for it; still none → an agent must look.
    2. The loan's revision is read first and its history after it, so the history is never older than the revision.
    3. `judge` is pure.
    4. One transaction writes the check, unless the revision moved on meanwhile: then from 2 again.

    Returns None where nothing was judged (closed already, or no message). Raises RecordsKeptChanging.
    """
    for _ in range(TRIES):
        dispute = Dispute.objects.select_related("message").get(pk=dispute_id)
        if dispute.status == Status.CLOSED:
            _look_for_correction(dispute, now=now)
            return None
        if dispute.message is None:
            if join_message(dispute_id=dispute_id, now=now):
                continue
            in_transaction(lambda: _leave_to_an_agent(dispute_id=dispute_id, now=now))
            return None
        check, loan, auto = judged(dispute=dispute, message=dispute.message, now=now)
        if in_transaction(partial(record_check, check=check, loan=loan, auto=auto, now=now)):
            return check
    raise RecordsKeptChanging(str(dispute_id))


def _look_for_correction(dispute: Dispute, *, now: datetime) -> None:
    """A person upheld what the records did not show: where they show it by now, the hold need not wait any more."""
    if not dispute.awaits_correction or dispute.message is None:
        return
    found, _, _ = judged(dispute=dispute, message=dispute.message, now=now)
    enough = ("customer_right", "partly_right") if dispute.outcome == Outcome.PARTLY_UPHELD else ("customer_right",)
    if found.verdict in enough:
        in_transaction(lambda: releasing.note_corrected(dispute_id=dispute.pk, actor=SERVICE, now=now, by="records"))


def judged(*, dispute: Dispute, message: Message, now: datetime) -> tuple[Check, str, bool]:
    """The check as it would be written now, unsaved; the loan that it rests on; whether it may close the dispute."""
    found = weigh(dispute=dispute, message=message, now=now)
    return found.check, found.loan, may_close(found.pack)


def may_close(pack: Pack) -> bool:
    """Whether `customer_right` closes by itself: where the policy says so, but for the random sample that agents
    see."""
    return pack.auto_close_customer_right and secrets.randbelow(10_000) >= settings.REVIEW_SAMPLE * 10_000


def record_check(*, check: Check, loan: str, auto: bool, now: datetime) -> bool:
    """Writes a check and what follows from it. Needs the outermost transaction. False: the loan's records moved on, and
    nothing was written.

    1. where the dispute will close: its holds' lanes, first in the order of locks; a case that an agent has is never
    taken from them; 2. the loan's row: another revision than the check read → nothing is written; 3. the dispute's row:
    closed meanwhile, or this input is what its newest check has read → nothing to do; an agent has the case by now →
    raises BeginAgain; 4. check (an earlier one of the same input is the newest again), status, events,
    topic; 5. the feed's numbers, last.
    """
    closes = auto and check.verdict == "customer_right" and owner_of(check.dispute_id) is None
    if closes:
        lifecycle.await_delivery(dispute_id=check.dispute_id, outcome=Outcome.UPHELD, now=now)
    if records.lock_loan(loan=loan) != check.loan_revision:
        transaction.set_rollback(True)
        return False
    dispute = lifecycle.lock_dispute(check.dispute_id)
    known = Check.objects.filter(
        dispute=dispute, records_digest=check.records_digest, engine_version=check.engine_version
    ).first()
    if dispute.status == Status.CLOSED or (known is not None and known.pk == dispute.last_check_id):
        transaction.set_rollback(True)
        return True
    if closes and lock_owner(dispute=dispute.pk) is not None:
        raise BeginAgain()
    if known is None:
        check.dispute = dispute
        check.save(force_insert=True)
    else:
        check = known
    dispute.last_check = check
    data = {"check": str(check.pk), "verdict": check.verdict, "cause": check.cause, "detail": check.detail}
    lifecycle.note(dispute=dispute, kind="dispute.checked", actor=SERVICE, at=now, data=data)
    queue.put(topic="dispute.checked", key=str(dispute.pk), payload={"dispute": str(dispute.pk), **data})
    if closes:
        lifecycle.close(dispute=dispute, outcome=Outcome.UPHELD, actor=SERVICE, now=now, by_person=False)
    else:
        _to_review(dispute, now=now, because="check")
    number_changes()
    return True


def _to_review(dispute: Dispute, *, now: datetime, because: str) -> None:
    fields = ["last_check"]
    if dispute.status == Status.CHECKING:
        lifecycle.move(dispute=dispute, to=Status.IN_REVIEW, act="reviewed")
        fields.append("status")
        lifecycle.note(dispute=dispute, kind="dispute.in_review", actor=SERVICE, at=now, data={"because": because})
        assigning.enter(dispute=dispute.pk, needs=needs_of(dispute), decide_by=dispute.decide_by, now=now)
    dispute.save(update_fields=fields)


def _leave_to_an_agent(*, dispute_id: uuid.UUID, now: datetime) -> None:
    """Needs a transaction."""
    dispute = lifecycle.lock_dispute(dispute_id)
    if dispute.status == Status.CHECKING:
        _to_review(dispute, now=now, because="message_not_found")


def request_checks(*, loan: str) -> int:
    """A loan's records changed: asks for a new check of each dispute about it that is open, or waits for the records to
    be corrected. Opens its transaction."""
    with transaction.atomic():
        concerned = Dispute.objects.filter(~Q(status=Status.CLOSED) | Q(awaits_correction=True), loan=loan)
        ids = [str(pk) for pk in concerned.values_list("pk", flat=True)]
        queue.put_many(topic="check.requested", payloads={pk: {"dispute": pk} for pk in ids})
    return len(ids)
