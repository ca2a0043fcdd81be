"""What holds of every judgement about a message's sending, tried on random surroundings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from disputes.check.canonical import dump_input, load_input
from disputes.check.facts import (
    ALWAYS,
    GROUNDS,
    Claim,
    CollectionMessage,
    CustomerPhone,
    CustomerVersion,
    History,
    LoanVersion,
    PermitFact,
    SentMessage,
    StandingHold,
)
from disputes.check.judging import judge
from disputes.check.sentences import LANGUAGES, sentence_of
from tests.disputes.check.test_account_properties import book
from tests.disputes.check.test_judging import HOUSE, PACKS

SENT_AT = datetime(2026, 3, 12, 2, tzinfo=UTC)
PHONES = ("aa", "bb", "")
LOANS = ("L1", "L2", None)
around = st.integers(-14 * 24 * 4, 4).map(lambda quarters: SENT_AT + timedelta(minutes=15 * quarters))
days = st.one_of(st.none(), st.integers(-3, 3).map(lambda n: SENT_AT.date() + timedelta(days=n)))
texts = st.sampled_from(("", "t1", "t2"))
categories = st.sampled_from(("urge", "urge", "reminder", "warning", "service", "statutory", "survey"))

phones = st.builds(
    CustomerPhone,
    digest=st.sampled_from(PHONES[:2]),
    role=st.sampled_from(("own", "contact")),
    first=days,
    until=days,
)
customers = st.builds(
    CustomerVersion,
    external_id=st.sampled_from(("C1", "C1", "C2")),
    version=st.sampled_from((-1, 1, 2)),
    posted_at=st.one_of(st.just(ALWAYS), around),
    effective_at=st.one_of(st.none(), around),
    content=st.binary(min_size=1, max_size=2),
    time_zones=st.lists(st.sampled_from(("Asia/Shanghai", "America/New_York")), max_size=2).map(tuple),
    preferences=st.sampled_from(("", '{"blocked":[{"from":"10:00","until":"11:00"}]}', '{"agreed":[{}]}')),
    phones=st.lists(phones, max_size=3).map(tuple),
)
sent = st.builds(
    SentMessage,
    external_id=st.sampled_from(("A1", "M0", "Z1", "Z2")),
    sent_at=around,
    loan=st.sampled_from(LOANS),
    customer=st.sampled_from(("C1", "C2", None)),
    phone=st.sampled_from(PHONES),
    channel=st.just("sms"),
    category=categories,
    sending_rule=st.sampled_from((None, "R")),
    text=texts,
)
permits = st.builds(
    PermitFact,
    id=st.sampled_from(("k1", "k2")),
    granted_at=st.just(SENT_AT),
    expires_at=around,
    phone=st.sampled_from(PHONES[:2]),
    loan=st.sampled_from(LOANS),
    channel=st.just("sms"),
    category=categories,
    used_by=st.sampled_from((None, "M1", "M0")),
    unused_at=st.one_of(st.none(), around),
    reply_to=st.sampled_from((None, "q1")),
)
holds = st.builds(
    StandingHold,
    id=st.sampled_from(("h1", "h2")),
    source=st.just("dispute"),
    reason=st.just("dispute_pending"),
    since=around,
    released_at=st.one_of(st.none(), around),
)
messages = st.builds(
    CollectionMessage,
    external_id=st.just("M1"),
    loan=st.sampled_from(LOANS),
    channel=st.just("sms"),
    category=categories,
    sent_at=st.just(SENT_AT),
    sending_rule=st.sampled_from((None, "R")),
    permit=st.sampled_from((None, "k1", "k2")),
    phone=st.sampled_from(("aa", "bb", None)),
    text=texts,
)
grounds = st.sampled_from(GROUNDS).map(lambda ground: Claim(ground=ground))
packs = st.sampled_from((HOUSE, replace(HOUSE, contact_categories=frozenset({"reminder"}))))


def unlike(rows: list[Any], *keys: str) -> tuple[Any, ...]:
    """No two rows of one key, as in the store."""
    return tuple({tuple(getattr(row, key) for key in keys): row for row in rows}.values())


worlds = st.builds(
    lambda loan, people, others, leave, stood, since: History(
        loan="L1",
        lender_time_zone="Asia/Shanghai",
        loans=loan,
        customers=unlike(people, "external_id", "version", "posted_at", "content"),
        sent=unlike(others, "external_id"),
        permits=unlike(leave, "id"),
        holds=unlike(stood, "id"),
        gate_required_from=since,
    ),
    st.sampled_from(((), (LoanVersion(external_id="L1", customer="C1", currency="CNY", posted_at=ALWAYS),))),
    st.lists(customers, max_size=4),
    st.lists(sent, max_size=6),
    st.lists(permits, max_size=2),
    st.lists(holds, max_size=2),
    st.one_of(st.none(), around),
)


@settings(book, max_examples=300)
@given(worlds, messages, grounds, packs, st.randoms(use_true_random=False))
def test_the_judgement_depends_on_no_order_and_is_the_same_each_time(world, message, claim, pack, random: Random):
    first = judge(history=world, message=message, claim=claim, pack=pack).render()
    kinds = {kind: list(getattr(world, kind)) for kind in ("customers", "sent", "permits", "holds")}
    for rows in kinds.values():
        random.shuffle(rows)
    shuffled = replace(world, **{kind: tuple(rows) for kind, rows in kinds.items()})
    assert judge(history=shuffled, message=message, claim=claim, pack=pack).render() == first
    assert judge(history=world, message=message, claim=claim, pack=pack).render() == first


@settings(book, max_examples=200)
@given(worlds, messages, grounds)
def test_the_judgement_of_what_was_stored_is_the_same(world, message, claim):
    text = dump_input(history=world, message=message, claim=claim, pack_name="house", pack_version="1")
    stored = load_input(text)
    pack = PACKS.version(stored.pack_name, stored.pack_version)
    again = judge(history=stored.history, message=stored.message, claim=stored.claim, pack=pack)
    assert again.render() == judge(history=world, message=message, claim=claim, pack=pack).render()


@settings(book, max_examples=300)
@given(worlds, messages, sent, packs)
def test_one_more_earlier_message_never_makes_somebody_who_says_that_there_were_too_many_wrong(
    world, message, other, pack
):
    claim = Claim(ground="too_frequent")
    richer = replace(world, sent=unlike([replace(other, external_id="X1"), *world.sent], "external_id"))
    before = judge(history=world, message=message, claim=claim, pack=pack).verdict
    after = judge(history=richer, message=message, claim=claim, pack=pack).verdict
    if before == "customer_right":
        assert after == "customer_right"
    if after == "lender_right":
        assert before == "lender_right"


@settings(book, max_examples=200)
@given(worlds, messages, sent)
def test_what_was_sent_later_changes_nothing(world, message, other):
    later = replace(other, external_id="Z9", sent_at=SENT_AT + timedelta(seconds=1))
    for ground in ("too_frequent", "not_overdue", "other"):
        claim = Claim(ground=ground)
        before = judge(history=world, message=message, claim=claim, pack=HOUSE)
        after = judge(history=replace(world, sent=(*world.sent, later)), message=message, claim=claim, pack=HOUSE)
        assert after.render() == before.render()


@settings(book, max_examples=200)
@given(worlds, messages, grounds, packs)
def test_a_machine_never_says_that_somebody_who_says_it_was_not_for_them_is_wrong(world, message, claim, pack):
    found = judge(history=world, message=message, claim=claim, pack=pack)
    if claim.ground in ("not_my_debt", "third_party_contacted"):
        assert found.verdict in ("customer_right", "inconclusive")
        assert (found.verdict == "customer_right") == (found.cause == "wrong_recipient")
    if claim.ground in ("identity_theft", "agent_conduct", "other"):
        assert found.verdict == "inconclusive"


@settings(book, max_examples=200)
@given(worlds, messages, grounds, packs)
def test_every_finding_reads_as_a_sentence_and_carries_no_number(world, message, claim, pack):
    for finding in judge(history=world, message=message, claim=claim, pack=pack).findings:
        for language in LANGUAGES:
            sentence = sentence_of(finding.render(), language=language)
            assert sentence.endswith("." if language == "en" else "。")
            assert "{" not in sentence
        assert not {"'aa'", "'bb'"} & set(str(finding.render()).replace(",", " ").replace("}", " ").split())
