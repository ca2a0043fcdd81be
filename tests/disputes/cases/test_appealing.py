"""An appeal puts a decided dispute back in review, once, before somebody else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from disputes.cases.deciding import DecidedBefore
from disputes.cases.models import Dispute
from disputes.cases.releasing import presume_delivered, resume_due
from disputes.holds.models import Hold
from disputes.notices.models import Notice
from disputes.routing.assigning import assign_waiting
from disputes.routing.models import Clock, RoutedCase
from tests.callers import customer, system
from tests.disputes.cases.back_office import agent, decided, in_review
from tests.disputes.cases.test_opening import dispute as open_dispute
from tests.lines import in_arrears, late_posting, send_records
from tests.races import at_once
from tests.work import work

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ann():
    return agent("ann")


@pytest.fixture
def rejected(ann):
    send_records(*in_arrears())
    case = in_review()
    decided(case, ann)
    work()
    return case


def appeal(case: Dispute, text: str = "I have a receipt.", **headers: str):
    return customer("C1").post(f"/api/v1/disputes/{case.pk}/appeal", {"text": text}, **headers)


class TestAnAppeal:
    def test_puts_the_dispute_back_in_review_with_a_new_hold(self, rejected):
        answer = appeal(rejected)
        assert answer.status_code == 200, answer.content
        body = answer.json()
        assert (body["status"], body["outcome"], body["closed_at"]) == ("in_review", None, None)
        assert body["permits_out"] == []
        first, second = Hold.objects.order_by("pk")
        assert (first.release_reason, second.released_at, second.reason) == ("appealed", None, "dispute_pending")
        assert body["hold"]["id"] == str(second.pk)
        assert "decision" not in body

    def test_goes_to_another_agent_never_to_who_decided(self, rejected, ann):
        appeal(rejected)
        work()
        assert RoutedCase.objects.get(pk=rejected.pk).owner is None
        bob = agent("bob")
        assign_waiting(now=timezone.now())
        assert RoutedCase.objects.get(pk=rejected.pk).owner == bob

    def test_is_not_decided_by_who_decided_before_whatever_they_may_do(self, rejected, ann):
        appeal(rejected)
        work()
        with pytest.raises(DecidedBefore):
            decided(rejected, ann, any_case=True)

    @pytest.mark.parametrize("status", ["delivered", "failed"])
    def test_is_not_answered_by_a_late_receipt_of_the_first_outcome(self, rejected, status):
        agent("bob")
        first = Notice.objects.get(kind="outcome")
        appeal(rejected)
        work()
        decided(rejected, RoutedCase.objects.get(pk=rejected.pk).owner)
        work()
        said = {"id": str(first.pk), "status": status, "at": timezone.now().isoformat()}
        assert system("inbound:write").post("/api/v1/delivery-receipts", said).status_code == 200
        work()
        rejected.refresh_from_db()
        assert (rejected.outcome_delivered_at, rejected.outcome_failed_at) == (None, None)

    def test_waits_three_days_for_its_own_notice_not_for_the_first_ones(self, rejected):
        agent("bob")
        appeal(rejected)
        work()
        decided(rejected, RoutedCase.objects.get(pk=rejected.pk).owner)
        assert presume_delivered(now=timezone.now() + timedelta(hours=80)) == 0
        work()
        assert presume_delivered(now=timezone.now() + timedelta(hours=80)) == 1

    def test_starts_its_clocks_anew(self, rejected):
        appeal(rejected)
        assert [(clock.round, clock.stopped_at) for clock in Clock.objects.all()] == [(2, None), (2, None)]

    def test_is_made_once(self, rejected):
        agent("bob")
        appeal(rejected)
        work()
        rejected.refresh_from_db()
        decided(rejected, RoutedCase.objects.get(pk=rejected.pk).owner)
        again = appeal(rejected)
        assert (again.status_code, again.json()["errors"][0]["code"]) == (409, "already_appealed")
        letter = customer("C1").get(f"/api/v1/disputes/{rejected.pk}/letter", Accept="text/html")
        assert "appeal once" not in letter.content.decode()

    def test_is_made_once_however_many_try(self, rejected):
        codes = at_once([lambda: appeal(rejected).status_code] * 5)
        assert sorted(codes) == [200, 409, 409, 409, 409]
        assert Hold.objects.filter(released_at__isnull=True).count() == 1

    def test_with_a_key_is_answered_the_same_again(self, rejected):
        first, again = (appeal(rejected, Idempotency_Key="a1") for _ in range(2))
        assert (again.content, again["Idempotent-Replayed"]) == (first.content, "true")

    def test_of_what_is_open_upheld_or_withdrawn_is_409(self, ann):
        send_records(*late_posting())
        case = in_review()
        case.refresh_from_db()
        assert case.outcome == "upheld"
        assert appeal(case).status_code == 409
        send_records(*in_arrears())
        other = in_review("agent_conduct")
        assert appeal(other).status_code == 409
        customer("C1").post(f"/api/v1/disputes/{other.pk}/withdraw")
        assert appeal(other).status_code == 409

    def test_of_anothers_dispute_is_404(self, rejected):
        assert customer("C2").post(f"/api/v1/disputes/{rejected.pk}/appeal", {}).status_code == 404

    def test_is_409_while_another_dispute_of_the_same_is_open(self, rejected):
        second = open_dispute(customer("C1"), ground="not_overdue")
        assert second.status_code == 201
        answer = appeal(rejected)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "already_open")
        rejected.refresh_from_db()
        assert rejected.status == "closed"

    def test_keeps_the_gate_shut_also_where_messages_were_about_to_go_on(self, rejected):
        customer("C1").get(f"/api/v1/disputes/{rejected.pk}")
        work()
        appeal(rejected)
        assert resume_due(now=timezone.now() + timedelta(hours=72)) == 0
        item = {"request_id": "r", "phone": "+8613812340001", "loan": "L1", "channel": "sms", "category": "urge"}
        answer = system("gate").post("/api/v1/gate/decisions?dry_run=true", {"items": [item]}).json()
        assert "dispute_pending" in answer["decisions"][0]["reasons"]

    def test_stands_in_the_time_line_with_its_words(self, rejected):
        appeal(rejected)
        api = customer("C1")
        kinds = [row["kind"] for row in api.get(f"/api/v1/disputes/{rejected.pk}/events").json()["results"]]
        assert "dispute.appealed" in kinds
        rows = api.get(f"/api/v1/disputes/{rejected.pk}/comments").json()["results"]
        assert rows[-1]["text"] == "I have a receipt."

    def test_that_is_withdrawn_leaves_a_wrong_number_held(self, ann):
        send_records(*in_arrears())
        case = in_review("not_my_debt")
        decided(case, ann, "partly_upheld", reason="sent_wrongly")
        work()
        assert appeal(case).status_code == 200
        answer = customer("C1").post(f"/api/v1/disputes/{case.pk}/withdraw")
        assert (answer.status_code, answer.json()["outcome"]) == (200, "withdrawn")
        work()
        standing = Hold.objects.get(released_at__isnull=True)
        assert standing.reason == "wrong_number"
