"""The packs through the check itself: what a whole judgement says where a clause decides."""

from __future__ import annotations

import pytest

from disputes.check.judging import Judgement, judge
from tests.cases.policy_answers import PACKS, ZONES
from tests.disputes.check.book import claim, read_book


def judged(account: str, *, pack: str, ground: str) -> Judgement:
    book = read_book(account)
    in_force = PACKS.in_force(pack, book.message.sent_at, ZONES[pack])
    return judge(history=book.history, message=book.message, claim=claim(ground), pack=in_force)


def names(judgement: Judgement) -> set[str]:
    return {finding.name for finding in judgement.findings}


@pytest.mark.parametrize("pack", ["cn", "tw", "us", "uk"])
def test_a_message_to_a_contacts_number_speaks_for_the_customer_under_every_pack(pack: str):
    """Cases cn-contact-reachable, cn-contact-refuses, hk-referee and in-friends ask no more."""
    account = f"""
        loan     zone {ZONES[pack]}
        due 1    2026-10-01  1000.00
        customer C1 zones {ZONES[pack]}
        phone C1 contact P2
        message  urge 2026-11-10T10:00  phone P2
    """
    found = judged(account, pack=pack, ground="third_party_contacted")
    assert "wrong_recipient" in names(found)
    assert found.verdict != "lender_right"


@pytest.mark.parametrize(
    ("pack", "zone", "clock", "outside"),
    [
        ("us", "America/New_York", "20:59:59", False),
        ("us", "America/New_York", "21:00:00", False),
        ("us", "America/New_York", "21:00:01", True),
        ("us", "America/New_York", "07:59:59", True),
        ("tw", "Asia/Taipei", "22:00:00", False),
        ("tw", "Asia/Taipei", "22:01:00", True),
        ("tw", "Asia/Taipei", "06:59:59", True),
        ("cn", "Asia/Shanghai", "21:59:59", False),
        ("cn", "Asia/Shanghai", "22:00:00", True),
        ("uk", "Europe/London", "20:59:59", False),
        ("uk", "Europe/London", "21:00:00", True),
    ],
)
def test_the_check_calls_no_message_a_breach_at_an_end_that_the_words_leave_free(pack, zone, clock, outside):
    account = f"""
        loan     zone {zone}
        due 1    2026-10-01  1000.00
        customer C1 zones {zone}
        phone C1 own P1
        message  urge 2026-11-10T{clock}  phone P1
    """
    assert ("outside_hours" in names(judged(account, pack=pack, ground="outside_hours"))) is outside
