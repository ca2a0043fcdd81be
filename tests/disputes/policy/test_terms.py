"""Calendar deadlines."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from disputes.policy.packs import SHIPPED, load_packs
from disputes.policy.terms import deadlines, decide_days, is_repetition

HOUSE = load_packs(SHIPPED).version("house", "1")


def decide_by(opened: str, zone: str = "Asia/Shanghai", **more) -> str:
    return deadlines(pack=HOUSE, opened_at=datetime.fromisoformat(opened), zone=zone, **more).decide_by.isoformat()


def test_the_day_of_receipt_does_not_count_and_the_last_day_counts_to_its_end():
    assert decide_by("2026-11-02T00:00:00+08:00") == "2026-11-17T23:59:59+08:00"
    assert decide_by("2026-11-02T23:59:59+08:00") == "2026-11-17T23:59:59+08:00"
    assert decide_by("2026-11-03T00:00:00+08:00") == "2026-11-18T23:59:59+08:00"


def test_the_day_is_the_lenders_own():
    assert decide_by("2026-11-02T16:30:00+00:00") == "2026-11-18T23:59:59+08:00"


def test_the_end_of_the_day_follows_the_clock_change():
    assert decide_by("2026-10-20T12:00:00-04:00", "America/New_York") == "2026-11-04T23:59:59-05:00"


def test_all_three_deadlines_stand_in_their_order():
    by = deadlines(pack=HOUSE, opened_at=datetime.fromisoformat("2026-11-02T09:00:00+08:00"), zone="Asia/Shanghai")
    assert (by.acknowledge_by.day, by.first_answer_by.day, by.decide_by.day) == (3, 7, 17)


@pytest.mark.parametrize(
    ("complexity", "told", "days"),
    [
        ("simple", True, 15),
        ("complex", False, 30),
        ("complex", True, 30),
        ("very_complex", False, 30),
        ("very_complex", True, 60),
    ],
)
def test_an_extension_counts_only_when_the_customer_was_told(complexity, told, days):
    assert decide_days(pack=HOUSE, complexity=complexity, extension_told=told) == days


def test_an_unknown_complexity_is_refused():
    with pytest.raises(ValueError, match="complexity"):
        decide_days(pack=HOUSE, complexity="simpel")


def test_a_dispute_says_the_same_again_within_the_packs_days_of_its_rejection_and_with_nothing_new():
    rejected = date(2026, 3, 1)
    again = {"pack": HOUSE, "rejected_on": rejected, "same_matter": True, "new": False}
    assert HOUSE.duplicative_days == 90
    assert is_repetition(**again, raised_on=rejected)
    assert is_repetition(**again, raised_on=rejected + timedelta(days=90))
    assert not is_repetition(**again, raised_on=rejected + timedelta(days=91))
    assert not is_repetition(**again | {"new": True}, raised_on=rejected)
    assert not is_repetition(**again | {"same_matter": False}, raised_on=rejected)
    assert not is_repetition(**again | {"rejected_on": None}, raised_on=rejected)
