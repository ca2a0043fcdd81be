"""What workers do: which functions hear which topic, and what beat starts."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from celery import shared_task
from django.utils import timezone

from disputes.cases import checking, joining, lifecycle
from disputes.cases.transactions import in_transaction
from disputes.holds import partitions
from disputes.outbox import queue


def check_dispute(payload: Mapping[str, Any]) -> None:
    checking.run_check(dispute_id=uuid.UUID(payload["dispute"]), now=timezone.now())


def recheck_loan(payload: Mapping[str, Any]) -> None:
    checking.request_checks(loan=payload["loan"])


def seek_messages(payload: Mapping[str, Any]) -> None:
    joining.seek_messages(message_id=uuid.UUID(payload["message"]), now=timezone.now())


def release_hold(payload: Mapping[str, Any]) -> None:
    dispute_id, now = uuid.UUID(payload["dispute"]), timezone.now()
    in_transaction(lambda: lifecycle.release_after_delivery(dispute_id=dispute_id, now=now))


SUBSCRIBERS: Mapping[str, Sequence[tuple[str, queue.Subscriber]]] = {
    "dispute.opened": [("check_dispute", check_dispute)],
    "check.requested": [("check_dispute", check_dispute)],
    "loan.changed": [("recheck_loan", recheck_loan)],
    "message.arrived": [("seek_messages", seek_messages)],
    "outcome.delivered": [("release_hold", release_hold)],
    "dispute.checked": [],
    "dispute.closed": [],
    "hold.placed": [],
    "hold.changed": [],
    "hold.released": [],
}
"""Topic → the functions that hear it, called in this order. A topic that nobody hears yet is done at once."""


@shared_task(name=queue.TASK, ignore_result=True)
def deliver(topic_id: int) -> None:
    """Calls what hears one topic of the outbox."""
    queue.deliver(topic_id=topic_id, subscribers=SUBSCRIBERS)


@shared_task(name="disputes.tasks.sweep_outbox", ignore_result=True)
def sweep_outbox() -> int:
    """Sends again what a killed worker or broker left undone."""
    return queue.sweep()


@shared_task(name="disputes.tasks.keep_partitions", ignore_result=True)
def keep_partitions() -> None:
    """Makes the permits' partitions of the months to come."""
    partitions.keep_partitions(now=timezone.now())


@shared_task(name="disputes.tasks.seek_unfound", ignore_result=True)
def seek_unfound() -> None:
    """Looks again for messages that open disputes wait for."""
    joining.seek_unfound(now=timezone.now())
