"""The stored input of a check gives the same answer for ever."""

from __future__ import annotations

import json
import types
import typing
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disputes.check.canonical import FORMAT, UnreadableInput, dump_input, input_digest, load_input
from disputes.check.facts import CATEGORIES, GROUNDS, Claim, CollectionMessage, History
from disputes.check.judging import judge, judge_stored
from disputes.policy.packs import SHIPPED, load_packs
from tests.disputes.check.book import claim, read_book
from tests.disputes.check.test_account_properties import book
from tests.disputes.check.test_judging import CLAIMED, STORIES
from tests.disputes.check.worlds import LOAN, histories, instants, shuffled

PACKS = load_packs(SHIPPED)
HOUSE = PACKS.version("house", "1")

messages = st.builds(
    CollectionMessage,
    external_id=st.just("M1"),
    loan=st.one_of(st.just(LOAN), st.just(LOAN), st.none()),
    channel=st.just("sms"),
    category=st.sampled_from(CATEGORIES),
    sent_at=instants,
    list_built_at=st.one_of(st.none(), instants),
    claimed_amount=st.one_of(st.none(), st.decimals(0, 100, places=3)),
    claimed_days_past_due=st.one_of(st.none(), st.integers(0, 40)),
)


def dumped(history, message, said) -> bytes:
    return dump_input(history=history, message=message, claim=said, pack_name="house", pack_version="1")


def rendered(history, message, said) -> str:
    return json.dumps(judge(history=history, message=message, claim=said, pack=HOUSE).render(), sort_keys=True)


@book
@given(histories, messages, st.sampled_from(GROUNDS), st.randoms(use_true_random=False))
def test_judging_the_loaded_input_gives_the_same_answer_to_the_byte(history, message, ground, random):
    said = claim(ground, "2026-03-09 5 p1", "2026-03-09 7")
    text = dumped(history, message, said)
    loaded = load_input(text)
    assert rendered(loaded.history, loaded.message, loaded.claim) == rendered(history, message, said)
    assert dumped(loaded.history, loaded.message, loaded.claim) == text
    mixed = shuffled(history, random)
    assert rendered(mixed, message, said) == rendered(history, message, said)


@pytest.mark.parametrize("story", STORIES)
def test_every_story_survives_its_store(story):
    told = read_book(STORIES[story][0])
    said = claim("not_overdue")
    loaded = load_input(memoryview(dumped(told.history, told.message, said)).tobytes())
    assert rendered(loaded.history, loaded.message, loaded.claim) == rendered(told.history, told.message, said)
    assert (loaded.pack_name, loaded.pack_version) == ("house", "1")


def test_amounts_that_are_equal_are_written_alike():
    one, other = read_book(CLAIMED), read_book(CLAIMED.replace("400.00", "400.000"))
    said = claim("already_paid")
    assert input_digest(dumped(one.history, one.message, said)) == input_digest(
        dumped(other.history, other.message, said)
    )
    changed = read_book(CLAIMED.replace("400.00", "400.01"))
    assert input_digest(dumped(one.history, one.message, said)) != input_digest(
        dumped(changed.history, changed.message, said)
    )


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b'{"format": 3}',
        b'{"format": 2}',
        b'{"format": 2, "history": []}',
        b'{"format": 1, "history": {"loan": 3}}',
        b"\xff",
        b'{"format":1}',
    ],
)
def test_bytes_that_no_check_wrote_are_refused(text):
    with pytest.raises(UnreadableInput):
        load_input(text)


def test_a_stored_check_is_judged_again_by_the_pack_that_it_names():
    told = read_book("due 1 2026-03-01 1000.00\nmessage urge 2026-03-12T10:00", watermarks=False)
    said = claim("not_overdue")

    def stored(name: str, version: str) -> bytes:
        return dump_input(history=told.history, message=told.message, claim=said, pack_name=name, pack_version=version)

    again = judge_stored(text=stored("house", "1"), packs=PACKS)
    assert again == judge(history=told.history, message=told.message, claim=said, pack=HOUSE)
    with pytest.raises(KeyError):
        judge_stored(text=stored("house", "2"), packs=PACKS)


STORED_BEFORE = (
    b'{"claim":{"claimed_payments":[{"amount":"400","currency":"CNY","paid_on":"2026-03-09","reference":"p1"}],'
    b'"ground":"already_paid"},"format":1,"history":{"instalments":[{"amount":"1000","content":"30303031",'
    b'"due_on":"2026-03-10","external_id":"i1","loan":"L1","number":1,"posted_at":"0001-01-01T00:00:00.000000+00:00",'
    b'"principal":"900","version":-1}],"lender_time_zone":"Asia/Shanghai","loan":"L1","loans":[{"allocation":[],'
    b'"arrangements":[],"content":"30303030","currency":"CNY","customer":"C1","external_id":"L1","grace_days":2,'
    b'"pauses":[{"first":"2026-03-11","until":"2026-03-20"}],"posted_at":"0001-01-01T00:00:00.000000+00:00",'
    b'"product":"","time_zone":"Asia/Shanghai","tolerance":"1.5","version":-1}],"repayments":[{"amount":"400",'
    b'"content":"30303032","external_id":"p1","loan":"L1","method":"","paid_at":"2026-03-08T16:00:00.000000+00:00",'
    b'"posted_at":"2026-03-11T16:00:00.000000+00:00","reference":"","version":-1}],"reversals":[],"sending_rules":'
    b'[{"aim":"overdue","content":"30303035","external_id":"R","min_dpd":3,"name":"","owner":"","posted_at":'
    b'"0001-01-01T00:00:00.000000+00:00","version":-1}],"voids":[],"watermarks":[{"complete_until":'
    b'"2099-12-31T16:00:00.000000+00:00","feed":"repayments","posted_at":"0001-01-01T00:00:00.000000+00:00"}]},'
    b'"message":{"campaign":"","category":"urge","channel":"sms","claimed_amount":"1000","claimed_days_past_due":2,'
    b'"external_id":"M1","list_built_at":"2026-03-11T12:00:00.000000+00:00","loan":"L1","sending_rule":"R","sent_at":'
    b'"2026-03-12T02:00:00.000000+00:00","vendor":""},"pack":{"name":"house","version":"1"}}'
)


def test_a_check_stored_before_there_were_other_facts_is_read_as_ever():
    told = read_book("""
        loan    grace 2  tolerance 1.50  zone Asia/Shanghai
        due 1   2026-03-10  1000.00  principal 900.00
        paid p1 2026-03-09  400.00  posted 2026-03-12
        pause   2026-03-11 2026-03-20
        rule R  overdue  min 3
        message urge 2026-03-12T10:00  list 2026-03-11T20:00  rule R  claims 1000.00  days 2
    """)
    stored = load_input(STORED_BEFORE)
    (before,), (now,) = stored.history.instalments, told.history.instalments
    assert (before.amount, before.due_on, before.principal, before.interest) == (now.amount, now.due_on, 900, None)
    assert stored.history.repayments[0].paid_at == told.history.repayments[0].paid_at
    assert stored.history.loans[0].pauses == told.history.loans[0].pauses
    assert replace(stored.message, list_built_at=told.message.list_built_at) == told.message
    assert (stored.history.customers, stored.history.sent, stored.message.phone) == ((), (), None)
    again = dumped(stored.history, stored.message, stored.claim)
    assert json.loads(again)["format"] == FORMAT
    assert load_input(again) == stored


zones = st.sampled_from((UTC, timezone(timedelta(hours=8)), timezone(-timedelta(hours=3, minutes=30))))
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(exclude_categories=("Cs",)), max_size=3),
    int: st.integers(-1, 40),
    bytes: st.binary(max_size=2),
    Decimal: st.decimals(0, 1000, places=3),
    date: st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    datetime: st.builds(
        lambda at, microseconds, zone: (at + timedelta(microseconds=microseconds)).astimezone(zone),
        instants,
        st.sampled_from((0, 0, 1, 500_000)),
        zones,
    ),
}


def anything(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type, whatever the field: a new fact is tried as soon as it is there."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return st.none() | anything(next(one for one in typing.get_args(hint) if one is not type(None)))
    if origin is tuple:
        return st.lists(anything(typing.get_args(hint)[0]), max_size=2).map(tuple)
    if is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return st.builds(hint, **{one.name: anything(hints[one.name]) for one in fields(hint)})
    return PLAIN[hint]


inputs = st.tuples(anything(History), anything(CollectionMessage), anything(Claim))


def otherwise(value: Any, random: Any) -> Any:
    """The same facts, written otherwise: rows of a history in another order and twice, a zero more, another offset."""
    if isinstance(value, Decimal):
        return Decimal(f"{value:f}0" if "." in f"{value:f}" else f"{value:f}.0")
    if isinstance(value, datetime):
        return value.astimezone(timezone(timedelta(hours=random.randint(-11, 13))))
    if isinstance(value, tuple):
        return tuple(otherwise(one, random) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {one.name: otherwise(getattr(value, one.name), random) for one in fields(value)}
        if isinstance(value, History):
            for name, rows in changed.items():
                if isinstance(rows, tuple):
                    changed[name] = tuple(random.sample(rows, len(rows))) + rows[:1]
        return replace(value, **changed)
    return value


def told(given: tuple[History, CollectionMessage, Claim]) -> Any:
    """What a check reads, without the order and the repetition of rows."""
    history, message, said = given
    rows = {one.name: getattr(history, one.name) for one in fields(history)}
    return {name: frozenset(v) if isinstance(v, tuple) else v for name, v in rows.items()}, message, said


@settings(book, max_examples=150)
@given(inputs, st.randoms(use_true_random=False))
def test_every_fact_comes_back_and_is_written_alike_whatever_its_order_its_zeros_or_its_offset(given, random):
    text = dumped(*given)
    loaded = load_input(text)
    assert told((loaded.history, loaded.message, loaded.claim)) == told(given)
    assert dumped(loaded.history, loaded.message, loaded.claim) == text
    assert dumped(*otherwise(given, random)) == text


@settings(book, max_examples=150)
@given(inputs, inputs)
def test_other_facts_are_other_bytes(one, other):
    mixed = (replace(other[0], loans=one[0].loans, sent=one[0].sent), one[1], one[2])
    for this in (other, mixed):
        assert (dumped(*one) == dumped(*this)) == (told(one) == told(this))


def test_the_text_is_json_with_its_keys_in_order_and_no_spaces():
    facts = read_book(CLAIMED)
    text = dumped(facts.history, facts.message, claim("already_paid", '2026-03-09 5 "q"')).decode()
    assert text == json.dumps(json.loads(text), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
