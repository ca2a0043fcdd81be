"""Joining a dispute with its message, when that arrives after it."""

from __future__ import annotations

import uuid
from datetime import datetime
from functools import reduce
from operator import or_

from django.db import IntegrityError, transaction
from django.db.models import Q

from config.api.idempotency import BeginAgain
from disputes.cases import lifecycle
from disputes.cases.finding import Selector, find_message, owns
from disputes.cases.models import Dispute, Outcome, Status
from disputes.cases.reading import read_selector
from disputes.cases.transactions import in_transaction
from disputes.cases.watching import watch_for
from disputes.holds.placing import holds_of_dispute, number_changes, release_hold, widen_hold
from disputes.holds.scopes import scope_of_dispute
from disputes.journal.recording import SERVICE
from disputes.outbox import queue
from disputes.records.models import Message


def join_message(*, dispute_id: uuid.UUID, now: datetime) -> bool:
    """Looks for the message of a dispute that has none, and joins the two. Opens its transaction; may be called again.

    True where the dispute has its message now (joined here or before), or was merged. A message that belongs to
    somebody else stays unknown: the answer to its stranger is the same as for one that nobody has.
    """
    dispute = Dispute.objects.get(pk=dispute_id)
    if dispute.message_id is not None or dispute.status == Status.CLOSED:
        return dispute.message_id is not None
    message = find_message(
        selector=Selector.read(read_selector(dispute.selector)), customer=dispute.customer, phone=dispute.phone_digest
    )
    if message is None:
        return False
    in_transaction(lambda: _join_or_merge(dispute_id=dispute_id, message=message, now=now))
    return True


def _join_or_merge(*, dispute_id: uuid.UUID, message: Message, now: datetime) -> None:
    """Needs the outermost transaction; raises BeginAgain where the other dispute was opened or closed meanwhile."""
    dispute = Dispute.objects.get(pk=dispute_id)
    if _other(dispute, message) is not None:
        _merge(dispute_id=dispute_id, message=message, now=now)
        return
    try:
        _join(dispute_id=dispute_id, message=message, now=now)
    except IntegrityError:
        raise BeginAgain() from None


def _other(dispute: Dispute, message: Message) -> Dispute | None:
    """The open dispute by the same person about this message and ground: two descriptions were one message."""
    return (
        Dispute.objects.filter(person=dispute.person, message_key=str(message.pk), ground=dispute.ground)
        .exclude(pk=dispute.pk)
        .exclude(status=Status.CLOSED)
        .first()
    )


def _join(*, dispute_id: uuid.UUID, message: Message, now: datetime) -> None:
    """1. lanes, and the hold widened to what the ground covers; 2. the dispute's row; 3. event and topic; 4.
    numbers. Needs the outermost transaction."""
    dispute = Dispute.objects.get(pk=dispute_id)
    _, covers = scope_of_dispute(
        ground=dispute.ground, loan=message.loan, phone=message.phone_digest, customer=dispute.customer
    )
    for hold in holds_of_dispute(dispute_id):
        widen_hold(hold=hold, covers=covers, actor=SERVICE, now=now)
    dispute = lifecycle.lock_dispute(dispute_id)
    if dispute.message_id is not None or dispute.status == Status.CLOSED:
        transaction.set_rollback(True)
        return
    dispute.message = message
    dispute.message_key = str(message.pk)
    dispute.loan = message.loan
    dispute.owns_loan = owns(customer=dispute.customer, message=message)
    watch_for(dispute=dispute, keys=[f"loan:{message.loan}"])
    dispute.save(update_fields=["message", "message_key", "loan", "owns_loan", "watching"])
    lifecycle.note(
        dispute=dispute, kind="dispute.message_found", actor=SERVICE, at=now, data={"message": str(message.pk)}
    )
    queue.put(topic="check.requested", key=str(dispute.pk), payload={"dispute": str(dispute.pk)})
    number_changes()


def _merge(*, dispute_id: uuid.UUID, message: Message, now: datetime) -> None:
    """Closes the one of two disputes for one message that found it second; the other's hold stands on. Needs the
    outermost transaction; raises BeginAgain where there is no other any more."""
    for hold in holds_of_dispute(dispute_id):
        release_hold(hold=hold, actor=SERVICE, reason="merged", now=now)
    dispute = lifecycle.lock_dispute(dispute_id)
    if dispute.status == Status.CLOSED:
        transaction.set_rollback(True)
        return
    other = _other(dispute, message)
    if other is None:
        # It was closed meanwhile, and its hold with it: this one is no longer a second.
        raise BeginAgain()
    lifecycle.close(dispute=dispute, outcome=Outcome.MERGED, actor=SERVICE, now=now, by_person=False)
    data = {"into": str(other.pk)}
    lifecycle.note(dispute=dispute, kind="dispute.merged", actor=SERVICE, at=now, data=data)
    number_changes()


def seek_messages(*, message_id: uuid.UUID, now: datetime) -> int:
    """A message arrived that open disputes may be waiting for: joins those it answers. Returns how many were tried."""
    message = Message.objects.filter(pk=message_id).first()
    if message is None:
        return 0
    keys = [f"message:{message.external_id}"]
    if message.short_ref:
        keys.append(f"short_ref:{message.short_ref}")
    if message.phone_digest:
        keys.append(f"phone:{message.phone_digest.hex()}")
    waits = reduce(or_, (Q(watching__contains=[key]) for key in keys))
    waiting = Dispute.objects.filter(waits, message__isnull=True).exclude(status=Status.CLOSED)
    # The oldest first: where two turn out to be one, the first complaint and its deadlines stand.
    ids = list(waiting.order_by("pk").values_list("pk", flat=True))
    for dispute_id in ids:
        join_message(dispute_id=dispute_id, now=now)
    return len(ids)


def seek_unfound(*, now: datetime, at_once: int = 500) -> int:
    """Looks again for the messages of open disputes that have none. Returns how many were joined.

    The import tells of a message only where it sees that somebody waits for it; one that committed in the very moment
    in which the dispute opened saw nobody. Opens its transactions.
    """
    waiting = Dispute.objects.filter(message__isnull=True).exclude(status=Status.CLOSED).order_by("-pk")
    return sum(join_message(dispute_id=pk, now=now) for pk in waiting.values_list("pk", flat=True)[:at_once])
