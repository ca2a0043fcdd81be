"""Opt-outs: which texts are one, and what still reaches the number."""

from __future__ import annotations

from dataclasses import replace

import pytest

from disputes.policy.opt_outs import is_opt_out, passes_opt_out
from disputes.policy.packs import SHIPPED, load_packs

PACKS = load_packs(SHIPPED)
US, HOUSE = PACKS.by_name["us"][-1], PACKS.by_name["house"][-1]


@pytest.mark.parametrize("text", ["STOP", " stop. ", "Stop!", "“stop”", "End", "UNSUBSCRIBE\n", "cancel", "quit"])
def test_a_word_of_the_pack_is_an_opt_out_in_any_case_and_with_marks_around_it(text: str):
    assert is_opt_out(pack=US, text=text)


@pytest.mark.parametrize("text", ["", "stop calling", "endless", "I will not stop", "停", "weekend"])
def test_anything_else_is_for_a_person_to_read(text: str):
    assert not is_opt_out(pack=US, text=text)


def test_a_pack_adds_words_of_its_own():
    own = replace(HOUSE, opt_out_words=("nein", "Keine SMS"))
    assert not is_opt_out(pack=HOUSE, text="NEIN")
    said = ("NEIN", "keine sms!", "stop", "nein danke")
    assert [is_opt_out(pack=own, text=text) for text in said] == [True] * 3 + [False]


def test_what_reaches_an_opted_out_number_is_the_packs_to_say():
    assert passes_opt_out(pack=HOUSE, category="statutory")
    assert not passes_opt_out(pack=US, category="statutory")
    assert not passes_opt_out(pack=HOUSE, category="service", answers_own_message=True)
    assert passes_opt_out(pack=US, category="service", answers_own_message=True)
