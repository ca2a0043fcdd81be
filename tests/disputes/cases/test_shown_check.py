"""What a check is in the API is all that was stored of it."""

from __future__ import annotations

from typing import Any

import pytest

from disputes.cases.models import Check
from disputes.check import canonical
from tests.callers import customer, system
from tests.disputes.cases.test_opening import DISPUTES, dispute, payment
from tests.lines import in_arrears, late_posting, send_records
from tests.work import work

pytestmark = pytest.mark.django_db

ACCOUNT = {
    "days_past_due",
    "delinquent_days",
    "overdue_amount",
    "oldest_unpaid_due_on",
    "next_due_on",
    "settled",
    "outstanding",
    "overpaid",
    "instalments",
    "repayments",
}


def shown(api: Any, reference: str) -> dict[str, Any]:
    return api.get(f"{DISPUTES}/{reference}").json()["check"]


@pytest.mark.parametrize("lines", [late_posting, in_arrears])
def test_a_system_reads_every_part_of_the_newest_check(lines):
    send_records(*lines())
    body = dispute(customer("C1"), claimed_payments=[payment()]).json()
    work()
    check, seen = Check.objects.get(), shown(system("disputes:read"), body["id"])
    stored = {name: getattr(check, name) for name in ("verdict", "cause", "detail", "facts", "engine_version")}
    assert {name: seen[name] for name in stored} == stored
    assert seen["policy"] == {"pack": check.policy_name, "version": check.policy_version}
    assert seen["records_digest"] == check.records_digest == canonical.input_digest(check.input.encode())
    rows = [{name: row[name] for name in ("name", "speaks_for", "facts")} for row in seen["findings"]]
    assert rows == [{name: row[name] for name in ("name", "speaks_for", "facts")} for row in check.findings]
    assert all(row["sentence"] for row in seen["findings"])


def test_its_facts_are_both_accounts_at_the_instant_sent():
    send_records(*late_posting())
    body = dispute(customer("C1")).json()
    work()
    for facts in (shown(api, body["id"])["facts"] for api in (customer("C1"), system("disputes:read"))):
        assert facts.keys() == {"at", "as_it_was", "as_known"}
        assert facts["at"].startswith("2026-02-03T02:00:00")
        for name in ("as_it_was", "as_known"):
            assert facts[name].keys() == ACCOUNT
        line = facts["as_it_was"]["instalments"][0]
        assert line.keys() == {"number", "due_on", "amount", "paid", "outstanding", "paid_off_on"}
        paid = facts["as_it_was"]["repayments"][0]
        assert paid.keys() == {"external_id", "amount", "paid_at", "posted_at", "reversed_at"}
        assert (line["amount"], line["paid_off_on"]) == ({"amount": "100.00", "currency": "CNY"}, "2026-02-01")


def test_the_list_shows_the_same_check_as_the_one():
    send_records(*late_posting())
    body = dispute(customer("C1")).json()
    work()
    api = system("disputes:read")
    (row,) = api.get(DISPUTES).json()["results"]
    assert row["check"] == shown(api, body["id"])
