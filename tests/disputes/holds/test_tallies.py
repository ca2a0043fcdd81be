"""The gate's denials are counted by the hour, beside the decisions and never in their way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from disputes.holds import gate, tallying
from disputes.holds.models import GateHour, GateTally
from disputes.holds.tallying import denials_by_hour, roll_up_tallies
from tests.disputes.holds import scene
from tests.races import PATIENCE


@pytest.fixture(autouse=True)
def _pack(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)


def counted() -> dict[tuple[str, str, str], int]:
    now = datetime.now(tz=UTC)
    hours = {"start": now - timedelta(hours=2), "end": now + timedelta(hours=2)}
    whole = {row.reason: row.count for row in denials_by_hour(**hours)}
    rows = [*GateTally.objects.all(), *GateHour.objects.all()]
    found: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = (row.reason, row.category, row.vendor)
        found[key] = found.get(key, 0) + row.count
    assert sum(whole.values()) == sum(found.values())
    return found


@pytest.mark.django_db
class TestWhatIsCounted:
    def test_each_denial_once_by_the_reason_that_weighs_most(self) -> None:
        scene.lender()
        scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        items = [scene.item(1, vendor="V1"), scene.item(1, vendor="V1"), scene.item(2, vendor="V2"), None]
        strange = scene.item(2, loan="L99", vendor="V2", category="warning")
        scene.ask(*items, strange)
        assert counted() == {
            ("dispute_pending", "urge", "V1"): 2,
            ("malformed", "", ""): 1,
            ("unknown_loan", "warning", "V2"): 1,
        }

    def test_a_dry_run_is_no_denial(self) -> None:
        scene.lender()
        scene.ask(scene.item(1, loan="L99"), dry_run=True)
        assert counted() == {}

    def test_a_call_that_is_allowed_asks_the_database_nothing_more(self) -> None:
        scene.lender()
        asked: list[str] = []

        def note(execute, sql, *rest):
            asked.append(sql)
            return execute(sql, *rest)

        with connection.execute_wrapper(note):
            (allowed,) = scene.ask(scene.item(1))
        assert allowed.permit
        assert not [sql for sql in asked if "gatetally" in sql]


@pytest.mark.django_db
class TestRollingUp:
    def test_leaves_one_row_an_hour_reason_category_and_vendor_and_the_same_sums(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scene.lender()
        # All within one hour, also where the clock strikes meanwhile.
        tally, at = gate.tally_denials, datetime.now(tz=UTC)
        monkeypatch.setattr(gate, "tally_denials", lambda **said: tally(**said | {"at": at}))
        for _ in range(3):
            scene.ask(scene.item(1, loan="L99"), scene.item(2, loan="L98"))
        before = counted()
        assert roll_up_tallies(now=datetime.now(tz=UTC)) == 3
        scene.ask(scene.item(1, loan="L99"))
        assert roll_up_tallies(now=datetime.now(tz=UTC)) == 1
        assert not GateTally.objects.exists()
        assert GateHour.objects.count() == 1
        assert counted() == {key: count + 1 for key, count in before.items()}
        assert roll_up_tallies(now=datetime.now(tz=UTC)) == 0

    def test_goes_on_after_the_rows_of_one_statement(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tallying, "ROLLED", 2)
        hour = datetime(2026, 5, 1, 3, tzinfo=UTC)
        GateTally.objects.bulk_create([GateTally(hour=hour, reason="busy", count=n) for n in range(1, 6)])
        assert roll_up_tallies(now=hour) == 5
        assert GateHour.objects.get().count == 15

    def test_lets_go_of_what_is_older_than_the_term(self) -> None:
        now = datetime(2026, 5, 1, 3, tzinfo=UTC)
        for days in (399, 401):
            GateHour.objects.create(hour=now - timedelta(days=days), reason="busy", count=1)
        roll_up_tallies(now=now)
        assert [row.hour for row in GateHour.objects.all()] == [now - timedelta(days=399)]

    def test_hours_are_counted_from_their_beginning_and_to_the_end_of_the_span(self) -> None:
        hour = datetime(2026, 5, 1, 3, tzinfo=UTC)
        for n in range(3):
            GateHour.objects.create(
                hour=hour + timedelta(hours=n), reason="busy", count=n + 1, category="urge", vendor=f"V{n}"
            )
        found = denials_by_hour(start=hour, end=hour + timedelta(hours=2))
        assert [(row.hour, row.count) for row in found] == [(hour, 1), (hour + timedelta(hours=1), 2)]
        assert [row.count for row in denials_by_hour(start=hour, end=hour + timedelta(hours=9), vendor="V2")] == [3]
        assert denials_by_hour(start=hour, end=hour + timedelta(hours=9), category="survey") == []


@pytest.mark.django_db(transaction=True)
class TestNeverInTheWay:
    def test_a_tally_that_cannot_be_written_changes_no_answer(self) -> None:
        scene.lender()
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE disputes_gatetally RENAME TO disputes_gatetally_away")
        try:
            denied, allowed = scene.ask(scene.item(1, loan="L99"), scene.item(2))
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE disputes_gatetally_away RENAME TO disputes_gatetally")
        assert denied.reasons == ("unknown_loan",)
        assert allowed.permit

    def test_two_who_roll_up_at_once_count_each_row_once(self) -> None:
        hour = datetime(2026, 5, 1, 3, tzinfo=UTC)
        GateTally.objects.bulk_create([GateTally(hour=hour, reason="busy", count=1) for _ in range(400)])
        start = threading.Barrier(3)

        def roll() -> None:
            start.wait(PATIENCE)
            try:
                roll_up_tallies(now=hour)
            finally:
                connection.close()

        threads = [threading.Thread(target=roll) for _ in range(3)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        roll_up_tallies(now=hour)
        assert GateHour.objects.get().count == 400
