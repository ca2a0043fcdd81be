"""Findings in plain words."""

from __future__ import annotations

from typing import Any

import pytest

from disputes.check.finding import Finding
from disputes.check.judging import judge
from disputes.check.sentences import LANGUAGES, SENTENCES, sentence_of
from tests.disputes.check.book import claim, read_book
from tests.disputes.check.test_judging import CLAIMED, HOUSE, STORIES


def told() -> list[dict[str, Any]]:
    """Every finding of every story, as it is stored."""
    found: list[Finding] = []
    for table, _ in STORIES.values():
        book = read_book(table, watermarks=False)
        found += judge(history=book.history, message=book.message, claim=claim("not_overdue"), pack=HOUSE).findings
    claims = ("2026-03-09 400.00", "2026-03-09 250.00", "2026-03-14 100.00", "2026-03-08 50.00", "2026-03-09 9.00")
    for extra in ("claims 350.00  days 2", "claims 1.00  days 9"):
        book = read_book(CLAIMED.rstrip() + f"  {extra}")
        found += judge(
            history=book.history, message=book.message, claim=claim("already_paid", *claims), pack=HOUSE
        ).findings
    for table in TWICE:
        book = read_book(table)
        twice = ("2026-03-08 50.00", "2026-03-08 50.00")
        found += judge(
            history=book.history, message=book.message, claim=claim("already_paid", *twice), pack=HOUSE
        ).findings
    return [one.render() for one in found]


UNPAID = "due 1 2026-03-10 1000.00\nmessage urge 2026-03-12T10:00\n"
TWICE = (
    # The same payment twice: in time, late, after the message, undone, and unknown to the records.
    UNPAID + "paid p1 2026-03-08 50.00\npaid p2 2026-03-08 50.00",
    UNPAID + "paid p1 2026-03-08 50.00 posted 2026-03-15\npaid p2 2026-03-08 50.00 posted 2026-03-14",
    "due 1 2026-03-06 1000.00\nmessage urge 2026-03-07T10:00\npaid p1 2026-03-08 50.00\npaid p2 2026-03-08 50.00",
    UNPAID + "paid p1 2026-03-08 50.00\npaid p2 2026-03-08 50.00\nreversed p1 2026-03-09\nreversed p2 2026-03-09",
    UNPAID,
)


def test_every_sentence_is_spoken_by_some_story_and_no_story_lacks_one():
    spoken = {one["text"] for one in told()}
    assert spoken | {"records_missing"} == set(SENTENCES)


def test_every_text_is_written_in_both_languages():
    assert {key for key, texts in SENTENCES.items() if set(texts) != set(LANGUAGES)} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_finding_reads_as_a_whole_sentence(language):
    for finding in told():
        sentence = sentence_of(finding, language=language)
        assert "{" not in sentence
        assert "None" not in sentence
        assert sentence.endswith("." if language == "en" else "。")


def test_amounts_and_days_are_written_as_the_reader_writes_them():
    finding = {
        "text": "was_overdue",
        "params": {
            "day": "2026-03-12",
            "days": 2,
            "amount": {"amount": "12345.60", "currency": "CNY"},
            "due_on": "2026-03-10",
        },
    }
    english = sentence_of(finding, language="en")
    assert english == "On 12 March 2026 the loan was 2 days overdue: CNY 12,345.60, due since 10 March 2026."
    chinese = sentence_of(finding, language="zh-hans")
    assert chinese == "2026年3月12日这笔贷款已逾期2天:应于2026年3月10日归还,逾期金额12,345.60元。"
    assert sentence_of(finding, language="fr") == english


def sentences(table: str, *payments: str) -> dict[str, str]:
    book = read_book(table)
    found = judge(history=book.history, message=book.message, claim=claim("already_paid", *payments), pack=HOUSE)
    return {one.name: sentence_of(one.render(), language="en") for one in found.findings}


def test_one_day_is_no_days():
    said = sentences("due 1 2026-03-10 1000.00\nmessage urge 2026-03-11T10:00  days 2")
    assert "the loan was 1 day overdue" in said["was_overdue"]
    assert said["days_differ"].endswith("2 days overdue; by the records it was 1 day.")


def test_money_that_was_posted_in_parts_was_shown_with_the_last_of_them():
    said = sentences(
        """
        due 1   2026-03-10  100.00
        paid p1 2026-03-08   60.00  posted 2026-03-15
        paid p2 2026-03-09   40.00  posted 2026-03-14
        message urge 2026-03-12T10:00
        """
    )
    assert "CNY 100.00 (latest on 9 March 2026)" in said["paid_before_posted_after"]
    assert "in full only on 15 March 2026" in said["paid_before_posted_after"]


def test_of_a_stale_list_only_what_the_records_showed_by_the_message_is_counted():
    said = sentences(
        """
        due 1   2026-03-10  100.00
        paid p1 2026-03-09  100.00  posted 2026-03-12T09:00
        paid p2 2026-03-10   50.00  posted 2026-03-15
        message urge 2026-03-12T10:00  list 2026-03-12T08:00
        """
    )
    assert said["paid_before_posted_after"].startswith("You had paid CNY 100.00 and the records showed it")


def test_payments_of_one_kind_that_the_customer_names_are_all_spoken_of():
    late = "paid p1 2026-03-08 60.00 posted 2026-03-15\npaid p2 2026-03-09 40.00 posted 2026-03-14"
    said = sentences(UNPAID + late, "2026-03-08 60.00", "2026-03-09 40.00")
    assert said["claimed_payment_found_late"].startswith("2 payments that you named")
    assert "15 March 2026" in said["claimed_payment_found_late"]
