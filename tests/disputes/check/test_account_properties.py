"""What holds of every account, tried on random histories."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disputes.check.account import account_at
from disputes.check.canonical import dump_input, input_digest
from disputes.check.facts import ALWAYS, Claim, CollectionMessage, RepaymentVersion
from disputes.check.standing import position_of, standing
from tests.disputes.check import oracle
from tests.disputes.check.worlds import LOAN, histories, instants, moments, posted_by, repayments, shuffled

settings.register_profile("book", deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
book = settings.get_profile("book")


@settings(book, max_examples=200)
@given(histories, moments)
def test_the_account_agrees_with_a_slow_second_way_to_it(history, moment):
    at, known_at = moment
    account = account_at(history=history, at=at, known_at=known_at)
    assert {
        "days_past_due": account.days_past_due,
        "delinquent_days": account.delinquent_days,
        "overdue_amount": account.overdue_amount,
        "outstanding": account.outstanding,
        "overpaid": account.overpaid,
        "paid": {line.external_id: line.paid for line in account.instalments},
    } == oracle.figures(history, at, known_at)


@book
@given(histories, instants)
def test_the_position_stands_as_the_account_does(history, now):
    account = account_at(history=history, at=now)
    assert standing(position=position_of(history=history, at=now), at=now) == account.standing


@book
@given(histories, moments)
def test_days_past_due_are_never_negative_and_delinquent_days_never_more(history, moment):
    account = account_at(history=history, at=moment[0], known_at=moment[1])
    assert 0 <= account.delinquent_days <= account.days_past_due


@book
@given(histories, moments)
def test_money_is_conserved(history, moment):
    account = account_at(history=history, at=moment[0], known_at=moment[1])
    came_in = sum((row.amount for row in account.repayments if row.reversed_at is None), Decimal(0))
    assert sum((line.paid for line in account.instalments), account.overpaid) == came_in
    assert account.outstanding == sum((line.outstanding for line in account.instalments), Decimal(0))
    for line in account.instalments:
        assert account.settled or line.paid + line.outstanding == line.amount


@book
@given(histories, instants, instants)
def test_a_later_posting_never_changes_what_was_known_earlier(history, at, known_at):
    assert account_at(history=history, at=at, known_at=known_at) == account_at(
        history=posted_by(history, known_at), at=at, known_at=known_at
    )


@book
@given(histories, moments, st.randoms(use_true_random=False))
def test_the_order_of_arrival_never_matters(history, moment, random):
    mixed = shuffled(history, random)
    at, known_at = moment
    assert account_at(history=mixed, at=at, known_at=known_at) == account_at(history=history, at=at, known_at=known_at)


@book
@given(histories, moments, instants, st.integers(1, 20))
def test_one_more_payment_never_raises_the_days(history, moment, paid_at, amount):
    at, known_at = moment
    more = RepaymentVersion(external_id="extra", loan=LOAN, amount=Decimal(amount), paid_at=paid_at, posted_at=ALWAYS)
    richer = replace(history, repayments=(*history.repayments, more))
    before = account_at(history=history, at=at, known_at=known_at)
    after = account_at(history=richer, at=at, known_at=known_at)
    assert after.days_past_due <= before.days_past_due
    assert after.overdue_amount <= before.overdue_amount


@book
@given(histories, instants, st.integers(1, 20))
def test_an_account_that_nobody_pays_grows_older_by_a_day_a_day(history, at, later):
    history = replace(
        history, repayments=(), loans=tuple(replace(one, settled_on=None, written_off_on=None) for one in history.loans)
    )
    history = posted_by(history, at)
    first = account_at(history=history, at=at, known_at=at)
    then = account_at(history=history, at=at + timedelta(days=later), known_at=at)
    if first.days_past_due and first.time_zone == then.time_zone and first.instalments == then.instalments:
        moved = (then.standing.day - first.standing.day).days
        assert then.days_past_due == first.days_past_due + moved


@book
@given(histories, st.randoms(use_true_random=False), st.lists(repayments, max_size=2))
def test_the_digest_of_a_check_hangs_on_the_facts_and_not_on_their_order(history, random, more):
    message = CollectionMessage(
        external_id="M1", loan=LOAN, channel="sms", category="urge", sent_at=ALWAYS.replace(year=2026)
    )

    def digest(of):
        claim = Claim(ground="not_overdue")
        return input_digest(dump_input(history=of, message=message, claim=claim, pack_name="house", pack_version="1"))

    assert digest(shuffled(history, random)) == digest(history)
    richer = replace(history, repayments=(*history.repayments, *more))
    assert (digest(richer) == digest(history)) == (set(richer.repayments) == set(history.repayments))
