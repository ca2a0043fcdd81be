"""When the hold of a closed dispute ends."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from disputes.cases.models import Dispute
from disputes.cases.releasing import note_corrected, presume_delivered, resume_due, say_undeliverable
from disputes.cases.transactions import in_transaction
from disputes.holds.by_hand import lift
from disputes.holds.models import Hold
from disputes.notices.models import Notice
from tests.callers import customer, system
from tests.disputes.cases.back_office import actor_of, agent, decided, in_review
from tests.disputes.cases.test_opening import dispute
from tests.lines import in_arrears, repayment_line, send_records
from tests.work import work

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann():
    return agent("ann")


@pytest.fixture
def case(ann):
    send_records(*in_arrears())
    return in_review("already_paid")


def hold() -> Hold:
    return Hold.objects.get()


def receipt(case: Dispute, status: str, **more):
    notice = Notice.objects.get(kind="outcome", subject=case.pk)
    body = {"id": str(notice.pk), "status": status, "at": timezone.now().isoformat(), **more}
    answer = system("inbound:write").post("/api/v1/delivery-receipts", body)
    assert answer.status_code < 300, answer.content
    work()


def later(**delta: float):
    return timezone.now() + timedelta(**delta)


class TestTheHoldOfARejection:
    def test_waits_for_the_outcomes_delivery(self, case, ann):
        decided(case, ann)
        work()
        assert (hold().released_at, hold().reason) == (None, "outcome_not_delivered")

    def test_stands_two_days_more_after_the_receipt_so_that_the_letter_can_be_read(self, case, ann):
        decided(case, ann)
        work()
        receipt(case, "delivered")
        assert (hold().released_at, hold().reason) == (None, "dispute_pending")
        assert resume_due(now=later(hours=47)) == 0
        assert hold().released_at is None
        assert resume_due(now=later(hours=49)) == 1
        assert hold().release_reason == "resumed_after_rejection"

    def test_is_resumed_once(self, case, ann):
        decided(case, ann)
        work()
        receipt(case, "delivered")
        resume_due(now=later(hours=49))
        assert resume_due(now=later(hours=50)) == 0

    def test_is_delivered_by_the_openers_own_reading(self, case, ann):
        decided(case, ann)
        customer("C1").get(f"/api/v1/disputes/{case.pk}")
        work()
        assert hold().reason == "dispute_pending"

    def test_is_delivered_by_the_openers_reading_of_the_letter(self, case, ann):
        decided(case, ann)
        answer = customer("C1").get(f"/api/v1/disputes/{case.pk}/letter", Accept="text/html")
        assert answer.status_code == 200, answer.content
        work()
        assert hold().reason == "dispute_pending"

    def test_is_not_delivered_by_a_systems_reading(self, case, ann):
        decided(case, ann)
        system("disputes:read").get(f"/api/v1/disputes/{case.pk}")
        work()
        assert hold().reason == "outcome_not_delivered"


class TestAnOutcomeThatWasHandedOver:
    def test_counts_as_delivered_after_three_days_without_a_failure(self, case, ann):
        decided(case, ann)
        work()
        assert presume_delivered(now=later(hours=71)) == 0
        assert presume_delivered(now=later(hours=73)) == 1
        work()
        assert hold().reason == "dispute_pending"

    def test_and_failed_is_never_presumed(self, case, ann):
        decided(case, ann)
        work()
        receipt(case, "failed")
        assert presume_delivered(now=later(hours=73)) == 0
        assert Dispute.objects.get().outcome_failed_at is not None
        assert hold().reason == "outcome_not_delivered"

    def test_and_failed_may_be_called_undeliverable_by_an_agent(self, case, ann):
        decided(case, ann)
        work()
        receipt(case, "failed")
        act = {"dispute_id": case.pk, "why": "number is dead", "actor": actor_of(ann), "now": timezone.now()}
        assert in_transaction(lambda: say_undeliverable(**act))
        work()
        assert hold().reason == "dispute_pending"


class TestAnUpheldDispute:
    def test_whose_payment_the_records_do_not_show_waits_for_their_correction(self, case, ann):
        decided(case, ann, "upheld")
        work()
        receipt(case, "delivered")
        assert (hold().released_at, hold().reason) == (None, "records_not_corrected")

    def test_is_over_when_the_records_show_it(self, case, ann):
        decided(case, ann, "upheld")
        work()
        receipt(case, "delivered")
        send_records(repayment_line("P1", paid="2026-02-01T09:00:00+08:00", posted="2026-02-09T09:00:00+08:00"))
        work()
        assert hold().released_at is not None

    def test_is_not_over_by_a_correction_that_comes_before_the_delivery(self, case, ann):
        decided(case, ann, "upheld")
        send_records(repayment_line("P1", paid="2026-02-01T09:00:00+08:00", posted="2026-02-09T09:00:00+08:00"))
        work()
        assert (hold().released_at, hold().reason) == (None, "outcome_not_delivered")
        receipt(case, "delivered")
        assert hold().released_at is not None

    def test_is_over_by_a_supervisors_word(self, case, ann):
        decided(case, ann, "upheld")
        work()
        receipt(case, "delivered")
        act = {"dispute_id": case.pk, "actor": actor_of(ann), "now": timezone.now(), "by": "supervisor", "why": "seen"}
        assert in_transaction(lambda: note_corrected(**act))
        work()
        assert hold().released_at is not None

    def test_about_a_wrong_number_holds_that_number_for_good(self, ann):
        send_records(*in_arrears())
        case = in_review("not_my_debt")
        decided(case, ann, "upheld", reason="not_their_debt")
        work()
        receipt(case, "delivered")
        assert (hold().released_at, hold().reason) == (None, "wrong_number")
        assert resume_due(now=later(days=400)) == 0

    def test_about_a_wrong_number_holds_it_also_where_its_own_hold_was_lifted_by_hand(self, ann):
        send_records(*in_arrears())
        case = in_review("not_my_debt")
        lifting = {"hold_id": hold().pk, "why": "They called.", "actor": actor_of(ann), "now": timezone.now()}
        assert in_transaction(lambda: lift(**lifting))
        decided(case, ann, "upheld", reason="not_their_debt")
        work()
        standing = Hold.objects.get(released_at__isnull=True)
        assert (standing.reason, standing.scope, standing.dispute) == ("wrong_number", "phone", case.pk)

    def test_about_a_number_that_nobody_knows_does_not_hold_the_customer_for_good(self, ann):
        send_records(*in_arrears())
        unknown = dispute(customer("C1"), {"short_ref": "S-nobodys"}, ground="not_my_debt").json()["id"]
        work()
        decided(Dispute.objects.get(pk=unknown), ann, "upheld", reason="not_their_debt")
        work()
        assert hold().reason == "outcome_not_delivered"
        page = customer("C1").get(f"/api/v1/disputes/{unknown}/letter").content.decode()
        assert "No collection message goes to this number" not in page
        work()
        assert hold().released_at is not None
