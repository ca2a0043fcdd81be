"""What the check found, as an agent reads it."""

from __future__ import annotations

import pytest

from disputes.check.causes import CAUSES
from disputes.check.permitting import AGAINST_HOLD
from disputes.desk import words
from disputes.desk.findings import shown_findings
from tests.disputes.check.test_sentences import told
from tests.disputes.desk.staff import agent, dispute_in_review
from tests.lines import in_arrears


def shown(name: str, facts: dict) -> dict[str, tuple[str, ...]]:
    row = {"name": name, "speaks_for": "customer", "facts": facts, "text": "risk_rule", "params": {}}
    [one] = shown_findings([row])
    return {fact.label: fact.lines for fact in one.facts}


def test_every_finding_of_the_check_can_be_shown_with_all_its_facts():
    rows = told()
    for row, one in zip(rows, shown_findings(rows), strict=True):
        assert len(one.facts) == len(row["facts"])
        assert one.sentence
        for fact in one.facts:
            assert fact.lines
            assert not any(mark in line for line in fact.lines for mark in "{}[]")


def test_a_fact_is_written_as_a_person_reads_it():
    money = {"amount": "1280.50", "currency": "CNY"}
    assert shown(
        "above_cap",
        {
            "sent_at": "2026-03-12T02:00:00Z",
            "local": [{"zone": "Asia/Tokyo", "time": "2026-03-12T11:00:00"}],
            "claimed": money,
            "records": [money, money],
            "legal": False,
            "until": None,
            "feeds": ["repayments", "schedule"],
        },
    ) == {
        "Sent at": ("2026-03-12 10:00",),
        "Local": ("zone Asia/Tokyo, time 2026-03-12 11:00",),
        "Claimed": ("1,280.50 CNY",),
        "Records": ("1,280.50 CNY", "1,280.50 CNY"),
        "Legal": ("no",),
        "Until": ("–",),
        "Feeds": ("repayments, schedule",),
    }


def test_every_cause_and_detail_has_words():
    assert {cause.name for cause in CAUSES} <= set(words.CAUSES)
    details = {cause.detail for cause in CAUSES if isinstance(cause.detail, str)} | {AGAINST_HOLD}
    assert details <= set(words.DETAILS)


@pytest.mark.django_db
def test_the_page_of_a_dispute_has_the_sentences_and_the_facts():
    dispute = dispute_in_review(*in_arrears())
    page = agent().page(dispute).content.decode()
    assert "2 days overdue" in page
    assert "<dt>Oldest unpaid due on</dt><dd>2026-02-01</dd>" in page
