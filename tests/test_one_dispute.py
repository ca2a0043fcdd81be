"""Fifty parallel calls with one key open one dispute, and give one answer."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from django.db import connection

from disputes.cases.models import Dispute
from disputes.holds.models import Hold
from disputes.outbox.models import OutboxTopic
from tests import callers
from tests.callers import Api
from tests.lender import RECORDS, load_records

TIMES = 50


@pytest.mark.django_db(transaction=True)
def test_fifty_parallel_calls_with_one_key_open_one_dispute() -> None:
    load_records(RECORDS)
    token = callers.customer_token("C1")
    start = threading.Barrier(TIMES)
    answers: list[Any] = []

    def call() -> None:
        start.wait()
        try:
            answers.append(
                Api(token).post(
                    "/api/v1/disputes",
                    {"message": {"external_id": "M1"}, "ground": "already_paid"},
                    Idempotency_Key="one",
                )
            )
        finally:
            connection.close()

    threads = [threading.Thread(target=call) for _ in range(TIMES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == TIMES
    assert (Dispute.objects.count(), Hold.objects.count()) == (1, 1)
    assert OutboxTopic.objects.filter(topic="dispute.opened").count() == 1
    opened = [answer for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len({answer.content for answer in opened}) == 1
    assert ["Idempotent-Replayed" in answer for answer in opened].count(False) == 1
    assert Counter(answer.json()["errors"][0]["code"] for answer in refused) == (
        Counter({"idempotency_key_in_use": len(refused)})
    )
    assert {answer.status_code for answer in refused} <= {409}
