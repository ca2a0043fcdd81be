"""What looks impossible among the records, found by `manage.py records_report`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from disputes.holds.policies import pack_in_force
from disputes.records.impossible import ALL
from disputes.records.reporting import FEED_BEHIND, report_records
from tests.disputes.records.importer import (
    customer,
    instalment,
    load,
    loan,
    message,
    repayment,
    reversal,
    rule,
    void,
    watermark,
)

pytestmark = pytest.mark.django_db

AT = datetime(2026, 5, 1, 6, tzinfo=UTC)
PHONE = {"number": "+8613812340001"}


def lender() -> None:
    """A lender whose records are in order: one loan of two instalments, paid once, messaged once."""
    lines = [
        customer(phones=[PHONE]),
        loan(principal="200.00", opened_on="2026-02-01", time_zone="Asia/Shanghai"),
        instalment("I1", principal="100.00", interest="5.00", amount="105.00"),
        instalment("I2", number=2, due_on="2026-04-01", principal="100.00", interest="5.00", amount="105.00"),
        repayment(amount="105.00"),
        reversal(),
        repayment("P2", amount="105.00", paid_at="2026-03-06"),
        rule(),
        message(sending_rule="S1", list_built_at="2026-03-03T09:00:00+08:00", claimed_amount="105.00"),
        watermark("repayments"),
        watermark("schedule"),
        watermark("messages"),
    ]
    assert set(load(*lines)) == {"created"}


def found(*, examples: int = 5) -> dict[str, list[str]]:
    """Name → examples of what was found; a number stands for those that are left out."""
    rows = report_records(pack=pack_in_force(at=AT), at=AT, examples=examples)
    return {
        row.name: [*row.examples, *([f"+{row.count - len(row.examples)}"] if row.count > len(row.examples) else [])]
        for row in rows
        if row.count
    }


def test_nothing_is_found_where_all_is_in_order() -> None:
    lender()
    assert found() == {}


FOUND: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "loan_missing": (
        [
            instalment("I9", loan="L9"),
            repayment("P8", loan="L8"),
            message("M7", loan="L7"),
            repayment("P6", loan="L6"),
            void("repayment", "P6"),
        ],
        ["L7", "L8", "L9"],
    ),
    "customer_missing": ([loan("L2", customer="C9")], ["L2"]),
    "shared_phone": ([customer("C2", phones=[PHONE])], ["C1 C2"]),
    "settled_with_something_unpaid": ([loan(settled_on="2026-04-02", principal="200.00")], ["L1"]),
    "schedule_not_the_principal": ([loan(principal="200.03")], ["L1"]),
    "parts_not_the_amount": ([instalment("I3", number=3, principal="1.00", amount="1.01"), loan()], ["I3"]),
    "number_used_twice": ([instalment("I3", number=2), loan()], ["L1 2"]),
    "due_before_the_loan": (
        [instalment("I2", number=2, due_on="2026-01-31", amount="105.00"), loan(opened_on="2026-02-01")],
        ["I2"],
    ),
    "paid_before_the_loan": (
        [repayment("P3", paid_at="2026-01-31"), repayment("P4", paid_at="2026-01-31T09:59:59Z")],
        ["P3", "P4"],
    ),
    "reversal_of_nothing": ([reversal("R2", repayment="P9")], ["R2"]),
    "reversed_before_it_was_paid": (
        [
            reversal(reversed_at="2026-03-01T01:00:00Z"),
            reversal("R2", repayment="P2", reversed_at="2026-03-05T09:00:00Z"),
        ],
        ["R1", "R2"],
    ),
    "more_decimals_than_the_currency": (
        [
            instalment("I2", number=2, due_on="2026-04-01", principal="100.000", interest="5.001", amount="105.001"),
            repayment("P2", amount="105.005"),
            message(sending_rule="S1", claimed_amount="1.005"),
        ],
        ["instalment I2", "message M1", "repayment P2"],
    ),
    "message_to_nobody": ([message("M2", phone="+8613812349999")], ["M2"]),
    "message_before_the_loan": ([message("M2", sent_at="2026-01-31T09:59:59Z")], ["M2"]),
    "list_built_after_sending": ([message("M2", list_built_at="2026-03-03T10:00:01+08:00")], ["M2"]),
    "sending_rule_missing": ([message("M2", sending_rule="S9")], ["S9"]),
    "void_of_nothing": ([void("repayment", "I1"), void("loan", "L9", "V2")], ["V1", "V2"]),
    "version_that_changes_nothing": (
        [
            rule(posted_at="2026-05-01T00:00:00Z"),
            rule(posted_at="2026-05-02T00:00:00Z"),
            customer(phones=[PHONE], version=3),
        ],
        ["customer C1", "sending_rule S1", "sending_rule S1"],
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_cannot_be_is_found_by_name(name: str) -> None:
    lines, ids = FOUND[name]
    lender()
    assert not [result for result in load(*lines) if result.startswith("error")]
    assert found() == {name: ids}


def test_every_finding_has_such_a_test() -> None:
    assert {one.name for one in ALL} == set(FOUND)


NOT_FOUND: dict[str, list[dict[str, Any]]] = {
    "a phone that another had before": [
        customer("C2", phones=[PHONE | {"from": "2026-03-02"}]),
        customer(phones=[PHONE | {"until": "2026-03-01"}]),
    ],
    "a phone that another names as a contact's": [customer("C2", phones=[PHONE | {"role": "contact"}])],
    "a message to a phone that the customer had": [customer(phones=[])],
    "a cent an instalment of rounding": [loan(principal="200.02")],
    "a tolerance as large as what is missing": [loan(principal="150.00", tolerance="50.00")],
    "interest that is not told apart": [
        instalment("I1", amount="150.00"),
        instalment("I2", number=2, due_on="2026-04-01", amount="150.00"),
    ],
    "a payment that somewhere was made on the first day": [repayment("P3", paid_at="2026-01-31T10:00:00Z")],
    "what was voided": [repayment("P3", amount="1.005"), void("repayment", "P3")],
    "a currency of three decimals": [loan("L2", currency="KWD"), repayment("P3", loan="L2", amount="1.005")],
    "a change that was taken back": [rule(min_dpd=2), rule()],
}


@pytest.mark.parametrize("what", NOT_FOUND)
def test_what_can_be_is_not_found(what: str) -> None:
    lender()
    assert not [result for result in load(*NOT_FOUND[what]) if result.startswith("error")]
    assert found() == {}


def test_without_parts_the_amounts_must_reach_the_principal() -> None:
    lender()
    load(instalment("I1", amount="99.97"), instalment("I2", number=2, due_on="2026-04-01", amount="100.00"))
    assert found() == {"schedule_not_the_principal": ["L1"]}


def test_a_feed_without_a_watermark_or_far_behind_is_found() -> None:
    lender()
    load(void("watermark", "repayments"), watermark("schedule", complete_until="2026-04-20T00:00:00Z"))
    feeds = sorted(pack_in_force(at=AT).records.feeds)
    assert "repayments" in feeds
    assert found() == {FEED_BEHIND: [feed for feed in feeds if feed != "messages"]}


def test_examples_are_few_and_the_count_is_of_all() -> None:
    lender()
    load(*(message(f"M{n}", phone="+8613812349999") for n in range(10, 18)))
    assert found(examples=2) == {"message_to_nobody": ["M10", "M11", "+6"]}


def test_the_number_of_statements_does_not_grow() -> None:
    lender()
    with CaptureQueriesContext(connection) as few:
        found()
    load(*(message(f"M{n}", phone="+8613812349999", loan=f"X{n}") for n in range(30)))
    with CaptureQueriesContext(connection) as many:
        found()
    assert len(few) == len(many)


def report(*options: str) -> str:
    said = StringIO()
    call_command("records_report", *options, stdout=said)
    return said.getvalue()


def test_the_report_is_a_table_with_what_it_means() -> None:
    load(reversal("R2", repayment="P9"))
    said = report()
    assert "reversal_of_nothing" in said
    assert "Send the repayment" in " ".join(said.split())
    assert f"{len(ALL) - 1} of {len(ALL) + 1} things that were looked for are nowhere." in said


def test_the_report_as_json_names_everything_that_was_looked_for() -> None:
    load(reversal("R2", repayment="P9"))
    rows = {row["name"]: row for row in json.loads(report("--json"))["findings"]}
    assert set(rows) == {FEED_BEHIND, *(one.name for one in ALL)}
    assert rows["reversal_of_nothing"]["count"] == 1
    assert rows["reversal_of_nothing"]["examples"] == ["R2"]
    assert rows["message_to_nobody"]["count"] == 0


def test_whoever_asks_fails_on_findings() -> None:
    with pytest.raises(CommandError, match="1 of 19 things were found") as error:
        report("--fail-on-findings")
    assert error.value.returncode == 1


def test_the_services_own_role_can_make_the_report() -> None:
    lender()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = 'recourse_service'")
        if cursor.fetchone() is None:
            pytest.skip("this database has no role of the service's own")
        cursor.execute("SET LOCAL ROLE recourse_service")
    assert found() == {}
