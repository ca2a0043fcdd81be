"""POST /delivery-receipts: what the carrier says became of a notice."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from config.api.fields import render_instant
from disputes.notices.models import Notice
from disputes.notices.ports import Handed
from disputes.notices.sending import NewNotice, queue_notice, send_notice
from disputes.outbox.models import OutboxTopic
from tests.callers import Api, system

pytestmark = pytest.mark.django_db


class Carrier:
    def __init__(self, reference: str) -> None:
        self.reference = reference

    def send(self, notice: Notice) -> Handed:
        return Handed(reference=self.reference)


@pytest.fixture
def api() -> Api:
    return system("inbound:write")


def sent(*, key: str = "1", reference: str = "g-1", ago: timedelta = timedelta(hours=1)) -> Notice:
    now = timezone.now() - ago
    with transaction.atomic():
        notice = queue_notice(
            NewNotice(
                kind="outcome",
                subject=uuid.UUID(int=5),
                key=key,
                channel="sms",
                address="+8613812340001",
                language="en",
                text="Closed.",
            ),
            now=now,
        )
    send_notice(notice_id=notice.pk, now=now, port=Carrier(reference))
    return Notice.objects.get(pk=notice.pk)


def receipt(api: Api, key: object, status: str = "delivered", at: datetime | str | None = None, **headers: str) -> Any:
    instant = at if isinstance(at, str) else render_instant(at or timezone.now())
    return api.post("/api/v1/delivery-receipts", {"id": str(key), "status": status, "at": instant}, **headers)


def told(topic: str) -> int:
    return OutboxTopic.objects.filter(topic=topic).count()


def test_a_receipt_names_the_notice_by_its_id_or_by_the_carriers_reference(api: Api) -> None:
    one, other = sent(key="1", reference="g-1"), sent(key="2", reference="g-2")
    at = timezone.now() - timedelta(minutes=1)
    answer = receipt(api, one.pk, at=at)
    assert answer.status_code == 200
    assert answer.json() == {"id": str(one.pk), "status": "delivered", "at": render_instant(at)}
    assert receipt(api, "g-2").json()["id"] == str(other.pk)
    assert {notice.state for notice in Notice.objects.all()} == {"delivered"}
    assert OutboxTopic.objects.filter(topic="notice.delivered").values_list("payload", flat=True)[0] == {
        "notice": str(one.pk),
        "kind": "outcome",
        "subject": str(uuid.UUID(int=5)),
    }


def test_the_same_receipt_again_changes_nothing_and_answers_the_same(api: Api) -> None:
    notice = sent()
    at = timezone.now() - timedelta(minutes=5)
    first = receipt(api, notice.pk, at=at)
    again = receipt(api, notice.pk, at=at + timedelta(minutes=2))
    assert first.json() == again.json()
    assert told("notice.delivered") == 1


def test_a_failure_is_told_once_and_a_delivery_after_it_overrules_it(api: Api) -> None:
    notice = sent()
    assert receipt(api, notice.pk, "failed").json()["status"] == "failed"
    receipt(api, notice.pk, "failed")
    assert told("notice.failed") == 1
    assert receipt(api, notice.pk, "delivered").json()["status"] == "delivered"
    notice.refresh_from_db()
    assert (notice.state, notice.failure) == ("delivered", "")
    assert told("notice.delivered") == 1


def test_a_failure_after_the_delivery_is_ignored(api: Api) -> None:
    notice = sent()
    receipt(api, notice.pk, "delivered")
    assert receipt(api, notice.pk, "failed").json()["status"] == "delivered"
    assert told("notice.failed") == 0


@pytest.mark.parametrize("key", ["nobody-knows-it", "01890a5d-ac96-774b-bcce-b302099a8057", "", " ", "x" * 200])
def test_an_unknown_notice_is_404_and_no_id_is_400(api: Api, key: str) -> None:
    answer = receipt(api, key)
    assert answer.status_code == (404 if key.strip() else 400)
    assert set(answer.json()) == {"type", "errors"}


def test_an_instant_in_the_future_is_refused_but_not_for_a_clock_that_is_a_little_ahead(api: Api) -> None:
    notice = sent()
    refused = receipt(api, notice.pk, at=timezone.now() + timedelta(minutes=2))
    assert refused.status_code == 400
    assert (refused.json()["errors"][0]["attr"], refused.json()["errors"][0]["code"]) == ("at", "in_the_future")
    assert receipt(api, notice.pk, at=timezone.now() + timedelta(seconds=5)).status_code == 200
    notice.refresh_from_db()
    assert notice.delivered_at is not None
    assert notice.delivered_at <= timezone.now()


def test_an_instant_before_the_notice_was_queued_counts_as_that_one(api: Api) -> None:
    notice = sent()
    receipt(api, notice.pk, at=notice.queued_at - timedelta(days=1))
    notice.refresh_from_db()
    assert notice.delivered_at == notice.queued_at


def test_a_notice_that_nobody_has_tried_to_send_cannot_have_arrived(api: Api) -> None:
    notice = sent()
    Notice.objects.update(state="queued", attempts=0)
    answer = receipt(api, notice.pk)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "not_sent_yet")


def test_a_failure_of_a_notice_that_was_given_up_is_not_told_twice(api: Api) -> None:
    notice = sent()
    Notice.objects.update(state="unknown", failed_at=timezone.now())
    assert receipt(api, notice.pk, "failed").json()["status"] == "failed"
    assert told("notice.failed") == 0
    assert receipt(api, notice.pk, "delivered").json()["status"] == "delivered"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id": "g-1", "status": "read", "at": "2026-01-01T00:00:00Z"},
        {"id": "g-1", "status": "delivered"},
        {"id": "g-1", "status": "delivered", "at": "2026-01-01"},
        {"id": "g-1", "status": "delivered", "at": "2026-01-01T00:00:00"},
        {"id": 7, "status": "delivered", "at": "2026-01-01T00:00:00Z"},
        {"id": "g\u0000", "status": "delivered", "at": "2026-01-01T00:00:00Z"},
        {"id": "g-1", "status": "delivered", "at": "2026-01-01T00:00:00Z", "extra": 1},
        [],
    ],
)
def test_a_body_that_is_not_a_receipt_is_refused(api: Api, body: Any) -> None:
    assert api.post("/api/v1/delivery-receipts", body).status_code == 400


def test_with_a_key_the_first_answer_is_replayed(api: Api) -> None:
    notice = sent()
    at = timezone.now() - timedelta(minutes=1)
    first = receipt(api, notice.pk, at=at, Idempotency_Key="k1")
    again = receipt(api, notice.pk, at=at, Idempotency_Key="k1")
    assert first.content == again.content
    assert again["Idempotent-Replayed"] == "true"
