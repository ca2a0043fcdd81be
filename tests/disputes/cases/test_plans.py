"""Every statement of a check finds its rows by an index, however many loans there are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from benchmarks.book import fill
from disputes.cases import bulk, checking, weighing
from disputes.cases.bearing import bearing_disputes
from disputes.cases.models import Check, Dispute

pytestmark = pytest.mark.django_db(transaction=True)

LARGE = {
    f"disputes_{name}"
    for name in (
        "customer",
        "customerphone",
        "customerphoneversion",
        "customerversion",
        "dispute",
        "instalmentversion",
        "loan",
        "loanversion",
        "message",
        "repaymentversion",
    )
}
LOANS = 20_000


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """What is asked of the database, with its parameters."""
    asked: list[tuple[str, Any]] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield asked


def scanned(plan: dict[str, Any]) -> set[str]:
    """The tables that a plan reads from end to end."""
    own = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set()
    return own.union(*(scanned(one) for one in plan.get("Plans", ())))


def read_whole(asked: list[tuple[str, Any]]) -> list[tuple[set[str], str]]:
    """Which large tables a statement reads from end to end."""
    found = []
    with connection.cursor() as cursor:
        for sql, params in asked:
            if sql.lstrip().split()[0].upper() not in ("SELECT", "WITH", "UPDATE", "INSERT"):
                continue
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
            (plan,) = cursor.fetchone()
            plan = json.loads(plan) if isinstance(plan, str) else plan
            if whole := scanned(plan[0]["Plan"]) & LARGE:
                found.append((whole, sql))
    return found


@pytest.fixture
def some() -> list[Dispute]:
    """A few of many thousand open disputes."""
    fill(loans=LOANS, lines=2)
    return list(Dispute.objects.order_by("pk")[100:120])


def test_a_check_reads_no_table_from_end_to_end(some, monkeypatch):
    with statements() as asked:
        assert checking.run_check(dispute_id=some[0].pk, now=timezone.now()).verdict == "lender_right"
        monkeypatch.setattr(weighing, "ENGINE_VERSION", "next")
        assert bulk.check_many(dispute_ids=[one.pk for one in some], now=timezone.now()).written == len(some)
    assert len(asked) > 30
    assert read_whole(asked) == []
    assert Check.objects.count() == len(some) + 1


def test_late_records_are_looked_for_by_indexes(some):
    ids = [one.pk for one in some]
    closed = {"status": "closed", "outcome": "rejected", "closed_at": timezone.now(), "watched_until": timezone.now()}
    Dispute.objects.filter(pk__in=ids).update(**closed)
    with statements() as asked:
        found = bearing_disputes(
            loans=[str(one.loan) for one in some], received_at=some[0].opened_at.replace(year=2000)
        )
    assert found == ids
    assert read_whole(asked) == []


def test_the_test_sees_a_table_that_is_read_from_end_to_end(some):
    with statements() as asked:
        list(Dispute.objects.filter(message_key="none"))
    assert [whole for whole, _ in read_whole(asked)] == [{"disputes_dispute"}]
