"""The letter of a decision, held against what CBIRC order 2020 no. 3, art. 19 asks of it: what was found, basis and
reasons, and all four ways on (cases cn-letter-parts and cn-letter-full)."""

from __future__ import annotations

from typing import Any

import pytest

from disputes.cases.letter import letter_of
from disputes.cases.models import Dispute
from disputes.holds.policies import pack_in_force
from disputes.pages.letters import render_letter
from tests.disputes.desk.staff import dispute_in_review, supervisor
from tests.lines import in_arrears

pytestmark = pytest.mark.django_db

WAYS = {"en": ("Re-examination", "Mediation", "Arbitration", "Court"), "zh-hans": ("核查", "调解", "仲裁", "诉讼")}


def rejected(*, ground: str = "already_paid") -> Dispute:
    case = dispute_in_review(*in_arrears(), ground=ground)
    said = {"outcome": "rejected", "reason": "payment_not_found", "explanation": "We found nothing."}
    supervisor().act(case, "decide", **said)
    case.refresh_from_db()
    assert case.outcome == "rejected"
    return case


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_rejection_says_what_was_found_why_and_every_way_on(language: str, settings: Any) -> None:
    settings.POLICY_PACK = "cn"
    case = rejected()
    letter = letter_of(dispute=case, language=language)
    assert letter.facts
    assert len(letter.reasons) > 1, "the reason of whoever decided, and what the check found"
    assert [way.startswith(named) for way, named in zip(letter.ways, WAYS[language], strict=False)] == [True] * 4
    required = pack_in_force(at=case.closed_at or case.opened_at).letter_ways_required
    assert required == ("re-examination", "mediation", "arbitration", "court")
    page = render_letter(letter)
    for part in (*(fact.value for fact in letter.facts), *letter.ways, letter.decision):
        assert part in page or part.replace("'", "&#x27;") in page, part


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_letter_that_must_not_speak_of_a_debt_names_every_way_on_all_the_same(language: str, settings: Any) -> None:
    settings.POLICY_PACK = "cn"
    letter = letter_of(dispute=rejected(ground="not_my_debt"), language=language)
    assert letter.silent
    assert letter.reasons
    assert [way.startswith(named) for way, named in zip(letter.ways, WAYS[language], strict=False)] == [True] * 4


def test_the_ombudsman_stands_in_the_letter_of_a_british_lender_and_nowhere_else(settings: Any) -> None:
    settings.POLICY_PACK = "uk"
    assert "Financial Ombudsman Service" in letter_of(dispute=rejected(), language="en").ways[0]
    settings.POLICY_PACK = "house"
    assert letter_of(dispute=Dispute.objects.get(), language="en").ways == ()
