"""The short way to a judgement and the long one: every version on every clock, every cause and criterion asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disputes.check import presence
from disputes.check.account import account_at
from disputes.check.causes import CAUSES, causes_of
from disputes.check.clocks import clocks_by_version, clocks_of
from disputes.check.criteria import CRITERIA, NEEDS, findings_of
from disputes.check.facts import ALWAYS, GROUNDS, Arrangement, CollectionMessage, History, SendingRuleVersion, Watermark
from disputes.check.judging import judge, judge_slowly
from disputes.check.matter import matter_of
from disputes.check.presence import ACCOUNT, EVERYTHING, REPROACHED, bears_on
from disputes.check.rendering import render, render_clocks
from disputes.policy.packs import SHIPPED, load_packs
from tests.disputes.check import test_sending_properties as sending
from tests.disputes.check.book import claim, read_book
from tests.disputes.check.test_account_properties import book
from tests.disputes.check.test_judging import STORIES
from tests.disputes.check.worlds import LOAN, days, histories, in_currency, instants, postings

HOUSE = load_packs(SHIPPED).version("house", "1")


def only_one(rows: tuple[Any, ...], **changes: Any) -> tuple[Any, ...]:
    """One version a record, of this loan."""
    return tuple({row.external_id: replace(row, **changes) for row in rows}.values())


def plainly(history: History, posted: list[datetime]) -> History:
    """The same world without reversals and voids, with one version a record: what most accounts are like. Schedule and
    terms were always known, repayments when they were posted."""
    repayments = only_one(history.repayments, loan=LOAN)
    return replace(
        history,
        loans=tuple(replace(one, posted_at=ALWAYS) for one in history.loans[:1]),
        instalments=only_one(history.instalments, loan=LOAN, posted_at=ALWAYS),
        repayments=tuple(replace(row, posted_at=at) for row, at in zip(repayments, posted, strict=False)),
        reversals=(),
        voids=(),
    )


plain = st.builds(plainly, histories, st.lists(postings, min_size=4, max_size=4))
worlds = st.builds(in_currency, st.one_of(plain, plain, histories), st.sampled_from((0, 2, 3)))
rules = st.builds(
    lambda aim, need, posted_at: SendingRuleVersion(external_id="R", aim=aim, min_dpd=need, posted_at=posted_at),
    st.sampled_from(("pre_due", "overdue", "risk")),
    st.one_of(st.none(), st.integers(0, 6)),
    postings,
)
arrangements = st.builds(
    lambda first, until, kept: Arrangement(first=first, until=until, kept_until=kept),
    days,
    st.one_of(st.none(), days),
    st.one_of(st.none(), days),
)
marks = st.builds(
    lambda until: tuple(
        Watermark(feed=feed, complete_until=until, posted_at=ALWAYS) for feed in ("repayments", "schedule")
    ),
    st.one_of(st.just(datetime(2100, 1, 1, tzinfo=UTC)), instants),
)
messages = st.builds(
    CollectionMessage,
    external_id=st.just("M1"),
    loan=st.sampled_from((LOAN, LOAN, LOAN, None)),
    channel=st.just("sms"),
    category=st.sampled_from(("reminder", "reminder", "urge", "urge", "warning", "statutory", "service")),
    sent_at=instants,
    list_built_at=st.one_of(st.none(), instants),
    sending_rule=st.sampled_from((None, "R")),
    claimed_amount=st.one_of(st.none(), st.decimals(0, 20, places=2)),
    claimed_days_past_due=st.one_of(st.none(), st.integers(0, 6)),
    phone=st.sampled_from(("aa", "bb", None)),
    permit=st.sampled_from((None, "k1")),
    text=st.sampled_from(("", "t1")),
)
claims = st.builds(
    lambda ground, payments: claim(ground, *payments),
    st.sampled_from(GROUNDS),
    st.sampled_from(((), ("2026-03-09 5 p1",), ("2026-03-09 5 p1", "2026-03-12 7"))),
)


@st.composite
def stories(draw: Any) -> dict[str, Any]:
    """All that `judge` reads."""
    history, kept = draw(worlds), tuple(draw(st.lists(arrangements, max_size=1)))
    around = draw(sending.worlds)
    history = replace(
        history,
        loans=tuple(replace(one, arrangements=kept) for one in history.loans),
        sending_rules=(draw(rules),),
        watermarks=draw(marks),
        customers=around.customers,
        sent=around.sent,
        permits=around.permits,
        holds=around.holds,
        gate_required_from=around.gate_required_from,
    )
    return {"history": history, "message": draw(messages), "claim": draw(claims), "pack": draw(sending.packs)}


@settings(book, max_examples=1000)
@given(stories())
def test_the_short_way_to_a_judgement_says_what_the_long_way_says(story):
    assert judge(**story).render() == judge_slowly(**story).render()


@settings(book, max_examples=300)
@given(worlds, instants, instants)
def test_every_clock_of_the_short_way_is_the_account_as_then_known(history, at, listed_at):
    listed_at = min(listed_at, at)
    short, long = (of(history=history, at=at, listed_at=listed_at) for of in (clocks_of, clocks_by_version))
    known = {"was": None, "sent": at, "listed": listed_at}
    for name, known_at in known.items():
        account = account_at(history=history, at=at, known_at=known_at)
        for clocks in (short, long):
            clock = getattr(clocks, name)
            assert clock.standing == account.standing
            assert clock.view.instalments == account.clock.view.instalments
            assert clock.view.repayments == account.clock.view.repayments
            assert clock.position == account.clock.position
    three = [render_clocks(one.was, one.sent, one.listed) for one in (short, long)]
    alone = [render(account_at(history=history, at=at, known_at=known_at)) for known_at in known.values()]
    assert three == [alone, alone]


@settings(book, max_examples=300)
@given(stories())
def test_what_is_not_asked_would_have_found_nothing(story):
    matter = matter_of(**story)
    bits = bears_on(matter)
    everything = EVERYTHING if matter.tells else EVERYTHING & ~ACCOUNT
    assert causes_of(matter, bits) == causes_of(matter, everything)
    assert findings_of(matter, bits | REPROACHED) == findings_of(matter)


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("ground", ["not_overdue", "wrong_amount"])
def test_every_story_is_told_alike_both_ways(story, ground):
    told = read_book(STORIES[story][0])
    facts = {"history": told.history, "message": told.message, "claim": claim(ground), "pack": HOUSE}
    assert judge(**facts).render() == judge_slowly(**facts).render()


def test_most_plain_worlds_take_the_short_way_and_worlds_of_versions_the_long_one():
    plain_book = read_book("due 1 2026-03-10 10.00\npaid p1 2026-03-09 10.00  posted 2026-03-14")
    at = plain_book.at("2026-03-12")
    assert clocks_of(history=plain_book.history, at=at, listed_at=at).listed.missing == plain_book.history.repayments
    for more in (
        "reversed p1 2026-03-10",
        "void v1 repayment p2",
        "due 1 2026-03-11 10.00  version 2",
        "paid p1 2026-03-09 9.00  version 2",
        "paid p2 2026-03-09 9.00  loan OTHER",
        "due 2 2026-03-09 9.00  posted 2026-03-13",
        "due 2 2026-03-09 9.00  effective 2026-03-13",
        "loan posted 2026-03-13",
    ):
        told = read_book(f"due 1 2026-03-10 10.00\npaid p1 2026-03-09 10.00  posted 2026-03-14\n{more}")
        assert clocks_of(history=told.history, at=at, listed_at=at).was.missing is None, more


def test_no_two_kinds_of_facts_share_a_bit_and_every_criterion_that_is_skipped_is_one():
    assert set(NEEDS) <= set(CRITERIA)
    assert all(0 <= needs <= EVERYTHING for needs in (*NEEDS.values(), *(cause.needs for cause in CAUSES)))
    bits = {name: bit for name, bit in vars(presence).items() if type(bit) is int and name != "EVERYTHING"}
    assert max(Counter(bits.values()).values()) == 1
    assert sum(bits.values()) == EVERYTHING
