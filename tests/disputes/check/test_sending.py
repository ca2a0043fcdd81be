"""What the check says of a message's sending: whom it reached, how often, at what hour and with what leave."""

from __future__ import annotations

from dataclasses import replace

import pytest

from disputes.check.judging import Judgement, judge
from disputes.policy.packs import Pack
from tests.disputes.check.book import claim, read_book
from tests.disputes.check.test_judging import HOUSE, names

OVERDUE = "due 1 2026-03-01 1000.00\n"
OWN = OVERDUE + "customer C1\nphone C1 own P1\n"


def judged(table: str, ground: str, *, pack: Pack = HOUSE) -> Judgement:
    book = read_book(table)
    return judge(history=book.history, message=book.message, claim=claim(ground), pack=pack)


def answer(found: Judgement) -> tuple[str, str | None, str | None]:
    return found.verdict, found.cause, found.detail


# Each row: the ground, a table, the answer, and the text that the finding about the sending speaks.
STORIES = {
    "the phone was the customer's own": (
        "not_my_debt",
        OWN + "message urge 2026-03-12T10:00  phone P1",
        ("inconclusive", None, None),
        "own_phone",
    ),
    "the phone was none of the customer's": (
        "not_my_debt",
        OWN + "message urge 2026-03-12T10:00  phone P2",
        ("customer_right", "wrong_recipient", None),
        "wrong_recipient",
    ),
    "the phone had been the customer's own until the day before": (
        "third_party_contacted",
        OVERDUE + "customer C1\nphone C1 own P1 until 2026-03-11\nmessage urge 2026-03-12T10:00  phone P1",
        ("customer_right", "wrong_recipient", None),
        "wrong_recipient",
    ),
    "the phone was the customer's own for its last day": (
        "not_my_debt",
        OVERDUE + "customer C1\nphone C1 own P1 until 2026-03-12\nmessage urge 2026-03-12T20:59  phone P1",
        ("inconclusive", None, None),
        "own_phone",
    ),
    "the phone was the customer's from the day after": (
        "not_my_debt",
        OVERDUE + "customer C1\nphone C1 own P1 from 2026-03-13\nmessage urge 2026-03-12T10:00  phone P1",
        ("customer_right", "wrong_recipient", None),
        "wrong_recipient",
    ),
    "the records learned only afterwards that the phone was not the customer's": (
        "not_my_debt",
        OVERDUE + "customer C1  posted 2026-03-20\nphone C1 own P2\nmessage urge 2026-03-12T10:00  phone P1",
        ("customer_right", "wrong_recipient", None),
        "wrong_recipient",
    ),
    "the phone was a contact's, to whom nothing may be written": (
        "third_party_contacted",
        OVERDUE + "customer C1\nphone C1 contact P1\nmessage urge 2026-03-12T10:00  phone P1",
        ("customer_right", "wrong_recipient", None),
        "contact_written_to",
    ),
    "the records do not have the customer": (
        "not_my_debt",
        OVERDUE + "message urge 2026-03-12T10:00  phone P1",
        ("inconclusive", None, None),
        "recipient_unknown",
    ),
    "the records know none of the customer's numbers": (
        "third_party_contacted",
        OVERDUE + "customer C1\nmessage urge 2026-03-12T10:00  phone P1",
        ("inconclusive", None, None),
        "recipient_unknown",
    ),
    "the loan had moved to another customer before the message": (
        "not_my_debt",
        OVERDUE
        + "loan version 1  customer C1\nloan version 2  customer C2  posted 2026-03-05\n"
        + "customer C1\ncustomer C2\nphone C1 own P1\nphone C2 own P2\nmessage urge 2026-03-12T10:00  phone P1",
        ("customer_right", "wrong_recipient", None),
        "wrong_recipient",
    ),
    "the same words again within half a day": (
        "too_frequent",
        OWN + "sent S1 2026-03-12T08:00 phone P1 text T1\nmessage urge 2026-03-12T10:00  phone P1  text T1",
        ("customer_right", "automation_rule", "same_message_twice"),
        "same_message_twice",
    ),
    "a second text about the loan on one day": (
        "too_frequent",
        OWN + "sent S1 2026-03-12T08:00 phone P1 text T1\nmessage urge 2026-03-12T10:00  phone P1  text T2",
        ("customer_right", "automation_rule", "frequency_cap"),
        "own_cap_day",
    ),
    "a fourth text to the customer in a week, over three loans and vendors": (
        "too_frequent",
        OWN
        + "sent S1 2026-03-06T08:00 phone P1 loan L2\nsent S2 2026-03-07T08:00 phone P2 loan L3\n"
        + "sent S3 2026-03-08T08:00 phone P1\nmessage urge 2026-03-12T10:00  phone P1",
        ("customer_right", "automation_rule", "frequency_cap"),
        "own_cap_span",
    ),
    "the first text in weeks": (
        "too_frequent",
        OWN + "sent S1 2026-02-12T08:00 phone P1\nmessage urge 2026-03-12T10:00  phone P1",
        ("lender_right", None, None),
        "within_caps",
    ),
    "how often cannot be told where nobody knows whose loan it is": (
        "too_frequent",
        OVERDUE + "void v1 loan L1\nmessage urge 2026-03-12T10:00  phone P1",
        ("inconclusive", "system_error", None),
        "contacts_unknown",
    ),
    "a minute before the hours begin": (
        "outside_hours",
        OWN + "message urge 2026-03-12T07:59  phone P1",
        ("customer_right", "automation_rule", "outside_hours"),
        "outside_hours",
    ),
    "when the hours begin": (
        "outside_hours",
        OWN + "message urge 2026-03-12T08:00  phone P1",
        ("lender_right", None, None),
        "inside_hours",
    ),
    "a minute after the hours end": (
        "outside_hours",
        OWN + "message urge 2026-03-12T21:01  phone P1",
        ("customer_right", "automation_rule", "outside_hours"),
        "outside_hours",
    ),
    "in order in one of the customer's zones, too early in the other": (
        "outside_hours",
        OVERDUE
        + "customer C1 zones Asia/Tokyo,Asia/Shanghai\nphone C1 own P1\n"
        + "message urge 2026-03-12T08:30+09:00  phone P1",
        ("customer_right", "automation_rule", "outside_hours"),
        "outside_hours",
    ),
    "at a time that the person had asked to be left alone": (
        "outside_hours",
        OVERDUE + "customer C1 blocked 12:00-14:00\nphone C1 own P1\nmessage urge 2026-03-12T13:00  phone P1",
        ("customer_right", "automation_rule", "outside_hours"),
        "outside_own_hours",
    ),
    "at a late hour that the person had agreed to": (
        "outside_hours",
        OVERDUE + "customer C1 agreed 21:00-23:00\nphone C1 own P1\nmessage urge 2026-03-12T22:00  phone P1",
        ("lender_right", None, None),
        "inside_hours",
    ),
    "a wish that was expressed only later": (
        "outside_hours",
        OVERDUE
        + "customer C1 version 1\ncustomer C1 version 2 blocked 12:00-14:00 posted 2026-03-13\nphone C1 own P1\n"
        + "message urge 2026-03-12T13:00  phone P1",
        ("lender_right", None, None),
        "inside_hours",
    ),
    "contact hours do not concern what a duty compels": (
        "outside_hours",
        OWN + "message statutory 2026-03-12T23:00  phone P1",
        ("lender_right", None, None),
        "hours_not_concerned",
    ),
    "an answer to the person's own message at night": (
        "outside_hours",
        OWN + "permit K1 2026-03-12T22:59  reply_to Q1\nmessage urge 2026-03-12T23:00  phone P1  permit K1",
        ("lender_right", None, None),
        "answer_at_any_hour",
    ),
    "no permit since the gate must be asked": (
        "other",
        OWN + "gate 2026-03-01\nmessage urge 2026-03-12T10:00  phone P1",
        ("inconclusive", "unauthorised_send", "no_permit"),
        "unauthorised_send",
    ),
    "a hold that stood": (
        "not_overdue",
        OWN
        + "gate 2026-03-01\npermit K1 2026-03-12T09:59:30\nhold H1 2026-03-12T09:59:40\n"
        + "message urge 2026-03-12T10:00  phone P1  permit K1",
        ("lender_right", "unauthorised_send", "against_hold"),
        "sent_against_hold",
    ),
}


CONTACTS = replace(HOUSE, contact_categories=frozenset({"reminder"}))
LEGAL = replace(HOUSE, caps=tuple(replace(cap, legal=True) for cap in HOUSE.caps))
OTHER_PACKS = [
    (CONTACTS, OVERDUE + "customer C1\nphone C1 contact P1\nmessage reminder 2026-03-12T10:00  phone P1"),
    (LEGAL, STORIES["a second text about the loan on one day"][1]),
    (LEGAL, STORIES["a fourth text to the customer in a week, over three loans and vendors"][1]),
]


@pytest.mark.parametrize("story", STORIES)
def test_the_answer_to_and_the_finding_about(story: str):
    ground, table, expected, text = STORIES[story]
    found = judged(table, ground)
    assert answer(found) == expected
    assert text in {one.text for one in found.findings}


class TestTheRecipient:
    def test_a_contact_may_be_written_to_where_the_pack_says_so(self):
        table = OVERDUE + "customer C1\nphone C1 contact P1\nmessage {} 2026-03-12T10:00  phone P1"
        found = judged(table.format("reminder"), "third_party_contacted", pack=CONTACTS)
        assert (found.verdict, found.cause) == ("inconclusive", None)
        assert names(found)["contact_phone"] == "lender"
        assert judged(table.format("urge"), "third_party_contacted", pack=CONTACTS).cause == "wrong_recipient"

    def test_a_number_that_is_the_customers_own_and_a_contacts_is_their_own(self):
        table = OWN + "phone C1 contact P1\nmessage urge 2026-03-12T10:00  phone P1"
        assert names(judged(table, "not_my_debt"))["own_phone"] == "lender"

    def test_of_a_message_whose_number_is_not_known_nothing_is_said(self):
        assert judged(OWN + "message urge 2026-03-12T10:00", "not_my_debt").cause is None

    def test_a_customer_whose_record_is_void_tells_nothing(self):
        table = OWN + "void v1 customer C1\nmessage urge 2026-03-12T10:00  phone P2"
        assert answer(judged(table, "not_my_debt")) == ("inconclusive", None, None)

    def test_a_stranger_explains_a_message_on_any_ground_that_nothing_answers(self):
        found = judged(OWN + "message urge 2026-03-12T10:00  phone P2", "not_overdue")
        assert answer(found) == ("partly_right", "wrong_recipient", None)

    def test_a_service_text_to_a_stranger_is_wrong_too(self):
        assert judged(OWN + "message service 2026-03-12T10:00  phone P2", "not_my_debt").cause == "wrong_recipient"

    def test_whose_number_it_was_is_found_without_a_schedule_too(self):
        table = "loan\ncustomer C1\nphone C1 own P1\nmessage urge 2026-03-12T10:00  phone P2"
        assert answer(judged(table, "not_my_debt")) == ("customer_right", "wrong_recipient", None)

    def test_the_day_is_the_loans_own(self):
        table = """
            loan     zone America/New_York
            due 1    2026-03-01  1000.00
            customer C1
            phone C1 own P1  until 2026-03-11
            message  urge 2026-03-12T10:00+08:00  phone P1
        """
        assert names(judged(table, "not_my_debt"))["own_phone"] == "lender"

    def test_no_finding_carries_the_digest_of_a_number(self):
        for story in ("the phone was none of the customer's", "the phone was the customer's own"):
            ground, table, _, _ = STORIES[story]
            found = judged(table.replace("P1", "abc1").replace("P2", "abc2"), ground)
            assert "abc" not in str(found.render())
