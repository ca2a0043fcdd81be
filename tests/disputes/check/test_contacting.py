"""The same message twice, frequency caps and contact hours, boundary by boundary."""

from __future__ import annotations

from dataclasses import replace
from datetime import time

import pytest

from disputes.check.judging import Judgement, judge
from disputes.check.sentences import sentence_of
from disputes.policy.packs import Cap, LocalInterval, Pack
from tests.disputes.check.book import claim, read_book
from tests.disputes.check.test_judging import HOUSE, names
from tests.disputes.check.test_sending import OVERDUE, OWN, answer, judged

TWICE = ("customer_right", "automation_rule", "same_message_twice")
ABOVE = ("customer_right", "automation_rule", "frequency_cap")
OUTSIDE = ("customer_right", "automation_rule", "outside_hours")
IN_ORDER = ("lender_right", None, None)

FREE = replace(HOUSE, caps=())
"""The house without its caps, so that a repetition stands alone."""


def capped(**changes: object) -> Pack:
    cap = Cap(
        name="one",
        count=1,
        rolling_hours=24,
        per=("customer",),
        channel="sms",
        categories=frozenset({"urge", "warning"}),
        legal=False,
    )
    return replace(HOUSE, caps=(replace(cap, **changes),), same_message_hours=0)


def finding(found: Judgement, name: str):
    return next(one for one in found.findings if one.name == name)


def without_loan(table: str, ground: str) -> Judgement:
    """Judged by records that never had the loan."""
    book = read_book(table)
    history = replace(book.history, loans=())
    return judge(history=history, message=book.message, claim=claim(ground), pack=HOUSE)


class TestTheSameMessageTwice:
    @pytest.mark.parametrize(
        ("sent", "message"),
        [
            ("text T1", "text T1"),
            ("text T1  rule R  claims 5.00", "text T1  rule X"),
            ("rule R  claims 5.00  days 2  campaign A", "rule R  claims 5.00  days 2  campaign A"),
            ("", "text T1"),
            ("text T1", ""),
        ],
    )
    def test_is_one_with_the_same_words_or_where_they_are_not_known_by_the_same_rule_with_the_same_claims(
        self, sent, message
    ):
        table = OWN + f"sent S1 2026-03-12T08:00 phone P1 {sent}\nmessage urge 2026-03-12T10:00 phone P1 {message}"
        assert answer(judged(table, "too_frequent", pack=FREE)) == TWICE

    @pytest.mark.parametrize(
        ("sent", "message"),
        [
            ("phone P1  text T1", "phone P1  text T2"),
            ("phone P2  text T1", "phone P1  text T1"),
            ("phone P1  loan L2  text T1", "phone P1  text T1"),
            ("phone P1  category reminder  text T1", "phone P1  text T1"),
            ("phone P1  channel email  text T1", "phone P1  text T1"),
            ("phone P1  rule R", "phone P1  rule S"),
            ("phone P1  rule R  campaign A", "phone P1  rule R  campaign B"),
            ("phone P1  claims 5.00", "phone P1  claims 6.00"),
            ("phone P1  days 2", "phone P1  days 3"),
            ("phone P1  loan none", "phone P1  loan none"),
        ],
    )
    def test_is_none_where_anything_of_it_differs(self, sent, message):
        table = OWN + f"sent S1 2026-03-12T08:00 {sent}\nmessage urge 2026-03-12T10:00 {message}"
        assert answer(judged(table, "too_frequent", pack=FREE))[2] != "same_message_twice"

    @pytest.mark.parametrize(
        ("sent", "expected"),
        [
            ("2026-03-11T22:00:00.000001", TWICE),
            ("2026-03-11T22:00", IN_ORDER),
            ("2026-03-12T10:00", TWICE),
            ("2026-03-12T10:01", IN_ORDER),
        ],
    )
    def test_counts_for_less_than_half_a_day_and_only_for_the_later_one(self, sent, expected):
        table = OWN + f"sent A1 {sent} phone P1 text T1\nmessage urge 2026-03-12T10:00 phone P1 text T1"
        assert answer(judged(table, "too_frequent", pack=FREE)) == expected

    def test_at_the_same_instant_the_first_by_its_id_is_in_order(self):
        table = OWN + "sent {} 2026-03-12T10:00 phone P1 text T1\nmessage urge 2026-03-12T10:00 id M1 phone P1 text T1"
        assert answer(judged(table.format("A1"), "too_frequent", pack=FREE)) == TWICE
        assert answer(judged(table.format("Z1"), "too_frequent", pack=FREE)) == IN_ORDER

    def test_is_none_of_a_message_that_nothing_stops(self):
        table = OWN + "sent S1 2026-03-12T08:00 phone P1 text T1 category service\n"
        table += "message service 2026-03-12T10:00 phone P1 text T1"
        assert answer(judged(table, "too_frequent")) == IN_ORDER

    def test_is_told_with_the_instant_of_the_first(self):
        table = OWN + "sent S1 2026-03-12T08:00 phone P1 text T1\nmessage urge 2026-03-12T10:00 phone P1 text T1"
        one = finding(judged(table, "too_frequent"), "same_message_twice")
        assert one.facts == {
            "earlier": {"external_id": "S1", "sent_at": "2026-03-12T00:00:00Z"},
            "within_hours": 12,
            "by": "words",
        }
        said = sentence_of(one.render(), language="en")
        assert said.endswith("on 12 March 2026 at 08:00 (Shanghai time).")

    def test_holds_where_the_records_do_not_have_the_loan(self):
        table = "sent S1 2026-03-12T08:00 phone P1 text T1\nmessage urge 2026-03-12T10:00 phone P1 text T1"
        assert answer(without_loan(table, "too_frequent")) == TWICE


class TestAFrequencyCap:
    @pytest.mark.parametrize(
        ("sent", "expected"),
        [
            ("2026-03-11T10:00:00.000001", ABOVE),
            ("2026-03-11T10:00", IN_ORDER),
            ("2026-03-12T10:00:00.000001", IN_ORDER),
        ],
    )
    def test_that_rolls_counts_elapsed_hours_and_what_was_sent_before(self, sent, expected):
        table = OWN + f"sent A1 {sent}\nmessage urge 2026-03-12T10:00 phone P1"
        assert answer(judged(table, "too_frequent", pack=capped())) == expected

    @pytest.mark.parametrize(("sent", "expected"), [("2026-03-12T00:00", ABOVE), ("2026-03-11T23:59:59", IN_ORDER)])
    def test_of_a_day_counts_local_dates(self, sent, expected):
        table = OWN + f"sent A1 {sent}\nmessage urge 2026-03-12T20:00 phone P1"
        assert answer(judged(table, "too_frequent", pack=capped(rolling_hours=None))) == expected

    def test_of_a_day_counts_it_on_the_customers_clock(self):
        table = OVERDUE + "customer C1 zones America/New_York\nphone C1 own P1\n"
        table += "sent A1 2026-03-12T11:00+08:00\nmessage urge 2026-03-12T21:00+08:00 phone P1"
        assert answer(judged(table, "too_frequent", pack=capped(rolling_hours=None))) == IN_ORDER
        here = table.replace("America/New_York", "Asia/Shanghai").replace("T21:00", "T20:00")
        assert answer(judged(here, "too_frequent", pack=capped(rolling_hours=None))) == ABOVE

    @pytest.mark.parametrize(
        ("per", "sent", "expected"),
        [
            (("customer",), "customer C1 loan L2 phone P2", ABOVE),
            (("customer",), "customer C2 phone P1 loan L2", IN_ORDER),
            (("customer", "loan"), "customer C1 loan L2", IN_ORDER),
            (("loan",), "customer C1 phone P2", ABOVE),
            (("phone",), "customer C2 loan L2 phone P1", ABOVE),
            (("loan", "phone"), "phone P2", IN_ORDER),
            (("customer",), "category reminder", IN_ORDER),
            (("customer",), "channel email", IN_ORDER),
        ],
    )
    def test_counts_what_shares_all_that_it_is_per(self, per, sent, expected):
        table = OWN + f"sent A1 2026-03-12T08:00 {sent}\nmessage urge 2026-03-12T10:00 phone P1"
        assert answer(judged(table, "too_frequent", pack=capped(per=per))) == expected

    def test_counts_for_the_customer_whose_loan_it_was_when_the_other_message_went_out(self):
        table = OVERDUE + "loan version 1 customer C1\nloan version 2 customer C2 posted 2026-03-12T09:00\n"
        table += "sent A1 2026-03-12T08:00 customer C2 phone P1\nmessage urge 2026-03-12T10:00 phone P1"
        assert judged(table, "too_frequent", pack=capped()).cause is None
        assert answer(judged(table.replace("T09:00", "T07:00"), "too_frequent", pack=capped())) == ABOVE

    def test_where_the_owner_is_unknown_leaves_the_ground_open_and_a_cap_without_the_customer_does_not(self):
        table = "void v1 loan L1\nsent A1 2026-03-12T08:00\nmessage reminder 2026-03-12T10:00 phone P1"
        assert judged(table, "too_frequent", pack=capped(categories=frozenset({"reminder"}))).verdict == "inconclusive"
        assert judged(table, "too_frequent", pack=capped(per=("phone",))).verdict == "lender_right"

    def test_is_told_with_its_count_window_and_what_took_its_slots(self):
        table = OWN + "sent A1 2026-03-12T08:00\nsent A2 2026-03-10T08:00\nmessage urge 2026-03-12T10:00 phone P1"
        one = finding(judged(table, "too_frequent", pack=capped()), "above_cap")
        assert one.facts == {
            "caps": [
                {
                    "cap": "one",
                    "count": 1,
                    "rolling_hours": 24,
                    "per": ["customer"],
                    "legal": False,
                    "before": [{"external_id": "A1", "sent_at": "2026-03-12T00:00:00Z"}],
                }
            ]
        }

    def test_is_not_told_with_the_id_of_a_message_about_another_persons_loan(self):
        table = OWN + "sent A1 2026-03-12T08:00 customer C2 loan L2 phone P1\nmessage urge 2026-03-12T10:00 phone P1"
        one = finding(judged(table, "too_frequent", pack=capped(per=("phone",))), "above_cap")
        assert one.facts["caps"][0]["before"] == [{"sent_at": "2026-03-12T00:00:00Z"}]
        assert "A1" not in str(judged(table, "too_frequent", pack=FREE).render())

    @pytest.mark.parametrize("language", ["en", "zh-hans"])
    def test_of_the_lenders_own_is_never_called_the_law(self, language):
        table = OWN + "sent A1 2026-03-12T08:00\nmessage urge 2026-03-12T10:00 phone P1"
        for hours in (24, None):
            pack = capped(rolling_hours=hours)
            said = sentence_of(
                finding(judged(table, "too_frequent", pack=pack), "above_cap").render(), language=language
            )
            assert ("the lender has set itself" in said) or ("贷款机构自行设定" in said)
            legal = replace(pack, caps=tuple(replace(cap, legal=True) for cap in pack.caps))
            said = sentence_of(
                finding(judged(table, "too_frequent", pack=legal), "above_cap").render(), language=language
            )
            assert ("the rules allow" in said) or ("规定的上限" in said)

    def test_makes_somebody_who_was_overdue_right_in_part(self):
        table = OWN + "sent A1 2026-03-12T08:00\nmessage urge 2026-03-12T10:00 phone P1"
        assert answer(judged(table, "not_overdue", pack=capped())) == ("partly_right", *ABOVE[1:])


class TestContactHours:
    def test_are_the_lenders_where_no_zone_of_the_customers_is_known(self):
        table = OWN + "message urge 2026-03-12T07:30 phone P1"
        assert answer(judged(table, "outside_hours")) == OUTSIDE
        assert answer(without_loan("message urge 2026-03-12T07:30 phone P1", "outside_hours")) == OUTSIDE

    def test_are_those_of_the_zone_that_was_true_when_the_message_went_out(self):
        table = OVERDUE + "customer C1 version 1 zones Asia/Shanghai\n"
        table += "customer C1 version 2 zones Asia/Tokyo posted 2026-03-12T12:00\nphone C1 own P1\n"
        assert answer(judged(table + "message urge 2026-03-12T07:30 phone P1", "outside_hours")) == OUTSIDE
        earlier = table.replace("2026-03-12T12:00", "2026-03-12T07:00")
        assert answer(judged(earlier + "message urge 2026-03-12T07:30 phone P1", "outside_hours")) == IN_ORDER

    @pytest.mark.parametrize("category", ["statutory", "service"])
    def test_do_not_concern_every_category(self, category):
        assert answer(judged(OWN + f"message {category} 2026-03-12T03:00 phone P1", "outside_hours")) == IN_ORDER

    def test_stop_an_answer_too_where_the_pack_does_not_free_it(self):
        strict = replace(HOUSE, contact_hours=replace(HOUSE.contact_hours, reply_free=False))
        table = OWN + "permit K1 2026-03-12T22:59  reply_to Q1\nmessage urge 2026-03-12T23:00  phone P1  permit K1"
        assert answer(judged(table, "outside_hours")) == IN_ORDER
        assert answer(judged(table, "outside_hours", pack=strict)) == OUTSIDE

    def test_are_told_by_the_clock_of_the_place_at_which_they_were_broken(self):
        table = OVERDUE + "customer C1 zones Asia/Tokyo,Asia/Shanghai\nphone C1 own P1\n"
        one = finding(judged(table + "message urge 2026-03-12T07:30+08:00 phone P1", "outside_hours"), "outside_hours")
        assert one.facts["broken_in"] == ["Asia/Shanghai"]
        assert [row["time"] for row in one.facts["local"]] == ["2026-03-12T08:30:00", "2026-03-12T07:30:00"]
        said = sentence_of(one.render(), language="en")
        assert "12 March 2026 at 07:30 (Shanghai time)" in said
        assert said.endswith("only from 08:00 to 21:00.")
        assert "北京时间07:30" in sentence_of(one.render(), language="zh-hans")

    def test_of_several_windows_are_all_told(self):
        windows = (LocalInterval(first=time(9), until=time(12)), LocalInterval(first=time(14), until=time(18)))
        pack = replace(HOUSE, contact_hours=replace(HOUSE.contact_hours, allowed=windows))
        found = judged(OWN + "message urge 2026-03-12T13:00 phone P1", "outside_hours", pack=pack)
        said = sentence_of(finding(found, "outside_hours").render(), language="en")
        assert said.endswith("only from 09:00 to 12:00, 14:00 to 18:00.")

    def test_are_no_matter_of_the_account_so_old_records_do_not_leave_them_open(self):
        book = read_book(OWN + "message urge 2026-03-12T10:00 phone P1", watermarks=False)
        found = judge(history=book.history, message=book.message, claim=claim("outside_hours"), pack=HOUSE)
        assert answer(found) == IN_ORDER
        assert names(found)["inside_hours"] == "lender"
