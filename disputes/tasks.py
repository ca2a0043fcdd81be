"""What workers do: which functions hear which topic, and what beat starts."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from celery import shared_task
from django.utils import timezone

from disputes.cases import bulk, checking, following, joining, late, releasing, talking
from disputes.cases.transactions import in_transaction
from disputes.holds import partitions, tallying, unauthorised
from disputes.notices import delivering, sending
from disputes.outbox import queue
from disputes.routing import assigning, deadlines


def check_dispute(payload: Mapping[str, Any]) -> None:
    checking.run_check(dispute_id=uuid.UUID(payload["dispute"]), now=timezone.now())


def recheck_loan(payload: Mapping[str, Any]) -> None:
    checking.request_checks(loan=payload["loan"])


def hear_late_records(payload: Mapping[str, Any]) -> None:
    received_at = datetime.fromisoformat(payload["received_at"])
    late.hear_late_records(loans=payload["loans"], received_at=received_at, now=timezone.now())


def check_open(payload: Mapping[str, Any]) -> None:
    bulk.request_open(why=payload["why"])


def check_chunk(payload: Mapping[str, Any]) -> None:
    before = payload["before"]
    bulk.check_span(first=uuid.UUID(payload["first"]), before=uuid.UUID(before) if before else None, now=timezone.now())


def seek_messages(payload: Mapping[str, Any]) -> None:
    joining.seek_messages(message_id=uuid.UUID(payload["message"]), now=timezone.now())


def release_hold(payload: Mapping[str, Any]) -> None:
    dispute_id, now = uuid.UUID(payload["dispute"]), timezone.now()
    in_transaction(lambda: releasing.settle_holds(dispute_id=dispute_id, now=now))


def hear_delivered(payload: Mapping[str, Any]) -> None:
    releasing.hear_receipt(notice_id=uuid.UUID(payload["notice"]), delivered=True)


def hear_failed(payload: Mapping[str, Any]) -> None:
    releasing.hear_receipt(notice_id=uuid.UUID(payload["notice"]), delivered=False)


def assign_waiting(payload: Mapping[str, Any]) -> None:
    assigning.assign_waiting(now=timezone.now())


def announce_assigned(payload: Mapping[str, Any]) -> None:
    dispute_id, now = uuid.UUID(payload["dispute"]), timezone.now()
    in_transaction(lambda: following.announce_assigned(dispute_id=dispute_id, now=now))


def move_deadlines(payload: Mapping[str, Any]) -> None:
    dispute_id = uuid.UUID(payload["dispute"])
    in_transaction(lambda: following.move_deadlines(dispute_id=dispute_id))


def recompute_clocks(payload: Mapping[str, Any]) -> None:
    deadlines.recompute_clocks(now=timezone.now())


def send_notice(payload: Mapping[str, Any]) -> None:
    sending.send_notice(notice_id=uuid.UUID(payload["notice"]), now=timezone.now())


def deliver_webhooks(payload: Mapping[str, Any]) -> None:
    endpoint = uuid.UUID(payload["endpoint"])
    delivering.deliver_in_turn(endpoint_id=endpoint, key=payload["key"], clock=timezone.now)


SUBSCRIBERS: dict[str, list[tuple[str, queue.Subscriber]]] = {
    "dispute.opened": [("check_dispute", check_dispute)],
    "check.requested": [("check_dispute", check_dispute)],
    "loan.changed": [("recheck_loan", recheck_loan)],
    "checks.requested": [("check_open", check_open)],
    "checks.chunk": [("check_chunk", check_chunk)],
    "disputes.checked": [],
    "loan.changed.after": [("hear_late_records", hear_late_records)],
    "message.arrived": [("seek_messages", seek_messages)],
    "outcome.delivered": [("release_hold", release_hold)],
    "notice.queued": [("send_notice", send_notice)],
    "notice.delivered": [("hear_delivered", hear_delivered)],
    "notice.failed": [("hear_failed", hear_failed)],
    "case.waiting": [("assign_waiting", assign_waiting)],
    "dispute.assigned": [("announce_assigned", announce_assigned)],
    "calendar.changed": [("recompute_clocks", recompute_clocks)],
    "deadline.changed": [("move_deadlines", move_deadlines)],
    "deadline.near": [],
    "deadline.missed": [],
    "case.unassignable": [],
    "decision.proposed": [],
    "webhook.queued": [("deliver_webhooks", deliver_webhooks)],
    "dispute.checked": [],
    "dispute.closed": [],
    # No longer written, for nobody hears them; what an earlier release left behind is done with.
    "hold.placed": [],
    "hold.changed": [],
    "hold.released": [],
}
"""Topic → the functions that hear it, called in this order. A topic that nobody hears yet is done at once."""


def hear(*, topic: str, name: str, subscriber: queue.Subscriber) -> None:
    """Lets a function of an app above hear a topic, after those that hear it already; twice is once. Called when the
    app starts, so that nothing here knows of that app."""
    heard = SUBSCRIBERS.setdefault(topic, [])
    if name not in [known for known, _ in heard]:
        heard.append((name, subscriber))


WEBHOOK_ROUND = 5
"""Seconds between two looks for deliveries that are due (config/settings.py)."""


@shared_task(name=queue.TASK, ignore_result=True)
def deliver(*topic_ids: int) -> None:
    """Calls what hears these topics of the outbox."""
    queue.deliver_each(topic_ids=topic_ids, subscribers=SUBSCRIBERS)


@shared_task(name="disputes.tasks.sweep_outbox", ignore_result=True)
def sweep_outbox() -> int:
    """Sends again what a killed worker or broker left undone."""
    return queue.sweep()


@shared_task(name="disputes.tasks.keep_partitions", ignore_result=True)
def keep_partitions() -> None:
    """Makes the permits' partitions of the months to come, and drops those that are too old."""
    partitions.keep_partitions(now=timezone.now())
    partitions.drop_old_partitions(now=timezone.now())


@shared_task(name="disputes.tasks.seek_unauthorised", ignore_result=True)
def seek_unauthorised() -> int:
    """Looks at messages that came or changed: did they have a permit? Those that are left wait for the next round."""
    return unauthorised.look_at_sends(now=timezone.now())


@shared_task(name="disputes.tasks.roll_up_tallies", ignore_result=True)
def roll_up_tallies() -> int:
    """Adds the gate's denials up by the hour."""
    return tallying.roll_up_tallies(now=timezone.now())


@shared_task(name="disputes.tasks.seek_unfound", ignore_result=True)
def seek_unfound() -> None:
    """Looks again for messages that open disputes wait for."""
    joining.seek_unfound(now=timezone.now())


@shared_task(name="disputes.tasks.deliver_due_webhooks", ignore_result=True)
def deliver_due_webhooks() -> int:
    """Gives a task to each key of an endpoint whose next try is due. One that waits too long for a worker is dropped:
    the next round asks again."""
    due = delivering.due_keys(now=timezone.now())
    for endpoint, key in due:
        deliver_webhook_key.apply_async(args=[str(endpoint), key], expires=WEBHOOK_ROUND * 3)
    return len(due)


@shared_task(name="disputes.tasks.deliver_webhook_key", ignore_result=True)
def deliver_webhook_key(endpoint: str, key: str) -> None:
    """Delivers what is due for one key of one endpoint."""
    delivering.deliver_in_turn(endpoint_id=uuid.UUID(endpoint), key=key, clock=timezone.now)


@shared_task(name="disputes.tasks.tidy_webhooks", ignore_result=True)
def tidy_webhooks() -> None:
    """Deletes deliveries of long ago."""
    delivering.tidy(now=timezone.now())


@shared_task(name="disputes.tasks.follow_cases", ignore_result=True)
def follow_cases() -> None:
    """What time brings, each minute: cases that wait for an agent, deadlines that came near or passed, customers who
    stay silent, outcomes that count as delivered, holds whose time is over."""
    now = timezone.now()
    assigning.assign_waiting(now=now)
    deadlines.recompute_clocks(now=now)
    deadlines.raise_alarms(now=now)
    talking.return_silent(now=now)
    releasing.presume_delivered(now=now)
    releasing.resume_due(now=now)
    late.let_go(now=now)
