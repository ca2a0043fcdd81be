"""The table of causes, row by row and ground by ground, and what a verdict makes of it."""

from __future__ import annotations

import itertools

import pytest

from disputes.check.causes import CAUSES, THE_ACCOUNT, Cause
from disputes.check.facts import GROUNDS
from disputes.check.verdict import decide

ACCOUNT = ("not_overdue", "already_paid", "no_longer_owed", "wrong_amount")
# By hand: the row, the grounds that it answers, whether it is right only in part where the days were too few, and
# whether it counts on other grounds.
TABLE = [
    ("wrong_recipient", None, ("not_my_debt", "third_party_contacted"), False, True),
    ("settled_loan", None, ACCOUNT, False, True),
    ("stale_records", "…", ACCOUNT, True, True),
    ("risk_strategy", None, ACCOUNT, False, True),
    ("automation_rule", "within_grace", ACCOUNT, False, True),
    ("automation_rule", "arrangement", ACCOUNT, False, True),
    ("automation_rule", "pause", ACCOUNT, False, True),
    ("automation_rule", "pre_due_rule", ACCOUNT, False, True),
    ("automation_rule", "same_message_twice", ("too_frequent",), False, True),
    ("automation_rule", "frequency_cap", ("too_frequent",), False, True),
    ("automation_rule", "outside_hours", ("outside_hours",), False, True),
    ("system_error", None, ACCOUNT, True, True),
    ("wrong_amount", "amount", ("wrong_amount",), False, True),
    ("wrong_amount", "days", ("wrong_amount",), False, True),
    ("unauthorised_send", "…", (), False, False),
]
# By hand: the ground, and the verdict where nothing holds, where the row that holds answers it, and where it does not.
VERDICTS = {
    "not_overdue": ("lender_right", "customer_right", "partly_right"),
    "already_paid": ("lender_right", "customer_right", "partly_right"),
    "no_longer_owed": ("lender_right", "customer_right", "partly_right"),
    "wrong_amount": ("lender_right", "customer_right", "partly_right"),
    "too_frequent": ("lender_right", "customer_right", "partly_right"),
    "outside_hours": ("lender_right", "customer_right", "partly_right"),
    "not_my_debt": ("inconclusive", "customer_right", "inconclusive"),
    "third_party_contacted": ("inconclusive", "customer_right", "inconclusive"),
    "identity_theft": ("inconclusive", None, "inconclusive"),
    "agent_conduct": ("inconclusive", None, "inconclusive"),
    "other": ("inconclusive", None, "inconclusive"),
}
ROWS = {(cause.name, cause.detail if isinstance(cause.detail, str) else ""): cause for cause in CAUSES}


def label(cause: Cause) -> str:
    return f"{cause.name}-{cause.detail if isinstance(cause.detail, str) else ''}"


def verdict(ground: str, *holding: Cause, **situation: bool) -> str:
    return decide(ground=ground, holding=holding, **situation).verdict


def cause_of(ground: str, *holding: Cause) -> Cause | None:
    return decide(ground=ground, holding=holding).cause


def test_the_table_stands_in_the_contracts_order():
    assert [
        (
            cause.name,
            "…" if callable(cause.detail) else cause.detail,
            tuple(ground for ground in (*ACCOUNT, *GROUNDS[4:]) if ground in cause.answers),
            cause.in_part == "too_few_days",
            cause.counts,
        )
        for cause in CAUSES
    ] == TABLE


def test_every_ground_has_its_verdicts():
    assert set(VERDICTS) == set(GROUNDS)


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("cause", CAUSES, ids=label)
def test_a_row_alone_makes_the_customer_right_on_the_grounds_that_it_answers_and_in_part_on_the_others(cause, ground):
    nothing, answered, otherwise = VERDICTS[ground]
    if ground in cause.answers:
        assert verdict(ground, cause) == answered
        assert verdict(ground, cause, too_few_days=True) == ("partly_right" if cause.in_part != "never" else answered)
    else:
        assert verdict(ground, cause) == (otherwise if cause.counts else nothing)
    assert cause_of(ground, cause) is cause


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(CAUSES, 2)), ids=label)
def test_of_two_rows_the_one_that_answers_decides_and_explains_else_the_first(one, other, ground):
    answering = [cause for cause in (one, other) if ground in cause.answers]
    assert cause_of(ground, one, other) is (answering or [one])[0]
    nothing, answered, otherwise = VERDICTS[ground]
    if answering:
        assert verdict(ground, one, other) == answered
    else:
        assert verdict(ground, one, other) == (otherwise if one.counts or other.counts else nothing)


MIXED = [
    # overdue, but the amount was wrong
    ("not_overdue", ["wrong_amount-amount"], "partly_right", "wrong_amount-amount"),
    ("already_paid", ["wrong_amount-amount"], "partly_right", "wrong_amount-amount"),
    ("no_longer_owed", ["wrong_amount-amount"], "partly_right", "wrong_amount-amount"),
    ("wrong_amount", ["wrong_amount-amount"], "customer_right", "wrong_amount-amount"),
    ("too_frequent", ["wrong_amount-amount"], "partly_right", "wrong_amount-amount"),
    ("outside_hours", ["wrong_amount-days"], "partly_right", "wrong_amount-days"),
    ("not_my_debt", ["wrong_amount-amount"], "inconclusive", "wrong_amount-amount"),
    # overdue, but sent at night
    ("not_overdue", ["automation_rule-outside_hours"], "partly_right", "automation_rule-outside_hours"),
    # sent at night, once too often, and with a wrong amount
    (
        "wrong_amount",
        ["automation_rule-frequency_cap", "automation_rule-outside_hours", "wrong_amount-amount"],
        "customer_right",
        "wrong_amount-amount",
    ),
    (
        "outside_hours",
        ["automation_rule-frequency_cap", "automation_rule-outside_hours", "wrong_amount-amount"],
        "customer_right",
        "automation_rule-outside_hours",
    ),
    # the gate was not asked, and nothing else was wrong
    ("not_overdue", ["unauthorised_send-"], "lender_right", "unauthorised_send-"),
    ("too_frequent", ["unauthorised_send-"], "lender_right", "unauthorised_send-"),
    # the gate was not asked, and the amount was wrong
    ("not_overdue", ["wrong_amount-amount", "unauthorised_send-"], "partly_right", "wrong_amount-amount"),
    # settled, and to a stranger
    ("not_overdue", ["wrong_recipient-", "settled_loan-"], "customer_right", "settled_loan-"),
    ("too_frequent", ["wrong_recipient-", "settled_loan-"], "partly_right", "wrong_recipient-"),
]


@pytest.mark.parametrize(("ground", "holding", "expected", "named"), MIXED)
def test_mixed_findings(ground, holding, expected, named):
    rows = {label(cause): cause for cause in CAUSES}
    found = decide(ground=ground, holding=[rows[name] for name in holding])
    assert (found.verdict, found.cause) == (expected, rows[named])


def test_right_in_part_where_every_cause_that_answers_is_right_only_in_part():
    stale, error, grace = ROWS["stale_records", ""], ROWS["system_error", ""], ROWS["automation_rule", "within_grace"]
    for holding in ((stale,), (error,), (stale, error)):
        assert verdict("not_overdue", *holding, too_few_days=True) == "partly_right"
        assert verdict("not_overdue", *holding) == "customer_right"
    assert verdict("not_overdue", stale, grace, too_few_days=True) == "customer_right"


@pytest.mark.parametrize("ground", GROUNDS)
def test_where_no_cause_holds_the_lender_is_right_unless_the_records_cannot_tell(ground):
    assert verdict(ground) == VERDICTS[ground][0]
    about_account = "inconclusive" if ground in ACCOUNT else VERDICTS[ground][0]
    assert verdict(ground, tells=False) == about_account
    assert verdict(ground, fresh=False) == about_account
    assert verdict(ground, contacts_tell=False) == ("inconclusive" if ground == "too_frequent" else VERDICTS[ground][0])
    claimless = "inconclusive" if ground == "wrong_amount" else VERDICTS[ground][0]
    assert verdict(ground, claims_something=False) == claimless


def test_what_the_records_cannot_tell_stays_open_where_only_another_cause_holds():
    wrong, twice = ROWS["wrong_amount", "amount"], ROWS["automation_rule", "same_message_twice"]
    assert verdict("not_overdue", wrong, fresh=False) == "inconclusive"
    assert verdict("wrong_amount", wrong, fresh=False) == "customer_right"
    assert verdict("outside_hours", wrong, fresh=False) == "partly_right"
    assert verdict("too_frequent", wrong, contacts_tell=False) == "inconclusive"
    assert verdict("too_frequent", twice, contacts_tell=False) == "customer_right"


def test_every_row_about_the_account_needs_it():
    of_sending = [cause.name for cause in CAUSES if cause.rests_on != THE_ACCOUNT]
    assert of_sending == ["wrong_recipient", *["automation_rule"] * 3, "unauthorised_send"]
