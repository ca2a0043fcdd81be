"""The validation period, how long records are kept, and which numbers are safe to text."""

from __future__ import annotations

from datetime import date

import pytest

from disputes.policy.keeping import keep_recording_until, keep_records_until, outside_body_until
from disputes.policy.packs import SHIPPED, load_packs
from disputes.policy.text_numbers import NumberUse, is_safe_to_text
from disputes.policy.validation import ValidationNotice, validation_period

PACKS = load_packs(SHIPPED)
US, HOUSE, UK, TW = (PACKS.by_name[name][-1] for name in ("us", "house", "uk", "tw"))


def sent(day: str, *, returned: bool = False) -> ValidationNotice:
    return ValidationNotice(sent_on=date.fromisoformat(day), returned=returned)


@pytest.mark.parametrize(
    ("day", "received", "ends"),
    [
        ("2026-10-19", "2026-10-26", "2026-11-25"),  # a Monday: five business days on, and thirty more
        ("2026-10-24", "2026-10-30", "2026-11-29"),  # a Saturday, which is none itself
        ("2026-11-23", "2026-12-01", "2026-12-31"),  # Thanksgiving and two days of a weekend lie between
    ],
)
def test_receipt_is_assumed_five_business_days_after_the_notice_and_thirty_days_follow(day, received, ends):
    found = validation_period(pack=US, notices=[sent(day)], holidays={date(2026, 11, 26)})
    assert found is not None
    assert (found.received_on.isoformat(), found.ends_on.isoformat()) == (received, ends)


def test_a_day_of_receipt_that_is_known_counts_in_place_of_the_assumed_one():
    found = validation_period(pack=US, notices=[sent("2026-10-19")], received_on=date(2026, 10, 21))
    assert found is not None
    assert found.ends_on == date(2026, 11, 20)


def test_a_notice_that_came_back_starts_nothing():
    assert validation_period(pack=US, notices=[sent("2026-01-01", returned=True)]) is None
    found = validation_period(pack=US, notices=[sent("2026-01-15"), sent("2026-01-01", returned=True)])
    assert found is not None
    assert found.counts_from == date(2026, 1, 15)


def test_a_pack_without_such_a_period_has_none():
    assert validation_period(pack=HOUSE, notices=[sent("2026-10-19")]) is None


def test_records_are_kept_for_the_packs_term_at_least():
    last = date(2026, 3, 10)
    assert keep_records_until(pack=HOUSE, last_activity=last) == date(2031, 3, 10)
    assert keep_records_until(pack=US, last_activity=last) == date(2029, 3, 10)
    assert keep_recording_until(pack=TW, recorded_on=last) == date(2026, 9, 10)
    assert outside_body_until(pack=UK, letter_on=date(2026, 8, 31)) == date(2027, 2, 28)
    assert outside_body_until(pack=HOUSE, letter_on=last) is None


@pytest.mark.parametrize(
    ("use", "safe"),
    [
        (NumberUse(last_text_days=60), True),
        (NumberUse(last_text_days=61), False),
        (NumberUse(last_text_days=61, unassigned_since=True), True),
        (NumberUse(last_text_days=None, unassigned_since=True), False),
        (NumberUse(last_text_days=1, opted_out=True), False),
        (NumberUse(last_text_days=1, reaches_other=True), False),
    ],
)
def test_a_number_is_safe_while_the_persons_own_text_is_recent_or_nobody_else_was_given_it(use, safe):
    assert is_safe_to_text(pack=US, use=use) is safe


def test_a_pack_without_the_rule_asks_only_that_the_number_is_the_persons():
    assert is_safe_to_text(pack=HOUSE, use=NumberUse(last_text_days=None))
    assert not is_safe_to_text(pack=HOUSE, use=NumberUse(last_text_days=None, reaches_other=True))
