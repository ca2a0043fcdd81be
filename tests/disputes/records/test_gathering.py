"""Histories gathered for many loans at once are those that are read one way, whatever the records went through."""

from __future__ import annotations

import random
from typing import Any

import pytest

from disputes.check import canonical
from disputes.check.facts import Claim, CollectionMessage, History
from disputes.records import queries as records
from disputes.records.gathering import gather_histories
from tests.lines import RULE, Line, customer_line, loan_lines, message_line, repayment_line, send_records

pytestmark = pytest.mark.django_db

PAID = repayment_line("P1", amount="40.00", paid="2026-02-01T09:00:00+08:00", posted="2026-02-04T09:00:00+08:00")

OPEN = {"from": "2026-05-01"}

WORLDS: dict[str, list[Line]] = {
    "plain": [*loan_lines(), PAID],
    "nothing but the loan": loan_lines()[:1],
    "never came itself": [PAID],
    "several versions": [*loan_lines(), PAID, {**PAID, "amount": "50.00", "version": 2}, {**PAID, "amount": "1.5"}],
    "reversed": [
        *loan_lines(),
        PAID,
        {**PAID, "reference": "other", "version": 2},
        {"type": "reversal", "external_id": "X1", "repayment": "P1", "reversed_at": "2026-02-02T09:00:00+08:00"},
    ],
    "a day alone": [*loan_lines(), {**PAID, "paid_at": "2026-02-01"}],
    "moved": [*loan_lines(), *loan_lines("L2"), PAID, {**PAID, "loan": "L2", "version": 2}],
    "a reversal that moved": [
        *loan_lines(),
        PAID,
        {**PAID, "external_id": "P2"},
        {"type": "reversal", "external_id": "X1", "repayment": "P1", "reversed_at": "2026-02-02T09:00:00+08:00"},
        {
            "type": "reversal",
            "external_id": "X1",
            "version": 2,
            "repayment": "P2",
            "reversed_at": "2026-02-02T09:00:00+08:00",
        },
    ],
    "void": [*loan_lines(), PAID, {"type": "void", "external_id": "V1", "target_type": "repayment", "target": "P1"}],
    "a void of the loan": [
        *loan_lines(),
        {"type": "void", "external_id": "V1", "target_type": "loan", "target": "L1"},
        {"type": "void", "external_id": "V2", "target_type": "void", "target": "V1"},
    ],
    "terms": loan_lines(
        grace_days=3,
        tolerance="0.5",
        allocation=["interest", "principal"],
        settled_on="2026-04-01",
        pauses=[{"from": "2026-02-01", "until": "2026-02-09"}, {"from": "2026-03-01"}],
        arrangements=[
            {"from": "2026-02-01", "until": "2026-03-09", "kept_until": "2026-02-20"},
            {"from": "2026-05-01"},
        ],
        principal="300.00",
        product="汽车",
    ),
    "parts": [
        *loan_lines(due=[]),
        {**loan_lines()[1], "amount": "30.125", "principal": "20.1", "interest": "10", "fees": "0.025"},
    ],
}


def plain(history: History) -> bytes:
    """Its canonical text: the same for the same facts in any order."""
    message = CollectionMessage(
        external_id="M", loan="L1", channel="sms", category="urge", sent_at=records.facts.ALWAYS.replace(year=2026)
    )
    return canonical.dump_input(
        history=history, message=message, claim=Claim(ground="other"), pack_name="house", pack_version="1"
    )


def both(loans: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    rules = {loan: ["R1"] for loan in loans}
    gathered = gather_histories(loans=loans, sending_rules=rules)
    read = records.histories(loans=loans, sending_rules=rules)
    assert gathered.keys() == read.keys()
    return {loan: plain(one) for loan, one in gathered.items()}, {loan: plain(one) for loan, one in read.items()}


@pytest.mark.parametrize("name", WORLDS)
def test_an_account_reads_the_same_both_ways(name):
    send_records(RULE, customer_line(), *WORLDS[name], message_line())
    gathered, read = both(["L1", "L2", "unknown"])
    assert gathered == read


def test_many_accounts_of_every_kind_read_the_same_both_ways():
    dice = random.Random(3)
    loans = [f"B{number}" for number in range(40)]
    lines = [RULE]
    for loan in loans:
        world = dice.choice(list(WORLDS.values()))
        for line in world:
            own = {
                key: f"{loan}-{value}" for key, value in line.items() if key in ("external_id", "repayment", "target")
            }
            own |= {"loan": loan} if line.get("loan") == "L1" else {}
            if line["type"] == "loan" or (line["type"] == "void" and line["target_type"] == "loan"):
                own |= {"external_id": loan} if line["type"] == "loan" else {"target": loan}
            lines.append({**line, **own})
    send_records(*lines)
    gathered, read = both(loans)
    assert gathered == read


def test_the_number_of_statements_does_not_grow(django_assert_max_num_queries):
    send_records(RULE, *[line for number in range(30) for line in loan_lines(f"B{number}")])
    with django_assert_max_num_queries(4):
        gather_histories(loans=[f"B{number}" for number in range(30)], sending_rules={})
