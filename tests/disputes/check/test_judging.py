"""What the check says of a message, ground by ground: small accounts, each with the sentence of the contract that it
shows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from disputes.check.judging import Judgement, judge
from disputes.policy.packs import SHIPPED, load_packs
from tests.disputes.check.book import claim, read_book

PACKS = load_packs(SHIPPED)
HOUSE = PACKS.version("house", "1")


def judged(table: str, ground: str = "not_overdue", *payments: str, watermarks: bool = True) -> Judgement:
    book = read_book(table, watermarks=watermarks)
    return judge(history=book.history, message=book.message, claim=claim(ground, *payments), pack=HOUSE)


def answer(found: Judgement) -> tuple[str, str | None, str | None]:
    return found.verdict, found.cause, found.detail


def names(found: Judgement) -> dict[str, str]:
    return {one.name: one.speaks_for for one in found.findings}


# Each row: a table, and what is expected on the ground not_overdue.
STORIES = {
    "nobody was in arrears and the rule sends by risk": (
        """
        due 1   2026-04-10  1000.00
        rule R  risk
        message urge 2026-03-12T10:00  rule R
        """,
        ("customer_right", "risk_strategy", None),
    ),
    "a reminder of a risk rule presupposes arrears too": (
        """
        due 1   2026-04-10  1000.00
        rule R  risk
        message reminder 2026-03-12T10:00  rule R
        """,
        ("customer_right", "risk_strategy", None),
    ),
    "an urge from a rule for reminders before the due date": (
        """
        due 1   2026-04-10  1000.00
        rule R  pre_due
        message urge 2026-03-12T10:00  rule R
        """,
        ("customer_right", "automation_rule", "pre_due_rule"),
    ),
    "an urge with no arrears and no rule at all": (
        "due 1 2026-04-10 1000.00\nmessage urge 2026-03-12T10:00",
        ("customer_right", "system_error", None),
    ),
    "paid in time, posted after the message": (
        """
        due 1   2026-03-10  1000.00
        paid p1 2026-03-10  1000.00  posted 2026-03-13
        message urge 2026-03-12T10:00
        """,
        ("customer_right", "stale_records", "late_posting"),
    ),
    "paid in time, posted between the list and the message": (
        """
        due 1   2026-03-10  1000.00
        paid p1 2026-03-10  1000.00  posted 2026-03-12T07:00
        message urge 2026-03-12T10:00  list 2026-03-12T06:00
        """,
        ("customer_right", "stale_records", "stale_list"),
    ),
    "paid in two parts, one posted between list and message, one after it": (
        """
        due 1   2026-03-10  1000.00
        paid p1 2026-03-10  600.00  posted 2026-03-12T07:00
        paid p2 2026-03-10  400.00  posted 2026-03-13
        message urge 2026-03-12T10:00  list 2026-03-12T06:00
        """,
        ("customer_right", "stale_records", "late_posting"),
    ),
    "paid on another loan by a mistake that was mended after the message": (
        """
        due 1   2026-03-10  1000.00
        paid p1 2026-03-10  1000.00  version 1  loan OTHER
        paid p1 2026-03-10  1000.00  version 2  posted 2026-03-13
        message urge 2026-03-12T10:00
        """,
        ("customer_right", "stale_records", "late_posting"),
    ),
    "a late payment that changed nothing": (
        """
        due 1   2026-02-10  1000.00
        due 2   2026-03-10  1000.00
        paid p1 2026-03-10  1000.00  posted 2026-03-13
        message urge 2026-03-12T10:00
        """,
        ("lender_right", None, None),
    ),
    "a payment made only after the message": (
        """
        due 1   2026-03-10  1000.00
        paid p1 2026-03-12T11:00  1000.00
        message urge 2026-03-12T10:00
        """,
        ("lender_right", None, None),
    ),
    "a reversal that was taken back after the message": (
        """
        due 1       2026-03-10  1000.00
        paid p1     2026-03-10  1000.00
        reversed p1 2026-03-11  posted 2026-03-11
        void v1     reversal r-p1  posted 2026-03-13
        message urge 2026-03-12T10:00
        """,
        ("customer_right", "stale_records", "reversal_voided"),
    ),
    "a due date that was moved back afterwards": (
        """
        due 1   2026-03-10  1000.00  version 1
        due 1   2026-04-10  1000.00  version 2  effective 2026-03-01  posted 2026-03-20
        message urge 2026-03-12T10:00
        """,
        ("customer_right", "stale_records", "backdated_change"),
    ),
    "a settlement that was recorded after the message": (
        """
        loan    version 1
        loan    version 2  settled 2026-03-11  posted 2026-03-20
        due 1   2026-03-10  1000.00
        message urge 2026-03-12T10:00
        """,
        ("customer_right", "stale_records", "backdated_change"),
    ),
    "a payment that was undone before the message and known to be": (
        """
        due 1       2026-03-10  1000.00
        paid p1     2026-03-10  1000.00
        reversed p1 2026-03-11  posted 2026-03-11
        message urge 2026-03-12T10:00
        """,
        ("lender_right", None, None),
    ),
    "settled, and known at the list": (
        """
        loan    settled 2026-03-01
        due 1   2026-02-10  1000.00
        message urge 2026-03-12T10:00
        """,
        ("customer_right", "settled_loan", None),
    ),
    "given up, and known at the list": (
        """
        loan    written_off 2026-03-01
        due 1   2026-02-10  1000.00
        message warning 2026-03-12T10:00
        """,
        ("customer_right", "settled_loan", None),
    ),
    "settled on the day after the message": (
        """
        loan    settled 2026-03-13
        due 1   2026-02-10  1000.00
        message urge 2026-03-12T10:00
        """,
        ("lender_right", None, None),
    ),
    "inside grace, as everybody knew": (
        """
        loan    grace 3
        due 1   2026-03-10  1000.00
        message urge 2026-03-13T10:00
        """,
        ("customer_right", "automation_rule", "within_grace"),
    ),
    "on the first day after grace": (
        """
        loan    grace 3
        due 1   2026-03-10  1000.00
        message urge 2026-03-14T10:00
        """,
        ("lender_right", None, None),
    ),
    "inside grace, hidden by records that came late": (
        """
        loan    grace 3
        due 1   2026-03-01  1000.00
        due 2   2026-03-10  1000.00
        paid p1 2026-03-01  1000.00  posted 2026-03-20
        message urge 2026-03-12T10:00
        """,
        ("customer_right", "stale_records", "late_posting"),
    ),
    "an arrangement that was kept": (
        """
        due 1   2026-03-01  1000.00
        arrangement 2026-03-05 2026-03-31
        message urge 2026-03-12T10:00
        """,
        ("customer_right", "automation_rule", "arrangement"),
    ),
    "on the last day on which the arrangement was kept": (
        """
        due 1   2026-03-01  1000.00
        arrangement 2026-03-05 2026-03-31  kept 2026-03-12
        message urge 2026-03-12T10:00
        """,
        ("customer_right", "automation_rule", "arrangement"),
    ),
    "an arrangement that was broken the day before": (
        """
        due 1   2026-03-01  1000.00
        arrangement 2026-03-05 2026-03-31  kept 2026-03-11
        message urge 2026-03-12T10:00
        """,
        ("lender_right", None, None),
    ),
    "a pause on its last day": (
        """
        due 1   2026-03-01  1000.00
        pause   2026-03-05 2026-03-12
        message urge 2026-03-12T10:00
        """,
        ("customer_right", "automation_rule", "pause"),
    ),
    "fewer days than the rule needs": (
        """
        due 1   2026-03-10  1000.00
        rule R  overdue  min 3
        message urge 2026-03-12T10:00  rule R
        """,
        ("partly_right", "system_error", None),
    ),
    "exactly the days that the rule needs": (
        """
        due 1   2026-03-10  1000.00
        rule R  overdue  min 3
        message urge 2026-03-13T10:00  rule R
        """,
        ("lender_right", None, None),
    ),
    "no arrears and a rule that needs three days": (
        """
        due 1   2026-03-12  1000.00
        rule R  overdue  min 3
        message urge 2026-03-12T10:00  rule R
        """,
        ("customer_right", "system_error", None),
    ),
    "a rule that was corrected backwards and needs more days than there were": (
        """
        due 1   2026-03-10  1000.00
        rule R  overdue  min 1
        rule R  overdue  min 5  version 2  posted 2026-03-20  effective 2026-03-01
        message urge 2026-03-12T10:00  rule R
        """,
        ("partly_right", "stale_records", "backdated_change"),
    ),
    "a rule that was corrected backwards, with no arrears": (
        """
        due 1   2026-03-12  1000.00
        rule R  overdue  min 1
        rule R  overdue  min 5  version 2  posted 2026-03-20  effective 2026-03-01
        message urge 2026-03-12T10:00  rule R
        """,
        ("customer_right", "system_error", None),
    ),
    "a rule that was corrected backwards and needs fewer days": (
        """
        due 1   2026-03-10  1000.00
        rule R  overdue  min 5
        rule R  overdue  min 1  version 2  posted 2026-03-20  effective 2026-03-01
        message urge 2026-03-12T10:00  rule R
        """,
        ("lender_right", None, None),
    ),
    "a rule that was changed from a later day on": (
        """
        due 1   2026-03-10  1000.00
        rule R  overdue  min 1
        rule R  overdue  min 5  version 2  posted 2026-03-20
        message urge 2026-03-12T10:00  rule R
        """,
        ("lender_right", None, None),
    ),
    "arrears, but late records hid that they were too young for the rule": (
        """
        due 1   2026-03-01  1000.00
        due 2   2026-03-10  1000.00
        paid p1 2026-03-01  1000.00  posted 2026-03-20
        rule R  overdue  min 3
        message urge 2026-03-12T10:00  rule R
        """,
        ("partly_right", "stale_records", "late_posting"),
    ),
    "a rule of the aim overdue without a number needs one day": (
        """
        due 1   2026-03-12  1000.00
        rule R  overdue
        message reminder 2026-03-12T10:00  rule R
        """,
        ("customer_right", "system_error", None),
    ),
    "a rule that asked for less when the list was made": (
        """
        due 1   2026-03-10  1000.00
        rule R  overdue  min 1  version 1
        rule R  overdue  min 5  version 2  posted 2026-03-12T09:00
        message urge 2026-03-12T10:00  list 2026-03-12T08:00  rule R
        """,
        ("lender_right", None, None),
    ),
    "a reminder before the due date presupposes nothing": (
        """
        due 1   2026-03-15  1000.00
        rule R  pre_due
        message reminder 2026-03-12T10:00  rule R
        """,
        ("lender_right", None, None),
    ),
    "a reminder of an instalment paid early, posted late": (
        """
        due 1   2026-03-15  1000.00
        due 2   2026-04-15  1000.00
        paid p1 2026-03-11  1000.00  posted 2026-03-13
        rule R  pre_due
        message reminder 2026-03-12T10:00  rule R
        """,
        ("customer_right", "stale_records", "late_posting"),
    ),
    "a reminder of an instalment paid in part": (
        """
        due 1   2026-03-15  1000.00
        paid p1 2026-03-11  999.00  posted 2026-03-13
        rule R  pre_due
        message reminder 2026-03-12T10:00  rule R
        """,
        ("lender_right", None, None),
    ),
    "a risk rule that hit somebody in arrears": (
        """
        due 1   2026-03-01  1000.00
        rule R  risk
        message urge 2026-03-12T10:00  rule R
        """,
        ("lender_right", None, None),
    ),
    "an urge from a rule for reminders that hit somebody in arrears": (
        """
        due 1   2026-03-01  1000.00
        rule R  pre_due
        message urge 2026-03-12T10:00  rule R
        """,
        ("lender_right", None, None),
    ),
    "too few days as known, enough as it was": (
        """
        due 1       2026-03-01  1000.00
        due 2       2026-03-10  1000.00
        paid p1     2026-03-01  1000.00
        void v1     repayment p1  posted 2026-03-20
        rule R      overdue  min 3
        message     urge 2026-03-12T10:00  rule R
        """,
        ("lender_right", None, None),
    ),
    "a payment of the list's gap that was void too, beside a due date moved back": (
        """
        due 1   2026-03-10  1000.00  version 1
        due 1   2026-04-10  1000.00  version 2  effective 2026-03-01  posted 2026-03-20
        paid p1 2026-03-10  1000.00  posted 2026-03-12T07:00
        void v1 repayment p1  posted 2026-03-15
        message urge 2026-03-12T10:00  list 2026-03-12T06:00
        """,
        ("customer_right", "stale_records", "backdated_change"),
    ),
    "a reminder of what is within the tolerance": (
        """
        loan    tolerance 1.00
        due 1   2026-03-15  1000.00
        paid p1 2026-03-11  999.50  posted 2026-03-13
        rule R  pre_due
        message reminder 2026-03-12T10:00  rule R
        """,
        ("customer_right", "stale_records", "late_posting"),
    ),
    "a reminder before the due date, to somebody who had paid only what was overdue": (
        """
        due 1   2026-03-01  1000.00
        due 2   2026-03-15  1000.00
        paid p1 2026-03-11  1000.00  posted 2026-03-13
        rule R  pre_due
        message reminder 2026-03-12T10:00  rule R
        """,
        ("lender_right", None, None),
    ),
    "a reminder without a rule, to somebody who had paid what was overdue": (
        """
        due 1   2026-03-01  1000.00
        due 2   2026-03-15  1000.00
        paid p1 2026-03-11  1000.00  posted 2026-03-13
        message reminder 2026-03-12T10:00
        """,
        ("customer_right", "stale_records", "late_posting"),
    ),
    "a reminder of a loan that was paid off, as everybody knew": (
        """
        due 1   2026-03-15  1000.00
        paid p1 2026-03-01  1000.00
        message reminder 2026-03-12T10:00
        """,
        ("customer_right", "settled_loan", None),
    ),
    "a reminder of a loan that seemed paid off, before a payment proved to be none": (
        """
        due 1   2026-03-15  1000.00
        paid p1 2026-03-01  1000.00
        void v1 repayment p1  posted 2026-03-20
        message reminder 2026-03-12T10:00
        """,
        ("lender_right", None, None),
    ),
    "a loan that the records show was none": (
        """
        due 1   2026-03-01  1000.00
        void v1 loan L1  posted 2026-03-20
        message urge 2026-03-12T10:00
        """,
        ("customer_right", "stale_records", "backdated_change"),
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_the_cause_and_the_verdict_of(story: str):
    table, expected = STORIES[story]
    assert answer(judged(table)) == expected


SETTLED = "loan settled 2026-03-01\ndue 1 2026-02-10 1000.00\nmessage urge 2026-03-12T10:00  claims 1000.00"
OVERDUE = "due 1 2026-03-01 1000.00\nmessage urge 2026-03-12T10:00"
NOT_OVERDUE = "due 1 2026-04-01 1000.00\nmessage urge 2026-03-12T10:00"


@pytest.mark.parametrize("ground", ["not_overdue", "already_paid", "no_longer_owed", "wrong_amount"])
def test_the_account_answers_the_four_grounds_about_it(ground: str):
    assert answer(judged(SETTLED, ground))[:2] == ("customer_right", "settled_loan")


@pytest.mark.parametrize("ground", ["identity_theft", "agent_conduct", "other"])
def test_a_ground_that_no_criterion_covers_is_for_a_person_whatever_the_account_says(ground: str):
    assert judged(SETTLED, ground).verdict == judged(OVERDUE, ground).verdict == "inconclusive"
    assert judged(SETTLED, ground).cause == "settled_loan"


def test_records_that_never_had_the_loan_tell_nothing():
    book = read_book(NOT_OVERDUE)
    for history in (
        replace(book.history, loans=(), instalments=()),
        replace(book.history, instalments=()),
        replace(book.history, loans=()),
    ):
        found = judge(history=history, message=book.message, claim=claim("not_overdue"), pack=HOUSE)
        assert answer(found) == ("inconclusive", None, None)
        assert names(found) == {"records_missing": "nobody"}


def test_records_too_old_to_tell_never_speak_against_the_customer():
    assert answer(judged(OVERDUE, watermarks=False)) == ("inconclusive", None, None)
    one_feed = OVERDUE + "\nwatermark repayments 2026-03-12"
    assert judged(one_feed, watermarks=False).verdict == "inconclusive"
    both = one_feed + "\nwatermark schedule 2026-03-11T10:00"
    assert judged(both, watermarks=False).verdict == "lender_right"
    behind = one_feed + "\nwatermark schedule 2026-03-11T09:59:59"
    assert judged(behind, watermarks=False).verdict == "inconclusive"
    assert judged(behind, watermarks=False).findings[-1].facts == {"feeds": ["schedule"], "max_lag_hours": 24}


def test_what_the_records_prove_stays_proven_however_old_they_are():
    assert judged(NOT_OVERDUE, watermarks=False).verdict == "customer_right"


def test_a_message_that_names_no_amount_cannot_be_shown_to_have_named_the_right_one():
    assert answer(judged(OVERDUE, "wrong_amount")) == ("inconclusive", None, None)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ("claims 1000.00", ("lender_right", None, None)),
        ("claims 1001.00", ("lender_right", None, None)),
        ("claims 1001.01", ("customer_right", "wrong_amount", "amount")),
        ("claims 1500.00", ("lender_right", None, None)),
        ("claims 1250.00", ("customer_right", "wrong_amount", "amount")),
        ("days 2", ("lender_right", None, None)),
        ("days 3", ("customer_right", "wrong_amount", "days")),
        ("claims 9.00  days 3", ("customer_right", "wrong_amount", "amount")),
    ],
)
def test_the_claimed_amount_is_the_overdue_one_with_or_without_what_falls_due_that_day(claims, expected):
    table = f"""
        loan    tolerance 1.00
        due 1   2026-03-10  1000.00
        due 2   2026-03-12  500.00
        due 3   2026-04-12  500.00
        message urge 2026-03-12T10:00  {claims}
    """
    assert answer(judged(table, "wrong_amount")) == expected


def test_where_nothing_is_overdue_the_claimed_amount_is_what_is_left_of_the_next_instalment():
    table = """
        due 1   2026-03-15  1000.00  principal 900  interest 100
        paid p1 2026-03-01  300.00
        rule R  pre_due
        message reminder 2026-03-12T10:00  rule R  claims {}
    """
    assert judged(table.format("700.00"), "wrong_amount").verdict == "lender_right"
    wrong = judged(table.format("1000.00"), "wrong_amount")
    assert answer(wrong) == ("customer_right", "wrong_amount", "amount")
    [finding] = [one for one in wrong.findings if one.name == "amount_differs"]
    assert finding.facts["by_component"] == [
        {
            "instalment": 1,
            "due_on": "2026-03-15",
            "left": {
                "interest": {"amount": "0.00", "currency": "CNY"},
                "principal": {"amount": "700.00", "currency": "CNY"},
            },
        }
    ]


def test_a_wrong_amount_makes_somebody_who_says_they_were_not_overdue_right_only_in_part():
    assert answer(judged(OVERDUE + "  claims 9999.00")) == ("partly_right", "wrong_amount", "amount")


def test_the_account_is_shown_as_it_was_and_as_it_was_known_when_the_message_went_out():
    found = judged(STORIES["paid in time, posted between the list and the message"][0])
    assert found.facts["at"] == "2026-03-12T02:00:00Z"
    assert [found.facts[clock]["days_past_due"] for clock in ("as_it_was", "as_known")] == [0, 0]
    found = judged(STORIES["paid in time, posted after the message"][0])
    assert [found.facts[clock]["days_past_due"] for clock in ("as_it_was", "as_known")] == [0, 2]


CLAIMED = """
    due 1       2026-03-10  1000.00
    paid p1     2026-03-09  400.00
    paid p2     2026-03-09  250.00  posted 2026-03-20  reference ABC-1
    paid p3     2026-03-14  100.00
    paid p4     2026-03-08   50.00
    reversed p4 2026-03-11
    message     urge 2026-03-12T10:00
"""


@pytest.mark.parametrize(
    ("payment", "finding", "speaks_for", "by"),
    [
        ("2026-03-09 400.00", "claimed_payment_found", "nobody", "amount_and_day"),
        ("2026-03-12 400.00", "claimed_payment_found", "nobody", "amount_and_day"),
        ("2026-03-13 400.00", "claimed_payment_not_found", "nobody", None),
        ("2026-03-09 250.00", "claimed_payment_found_late", "customer", "amount_and_day"),
        ("2026-01-09 250.00 abc-1", "claimed_payment_found_late", "customer", "reference"),
        ("2026-03-09 251.00 abc-1", "claimed_payment_not_found", "nobody", None),
        ("2026-03-14 100.00", "claimed_payment_made_later", "nobody", "amount_and_day"),
        ("2026-03-08 50.00", "claimed_payment_reversed", "lender", "amount_and_day"),
    ],
)
def test_a_payment_that_the_customer_names_is_looked_for(payment, finding, speaks_for, by):
    found = judged(CLAIMED, "already_paid", payment)
    [one] = [row for row in found.findings if row.name.startswith("claimed_payment")]
    assert (one.name, one.speaks_for, one.facts["payments"][0]["by"]) == (finding, speaks_for, by)


def test_one_repayment_answers_one_claimed_payment_only():
    found = judged(CLAIMED, "already_paid", "2026-03-09 400.00", "2026-03-09 400.00")
    assert {one.name: len(one.facts["payments"]) for one in found.findings if one.name.startswith("claimed")} == {
        "claimed_payment_found": 1,
        "claimed_payment_not_found": 1,
    }


def test_a_claimed_payment_in_another_currency_is_not_the_same_money():
    book = read_book(CLAIMED)
    found = judge(
        history=book.history,
        message=book.message,
        claim=claim("already_paid", "2026-03-09 400.00", currency="USD"),
        pack=HOUSE,
    )
    assert "claimed_payment_not_found" in names(found)


def test_a_survey_or_a_service_text_is_no_claim_about_the_account():
    for category in ("survey", "service"):
        table = f"loan settled 2026-03-01\ndue 1 2026-02-10 1000.00\nmessage {category} 2026-03-12T10:00"
        assert answer(judged(table)) == ("lender_right", None, None)


def test_every_finding_that_speaks_stands_beside_the_verdict():
    assert names(judged(STORIES["inside grace, as everybody knew"][0])) == {
        "was_overdue": "lender",
        "inside_grace": "customer",
    }
    assert names(judged(STORIES["a late payment that changed nothing"][0])) == {
        "was_overdue": "lender",
        "paid_before_posted_after": "nobody",
    }
    assert names(judged(STORIES["a settlement that was recorded after the message"][0])) == {
        "settled": "customer",
        "nothing_overdue": "customer",
        "changed_afterwards": "customer",
    }
