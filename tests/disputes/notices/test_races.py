"""Many workers at once: one delivery a time for each key, in order, none lost; one notice, handed over once."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from disputes.notices import delivering, sending
from disputes.notices.models import Notice, WebhookDelivery
from disputes.notices.ports import Handed
from disputes.notices.receipts import note_receipt
from disputes.notices.sending import NewNotice, StillSending, queue_notice, send_notice
from disputes.notices.webhooks import announce, remove_endpoint
from disputes.outbox.models import OutboxTopic
from tests.http_receiver import Received, Reply
from tests.races import PATIENCE, at_once
from tests.webhook_receiver import Subscription, subscribed

pytestmark = pytest.mark.django_db(transaction=True)

KEYS, EVENTS, WORKERS = 4, 6, 8


class Ledger:
    """What a receiver saw, key by key. One request in four is refused, and each takes a while: slowly, and nothing
    before two are here, of one key where `of_one_key`. How quickly the others come is the machine's."""

    def __init__(self, *, of_one_key: bool = False) -> None:
        self.of_one_key = of_one_key
        self.taken: dict[str, list[int]] = defaultdict(list)
        self.at_work: dict[str, int] = defaultdict(int)
        self.overlaps = 0
        self.two = threading.Event()
        self.lock = threading.Lock()
        self.chance = random.Random(4)

    def reply(self, request: Received) -> Reply:
        data = json.loads(request.body)["data"]
        with self.lock:
            self.at_work[data["key"]] += 1
            self.overlaps += self.at_work[data["key"]] > 1
            refused = self.chance.random() < 0.25
            if self.overlaps or (not self.of_one_key and sum(self.at_work.values()) > 1):
                self.two.set()
        self.two.wait(5)
        time.sleep(0.01)
        with self.lock:
            self.at_work[data["key"]] -= 1
            if not refused:
                self.taken[data["key"]].append(data["number"])
        return Reply(status=500 if refused else 200)


class FastClock:
    """Ten minutes pass with each look, so that nobody waits for a retry."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = timezone.now()

    def __call__(self) -> datetime:
        with self.lock:
            self.now += timedelta(minutes=10)
            return self.now


@pytest.fixture
def subscription() -> Iterator[Subscription]:
    with subscribed() as one:
        yield one


def race(subscription: Subscription, *, until_overlap: bool = False) -> Ledger:
    """Announces events of several keys and lets workers loose on all of them at once."""
    ledger, clock = Ledger(of_one_key=until_overlap), FastClock()
    subscription.receiver.reply = ledger.reply
    for number in range(EVENTS):
        with transaction.atomic():
            for key in range(KEYS):
                announce(
                    event="dispute.checked", key=f"d{key}", data={"key": f"d{key}", "number": number}, at=clock.now
                )
    WebhookDelivery.objects.update(retry_until=clock.now + timedelta(days=300_000))
    end = time.monotonic() + 2 * PATIENCE

    def work() -> None:
        while time.monotonic() < end:
            waiting = delivering.due_keys(now=clock())
            done = not waiting and not WebhookDelivery.objects.filter(state="pending").exists()
            if done or (until_overlap and ledger.overlaps):
                return
            random.shuffle(waiting)
            for endpoint_id, key in waiting:
                delivering.deliver_in_turn(endpoint_id=endpoint_id, key=key, clock=clock)
            time.sleep(0.002)

    assert [one for one in at_once([work] * WORKERS) if one is not None] == []
    return ledger


def test_workers_at_once_deliver_each_event_once_and_in_order(subscription: Subscription) -> None:
    ledger = race(subscription)
    assert dict(ledger.taken) == {f"d{key}": list(range(EVENTS)) for key in range(KEYS)}
    assert ledger.overlaps == 0
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {"delivered"}
    assert subscription.receiver.most_in_flight > 1, "different keys go at once"


def test_without_the_claim_one_key_is_delivered_by_several_at_once(
    subscription: Subscription, monkeypatch: Any
) -> None:
    monkeypatch.setattr(delivering, "CLAIMED_FOR", timedelta(0))
    monkeypatch.setattr(delivering, "TURN", 0.1)  # they take each other's records away, and would not come to an end
    ledger = race(subscription, until_overlap=True)
    assert ledger.overlaps > 0


def test_a_worker_that_died_after_its_claim_loses_nothing(subscription: Subscription, monkeypatch: Any) -> None:
    with transaction.atomic():
        announce(event="dispute.opened", key="d1", data={}, at=timezone.now())
    endpoint = uuid.UUID(subscription.id)

    def dies(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(delivering, "post", dies)
        with pytest.raises(KeyboardInterrupt):
            delivering.deliver_next(endpoint_id=endpoint, key="d1", now=timezone.now())
    assert delivering.due_keys(now=timezone.now()) == [], "its claim still stands"
    WebhookDelivery.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert delivering.due_keys(now=timezone.now()) == [(endpoint, "d1")]
    assert delivering.deliver_next(endpoint_id=endpoint, key="d1", now=timezone.now())
    assert WebhookDelivery.objects.get().state == "delivered"


def test_an_endpoint_that_is_removed_while_events_are_announced_fails_none_of_their_transactions(
    subscription: Subscription,
) -> None:
    removed = threading.Event()

    def announces() -> None:
        for number in range(30):
            with transaction.atomic():
                announce(event="dispute.opened", key=f"d{number}", data={}, at=timezone.now())
                if number == 5:
                    assert removed.wait(PATIENCE)

    def removes() -> None:
        time.sleep(0.02)
        remove_endpoint(endpoint_id=uuid.UUID(subscription.id), now=timezone.now())
        removed.set()

    assert at_once([announces, removes]) == [None, None]


def queued(**changes: Any) -> Notice:
    said = {"kind": "outcome", "key": "1", "channel": "sms", "address": "+8613812340001", "language": "en"}
    with transaction.atomic():
        return queue_notice(
            NewNotice(**{**said, "subject": uuid.UUID(int=7), "text": "Closed.", **changes}), now=timezone.now()
        )


class SlowPort:
    """A carrier that takes as long as what it does `during` each, and counts."""

    def __init__(self) -> None:
        self.sent: list[uuid.UUID] = []
        self.during: Callable[[], Any] = lambda: None

    def send(self, notice: Notice) -> Handed:
        self.sent.append(notice.pk)
        self.during()
        return Handed(reference=f"ref-{len(self.sent)}")


def test_the_same_notice_queued_by_many_at_once_is_one_notice_with_one_topic() -> None:
    found = at_once([lambda: queued().pk] * 8)
    assert len(set(found)) == 1
    assert Notice.objects.count() == OutboxTopic.objects.filter(topic="notice.queued").count() == 1


def test_workers_at_once_hand_a_notice_over_once() -> None:
    notice, port, refused = queued(), SlowPort(), threading.Event()
    port.during = partial(refused.wait, PATIENCE)

    def hand_over() -> None:
        try:
            send_notice(notice_id=notice.pk, now=timezone.now(), port=port)
        except StillSending:
            refused.set()
            raise

    results = at_once([hand_over] * 8)
    assert port.sent == [notice.pk]
    assert {type(result) for result in results} == {type(None), StillSending}


def test_without_the_claim_they_hand_it_over_several_times(monkeypatch: Any) -> None:
    monkeypatch.setattr(sending, "CLAIMED_FOR", timedelta(0))
    notice, port, several = queued(), SlowPort(), threading.Event()
    port.during = lambda: several.set() if len(port.sent) > 1 else several.wait(PATIENCE)
    at_once([lambda: send_notice(notice_id=notice.pk, now=timezone.now(), port=port)] * 8)
    assert len(port.sent) > 1


def test_a_receipt_that_is_quicker_than_the_record_of_the_handing_over_stays() -> None:
    notice, port = queued(), SlowPort()

    def receipt() -> None:
        now = timezone.now()
        with transaction.atomic():
            note_receipt(notice_id=notice.pk, status="delivered", at=now, now=now)

    port.during = receipt
    send_notice(notice_id=notice.pk, now=timezone.now(), port=port)
    notice.refresh_from_db()
    assert (notice.state, notice.provider_ref) == ("delivered", "ref-1")
    assert notice.handed_over_at is not None


def test_receipts_at_once_tell_once() -> None:
    notice = queued()
    send_notice(notice_id=notice.pk, now=timezone.now(), port=SlowPort())

    def receipt() -> None:
        now = timezone.now()
        with transaction.atomic():
            note_receipt(notice_id=notice.pk, status="delivered", at=now, now=now)

    assert at_once([receipt] * 6) == [None] * 6
    assert OutboxTopic.objects.filter(topic="notice.delivered").count() == 1
