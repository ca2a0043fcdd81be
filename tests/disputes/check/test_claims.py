"""Payments that a customer names, and amounts that a message named: nobody is asked for what the records hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from disputes.check.judging import Judgement, judge
from disputes.check.sentences import sentence_of
from tests.disputes.check.book import claim, read_book
from tests.disputes.check.test_judging import HOUSE, judged

ASKS = ("receipt", "receipts")
UNPAID = "due 1 2026-03-10 1000.00\nmessage urge 2026-03-12T10:00\n"


def said(found: Judgement, name: str) -> str:
    [finding] = [one for one in found.findings if one.name == name]
    return sentence_of(finding.render(), language="en")


def not_found(table: str, *payments: str, watermarks: bool = True) -> str:
    return said(judged(table, "already_paid", *payments, watermarks=watermarks), "claimed_payment_not_found")


class TestAPaymentThatIsNotFound:
    def test_is_asked_for_where_the_records_really_lack_it(self):
        assert "a receipt helps us" in not_found(UNPAID, "2026-03-09 400.00")
        assert "receipts help us" in not_found(UNPAID, "2026-03-09 400.00", "2026-03-08 50.00")

    @pytest.mark.parametrize(
        "row",
        [
            "paid p1 2026-02-20 400.00",
            "paid p1 2026-04-09 400.00",
            "paid p1 2026-03-09 401.00 reference ABC",
            "paid p1 2026-01-02 40.00 reference ABC",
            "paid p1 2026-03-09 400.00\nvoid v1 repayment p1 posted 2026-03-20",
        ],
    )
    def test_is_not_asked_for_where_the_records_hold_one_alike(self, row):
        found = not_found(UNPAID + row, "2026-03-09 400.00 abc")
        assert "a person will compare" in found
        assert not any(word in found for word in ASKS)

    @pytest.mark.parametrize("row", ["paid p1 2026-02-01 400.00", "paid p1 2026-03-09 401.00"])
    def test_is_not_like_one_of_another_month_or_amount(self, row):
        assert "a receipt helps us" in not_found(UNPAID + row, "2026-03-09 400.00 abc")

    def test_is_looked_for_first_where_the_records_do_not_reach_that_day(self):
        behind = "watermark repayments {}\nwatermark schedule 2027-01-01\n" + UNPAID
        early = not_found(behind.format("2026-03-09T23:59"), "2026-03-09 400.00", watermarks=False)
        assert "we look for it there first" in early
        assert not any(word in early for word in ASKS)
        complete = not_found(behind.format("2026-03-10"), "2026-03-09 400.00", watermarks=False)
        assert "a receipt helps us" in complete

    def test_is_looked_for_first_also_of_a_day_after_the_message(self):
        table = "watermark repayments 2026-03-20\nwatermark schedule 2026-03-20\n" + UNPAID
        assert "we look for them there first" in not_found(
            table, "2026-03-25 400.00", "2026-03-09 400.00", watermarks=False
        )

    def test_of_a_lender_without_watermarks_is_asked_for(self):
        book = read_book(UNPAID, watermarks=False)
        pack = replace(HOUSE, records=replace(HOUSE.records, watermarks=False))
        found = judge(
            history=book.history, message=book.message, claim=claim("already_paid", "2026-03-09 400.00"), pack=pack
        )
        assert "a receipt helps us" in said(found, "claimed_payment_not_found")

    def test_is_not_like_one_that_another_claim_has_found(self):
        table = UNPAID + "paid p1 2026-03-09 400.00"
        assert "a receipt helps us" in not_found(table, "2026-03-09 400.00", "2026-03-08 400.00")

    @pytest.mark.parametrize("payments", [["2026-03-09 400.00"], ["2026-03-09 400.00", "2026-03-08 50.00"]])
    def test_that_the_records_have_on_another_loan_by_now_is_looked_for_and_nothing_is_told_of_it(self, payments):
        table = UNPAID + "paid p1 2026-02-20 401.00 reference ABC\n"
        table += "paid p1 2026-02-20 399.00 reference ABC version 2 posted 2026-03-20 loan L2"
        found = judged(table, "already_paid", *[f"{payment} ABC" for payment in payments])
        text = said(found, "claimed_payment_not_found")
        assert "recorded elsewhere" in text
        assert not any(word in text for word in (*ASKS, "399"))
        [finding] = [one for one in found.findings if one.name == "claimed_payment_not_found"]
        assert {"external_id": "p1", "on_this_loan": False} in finding.facts["alike"]

    def test_has_in_its_facts_what_is_alike_and_how_far_the_records_reach(self):
        found = judged(UNPAID + "paid p1 2026-02-20 400.00", "already_paid", "2026-03-09 400.00")
        [finding] = [one for one in found.findings if one.name == "claimed_payment_not_found"]
        assert finding.facts["alike"] == [
            {
                "external_id": "p1",
                "amount": {"amount": "400.00", "currency": "CNY"},
                "paid_on": "2026-02-20",
                "on_this_loan": True,
            }
        ]
        assert finding.facts["records_reach_that_day"] is True


PARTS = "principal 700 interest 100 fees 50 penalties 40"


class TestAWrongAmount:
    def test_is_told_with_the_difference_and_what_the_right_one_is_made_of(self):
        table = f"due 1 2026-03-10 890.00 {PARTS}\nmessage urge 2026-03-12T10:00  claims 1000.00"
        assert said(judged(table, "wrong_amount"), "amount_differs") == (
            "The message named CNY 1,000.00; by the records it was CNY 890.00 (CNY 40.00 of penalties, CNY 50.00 of "
            "fees, CNY 100.00 of interest, CNY 700.00 of principal): CNY 110.00 too much."
        )

    def test_in_chinese_too(self):
        table = f"due 1 2026-03-10 890.00 {PARTS}\nmessage urge 2026-03-12T10:00  claims 800.00"
        found = judged(table, "wrong_amount")
        [finding] = [one for one in found.findings if one.name == "amount_differs"]
        assert sentence_of(finding.render(), language="zh-hans") == (
            "短信所写金额为800.00元\uff1b按记录应为890.00元\uff08罚息40.00元、费用50.00元、利息100.00元、本金700.00元\uff09"
            "\uff0c少写了90.00元。"
        )

    @pytest.mark.parametrize(
        "table",
        [
            # several overdue, one due that day, one later
            f"due 1 2026-02-10 890.00 {PARTS}\ndue 2 2026-03-10 890.00 {PARTS}\ndue 3 2026-03-12 890.00 {PARTS}\n"
            f"due 4 2026-04-10 890.00 {PARTS}\npaid p1 2026-03-01 300.00",
            # nothing overdue, the next paid in part
            f"due 1 2026-03-20 890.00 {PARTS}\ndue 2 2026-03-20 100.00 fees 100\npaid p1 2026-03-01 45.50",
            # parts that do not explain the amount
            "due 1 2026-03-10 900.00 principal 700",
        ],
    )
    def test_is_explained_to_the_cent(self, table):
        found = judged(table + "\nmessage urge 2026-03-12T10:00  claims 99999.00", "wrong_amount")
        [finding] = [one for one in found.findings if one.name == "amount_differs"]
        parts = [float(one["params"]["amount"]["amount"]) for one in finding.params["parts"]]
        assert sum(parts) == float(finding.params["amount"]["amount"])
        assert float(finding.params["difference"]["amount"]) == 99999 - sum(parts)

    def test_where_nothing_was_to_be_paid_is_told_so(self):
        table = "due 1 2026-03-10 9.00\npaid p1 2026-03-01 9.00\nmessage urge 2026-03-12T10:00  claims 9.00"
        assert said(judged(table, "wrong_amount"), "amount_differs").endswith("nothing was to be paid then.")

    def test_that_the_records_showed_when_the_list_was_made_is_told_so_by_component(self):
        table = f"due 1 2026-03-10 890.00 {PARTS}\npaid p1 2026-03-09 100.00 posted 2026-03-13\n"
        found = judged(table + "message urge 2026-03-12T10:00  claims 890.00", "wrong_amount")
        [finding] = [one for one in found.findings if one.name == "amount_of_the_list"]
        assert finding.facts["difference_by_component"] == {
            "penalties": {"amount": "40.00", "currency": "CNY"},
            "fees": {"amount": "50.00", "currency": "CNY"},
            "interest": {"amount": "10.00", "currency": "CNY"},
        }
        other = judged(table + "message urge 2026-03-12T10:00  claims 891.00", "wrong_amount")
        assert "amount_of_the_list" not in {one.name for one in other.findings}
