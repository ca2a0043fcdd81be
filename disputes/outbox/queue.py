"""Putting topics, delivering them, sweeping what was not delivered.

The promise is at least once: a topic's row is committed with its cause, a task is sent on commit, and the sweeper sends
again whatever was not done. A function that hears a topic must therefore bear to be called twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from celery import current_app
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from disputes.outbox.models import OutboxTopic

log = structlog.get_logger(__name__)

Subscriber = Callable[[Mapping[str, Any]], None]

RESEND_AFTER = timedelta(seconds=30)
"""How long a sent topic may stay undone before it is sent again; below a minute, longer than a task usually takes."""
PUSH_AHEAD = timedelta(hours=1)
"""How far a topic whose function failed is pushed ahead, so that one poisoned row never stops the queue."""
FIRST_RETRIES = (timedelta(seconds=15), timedelta(minutes=1), timedelta(minutes=10))
KEEP_DONE = timedelta(days=7)
SWEEP_AT_ONCE = 500
TASK = "disputes.tasks.deliver"


def put(*, topic: str, key: str, payload: Mapping[str, Any] | None = None) -> None:
    """Writes one topic and sends its task on commit. Needs the transaction of its cause."""
    put_many(topic=topic, payloads={key: payload or {}})


def put_many(*, topic: str, payloads: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes one topic a key, in one statement. Needs the transaction of their cause."""
    if not payloads:
        return
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("a topic is written in the transaction that causes it")
    rows = OutboxTopic.objects.bulk_create(
        [
            OutboxTopic(topic=topic, key=key, payload=dict(payload), due_at=Now() + RESEND_AFTER)
            for key, payload in payloads.items()
        ]
    )
    ids = [row.pk for row in rows]
    transaction.on_commit(lambda: send(ids))


def take_over(*, topic: str, key: str) -> list[Mapping[str, Any]]:
    """The payloads of topics that are not done yet, oldest first: they are done with this transaction, which does their
    work. Needs one in which nobody else takes over the same; empty where all is done."""
    rows = list(
        OutboxTopic.objects.select_for_update().filter(topic=topic, key=key, done_at__isnull=True).order_by("id")
    )
    OutboxTopic.objects.filter(pk__in=[row.pk for row in rows]).update(done_at=Now(), last_error="")
    return [row.payload for row in rows]


def send(ids: Iterable[int]) -> int:
    """Hands tasks to the broker; stops at the first that it does not take (the sweeper sends those). Returns how many.

    Never raises: the cause is committed and answered, whatever the broker says.
    """
    sent = 0
    for topic_id in ids:
        try:
            current_app.send_task(TASK, args=[topic_id], retry=False, ignore_result=True)
        except Exception as error:  # a broker's client raises of many families
            log.warning("broker_unreachable", unsent_from=topic_id, error=type(error).__name__)
            break
        sent += 1
    return sent


def deliver(*, topic_id: int, subscribers: Mapping[str, Sequence[tuple[str, Subscriber]]]) -> bool:
    """Calls the functions that hear a topic, each in a transaction of its own that it opens. True where all are done.

    1. The row is claimed by one conditional UPDATE that pushes `due_at`, so that a second worker with the same task
       finds nothing to do; a worker that dies leaves the row to the sweeper.
    2. Each function not in `done_by` is called and then noted.
    3. A failure is noted, the row pushed ahead, and the error raised again. So is a topic that is not in the table:
       this process is older than the one that wrote it, and to call it done would lose it.
    """
    claimed = OutboxTopic.objects.filter(pk=topic_id, done_at__isnull=True, claimed_until__lt=Now()).update(
        claimed_until=Now() + RESEND_AFTER, due_at=Now() + RESEND_AFTER, attempts=F("attempts") + 1
    )
    if not claimed:
        return False
    row = OutboxTopic.objects.get(pk=topic_id)
    if row.topic not in subscribers:
        unknown = LookupError(f"nobody here knows the topic {row.topic}")
        _push_ahead(row, "deliver", unknown)
        raise unknown
    for name, subscriber in subscribers[row.topic]:
        if name in row.done_by:
            continue
        try:
            subscriber(row.payload)
        except Exception as error:
            _push_ahead(row, name, error)
            raise
        row.done_by.append(name)
        row.save(update_fields=["done_by"])
    OutboxTopic.objects.filter(pk=topic_id).update(done_at=Now(), last_error="")
    return True


def _push_ahead(row: OutboxTopic, name: str, error: Exception) -> None:
    """Later and later, then hourly. The message of the error is not kept: it may quote a row."""
    wait = FIRST_RETRIES[row.attempts - 1] if row.attempts <= len(FIRST_RETRIES) else PUSH_AHEAD
    OutboxTopic.objects.filter(pk=row.pk).update(
        due_at=Now() + wait, claimed_until=Now(), last_error=f"{name}: {type(error).__name__}"
    )


def sweep() -> int:
    """Sends again what is due and not done; deletes what was done long ago. Returns how many were sent.

    Two sweepers at once may both send a topic: `deliver` claims it once.
    """
    due = list(
        OutboxTopic.objects.filter(done_at__isnull=True, due_at__lte=Now())
        .order_by("due_at")
        .values_list("pk", flat=True)[:SWEEP_AT_ONCE]
    )
    if due:
        OutboxTopic.objects.filter(pk__in=due, done_at__isnull=True).update(due_at=Now() + RESEND_AFTER)
    OutboxTopic.objects.filter(done_at__lt=Now() - KEEP_DONE).delete()
    return send(due)
