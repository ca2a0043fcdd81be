"""The stored input of a check gives the same answer for ever."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disputes.check.canonical import UnreadableInput, dump_input, input_digest, load_input
from disputes.check.facts import CATEGORIES, GROUNDS, CollectionMessage
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
    "text", [b"", b"{}", b"[]", b'{"format": 2}', b'{"format": 1, "history": {"loan": 3}}', b"\xff", b'{"format":1}']
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
