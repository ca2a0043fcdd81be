"""The mark of disputed data, where they leave for other systems."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone

from disputes.cases.models import Dispute
from disputes.notices.models import WebhookEndpoint, WebhookMessage
from disputes.notices.webhooks import new_secret
from tests.callers import customer, system
from tests.disputes.desk.staff import dispute_in_review, supervisor
from tests.lines import in_arrears
from tests.work import work

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _listening() -> None:
    """An endpoint where nobody listens: what is written for it is looked at here."""
    WebhookEndpoint.objects.create(url="https://127.0.0.1:9/hook", secret=new_secret(), created_at=timezone.now())


def read_by_the_lender(dispute: Dispute) -> Any:
    return system("disputes:read").get(f"/api/v1/disputes/{dispute.pk}").json()


def announced() -> list[dict[str, Any]]:
    said = WebhookMessage.objects.filter(event__startswith="dispute.").order_by("seq")
    return [json.loads(one.body)["data"]["dispute"] for one in said]


def test_where_the_pack_asks_for_it_the_mark_goes_out_with_every_event_and_answer(settings: Any) -> None:
    settings.POLICY_PACK = "tw"
    case = dispute_in_review(*in_arrears())
    assert read_by_the_lender(case)["disputed"] is True
    assert announced()
    assert all(one["disputed"] is True for one in announced())
    said = {"outcome": "rejected", "reason": "payment_not_found", "explanation": "We found nothing."}
    supervisor().act(case, "decide", **said)
    work()
    case.refresh_from_db()
    assert case.outcome == "rejected"
    assert read_by_the_lender(case)["disputed"] is False
    assert announced()[-1]["disputed"] is False
    listed = system("disputes:read").get("/api/v1/disputes").json()["results"]
    assert [row["disputed"] for row in listed] == [False]


def test_the_customer_needs_no_mark_on_their_own_dispute(settings: Any) -> None:
    settings.POLICY_PACK = "tw"
    case = dispute_in_review(*in_arrears())
    assert "disputed" not in customer("C1").get(f"/api/v1/disputes/{case.pk}").json()


def test_another_pack_leaves_answers_and_events_as_they_were() -> None:
    case = dispute_in_review(*in_arrears())
    assert "disputed" not in read_by_the_lender(case)
    assert not any("disputed" in one for one in announced())
