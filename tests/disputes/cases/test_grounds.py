"""Grounds that are not about the account, from a customer's dispute to what they may read of the answer."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from disputes.cases.models import Check, Dispute
from disputes.holds.models import Hold
from tests.callers import customer, system
from tests.disputes.cases.test_opening import DISPUTES, dispute
from tests.lines import RULE, customer_line, in_arrears, loan_lines, message_line, send_records, watermarks
from tests.work import work

pytestmark = pytest.mark.django_db

OWN, CONTACT, UNKNOWN = "+8613812340001", "+8613812340008", "+8613812340009"


def judged(*lines, ground: str, **more) -> tuple[dict, Check]:
    """C1 disputes M1 on this ground: what C1 then sees of the dispute, and its check."""
    send_records(*lines)
    body = dispute(customer("C1"), ground=ground, **more).json()
    work()
    return customer("C1").get(f"{DISPUTES}/{body['id']}").json(), Dispute.objects.get().last_check


class TestTooFrequent:
    def test_a_second_text_on_one_day_is_one_too_many(self):
        earlier = message_line("M0", sent_at="2026-02-03T08:30:00+08:00", body="别的话")
        shown, check = judged(*in_arrears(), earlier, ground="too_frequent")
        assert (check.verdict, check.cause, check.detail) == ("customer_right", "automation_rule", "frequency_cap")
        assert (shown["status"], shown["outcome"]) == ("closed", "upheld")
        [cap] = [finding for finding in shown["check"]["findings"] if finding["speaks_for"] == "customer"]
        assert "law" not in cap["sentence"].lower()

    def test_the_same_text_an_hour_later_is_the_same_one_twice(self):
        earlier = message_line("M0", sent_at="2026-02-03T09:00:00+08:00")
        _, check = judged(*in_arrears(), earlier, ground="too_frequent")
        assert (check.verdict, check.cause, check.detail) == ("customer_right", "automation_rule", "same_message_twice")

    def test_the_first_of_two_is_in_order(self):
        later = message_line("M2", sent_at="2026-02-03T11:00:00+08:00")
        shown, check = judged(*in_arrears(), later, ground="too_frequent")
        assert (check.verdict, check.cause) == ("lender_right", None)
        assert (shown["status"], shown["check"]) == ("in_review", None)

    def test_texts_of_another_vendor_about_another_loan_of_theirs_count(self):
        days = ("01-29", "01-31", "02-02")
        more = [message_line(f"E{day}", loan="L2", sent_at=f"2026-{day}T10:00:00+08:00", vendor="v") for day in days]
        _, check = judged(*in_arrears(), *loan_lines("L2"), *more, ground="too_frequent")
        assert (check.verdict, check.detail) == ("customer_right", "frequency_cap")

    def test_where_only_the_account_was_wrong_the_customer_is_right_in_part(self):
        paid_ahead = loan_lines(due=["2026-03-01"])
        _, check = judged(RULE, customer_line(), *paid_ahead, message_line(), *watermarks(), ground="too_frequent")
        assert (check.verdict, check.cause) == ("partly_right", "system_error")


class TestOutsideHours:
    @pytest.mark.parametrize(
        ("zones", "sent_at", "verdict"),
        [
            pytest.param(["Asia/Shanghai"], "2026-02-03T21:30:00+08:00", "customer_right", id="at night"),
            pytest.param(["Asia/Shanghai"], "2026-02-03T20:59:59+08:00", "lender_right", id="just before the night"),
            pytest.param(
                ["Asia/Shanghai", "Asia/Tokyo"], "2026-02-03T20:30:00+08:00", "customer_right", id="two zones"
            ),
            pytest.param([], "2026-02-03T07:30:00+08:00", "customer_right", id="no zone: the lender's"),
        ],
    )
    def test_is_judged_by_the_clock_where_the_customer_is(self, zones, sent_at, verdict):
        lines = [RULE, customer_line(time_zones=zones), *loan_lines(), message_line(sent_at=sent_at), *watermarks()]
        _, check = judged(*lines, ground="outside_hours")
        assert check.verdict == verdict
        assert check.cause == ("automation_rule" if verdict == "customer_right" else None)

    def test_the_person_s_own_hours_count(self):
        wishes = {"blocked": [{"from": "09:00", "until": "12:00"}]}
        lines = [RULE, customer_line(contact_preferences=wishes), *loan_lines(), message_line(), *watermarks()]
        _, check = judged(*lines, ground="outside_hours")
        assert (check.verdict, check.detail) == ("customer_right", "outside_hours")


class TestNotMyDebt:
    def test_a_number_that_is_nobody_s_is_a_wrong_recipient_and_stays_held_for_good(self):
        send_records(RULE, customer_line(), *loan_lines(), message_line(phone=UNKNOWN), *watermarks())
        body = dispute(system("disputes:write"), ground="not_my_debt").json()
        work()
        after = system("disputes:read").get(f"{DISPUTES}/{body['id']}").json()
        assert (after["outcome"], after["check"]["cause"]) == ("upheld", "wrong_recipient")
        assert Hold.objects.get().reason == "wrong_number"

    def test_a_contact_s_number_is_one_too(self):
        phones = [{"number": OWN, "role": "own"}, {"number": CONTACT, "role": "contact"}]
        lines = [RULE, customer_line(phones=phones), *loan_lines(), message_line(phone=CONTACT), *watermarks()]
        _, check = judged(*lines, ground="third_party_contacted")
        assert (check.verdict, check.cause) == ("customer_right", "wrong_recipient")

    @pytest.mark.parametrize(("until", "verdict"), [("2026-02-02", "customer_right"), ("2026-02-03", "inconclusive")])
    def test_a_number_is_theirs_to_the_end_of_its_last_day(self, until, verdict):
        phones = [{"number": OWN, "role": "own", "until": until}, {"number": UNKNOWN, "role": "own"}]
        send_records(RULE, customer_line(phones=phones), *loan_lines(), message_line(), *watermarks())
        dispute(system("disputes:write"), ground="not_my_debt")
        work()
        assert Dispute.objects.get().last_check.verdict == verdict

    def test_the_customer_s_own_number_is_a_person_s_to_judge(self):
        shown, check = judged(*in_arrears(), ground="not_my_debt")
        assert (check.verdict, check.cause) == ("inconclusive", None)
        assert (shown["status"], shown["check"]) == ("in_review", None)

    def test_a_loan_whose_customer_never_came_tells_nothing(self):
        send_records(RULE, *loan_lines(), message_line(), *watermarks())
        dispute(system("disputes:write"), ground="not_my_debt")
        work()
        assert Dispute.objects.get().last_check.verdict == "inconclusive"


class TestUnauthorisedSends:
    SINCE = datetime(2026, 2, 1, tzinfo=UTC)

    def test_are_the_cause_where_nothing_else_was_wrong_and_change_no_verdict(self, settings):
        settings.GATE_REQUIRED_FROM = self.SINCE
        _, check = judged(*in_arrears(), ground="not_overdue")
        assert (check.verdict, check.cause, check.detail) == ("lender_right", "unauthorised_send", "no_permit")

    def test_are_none_before_the_gate_was_required(self, settings):
        settings.GATE_REQUIRED_FROM = datetime(2026, 2, 4, tzinfo=UTC)
        _, check = judged(*in_arrears(), ground="not_overdue")
        assert (check.verdict, check.cause) == ("lender_right", None)

    def test_name_a_permit_that_is_none(self, settings):
        settings.GATE_REQUIRED_FROM = self.SINCE
        lines = in_arrears()
        lines[[line["type"] for line in lines].index("message")]["permit"] = "made-up"
        _, check = judged(*lines, ground="not_overdue")
        assert (check.cause, check.detail) == ("unauthorised_send", "unknown_permit")
