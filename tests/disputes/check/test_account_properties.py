"""What holds of every account, tried on random histories."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disputes.check.account import account_at, by_component
from disputes.check.canonical import dump_input, input_digest
from disputes.check.facts import ALWAYS, Claim, CollectionMessage, RepaymentVersion
from disputes.check.standing import position_of, standing
from tests.disputes.check import oracle
from tests.disputes.check.worlds import LOAN, histories, in_currency, instants, moments, posted_by, repayments, shuffled

settings.register_profile("book", deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
book = settings.get_profile("book")


decimals = st.sampled_from((0, 2, 3))


@settings(book, max_examples=300)
@given(histories, moments, decimals)
def test_the_account_agrees_with_a_slow_second_way_to_it(history, moment, places):
    at, known_at = moment
    account = account_at(history=in_currency(history, places), at=at, known_at=known_at)
    stands = account.standing

    def units(amount: Decimal) -> Decimal:
        return amount.scaleb(places)

    assert {
        "days_past_due": account.days_past_due,
        "delinquent_days": account.delinquent_days,
        "overdue_amount": units(account.overdue_amount),
        "oldest_unpaid_due_on": account.oldest_unpaid_due_on,
        "next_due_on": account.next_due_on,
        "next_due_amount": units(stands.next_due_amount),
        "due_today": units(stands.due_today),
        "outstanding": units(account.outstanding),
        "overpaid": units(account.overpaid),
        "settled": account.settled,
        "paid": {line.external_id: units(line.paid) for line in account.instalments},
        "parts": {
            line.external_id: {name: (units(part.paid), units(part.outstanding)) for name, part in parts.items()}
            for line, parts in zip(account.instalments, by_component(account), strict=True)
        },
    } == oracle.figures(in_currency(history, places), at, known_at, places=places)


@settings(book, max_examples=2000)
@given(histories, instants, decimals)
def test_what_the_gate_keeps_stands_as_the_slow_way_says(history, now, places):
    """The gate keeps a schedule and one sum, of all that the records know at that instant."""
    history = posted_by(in_currency(history, places), now)
    stands = standing(position=position_of(history=history, at=now), at=now)
    told = oracle.figures(history, now, places=places)
    assert {name: told[name] for name in ("days_past_due", "delinquent_days", "settled", "oldest_unpaid_due_on")} == {
        "days_past_due": stands.days_past_due,
        "delinquent_days": stands.delinquent_days,
        "settled": stands.settled,
        "oldest_unpaid_due_on": stands.oldest_unpaid_due_on,
    }
    for name in ("overdue_amount", "next_due_amount", "due_today", "outstanding", "overpaid"):
        assert getattr(stands, name).scaleb(places) == told[name], name


@settings(book, max_examples=300)
@given(histories, moments, decimals)
def test_the_components_of_an_instalment_add_up_to_it(history, moment, places):
    account = account_at(history=in_currency(history, places), at=moment[0], known_at=moment[1])
    for line, parts in zip(account.instalments, by_component(account), strict=True):
        assert sum((part.amount for part in parts.values()), Decimal(0)) == line.amount
        assert sum((part.paid for part in parts.values()), Decimal(0)) == line.paid
        assert sum((part.outstanding for part in parts.values()), Decimal(0)) == line.outstanding
        assert all(part.paid >= 0 and part.outstanding >= 0 for part in parts.values())


@book
@given(histories, instants)
def test_the_position_stands_as_the_account_does(history, now):
    account = account_at(history=history, at=now)
    assert standing(position=position_of(history=history, at=now), at=now) == account.standing


@book
@given(histories, moments)
def test_nothing_is_ever_negative_and_delinquent_days_are_never_more_than_days_past_due(history, moment):
    account = account_at(history=history, at=moment[0], known_at=moment[1])
    stands = account.standing
    assert 0 <= account.delinquent_days <= account.days_past_due
    assert min(stands.overdue_amount, stands.outstanding, stands.overpaid, stands.due_today) >= 0
    assert stands.next_due_amount >= 0
    assert all(line.paid >= 0 and line.outstanding >= 0 for line in account.instalments)


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
