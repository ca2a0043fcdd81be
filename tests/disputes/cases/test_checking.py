"""The check of a dispute and what follows from it."""

from __future__ import annotations

import pytest

from disputes.cases.models import Check, Dispute
from disputes.check import canonical
from disputes.holds.models import Hold
from tests.callers import customer, system
from tests.disputes.cases.test_opening import DISPUTES, dispute, payment
from tests.lines import (
    customer_line,
    in_arrears,
    late_posting,
    loan_lines,
    message_line,
    repayment_line,
    send_records,
    watermarks,
)
from tests.work import work

pytestmark = pytest.mark.django_db

UNTIL = "2026-06-01T00:00:00+08:00"


def shown(body: dict, api=None) -> dict:
    return (api or customer("C1")).get(f"{DISPUTES}/{body['id']}").json()


class TestWhereTheCustomerIsRight:
    def test_the_dispute_closes_as_upheld_by_itself(self):
        send_records(*late_posting())
        body = dispute(customer("C1")).json()
        work()
        after = shown(body)
        assert after["status"] == "closed"
        assert after["outcome"] == "upheld"
        assert after["closed_at"]

    def test_the_customer_reads_why(self):
        send_records(*late_posting())
        body = dispute(customer("C1"), language="zh-hans").json()
        work()
        check = shown(body)["check"]
        assert check["verdict"] == "customer_right"
        assert (check["cause"], check["detail"]) == ("stale_records", "late_posting")
        assert check["facts"]["as_it_was"]["days_past_due"] == 0
        assert check["facts"]["as_known"]["days_past_due"] == 2
        assert check["facts"]["as_known"]["overdue_amount"] == {"amount": "100.00", "currency": "CNY"}
        assert any("2026" in finding["sentence"] for finding in check["findings"])
        assert {finding["speaks_for"] for finding in check["findings"]} <= {"customer", "nobody"}

    def test_the_hold_stays_until_the_customer_has_read_the_outcome(self):
        send_records(*late_posting())
        body = dispute(customer("C1")).json()
        work()
        assert Hold.objects.get().reason == "outcome_not_delivered"
        shown(body, system("disputes:read"))
        work()
        assert Hold.objects.get().released_at is None
        customer("C1").request("HEAD", f"/api/v1/disputes/{body['id']}")
        work()
        assert Hold.objects.get().released_at is None, "a HEAD tells nobody the outcome"
        shown(body)
        work()
        assert Hold.objects.get().release_reason == "outcome_delivered"
        assert shown(body)["hold"]["released_at"]

    def test_a_sample_goes_to_an_agent_all_the_same(self, settings):
        settings.REVIEW_SAMPLE = 1
        send_records(*late_posting())
        body = dispute(customer("C1")).json()
        work()
        assert shown(body)["status"] == "in_review"
        assert shown(body)["check"]["verdict"] == "customer_right"


class TestWhereTheLenderSeemsRight:
    def test_a_person_must_decide(self):
        send_records(*in_arrears())
        body = dispute(customer("C1")).json()
        work()
        after = shown(body)
        assert (after["status"], after["outcome"]) == ("in_review", None)

    def test_the_customer_is_not_told_before_a_person_has_decided(self):
        send_records(*in_arrears())
        body = dispute(customer("C1"), claimed_payments=[payment()]).json()
        work()
        assert Dispute.objects.get().last_check.verdict == "lender_right"
        assert shown(body)["check"] is None
        events = customer("C1").get(f"{DISPUTES}/{body['id']}/events").json()["results"]
        assert "lender_right" not in str(events)
        assert shown(body, system("disputes:read"))["check"]["verdict"] == "lender_right"


class TestRecordsTooOldToTell:
    def test_make_the_check_inconclusive(self):
        lines = [line for line in in_arrears() if line["type"] != "watermark"]
        send_records(*lines, *watermarks("2026-01-15T00:00:00+08:00"))
        dispute(customer("C1"))
        work()
        assert Check.objects.get().verdict == "inconclusive"

    def test_do_not_take_away_what_is_proved(self):
        lines = [line for line in late_posting() if line["type"] != "watermark"]
        send_records(*lines, *watermarks("2026-01-15T00:00:00+08:00"))
        dispute(customer("C1"))
        work()
        assert Check.objects.get().verdict == "customer_right"


class TestAChangedRecord:
    def test_makes_the_check_run_again_while_the_dispute_is_open(self):
        send_records(*in_arrears())
        body = dispute(customer("C1")).json()
        work()
        assert shown(body)["status"] == "in_review"
        send_records(repayment_line("P1", paid="2026-02-01T09:00:00+08:00", posted="2026-02-05T09:00:00+08:00"))
        work()
        after = shown(body)
        assert (after["status"], after["outcome"]) == ("closed", "upheld")
        assert Check.objects.count() == 2

    def test_that_changes_nothing_for_the_check_adds_none(self):
        send_records(*in_arrears())
        dispute(customer("C1"))
        work()
        send_records(*in_arrears())
        work()
        assert Check.objects.count() == 1

    def test_after_closing_leaves_the_outcome_alone(self):
        send_records(*late_posting())
        body = dispute(customer("C1")).json()
        work()
        before = shown(body)
        send_records({"type": "void", "external_id": "V1", "target_type": "repayment", "target": "P1"})
        work()
        after = shown(body)
        assert (after["outcome"], after["check"]) == ("upheld", before["check"])


class TestAMessageThatArrivesLater:
    def opened(self, message: dict, **more) -> dict:
        send_records(customer_line())
        body = dispute(customer("C1"), message, **more).json()
        work()
        assert shown(body)["status"] == "in_review"
        assert shown(body)["message"] is None
        return body

    @pytest.mark.parametrize(
        "form",
        [
            {"external_id": "M1"},
            {"short_ref": "S-M1"},
            {"phone": "+8613812340001", "received_at": "2026-02-03T10:05:00+08:00"},
        ],
    )
    def test_is_joined_checked_and_widens_the_hold(self, form):
        body = self.opened(form)
        send_records(*late_posting())
        work()
        after = shown(body)
        assert after["message"]["external_id"] == "M1"
        assert after["outcome"] == "upheld"
        assert "l:L1" in {cover.key for cover in Hold.objects.get().covers.all()}

    def test_stays_unknown_to_whom_it_does_not_belong(self):
        send_records(customer_line("C2", phone="+8613812340002"))
        body = dispute(customer("C2"), {"external_id": "M1"}).json()
        send_records(*late_posting())
        work()
        assert shown(body, customer("C2"))["message"] is None

    def test_merges_two_descriptions_of_one_message(self):
        send_records(customer_line())
        api = customer("C1")
        first = dispute(api, {"external_id": "M1"}).json()
        second = dispute(api, {"short_ref": "S-M1"}).json()
        send_records(*in_arrears())
        work()
        outcomes = {shown(body)["outcome"] for body in (first, second)}
        assert outcomes == {None, "merged"}

    def test_of_two_descriptions_keeps_the_first_complaint(self):
        first = self.opened({"short_ref": "S-M1"})
        second = self.opened({"external_id": "M1"})
        send_records(*in_arrears())
        work()
        assert [shown(body)["outcome"] for body in (first, second)] == [None, "merged"]
        assert Hold.objects.get(dispute=first["id"]).released_at is None


class TestTheStoredCheck:
    def test_gives_the_same_answer_from_its_stored_input(self):
        from disputes.check.judging import judge
        from disputes.holds.policies import packs

        send_records(*late_posting())
        dispute(customer("C1"), claimed_payments=[payment()])
        work()
        check = Check.objects.get()
        stored = canonical.load_input(check.input.encode())
        pack = packs().version(check.policy_name, check.policy_version)
        again = judge(history=stored.history, message=stored.message, claim=stored.claim, pack=pack)
        assert (again.verdict, again.cause, again.detail, again.facts) == (
            check.verdict,
            check.cause,
            check.detail,
            check.facts,
        )
        assert canonical.input_digest(check.input.encode()) == check.records_digest

    def test_is_of_the_message_even_where_the_customer_has_another_loan(self):
        send_records(*late_posting(), *loan_lines("L2"), message_line("M2", loan="L2"))
        dispute(customer("C1"), {"external_id": "M2"})
        work()
        assert Check.objects.get().verdict == "lender_right"


class TestAWatermarkThatIsTakenBack:
    def test_brings_the_earlier_check_back(self):
        lines = [line for line in in_arrears() if line["type"] != "watermark"]
        send_records(*lines, *watermarks("2026-01-15T00:00:00+08:00"))
        body = dispute(customer("C1")).json()
        work()
        first = Dispute.objects.get().last_check
        send_records({"type": "watermark", "external_id": "late", "feed": "repayments"} | {"complete_until": UNTIL})
        send_records({"type": "watermark", "external_id": "late2", "feed": "schedule"} | {"complete_until": UNTIL})
        work()
        assert Dispute.objects.get().last_check.verdict == "lender_right"
        for target in ("late", "late2"):
            void = {"type": "void", "external_id": f"void-{target}", "target_type": "watermark", "target": target}
            send_records(void)
        work()
        seen = shown(body, system("disputes:read"))["check"]
        assert seen["verdict"] == first.verdict == "inconclusive"
        assert Dispute.objects.get().last_check == first
