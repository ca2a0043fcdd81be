"""Accounts and figures that the developers of another lending core chose."""

from __future__ import annotations

import pytest

from disputes.check.account import account_at
from tests.cases.figures import SILENT, disagreements
from tests.cases.fineract import Case, case_lines, cases, end_of, history_of


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_every_figure_is_met_but_those_that_the_case_says_its_source_counts_otherwise(case: Case):
    history = history_of(case)
    for moment in case["expect"]:
        at = end_of(moment["at"])
        account = account_at(history=history, at=at, known_at=at)
        found = {name: (expected, ours) for name, expected, ours in disagreements(moment, account)}
        named = set(moment.get("differs", ()))
        assert not found.keys() - named, (moment["at"], found)
        if case.get("pauses"):
            # The source leaves paused days out of delinquent days, and so do we: here nothing differs.
            assert not found, (moment["at"], found)
        elif named:
            # A named difference that is none would hide a figure that is never looked at.
            assert found.keys() == named, (moment["at"], named - found.keys(), case["semantics"])


def test_no_case_and_no_figure_was_lost_on_the_way():
    moments = [moment for case in cases() for moment in case["expect"]]
    figures = [name for moment in moments for name, value in moment.items() if name not in SILENT and value is not None]
    assert (len(cases()), len(moments)) == (124, 192)
    assert len(figures) > 1000


def test_every_case_turns_into_import_lines_that_name_all_its_facts():
    for case in cases():
        lines = case_lines(case)
        kinds = [line["type"] for line in lines]
        assert kinds.count("instalment") == len(case["instalments"])
        assert kinds.count("repayment") == len(case["repayments"])
        assert kinds.count("reversal") == len(case["reversals"])
        assert kinds.count("loan") == 1 + len(case.get("pauses", ()))
        assert len({(line["type"], line["external_id"], line.get("version")) for line in lines}) == len(lines)
