"""Every statement of a check finds its rows by an index, however many loans there are; so does an opening, whose plans
are kept from a time when there were none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from benchmarks import book
from benchmarks.book import fill
from config.statements import run
from config.values.ids import new_id
from disputes.cases import bulk, checking, weighing
from disputes.cases.bearing import bearing_disputes
from disputes.cases.facts import Facts
from disputes.cases.finding import Selector, find
from disputes.cases.models import Check, Dispute
from disputes.holds.owners import resolve
from disputes.holds.scopes import Covers
from disputes.records.models import Message

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


READ_BY_AN_OPENING = (
    "disputes_loan",
    "disputes_customer%",
    "disputes_message%",
    "disputes_dispute",
    "disputes_permit_%",
)
LOOKS = (
    {"external_id": "M77"},
    {"short_ref": "R-77"},
    {"phone": "+8613812340001", "received_at": timezone.now()},
)


def read_through() -> int:
    """How often this transaction has read one of these tables from end to end."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(pg_stat_get_xact_numscans(oid)), 0) FROM pg_class"
            " WHERE relkind = 'r' AND relname LIKE ANY (%s)",
            [list(READ_BY_AN_OPENING)],
        )
        return int(cursor.fetchone()[0])


def read_for_an_opening() -> None:
    """All that an opening reads, of nothing or of much."""
    for look in LOOKS:
        find(selector=Selector(**look), customer=None, phone=None)
    resolve(Covers(loans=frozenset({"L77"}), customers=frozenset({"C78"})))
    about = Dispute(
        person="c:C77", message_key="?", ground="other", customer="C77", message=Message(version_id=new_id())
    )
    run(Facts(about).asked)


def test_what_an_opening_reads_is_read_by_indexes_though_its_plans_are_older_than_the_rows(monkeypatch):
    monkeypatch.setattr(book, "analyse", lambda: None)  # nothing tells the planner
    with transaction.atomic():
        for _ in range(3):
            read_for_an_opening()
        fill(loans=LOANS, lines=2)
        before = read_through()
        read_for_an_opening()
        assert read_through() == before
        list(Dispute.objects.filter(message_key="none"))
        assert read_through() > before, "the count sees a table that is read through"


def test_the_test_sees_a_table_that_is_read_from_end_to_end(some):
    with statements() as asked:
        list(Dispute.objects.filter(message_key="none"))
    assert [whole for whole, _ in read_whole(asked)] == [{"disputes_dispute"}]
