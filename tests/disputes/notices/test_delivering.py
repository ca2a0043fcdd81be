"""Webhooks on their way: signed, in order for one key, retried, parked; never into the lender's network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from disputes import tasks
from disputes.notices import delivering
from disputes.notices.models import WebhookDelivery, WebhookEndpoint, WebhookMessage
from disputes.notices.webhooks import announce
from disputes.outbox.models import OutboxTopic
from tests.http_receiver import Received, Reply, listening
from tests.webhook_receiver import Subscription, register, subscribed, verified
from tests.work import work

pytestmark = pytest.mark.django_db


@pytest.fixture
def subscription() -> Iterator[Subscription]:
    with subscribed() as one:
        yield one


def happens(event: str = "dispute.opened", *, key: str = "d1", at: datetime | None = None, **data: Any) -> None:
    with transaction.atomic():
        announce(event=event, key=key, data=data, at=at or timezone.now())


def try_at(now: datetime, subscription: Subscription, *, key: str = "d1", **extra: Any) -> int:
    """What a worker does at `now`. Returns how many deliveries it tried."""
    endpoint = WebhookEndpoint.objects.get(pk=subscription.id)
    return delivering.deliver_in_turn(endpoint_id=endpoint.pk, key=key, clock=lambda: now, **extra)


@pytest.fixture
def stands(monkeypatch: pytest.MonkeyPatch) -> Callable[[], datetime]:
    """Stops the worker's clock and says where: what is tried again in five seconds is not, however slow the machine."""

    def stop() -> datetime:
        now = timezone.now()
        monkeypatch.setattr(tasks, "timezone", SimpleNamespace(now=lambda: now))
        return now

    return stop


def delivery() -> WebhookDelivery:
    return WebhookDelivery.objects.get()


def answering(*statuses: int) -> Any:
    """Answers the first request with the first status, and so on; the last one from then on."""
    left = list(statuses)
    return lambda request: Reply(status=left.pop(0) if len(left) > 1 else left[0])


def test_an_event_arrives_signed_and_named_as_the_specification_says(subscription: Subscription) -> None:
    at = timezone.now()
    happens("dispute.opened", at=at, dispute="d1", reference="D-7K3M-92QF")
    work()
    (request,) = subscription.receiver.received
    event = verified(request, subscription.secret)
    assert event == {
        "type": "dispute.opened",
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "data": {"dispute": "d1", "reference": "D-7K3M-92QF"},
    }
    assert request.headers["webhook-id"].startswith("msg_")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{subscription.receiver.port}"
    assert (delivery().state, delivery().last_status, delivery().attempts) == ("delivered", 200, 1)


def test_a_changed_body_or_another_secret_does_not_verify(subscription: Subscription) -> None:
    happens(note="ten")
    work()
    (request,) = subscription.receiver.received
    changed = Received(path=request.path, headers=request.headers, body=request.body.replace(b"ten", b"two"))
    with pytest.raises(WebhookVerificationError):
        verified(changed, subscription.secret)
    with pytest.raises(WebhookVerificationError):
        verified(request, "whsec_" + "A" * 43 + "=")


def test_chinese_text_is_signed_as_it_is_sent(subscription: Subscription) -> None:
    happens(note="您的异议已受理")
    work()
    assert subscription.events()[0]["data"] == {"note": "您的异议已受理"}


def test_nothing_is_written_where_nobody_listens() -> None:
    happens()
    assert not WebhookMessage.objects.exists()
    assert not OutboxTopic.objects.filter(topic="webhook.queued").exists()


def test_an_endpoint_hears_the_events_it_asked_for_and_no_others() -> None:
    with listening() as one, listening() as other:
        some, every = register(one, events=("dispute.closed", "hold.placed")), register(other)
        for event in ("dispute.opened", "hold.placed", "dispute.closed"):
            happens(event)
        work()
        assert [event["type"] for event in some.events()] == ["hold.placed", "dispute.closed"]
        assert [event["type"] for event in every.events()] == ["dispute.opened", "hold.placed", "dispute.closed"]


def test_an_event_that_is_not_in_the_list_is_a_mistake_of_ours(subscription: Subscription) -> None:
    with pytest.raises(ValueError, match="no such event"):
        happens("dispute.exploded")


def test_what_was_rolled_back_was_never_announced(subscription: Subscription) -> None:
    with transaction.atomic():
        announce(event="dispute.opened", key="d1", data={}, at=timezone.now())
        transaction.set_rollback(True)
    work()
    assert subscription.receiver.received == []


def test_a_failure_is_tried_again_later_and_later_with_the_same_id_and_a_new_signature(
    subscription: Subscription,
) -> None:
    subscription.receiver.reply = answering(500, 503, 200)
    happens()
    start = timezone.now()
    assert try_at(start, subscription) == 1
    assert try_at(start + timedelta(seconds=4), subscription) == 0
    assert try_at(start + timedelta(seconds=6), subscription) == 1
    assert try_at(start + timedelta(seconds=30), subscription) == 0
    assert try_at(start + timedelta(seconds=37), subscription) == 1
    first, second, third = subscription.receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == third.headers["webhook-id"]
    assert first.body == second.body == third.body
    assert len({request.headers["webhook-signature"] for request in subscription.receiver.received}) == 3
    assert delivery().state == "delivered"


def test_the_later_event_of_one_dispute_waits_for_the_earlier_one_and_another_dispute_does_not(
    subscription: Subscription, stands: Callable[[], datetime]
) -> None:
    subscription.receiver.reply = lambda request: Reply(status=500 if b'"first"' in request.body else 200)
    happens(key="d1", note="first")
    happens(key="d1", note="second")
    happens(key="d2", note="another")
    now = stands()
    work()
    assert [event["data"]["note"] for event in subscription.events()] == ["first", "another"]
    subscription.receiver.reply = lambda request: Reply()
    assert try_at(now + timedelta(seconds=6), subscription) == 2
    assert [event["data"]["note"] for event in subscription.events()] == ["first", "another", "first", "second"]


def test_a_delivery_that_fails_for_three_days_is_parked_and_the_next_one_has_its_turn(
    subscription: Subscription,
) -> None:
    subscription.receiver.reply = lambda request: Reply(status=500 if b'"first"' in request.body else 200)
    happens(note="first")
    happens(note="second")
    start = now = timezone.now()
    while WebhookDelivery.objects.filter(state="pending").exists():
        try_at(now, subscription)
        now += timedelta(hours=1)
        assert now < start + timedelta(days=4)
    assert now > start + timedelta(days=3)
    parked, delivered = WebhookDelivery.objects.order_by("message")
    assert (parked.state, parked.last_status, parked.last_error) == ("parked", 500, "answered 500")
    assert parked.parked_at is not None
    assert parked.parked_at >= start + timedelta(days=3)
    assert delivered.state == "delivered"


def test_a_parked_delivery_can_be_sent_again(subscription: Subscription) -> None:
    subscription.receiver.reply = answering(500)
    happens()
    try_at(timezone.now() + timedelta(days=4), subscription)
    assert delivery().state == "parked"
    subscription.receiver.reply = answering(200)
    assert delivering.send_again(delivery_ids=[delivery().pk], now=timezone.now()) == 1
    assert delivering.send_again(delivery_ids=[delivery().pk], now=timezone.now()) == 0
    work()
    assert delivery().state == "delivered"


def test_an_endpoint_that_says_gone_is_switched_off_and_what_waits_goes_out_once_it_is_on_again(
    subscription: Subscription,
) -> None:
    subscription.receiver.reply = answering(410)
    happens(note="first")
    happens(note="second")
    work()
    shown = subscription.api.get(subscription.address).json()
    assert (shown["enabled"], shown["disabled_because"]) == (False, "it answered 410 (gone)")
    happens(note="while it was off")
    subscription.receiver.reply = answering(200)
    assert delivering.due_keys(now=timezone.now()) == []
    assert subscription.api.request("PATCH", subscription.address, b'{"enabled": true}').status_code == 200
    assert len(delivering.due_keys(now=timezone.now())) == 1
    try_at(timezone.now(), subscription)
    assert [event["data"]["note"] for event in subscription.events()] == ["first", "first", "second"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(subscription: Subscription, status: int) -> None:
    with listening() as elsewhere:
        subscription.receiver.reply = lambda request: Reply(status=status, headers={"Location": elsewhere.url})
        happens()
        work()
        assert elsewhere.received == []
    assert (delivery().state, delivery().last_error) == ("pending", "redirect not followed")


def test_an_endpoint_may_ask_for_a_longer_wait_but_not_for_a_week(subscription: Subscription) -> None:
    subscription.receiver.reply = lambda request: Reply(status=429, headers={"Retry-After": "600"})
    happens()
    start = timezone.now()
    try_at(start, subscription)
    assert delivery().next_at == start + timedelta(seconds=600)
    subscription.receiver.reply = lambda request: Reply(status=503, headers={"Retry-After": "604800"})
    try_at(start + timedelta(seconds=600), subscription)
    assert delivery().next_at == start + timedelta(seconds=600 + 3600)


def test_an_endless_answer_counts_by_its_status_alone(subscription: Subscription) -> None:
    subscription.receiver.reply = lambda request: Reply(
        raw=b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 100_000
    )
    happens()
    work()
    assert delivery().state == "delivered"


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(hang_up=True), "not an answer of HTTP"),
        (Reply(raw=b"SSH-2.0-OpenSSH\r\n"), "not an answer of HTTP"),
        (Reply(raw=b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000), "not an answer of HTTP"),
    ],
)
def test_what_is_not_an_answer_is_a_failure(subscription: Subscription, reply: Reply, error: str) -> None:
    subscription.receiver.reply = lambda request: reply
    happens()
    work()
    assert (delivery().state, delivery().last_status) == ("pending", None)
    assert delivery().last_error in (error, "no answer")


def test_an_endpoint_that_never_answers_rests_and_then_gets_one_try_at_a_time(
    subscription: Subscription, stands: Callable[[], datetime]
) -> None:
    subscription.receiver.reply = lambda request: Reply(hang_up=True)
    for number in range(5):
        happens(key=f"d{number}")
    now = stands()
    work()
    assert len(subscription.receiver.received) == delivering.REST_AFTER
    assert delivering.due_keys(now=now) == []
    now += timedelta(seconds=6)
    assert len(delivering.due_keys(now=now)) == 5
    assert sum(try_at(now, subscription, key=f"d{number}") for number in range(5)) == 1
    subscription.receiver.reply = lambda request: Reply()
    now += timedelta(minutes=1)
    assert sum(try_at(now, subscription, key=f"d{number}") for number in range(5)) == 5
    assert WebhookEndpoint.objects.get().failures == 0


def test_a_name_that_turned_to_the_inside_since_it_was_registered_is_not_connected_to(
    subscription: Subscription, settings: Any
) -> None:
    """DNS rebinding: the name was public when it was looked at, and is this machine's now."""
    settings.WEBHOOKS_TO_LOOPBACK = False
    WebhookEndpoint.objects.update(url=f"http://rebound.example:{subscription.receiver.port}/hook")
    happens()
    try_at(timezone.now(), subscription, resolve=lambda host, port: ["127.0.0.1"])
    assert subscription.receiver.received == []
    assert (delivery().state, delivery().last_error) == ("pending", "address refused")


def test_the_connection_goes_to_the_address_that_was_looked_at_and_the_name_is_asked_once(
    subscription: Subscription,
) -> None:
    asked: list[str] = []

    def flips(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    WebhookEndpoint.objects.update(url=f"http://flips.example:{subscription.receiver.port}/hook?a=b")
    happens()
    try_at(timezone.now(), subscription, resolve=flips)
    (request,) = subscription.receiver.received
    assert asked == ["flips.example"]
    assert request.headers["host"] == f"flips.example:{subscription.receiver.port}"
    assert request.path == "/hook?a=b"


def test_for_a_day_after_a_change_both_secrets_sign(subscription: Subscription) -> None:
    changed = subscription.api.post(f"{subscription.address}/secret")
    assert changed.status_code == 201
    new = changed.json()["secret"]
    assert new != subscription.secret
    happens()
    work()
    (request,) = subscription.receiver.received
    assert verified(request, subscription.secret) == verified(request, new)
    later = timezone.now() + timedelta(hours=25)
    happens(key="d2")
    try_at(later, subscription, key="d2")
    signatures = subscription.receiver.received[1].headers["webhook-signature"]
    webhook_id, body = subscription.receiver.received[1].headers["webhook-id"], subscription.receiver.received[1].body
    assert signatures == Webhook(new).sign(webhook_id, later, body.decode())


def test_a_removed_endpoint_hears_nothing_more(subscription: Subscription) -> None:
    happens()
    assert subscription.api.request("DELETE", subscription.address).status_code == 204
    happens(key="d2")
    work()
    assert subscription.receiver.received == []
    assert subscription.api.get(subscription.address).status_code == 404
    assert subscription.api.request("DELETE", subscription.address).status_code == 404
    assert WebhookEndpoint.objects.get().secret is None


def test_old_deliveries_are_tidied_away_and_young_and_pending_ones_stay(subscription: Subscription) -> None:
    happens(key="d1")
    work()
    subscription.receiver.reply = answering(500)
    happens(key="d2")
    work()
    now = timezone.now()
    assert delivering.tidy(now=now + timedelta(days=29)) == 0
    assert delivering.tidy(now=now + timedelta(days=31)) == 1
    assert [row.key for row in WebhookMessage.objects.all()] == ["d2"]


def test_the_body_names_its_fields_in_one_order_so_that_it_is_the_same_text_at_each_try(
    subscription: Subscription,
) -> None:
    happens(b=1, a=2)
    work()
    assert list(json.loads(subscription.receiver.received[0].body)) == ["type", "timestamp", "data"]
