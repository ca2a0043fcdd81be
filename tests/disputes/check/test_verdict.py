"""The table of causes, row by row, and what a verdict makes of it."""

from __future__ import annotations

import itertools

import pytest

from disputes.check.causes import CAUSES, Cause, Holding
from disputes.check.facts import GROUNDS
from disputes.check.verdict import decide

ACCOUNT = {"not_overdue", "already_paid", "no_longer_owed", "wrong_amount"}
TABLE = [
    ("settled_loan", ACCOUNT),
    ("stale_records", ACCOUNT),
    ("risk_strategy", ACCOUNT),
    ("automation_rule", ACCOUNT),
    ("system_error", ACCOUNT),
    ("wrong_amount", {"wrong_amount"}),
]


def verdict(ground: str, holding, *, tells=True, fresh=True, claims_something=True):
    found = decide(ground=ground, holding=holding, tells=tells, fresh=fresh, claims_something=claims_something)
    return found.verdict, found.cause


def test_the_table_stands_in_the_contracts_order():
    assert [(cause.name, set(cause.answers)) for cause in CAUSES] == TABLE


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
@pytest.mark.parametrize("ground", GROUNDS)
def test_a_row_alone_makes_the_customer_right_on_the_grounds_that_it_answers_and_in_part_on_the_others(cause, ground):
    found = verdict(ground, [(cause, Holding())])
    if ground not in ACCOUNT:
        assert found == ("inconclusive", cause.name)
    elif ground in cause.answers:
        assert found == ("customer_right", cause.name)
    else:
        assert found == ("partly_right", cause.name)


def test_the_first_that_answers_the_ground_explains_it_else_the_first_that_holds():
    rows = {cause.name: cause for cause in CAUSES}
    for one, other in itertools.combinations(CAUSES, 2):
        holding = [(one, Holding()), (other, Holding())]
        assert verdict("wrong_amount", holding)[1] == one.name
        assert verdict("too_frequent", holding)[1] == one.name
    hours = Cause(name="hours", holds=lambda _: None, answers=frozenset({"outside_hours"}))
    holding = [(hours, Holding()), (rows["wrong_amount"], Holding())]
    assert verdict("wrong_amount", holding) == ("customer_right", "wrong_amount")
    assert verdict("not_overdue", holding) == ("partly_right", "hours")


def test_right_in_part_where_every_cause_that_answers_is_right_only_in_part():
    stale, error = CAUSES[1], CAUSES[4]
    assert verdict("not_overdue", [(stale, Holding(partly=True))])[0] == "partly_right"
    assert verdict("not_overdue", [(stale, Holding(partly=True)), (error, Holding())])[0] == "customer_right"


@pytest.mark.parametrize("ground", sorted(ACCOUNT))
def test_where_no_cause_holds_the_lender_is_right_unless_the_records_cannot_tell(ground):
    assert verdict(ground, []) == ("lender_right", None)
    assert verdict(ground, [], tells=False) == ("inconclusive", None)
    assert verdict(ground, [], fresh=False) == ("inconclusive", None)


def test_old_records_leave_open_what_only_another_cause_would_answer():
    wrong = CAUSES[5]
    assert verdict("not_overdue", [(wrong, Holding())], fresh=False) == ("inconclusive", "wrong_amount")
    assert verdict("wrong_amount", [(wrong, Holding())], fresh=False) == ("customer_right", "wrong_amount")


def test_an_unauthorised_send_alone_makes_nobody_right():
    unauthorised = Cause(name="unauthorised_send", holds=lambda _: None, answers=frozenset())
    assert verdict("not_overdue", [(unauthorised, Holding())]) == ("lender_right", "unauthorised_send")
