"""An import that would change too much of what is stored stops before it does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from config.environment.reading import RECORD_TYPES as NAMED_IN_A_SETTING
from disputes.records import guarding, importing
from disputes.records.feeding import Feed, ndjson_pieces, split_lines
from disputes.records.guarding import Guard, TooManyChanges, count_stored
from disputes.records.models import RECORD_TYPES, Loan, LoanVersion
from disputes.records.walking import Outcome
from tests import callers
from tests.disputes.records import importer
from tests.disputes.records.importer import encoded, load

pytestmark = pytest.mark.django_db

IMPORT = "/api/v1/records/import"
THEN = datetime(2026, 5, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def small(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth may change, and three always; batches of two lines."""
    settings.IMPORT_CHANGE_SHARE = {"": 0.2, "message": 1.0}
    settings.IMPORT_CHANGE_FLOOR = 3
    monkeypatch.setattr(importing, "BATCH_LINES", 2)


def loans(count: int, **more: Any) -> list[dict[str, Any]]:
    return [importer.loan(f"L{n}", **more) for n in range(count)]


def stored(*lines: dict[str, Any]) -> None:
    assert set(load(*lines, now=THEN)) == {"created"}


def import_guarded(*lines: dict[str, Any], guard: Guard, dry_run: bool = False, now: datetime = NOW) -> list[str]:
    """The results up to the end, or to where it stops (``stopped: changed of stored, at most``)."""
    found: list[str] = []
    feed = Feed(ndjson_pieces(split_lines([b"\n".join(encoded(*lines))])))
    try:
        for told in feed.import_all(dry_run=dry_run, watch=guard, now=now):
            found.append(told.result.result)
    except TooManyChanges as stopped:
        changes = stopped.changes
        found.append(f"stopped: {changes.changed} of {changes.stored} {changes.type}, at most {changes.at_most}")
        assert next(feed.rest()).number == len(found)
    return found


def test_a_file_that_changes_too_much_stops_and_that_batch_is_not_written() -> None:
    stored(*loans(20))
    found = import_guarded(*loans(20, grace_days=9), guard=Guard(began_at=NOW))
    assert found == ["updated"] * 4 + ["stopped: 6 of 20 loan, at most 4"]
    assert Loan.objects.filter(grace_days=9).count() == 4


def test_up_to_the_floor_it_never_stops() -> None:
    stored(*loans(3))
    assert import_guarded(*loans(3, grace_days=9), guard=Guard(began_at=NOW)) == ["updated"] * 3


def test_new_known_and_older_lines_are_no_changes() -> None:
    stored(*loans(8, version=2))
    lines = [*loans(8, version=2), *loans(8, version=1, grace_days=3), *(importer.loan(f"N{n}") for n in range(30))]
    found = import_guarded(*lines, guard=Guard(began_at=NOW))
    assert found == ["unchanged"] * 8 + ["stale"] * 8 + ["created"] * 30


def test_what_an_import_brings_itself_it_may_correct() -> None:
    history = [line for version in range(4) for line in loans(8, version=version, grace_days=version)]
    assert import_guarded(*history, guard=Guard(began_at=NOW)) == ["created"] * 8 + ["updated"] * 24


def test_a_record_counts_once_however_often_it_changes() -> None:
    stored(*loans(10))
    lines = [importer.loan("L1", version=n, grace_days=n) for n in range(1, 9)]
    guard = Guard(began_at=NOW)
    assert import_guarded(*lines, guard=guard) == ["updated"] * 8
    assert guard.counts() == {"loan": 1}


def test_each_type_is_counted_by_itself() -> None:
    stored(*loans(3), *(importer.customer(f"C{n}") for n in range(3)))
    lines = [*loans(3, grace_days=9), *(importer.customer(f"C{n}", segment="x") for n in range(3))]
    guard = Guard(began_at=NOW)
    assert import_guarded(*lines, guard=guard) == ["updated"] * 6
    assert guard.counts() == {"loan": 3, "customer": 3}


def test_voids_count_for_what_they_void_once() -> None:
    stored(*(importer.repayment(f"P{n}") for n in range(10)), importer.void("repayment", "P9", "V9"))
    lines = [importer.void("repayment", f"P{n}", f"V{n}") for n in (9, 9, 0, 0, 77, 1, 2, 3)]
    lines[1]["external_id"], lines[3]["external_id"] = "V9b", "V0b"
    found = import_guarded(*lines, guard=Guard(began_at=NOW))
    assert found == ["unchanged", *["created"] * 5, "stopped: 4 of 10 repayment, at most 3"]


def test_updates_of_messages_do_not_count_but_voids_of_them_do() -> None:
    stored(*(importer.message(f"M{n}") for n in range(8)))
    receipts = [importer.message(f"M{n}", delivery_status="delivered") for n in range(8)]
    assert import_guarded(*receipts, guard=Guard(began_at=NOW)) == ["updated"] * 8
    later = NOW + timedelta(days=1)
    voids = [importer.void("message", f"M{n}", f"V{n}") for n in range(8)]
    found = import_guarded(*voids, guard=Guard(began_at=later), now=later)
    assert found == ["created"] * 2 + ["stopped: 4 of 8 message, at most 3"]


def test_a_dry_run_stops_nothing_and_tells_the_shares() -> None:
    stored(*loans(10))
    lines = [*loans(5, grace_days=9), *loans(5, grace_days=8, version=3)]
    guard = Guard(began_at=NOW, dry_run=True)
    assert import_guarded(*lines, guard=guard, dry_run=True) == ["updated"] * 10
    (changes,) = guard.told()
    assert (str(changes), changes.too_many) == ("5 of 10 stored records of type loan (50.0%)", True)
    assert LoanVersion.objects.count() == 10


def test_what_an_earlier_run_over_the_file_changed_counts_too() -> None:
    stored(*loans(10))
    guard = Guard(began_at=NOW)
    assert import_guarded(*loans(2, grace_days=9), guard=guard) == ["updated"] * 2
    again = Guard(began_at=NOW, began_with=guard.counts())
    lines = loans(6, grace_days=9)
    found = import_guarded(*lines, guard=again, now=NOW + timedelta(minutes=5))
    assert found == ["unchanged"] * 2 + ["stopped: 4 of 10 loan, at most 3"]


def test_a_batch_that_is_tried_again_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a deadlock, and in halves where the database refuses a value."""
    stored(*loans(8))
    guard = Guard(began_at=NOW)
    seen: list[list[Outcome]] = []
    before = guard.before_commit

    def looked_at_thrice(outcomes: Any) -> None:
        seen.append(list(outcomes))
        for some in (outcomes, outcomes, outcomes[:1], outcomes[1:]):
            before(some)

    monkeypatch.setattr(guard, "before_commit", looked_at_thrice)
    assert import_guarded(*loans(3, grace_days=9), guard=guard) == ["updated"] * 3
    assert len(seen) == 2
    assert guard.counts() == {"loan": 3}


def test_many_records_are_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    stored(*loans(12))
    assert count_stored("loan", before=NOW) == 12
    assert count_stored("loan", before=THEN) == 0
    monkeypatch.setattr(guarding, "EXACT_UP_TO", 5)
    assert count_stored("loan", before=NOW) == 12


def results_of(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200
    return [json.loads(line) for line in b"".join(answer).splitlines()]


def changing() -> Iterator[bytes]:
    yield from encoded(*loans(7, grace_days=9))
    yield b"no record"
    yield from encoded(importer.loan("N1"))


def test_over_http_the_remaining_lines_are_answered_as_not_written() -> None:
    stored(*loans(10))
    body = b"\n".join(changing())
    rows = results_of(callers.system("records:write").post(IMPORT, body, content_type="application/x-ndjson"))
    assert [row["result"] for row in rows] == ["updated"] * 2 + ["error"] * 7
    assert [row["line"] for row in rows] == list(range(1, 10))
    assert {row["errors"][0]["code"] for row in rows[2:]} == {"too_many_changes"}
    assert [(row["type"], row["external_id"]) for row in rows[6:]] == [("loan", "L6"), (None, None), ("loan", "N1")]
    assert "4 of 10 stored records of type loan (40.0%)" in rows[2]["errors"][0]["detail"]
    assert Loan.objects.filter(grace_days=9).count() == 2
    assert not Loan.objects.filter(pk="N1").exists()


def test_over_http_whoever_means_it_says_so() -> None:
    stored(*loans(10))
    address = f"{IMPORT}?allow_changes=true"
    body = b"\n".join(changing())
    rows = results_of(callers.system("records:write").post(address, body, content_type="application/x-ndjson"))
    assert [row["result"] for row in rows] == ["updated"] * 7 + ["error", "created"]


def test_the_setting_knows_every_type() -> None:
    assert NAMED_IN_A_SETTING == RECORD_TYPES
