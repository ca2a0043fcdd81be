"""Putting topics, delivering them, sweeping what was not delivered.

The promise is at least once: a topic's row is committed with its cause, a task is sent on commit, and the sweeper sends
again whatever was not done. A function that hears a topic must therefore bear to be called twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from celery import current_app
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from config.statements import Row, Statement, run
from disputes.outbox.gathering import Gathering
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
TOGETHER = 16
"""How many topics one task names: its worker delivers them one after the other, and handing a task over costs as much
as several statements."""
LEAVE_AFTER = 5.0
"""Seconds after which a task begins with no further topic, but gives those that are left a task of their own: one that
is slow holds up none that another worker could do."""
TASK = "disputes.tasks.deliver"


def put(*, topic: str, key: str, payload: Mapping[str, Any] | None = None) -> None:
    """Writes one topic and sends its task on commit. Needs the transaction of its cause."""
    put_many(topic=topic, payloads={key: payload or {}})


def put_many(*, topic: str, payloads: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes one topic a key, in one statement. Needs the transaction of their cause."""
    if payloads:
        run(topics(topic=topic, payloads=payloads))


def topics(
    *, topic: str, payloads: Mapping[str, Mapping[str, Any]], where: str = "true", parameters: Sequence[Any] = ()
) -> Statement:
    """What writes one topic a key, to be run in the transaction of their cause, which is open; on commit their tasks
    are sent. `where`, with its `parameters`: a condition of SQL without which nothing is written."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("a topic is written in the transaction that causes it")
    values = [value for key, said in payloads.items() for value in (key, json.dumps(said))]
    written = Statement(
        "INSERT INTO disputes_outboxtopic (topic, key, payload, due_at, attempts, done_by, last_error)"
        f" SELECT %s, told.key, told.payload, statement_timestamp() + {_RESENT}, 0, '{{}}', ''"
        f" FROM (VALUES {', '.join(['(%s, %s::jsonb)'] * len(payloads))}) AS told (key, payload)"
        f" WHERE {where} RETURNING id",
        [topic, *values, *parameters],
    )
    send_on_commit(written)
    return written


def row_of(*, topic: str, key: str, payload: Mapping[str, Any]) -> Row:
    """A topic's row, for who writes it with others and names the statement by `send_on_commit`."""
    return {"topic": topic, "key": key, "payload": dict(payload)}


_RESENT = f"interval '{RESEND_AFTER.total_seconds():g} seconds'"


class _Sending:
    """Sends, once the transaction has committed, the tasks of all that was written in it."""

    def __init__(self) -> None:
        self.written: list[Statement] = []

    def __call__(self) -> None:
        if ids := [row[0] for one in self.written for row in one.rows]:
            hand_over(ids)


def send_on_commit(written: Statement) -> None:
    """What a statement of this transaction answers, the ids of topics that it wrote, is sent once that is committed:
    with the others of the same savepoints, so that those of one that is rolled back are never sent."""
    connection = transaction.get_connection()
    within = set(connection.savepoint_ids)
    for savepoints, hook, _ in connection.run_on_commit:
        if isinstance(hook, _Sending) and savepoints == within:
            hook.written.append(written)
            return
    sending = _Sending()
    sending.written.append(written)
    transaction.on_commit(sending)


def take_over(*, topic: str, key: str) -> list[Mapping[str, Any]]:
    """The payloads of topics that are not done yet, oldest first: they are done with this transaction, which does their
    work. Needs one in which nobody else takes over the same; empty where all is done."""
    rows = list(
        OutboxTopic.objects.select_for_update().filter(topic=topic, key=key, done_at__isnull=True).order_by("id")
    )
    OutboxTopic.objects.filter(pk__in=[row.pk for row in rows]).update(done_at=Now(), last_error="")
    return [row.payload for row in rows]


_gathering: Gathering | None = None


def gather() -> None:
    """From now on, what this process's transactions write is sent by a thread beside them. For a process that lives
    long and answers requests; every other sends as it commits."""
    global _gathering
    if _gathering is None:
        _gathering = Gathering(lambda ids: send(ids))


def hand_over(ids: Sequence[int]) -> None:
    """Sends topics that are committed, or has them sent (`gather`). Never raises."""
    if _gathering is None:
        send(ids)
    else:
        _gathering.add(ids)


def send(ids: Iterable[int]) -> int:
    """Hands tasks to the broker, TOGETHER topics each; stops at the first that it does not take (the sweeper sends
    those). Returns how many topics were sent.

    Never raises: the cause is committed and answered, whatever the broker says.
    """
    waiting, sent = list(ids), 0
    while sent < len(waiting):
        few = waiting[sent : sent + TOGETHER]
        try:
            current_app.send_task(TASK, args=few, retry=False, ignore_result=True)
        except Exception as error:  # a broker's client raises of many families
            log.warning("broker_unreachable", unsent_from=few[0], error=type(error).__name__)
            break
        sent += len(few)
    return sent


def deliver_each(*, topic_ids: Sequence[int], subscribers: Mapping[str, Sequence[tuple[str, Subscriber]]]) -> None:
    """Delivers the topics of one task, in turn. Where one fails, those after it are given a task of their own, and its
    error is raised; so are those that are left after LEAVE_AFTER."""
    began = time.monotonic()
    for place, topic_id in enumerate(topic_ids):
        if place and time.monotonic() - began > LEAVE_AFTER:
            send(topic_ids[place:])
            return
        try:
            deliver(topic_id=topic_id, subscribers=subscribers)
        except Exception:
            send(topic_ids[place + 1 :])
            raise


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
