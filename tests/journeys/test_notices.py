"""Webhooks and notices on the running service: what the worker and beat do of themselves, and after being killed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.http_receiver import Received, Receiver, Reply, listening
from tests.stack import Stack
from tests.webhook_receiver import verified

ANNOUNCE = """
from django.db import transaction
from django.utils import timezone
from disputes.notices.webhooks import announce
with transaction.atomic():
    for number in range(3):
        announce(event="dispute.checked", key="d1", data={"number": number}, at=timezone.now())
"""
QUEUE = """
import uuid
from django.db import transaction
from django.utils import timezone
from disputes.notices.sending import NewNotice, queue_notice
with transaction.atomic():
    new = NewNotice(kind="outcome", subject=uuid.uuid4(), key="1", channel="sms", address="+8613812340001",
                    language="en", text="Closed.")
    notice = queue_notice(new, now=timezone.now())
print(notice.pk)
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as one:
        yield one


def is_ours(request: Received) -> bool:
    """Not of a dispute of an earlier test, which the worker checks only now."""
    return "number" in json.loads(request.body)["data"]


def test_refused_events_come_again_by_themselves_signed_and_in_order(stack: Stack, receiver: Receiver) -> None:
    refused: list[Received] = []

    def reply(request: Received) -> Reply:
        if refused or not is_ours(request):
            return Reply()
        refused.append(request)
        return Reply(status=500)

    def numbers() -> list[int]:
        ours = [request for request in list(receiver.received) if is_ours(request)]
        return [verified(request, registered["secret"])["data"]["number"] for request in ours]

    receiver.reply = reply
    api = stack.client()
    registered = api.post("/webhook-endpoints", json={"url": receiver.url, "events": ["dispute.checked"]}).json()
    try:
        stack.manage("shell", "-c", ANNOUNCE)
        stack.wait_for(lambda: 2 in numbers())
        # One that was answered too late comes once more: at least once is what is promised.
        came = numbers()
        assert came[:2] == [0, 0]
        assert sorted(came) == came
        assert set(came) == {0, 1, 2}
    finally:
        assert api.delete(f"/webhook-endpoints/{registered['id']}").status_code == 204


def test_a_notice_that_was_queued_while_the_worker_was_dead_is_sent_once_it_is_back_and_its_receipt_taken(
    stack: Stack,
) -> None:
    stack.kill_worker()
    notice = stack.manage("shell", "-c", QUEUE).split()[-1]
    stack.start_worker()
    api = stack.client()
    receipt = {"id": notice, "status": "delivered", "at": "2026-01-01T00:00:00Z"}
    # 409 as long as nobody has tried to send it.
    stack.wait_for(lambda: api.post("/delivery-receipts", json=receipt).status_code != 409, seconds=240)
    assert api.post("/delivery-receipts", json=receipt).json()["status"] == "delivered"
    stack.wait_for(lambda: any("+86138****0001" in line and notice in line for _, line in list(stack.log)))
