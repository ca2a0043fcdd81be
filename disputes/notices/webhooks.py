"""Announcing events to the lender's systems, and the endpoints that hear of them.

After the Standard Webhooks specification. A message and one delivery an endpoint are written in the transaction of
their cause; `disputes.notices.delivering` sends them.
"""

from __future__ import annotations

import json
import secrets
import uuid
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from config.statements import Statement, as_json, run
from config.values.ids import new_id
from disputes.notices.addresses import check_url
from disputes.notices.models import WebhookEndpoint
from disputes.outbox import queue

EVENTS = (
    "dispute.opened",
    "dispute.checked",
    "dispute.assigned",
    "dispute.waiting_customer",
    "dispute.closed",
    "dispute.appealed",
    "hold.placed",
    "hold.released",
    "rule.paused",
    "wave.opened",
    "wave.closed",
    "evidence.added",
)
RETRY_FOR = timedelta(days=3)
FORMER_SECRET_FOR = timedelta(hours=24)
MOST_ENDPOINTS = 50
"""Each event is written once an endpoint, in the transaction of a dispute."""


class TooManyEndpoints(Exception):
    """There are MOST_ENDPOINTS already."""


class Listeners:
    """The endpoints that are switched on: what is `asked`, to be run in one call with others."""

    def __init__(self) -> None:
        self.asked = Statement("SELECT id, events FROM disputes_webhookendpoint WHERE enabled ORDER BY id")

    def told(self, endpoints: Sequence[tuple[uuid.UUID, Sequence[str]]]) -> None:
        """What was asked in other words than `asked`: endpoints, with the events that each wants."""
        self.asked.rows = list(endpoints)

    def of(self, event: str) -> list[uuid.UUID]:
        """Those that want the event."""
        return [endpoint for endpoint, events in self.asked.rows if not events or event in events]


def announce(
    *, event: str, key: str, data: Mapping[str, Any], at: datetime, listeners: Listeners | None = None
) -> bool:
    """Writes one event for every endpoint that wants it; False where none does. Needs the transaction of its cause.

    `key`: within it the order of the calls is the order of delivery, so whoever announces about a dispute holds its
    row's lock and gives its id; `data`: JSON without personal data; `at`: aware, when it happened. Topic
    `webhook.queued` for each endpoint. `listeners`: where whoever announces several things has read them. Raises
    ValueError for an event that is not in EVENTS.
    """
    if listeners is None:
        listeners = Listeners()
        run(listeners.asked)
    writes = announced(event=event, key=key, data=data, at=at, listeners=listeners)
    run(*writes)
    return bool(writes)


def announced(
    *, event: str, key: str, data: Mapping[str, Any], at: datetime, listeners: Listeners
) -> Sequence[Statement]:
    """As `announce`: what writes the event, to be run in the transaction of its cause, which is open; nothing where no
    endpoint wants it."""
    if event not in EVENTS:
        raise ValueError(f"no such event: {event}")
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("an event is announced in the transaction that causes it")
    listening = listeners.of(event)
    if not listening:
        return ()
    said = {"type": event, "timestamp": at.astimezone(UTC).isoformat().replace("+00:00", "Z"), "data": data}
    told = {
        "webhook_id": new_id(),
        "event": event,
        "key": key,
        "body": json.dumps(said, ensure_ascii=False, separators=(",", ":")),
        "at": at,
        "deliveries": [{"id": new_id(), "endpoint": endpoint} for endpoint in listening],
    }
    written = Statement("SELECT topic FROM disputes_announce(%s::jsonb, %s) AS topic", [as_json(told), RETRY_FOR])
    queue.send_on_commit(written)
    return (written,)


def endpoints() -> QuerySet[WebhookEndpoint]:
    """The endpoints that were not removed."""
    return WebhookEndpoint.objects.filter(removed_at__isnull=True)


def new_secret() -> str:
    """256 random bits, as the specification writes them: ``whsec_`` and base64."""
    return "whsec_" + b64encode(secrets.token_bytes(32)).decode()


def register_endpoint(*, url: str, events: Sequence[str], created_by: str, now: datetime) -> WebhookEndpoint:
    """Registers an address; its `secret` is shown by whoever called, once. Needs a transaction. Asks the DNS.

    `events`: names of EVENTS, none for all. Raises BadAddress, TooManyEndpoints.
    """
    checked = check_url(url, loopback=settings.WEBHOOKS_TO_LOOPBACK)
    if endpoints().count() >= MOST_ENDPOINTS:
        raise TooManyEndpoints
    return WebhookEndpoint.objects.create(
        url=checked, secret=new_secret(), events=_ordered(events), created_by=created_by, created_at=now
    )


def change_endpoint(
    *,
    endpoint_id: uuid.UUID,
    url: str | None = None,
    events: Sequence[str] | None = None,
    enabled: bool | None = None,
) -> WebhookEndpoint:
    """Changes what is given. Opens the transaction that locks the endpoint's row; the DNS is asked before it.

    What was written while the endpoint was on goes out once it is on again; nothing is written for it while it is off.
    Raises WebhookEndpoint.DoesNotExist, BadAddress.
    """
    endpoints().get(pk=endpoint_id)
    checked = None if url is None else check_url(url, loopback=settings.WEBHOOKS_TO_LOOPBACK)
    with transaction.atomic():
        endpoint = endpoints().select_for_update(no_key=True).get(pk=endpoint_id)
        if checked is not None:
            endpoint.url = checked
        if events is not None:
            endpoint.events = _ordered(events)
        if enabled is not None:
            endpoint.enabled = enabled
            endpoint.disabled_because = "" if enabled else "switched off"
        if checked is not None or enabled:
            endpoint.failures, endpoint.resting_until = 0, None
        changed = ["url", "events", "enabled", "disabled_because", "failures", "resting_until"]
        endpoint.save(update_fields=changed)
    return endpoint


def change_secret(*, endpoint_id: uuid.UUID, now: datetime) -> WebhookEndpoint:
    """Gives the endpoint a new secret; for FORMER_SECRET_FOR the one before signs too. Needs a transaction; locks the
    endpoint's row. Raises WebhookEndpoint.DoesNotExist."""
    endpoint = endpoints().select_for_update(no_key=True).get(pk=endpoint_id)
    endpoint.former_secret, endpoint.former_secret_until = endpoint.secret, now + FORMER_SECRET_FOR
    endpoint.secret = new_secret()
    endpoint.save(update_fields=["secret", "former_secret", "former_secret_until"])
    return endpoint


def remove_endpoint(*, endpoint_id: uuid.UUID, now: datetime) -> None:
    """Ends an endpoint: nothing more goes there, and its secrets are forgotten. Opens the transaction that locks its
    row. Raises WebhookEndpoint.DoesNotExist, also the second time."""
    with transaction.atomic():
        endpoint = endpoints().select_for_update(no_key=True).get(pk=endpoint_id)
        endpoint.enabled, endpoint.disabled_because, endpoint.removed_at = False, "removed", now
        endpoint.secret = endpoint.former_secret = endpoint.former_secret_until = None
        endpoint.save(
            update_fields=[
                "enabled",
                "disabled_because",
                "removed_at",
                "secret",
                "former_secret",
                "former_secret_until",
            ]
        )


def _ordered(events: Sequence[str]) -> list[str]:
    unknown = set(events) - set(EVENTS)
    if unknown:
        raise ValueError(f"no such events: {sorted(unknown)}")
    return [event for event in EVENTS if event in events]
