"""Delivering webhooks: at least once, in order for one key of one endpoint, signed anew at each try.

A key's oldest pending delivery is claimed, tried outside any transaction, and recorded; only then comes the next one.
Different keys do not wait for each other.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now
from standardwebhooks import Webhook

from disputes.notices.addresses import Resolve, public_addresses
from disputes.notices.models import DeliveryState, WebhookDelivery, WebhookEndpoint, WebhookMessage, webhook_id_of
from disputes.notices.posting import Answer, NoAnswer, post, resolve
from disputes.notices.webhooks import RETRY_FOR
from disputes.outbox import queue

log = structlog.get_logger(__name__)

WAITS = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=4),
)
"""After the first try, the second …; the last one from then on, until RETRY_FOR has passed since the event."""
LONGEST_ASKED_WAIT = timedelta(hours=1)
"""The most that an endpoint's Retry-After is honoured."""
CLAIMED_FOR = timedelta(seconds=60)
"""How long a try has a delivery for itself: well over the time limit of a POST and of the resolver before it."""
REST_AFTER = 3
"""Tries in a row without any answer after which an endpoint is left alone for a while, so that one that hangs does not
keep the workers from everything else."""
LONGEST_REST = timedelta(minutes=5)
TURN = 20.0
"""Seconds after which a worker that has a long queue before it lets others at it; the sweeper calls it back."""
SWEPT_AT_ONCE = 500
KEEP_DELIVERED = timedelta(days=30)
KEEP_PARKED = timedelta(days=90)
TIDY_AT_ONCE = 10_000
GONE = 410

Clock = Callable[[], datetime]


def deliver_in_turn(*, endpoint_id: uuid.UUID, key: str, clock: Clock, resolve: Resolve = resolve) -> int:
    """Tries what is due for one key of one endpoint, one after the other, for about TURN. Returns how many were tried.

    Opens its transactions; must not be called inside one. Called by several workers at once, each delivery is tried by
    one of them.
    """
    until = time.monotonic() + TURN
    tried = 0
    while time.monotonic() < until and deliver_next(endpoint_id=endpoint_id, key=key, now=clock(), resolve=resolve):
        tried += 1
    return tried


def deliver_next(*, endpoint_id: uuid.UUID, key: str, now: datetime, resolve: Resolve = resolve) -> bool:
    """One try of the key's oldest pending delivery. False where there is none, it is not due yet, another worker has
    it, or the endpoint is off or resting.

    1. Claims it by a conditional UPDATE of its own columns (a condition on another table would not be looked at again
    after waiting for the row); 2. posts it; 3. records the answer, unless the claim ran out and another try began.
    """
    endpoint = WebhookEndpoint.objects.get(pk=endpoint_id)
    if not endpoint.enabled or (endpoint.resting_until is not None and endpoint.resting_until > now):
        return False
    pending = WebhookDelivery.objects.filter(endpoint=endpoint_id, key=key, state=DeliveryState.PENDING)
    oldest = pending.order_by("message").first()
    if oldest is None:
        return False
    claimed = WebhookDelivery.objects.filter(
        pk=oldest.pk, state=DeliveryState.PENDING, next_at__lte=now, claimed_until__lte=Now()
    ).update(claimed_until=Now() + CLAIMED_FOR, attempts=F("attempts") + 1, last_tried_at=now)
    if not claimed:
        return False
    delivery = WebhookDelivery.objects.select_related("message").get(pk=oldest.pk)
    try:
        answer = _post(endpoint, delivery.message, now=now, resolve=resolve)
    except NoAnswer as error:
        _record_silence(endpoint, now=now)
        _record_failure(delivery, now=now, error=error.code)
        return True
    _record_answer(endpoint, delivery, answer, now=now)
    return True


def _post(endpoint: WebhookEndpoint, message: WebhookMessage, *, now: datetime, resolve: Resolve) -> Answer:
    """Signed with the secret and, for its last day, the one before."""
    secrets = [endpoint.secret]
    if endpoint.former_secret_until is not None and endpoint.former_secret_until > now:
        secrets.append(endpoint.former_secret)
    webhook_id = webhook_id_of(message.webhook_id)
    signatures = [Webhook(secret).sign(webhook_id, now, message.body) for secret in secrets if secret]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Recourse",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }

    def looked_at(host: str, port: int) -> list[str]:
        return public_addresses(host, port, loopback=settings.WEBHOOKS_TO_LOOPBACK, resolve=resolve)

    return post(url=endpoint.url, headers=headers, content=message.body.encode(), addresses=looked_at)


def _ours(delivery: WebhookDelivery):  # type: ignore[no-untyped-def]  # a queryset of one row
    """The row while this try is its last one."""
    return WebhookDelivery.objects.filter(pk=delivery.pk, state=DeliveryState.PENDING, attempts=delivery.attempts)


def _record_answer(endpoint: WebhookEndpoint, delivery: WebhookDelivery, answer: Answer, *, now: datetime) -> None:
    if endpoint.failures:
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failures=0, resting_until=None)
    if 200 <= answer.status < 300:
        _ours(delivery).update(
            state=DeliveryState.DELIVERED,
            delivered_at=now,
            claimed_until=Now(),
            last_status=answer.status,
            last_error="",
        )
        return
    if answer.status == GONE:
        _switch_off_gone(endpoint, delivery, now=now)
        return
    error = "redirect not followed" if 300 <= answer.status < 400 else f"answered {answer.status}"
    _record_failure(delivery, now=now, error=error, status=answer.status, asked=_asked_wait(answer))


def _switch_off_gone(endpoint: WebhookEndpoint, delivery: WebhookDelivery, *, now: datetime) -> None:
    """410: the specification's word for "send nothing more". What was pending waits for somebody to switch it on."""
    with transaction.atomic(durable=True):
        WebhookEndpoint.objects.filter(pk=endpoint.pk, enabled=True, url=endpoint.url).update(
            enabled=False, disabled_because="it answered 410 (gone)"
        )
        _ours(delivery).update(claimed_until=Now(), last_status=GONE, last_error=f"answered {GONE}", next_at=now)
    log.warning("webhook_endpoint_gone", endpoint=str(endpoint.pk))


def _record_failure(
    delivery: WebhookDelivery,
    *,
    now: datetime,
    error: str,
    status: int | None = None,
    asked: timedelta = timedelta(0),
) -> None:
    """Later and later; after `retry_until` parked, and the key's next one has its turn."""
    noted = {"claimed_until": Now(), "last_status": status, "last_error": error}
    if now >= delivery.retry_until:
        _ours(delivery).update(state=DeliveryState.PARKED, parked_at=now, **noted)
        log.warning("webhook_parked", delivery=str(delivery.pk), error=error)
        return
    wait = max(WAITS[min(delivery.attempts, len(WAITS)) - 1], asked)
    _ours(delivery).update(next_at=min(now + wait, max(delivery.retry_until, now + WAITS[0])), **noted)


def _record_silence(endpoint: WebhookEndpoint, *, now: datetime) -> None:
    rest = None
    if endpoint.failures + 1 >= REST_AFTER:
        doublings = min(endpoint.failures + 1 - REST_AFTER, 10)
        rest = now + min(WAITS[0] * 2**doublings, LONGEST_REST)
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failures=F("failures") + 1, resting_until=rest)


def _asked_wait(answer: Answer) -> timedelta:
    """Retry-After in seconds; a date is not read."""
    text = answer.headers.get("retry-after", "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        return timedelta(0)
    return min(timedelta(seconds=int(text)), LONGEST_ASKED_WAIT)


def due_keys(*, now: datetime, limit: int = SWEPT_AT_ONCE) -> list[tuple[uuid.UUID, str]]:
    """(endpoint, key) whose oldest pending delivery is due and with nobody, the longest due first."""
    earlier = WebhookDelivery.objects.filter(
        state=DeliveryState.PENDING,
        endpoint=OuterRef("endpoint"),
        key=OuterRef("key"),
        message__lt=OuterRef("message"),
    )
    return list(
        WebhookDelivery.objects.filter(
            Q(endpoint__resting_until__isnull=True) | Q(endpoint__resting_until__lte=now),
            ~Exists(earlier),
            state=DeliveryState.PENDING,
            next_at__lte=now,
            claimed_until__lte=Now(),
            endpoint__enabled=True,
        )
        .order_by("next_at")
        .values_list("endpoint_id", "key")[:limit]
    )


def send_again(*, delivery_ids: Iterable[uuid.UUID], now: datetime) -> int:
    """Gives parked deliveries another RETRY_FOR, from now on. Opens its transaction. Returns how many were parked.

    What was announced after them has gone out meanwhile: the body's `timestamp` tells the order.
    """
    with transaction.atomic():
        parked = WebhookDelivery.objects.select_for_update().filter(
            pk__in=list(delivery_ids), state=DeliveryState.PARKED
        )
        found = list(parked.order_by("pk"))
        WebhookDelivery.objects.filter(pk__in=[one.pk for one in found]).update(
            state=DeliveryState.PENDING, parked_at=None, attempts=0, next_at=now, retry_until=now + RETRY_FOR
        )
        queue.put_many(
            topic="webhook.queued",
            payloads={
                f"{one.endpoint_id}:{one.message_id}": {"endpoint": str(one.endpoint_id), "key": one.key}
                for one in found
            },
        )
    return len(found)


def tidy(*, now: datetime) -> int:
    """Deletes what was delivered or parked long ago, and messages that have no delivery left. Returns how many
    deliveries. Opens its transactions."""
    old = WebhookDelivery.objects.filter(
        Q(state=DeliveryState.DELIVERED, delivered_at__lt=now - KEEP_DELIVERED)
        | Q(state=DeliveryState.PARKED, parked_at__lt=now - KEEP_PARKED)
    )
    deleted, _ = WebhookDelivery.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:TIDY_AT_ONCE])).delete()
    left = WebhookMessage.objects.filter(
        ~Exists(WebhookDelivery.objects.filter(message=OuterRef("pk"))), created_at__lt=now - KEEP_DELIVERED
    )
    WebhookMessage.objects.filter(pk__in=list(left.values_list("pk", flat=True)[:TIDY_AT_ONCE])).delete()
    return deleted
