"""Parts of a campaign are answered at once, on connections of their own: in order, and each of one snapshot."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction

from disputes.holds import screening
from disputes.holds.campaigns import ANSWER_COLUMNS, AT_ONCE, screen_campaign
from disputes.holds.gate import Answer
from disputes.holds.scopes import Covers
from disputes.records.models import Loan
from tests.disputes.holds import scene
from tests.disputes.holds.test_screening import CALLER, as_csv, line
from tests.races import PATIENCE, until

pytestmark = pytest.mark.django_db(transaction=True)

LENDER = 60


def answered(*, rows_at_once: int = 2, customers: int = 6) -> list[dict[str, str]]:
    """The answers to a message to each customer, a few a part."""
    body = as_csv(*(line(n) for n in range(1, customers + 1)))
    text = b"".join(
        some
        for part in screen_campaign(chunks=[body], form="csv", caller=CALLER, rows_at_once=rows_at_once)
        for some in part.answers
    ).decode()
    return list(csv.DictReader(io.StringIO(text), ANSWER_COLUMNS))


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def alive(backends: set[int]) -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE pid = ANY(%s)", [list(backends)])
        return {pid for (pid,) in cursor.fetchall()}


class Watched:
    """Which backends answer parts. `together`: parts that must be at it at once before any goes on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, together: int = 1) -> None:
        self.backends: list[int] = []
        barrier, before = threading.Barrier(together), screening._walk

        def walk(*args: Any, **named: Any) -> Iterator[tuple[int, Answer]]:
            self.backends.append(backend())
            if len(self.backends) <= together:
                barrier.wait(PATIENCE)
            return before(*args, **named)

        monkeypatch.setattr(screening, "_walk", walk)


class TestConnections:
    @pytest.fixture(autouse=True)
    def _lender(self) -> None:
        scene.lender(customers=6)

    def test_two_parts_are_answered_at_once_in_the_order_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        watched = Watched(monkeypatch, together=AT_ONCE)
        assert [row["request_id"] for row in answered()] == [f"r{n}" for n in range(1, 7)]
        assert len(set(watched.backends[:AT_ONCE])) == AT_ONCE
        assert backend() not in watched.backends
        until(lambda: not alive(set(watched.backends)), what="the end of everybody's connection")

    def test_one_part_is_answered_on_the_callers_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        watched = Watched(monkeypatch)
        assert len(answered(rows_at_once=6)) == 6
        assert set(watched.backends) == {backend()}

    def test_inside_a_transaction_every_part_sees_what_that_one_sees(self, monkeypatch: pytest.MonkeyPatch) -> None:
        watched = Watched(monkeypatch)
        with transaction.atomic():
            Loan.objects.filter(pk="L31").update(paid=Decimal(1000))
            rows = answered()
            assert set(watched.backends) == {backend()}
        assert [row["request_id"] for row in rows if "not_overdue" in row["reasons"]] == ["r3"]

    def test_what_fails_in_one_part_reaches_the_caller(self, monkeypatch: pytest.MonkeyPatch) -> None:
        watched = Watched(monkeypatch)
        walk = screening._walk

        def fails(rows: Any, *args: Any, **named: Any) -> Iterator[tuple[int, Answer]]:
            found = walk(rows, *args, **named)
            if len(watched.backends) > 1:
                raise OperationalError("gone")
            return found

        monkeypatch.setattr(screening, "_walk", fails)
        with pytest.raises(OperationalError, match="gone"):
            answered()

    def test_who_stops_begins_no_further_part(self, monkeypatch: pytest.MonkeyPatch) -> None:
        watched = Watched(monkeypatch)
        body = as_csv(*(line(1 + n % 6) for n in range(200)))
        parts = screen_campaign(chunks=[body], form="csv", caller=CALLER, rows_at_once=2)
        assert next(parts).rows == 2
        parts.close()  # type: ignore[attr-defined]
        assert len(watched.backends) <= 2 * AT_ONCE + 1


class TestHoldsThatCome:
    """Holds are placed while a campaign is screened, over and over. Of one that was committed before the instant that
    an answer names, that answer tells."""

    def missed(self, *, from_half: bool = False) -> tuple[list[str], int]:
        """The loans whose answers missed a hold, and how many answers told of one while others were still to come.

        Half of the holds wait until a campaign was screened that began after the first half was placed: however fast
        the one and slow the other, some have come when it is screened and some come meanwhile. `from_half`: nothing is
        screened before the first half was placed.
        """
        committed: dict[str, datetime] = {}
        halfway, go_on = threading.Event(), threading.Event()

        def place() -> None:
            try:
                for n in range(1, LENDER + 1):
                    if n > LENDER // 2:
                        halfway.set()
                        go_on.wait()
                    if stopped:
                        break
                    scene.hold(Covers(loans=frozenset({f"L{n}1"})))
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT clock_timestamp()")
                        committed[f"r{n}"] = cursor.fetchone()[0]
            finally:
                connections.close_all()

        placing, stopped = threading.Thread(target=place), False
        placing.start()
        missed, told = [], 0
        try:
            assert not from_half or halfway.wait(PATIENCE)
            while True:
                living, after_half = placing.is_alive(), halfway.is_set()
                for row in answered(rows_at_once=4, customers=LENDER):
                    held, at = "dispute_pending" in row["reasons"], datetime.fromisoformat(row["decided_at"])
                    came = committed.get(row["request_id"])
                    told += held and living
                    if came is not None and came <= at and not held:
                        missed.append(row["request_id"])
                if after_half:
                    go_on.set()
                if not living:
                    break
        finally:
            stopped = True
            go_on.set()
            placing.join()
        return missed, told

    def test_no_answer_misses_one_from_before_its_instant(self) -> None:
        scene.lender(customers=LENDER)
        missed, told = self.missed()
        assert missed == []
        assert told, "holds came while it was screened"

    def test_control_a_snapshot_that_is_older_than_the_instant_misses_some(self) -> None:
        """As where all parts were answered from one snapshot, taken at the beginning."""
        scene.lender(customers=LENDER)
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("SELECT 1")
            missed, _ = self.missed(from_half=True)
        assert missed
