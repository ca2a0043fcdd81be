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
    return [one.render() for one in found]


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
    assert english == "On 12 March 2026 the loan was 2 day(s) overdue: CNY 12,345.60, due since 10 March 2026."
    chinese = sentence_of(finding, language="zh-hans")
    assert chinese == "2026年3月12日这笔贷款已逾期2天:应于2026年3月10日归还,逾期金额12,345.60元。"
    assert sentence_of(finding, language="fr") == english
