"""What becomes of a line beside what is stored."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from disputes.check.account import account_at
from disputes.check.facts import ALWAYS
from disputes.outbox.models import OutboxTopic
from disputes.records import importing, queries, watching, writing
from disputes.records.feeding import Feed, ndjson_pieces, split_lines
from disputes.records.importing import import_lines
from disputes.records.models import (
    VERSIONS,
    InstalmentVersion,
    Loan,
    LoanVersion,
    Message,
    MessagePersonal,
    RepaymentVersion,
    Watch,
)
from disputes.records.reading import MAX_LINE
from disputes.records.walking import Outcome
from tests.disputes.records import importer
from tests.disputes.records.importer import NOW, load

pytestmark = pytest.mark.django_db

JANUARY, FEBRUARY, MARCH = (f"2026-0{month}-10T10:00:00+08:00" for month in (1, 2, 3))


def test_a_line_is_created_updated_unchanged_or_stale() -> None:
    assert load(
        importer.loan(version=2, posted_at=FEBRUARY),
        importer.loan(version=3, posted_at=MARCH, grace_days=3),
        importer.loan(version=1, posted_at=JANUARY),
        importer.loan(version=3, posted_at=MARCH, grace_days=3),
    ) == ["created", "updated", "stale", "unchanged"]
    assert Loan.objects.get(pk="L1").grace_days == 3
    assert LoanVersion.objects.count() == 3


def test_the_same_file_again_changes_nothing() -> None:
    lines = [importer.customer(), importer.loan(), importer.instalment(), importer.repayment(), importer.message()]
    assert load(*lines) == ["created"] * 5
    revision = Loan.objects.get(pk="L1").revision
    assert load(*lines, now=NOW + timedelta(days=1)) == ["unchanged"] * 5
    assert Loan.objects.get(pk="L1").revision == revision


def test_a_bad_line_never_spoils_the_good_ones() -> None:
    raw = [*importer.encoded(importer.loan()), b"{", b"", *importer.encoded(importer.instalment(amount=5.0))]
    raw += importer.encoded(importer.instalment())
    results = list(import_lines(lines=raw, now=NOW))
    assert [(one.line, importer.shown(one)) for one in results] == [
        (1, "created"),
        (2, "error None not_json"),
        (4, "error amount float_amount"),
        (5, "created"),
    ]
    assert (results[2].type, results[2].external_id) == ("instalment", "I1")
    assert Loan.objects.get(pk="L1").amount == [100]


def test_a_result_says_where_the_next_line_begins() -> None:
    raw = [*importer.encoded(importer.loan(name="x" * 2 * MAX_LINE)), b"", *importer.encoded(importer.loan(), {}) * 2]
    body = b"\n".join(raw)
    chunks = [body[at : at + 7_000] for at in range(0, len(body), 7_000)]
    told = list(Feed(ndjson_pieces(split_lines(chunks))).import_all(now=NOW))
    assert told[0].result.errors[0]["code"] == "line_too_long"
    assert [one.last for one in told] == [1, 3, 4, 5, 6]
    for one in told:
        assert [piece.raw for piece in split_lines([body[one.end :]])] == raw[one.last :]


class Stops:
    """Lets so many lines be written, and stops the import before the next batch."""

    def __init__(self, after: int) -> None:
        self.left = after

    def before_commit(self, outcomes: Sequence[Outcome]) -> None:
        assert RepaymentVersion.objects.filter(external_id__in=[one.line.external_id for one in outcomes]).count() == 0
        self.left -= len(outcomes)
        if self.left < 0:
            raise InterruptedError


@pytest.mark.parametrize("dry_run", [False, True])
def test_who_watches_may_stop_an_import_before_a_batch_of_it_is_written(
    monkeypatch: pytest.MonkeyPatch, *, dry_run: bool
) -> None:
    monkeypatch.setattr(importing, "BATCH_LINES", 3)
    lines = importer.encoded(*(importer.repayment(f"P{n}") for n in range(9)))
    seen: list[int] = []
    results = (one.line for one in import_lines(lines=lines, now=NOW, dry_run=dry_run, watch=Stops(after=6)))
    with pytest.raises(InterruptedError):
        seen.extend(results)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert RepaymentVersion.objects.count() == (0 if dry_run else 6)


def test_what_the_database_refuses_is_one_line_and_not_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should reading ever let something through that a column cannot hold."""
    whole = writing.copy_columns

    def too_long_for_its_column(*, model: Any, columns: Any) -> None:
        columns = {
            name: ["x" * 300 if value == "method-7" else value for value in values] for name, values in columns.items()
        }
        whole(model=model, columns=columns)

    monkeypatch.setattr(writing, "copy_columns", too_long_for_its_column)
    results = load(*(importer.repayment(f"P{n}", method=f"method-{n}") for n in range(20)))
    assert results == ["created"] * 7 + ["error None not_stored"] + ["created"] * 12
    assert Loan.objects.get(pk="L1").paid == 1900


def test_lines_may_come_before_what_they_point_to() -> None:
    load(importer.reversal(), importer.message(), importer.instalment())
    assert Loan.objects.get(pk="L1").customer is None
    load(importer.repayment(posted_at=MARCH))
    load(importer.loan())
    row = Loan.objects.get(pk="L1")
    assert (row.customer, row.due_on[0].isoformat(), row.paid) == ("C1", "2026-03-01", Decimal(0))
    account = account_at(history=queries.account_history(loan="L1"), at=NOW)
    assert [one.reversed_at is not None for one in account.repayments] == [True]


def test_the_first_line_that_does_not_say_when_was_always_known_and_the_next_is_known_from_now() -> None:
    load(importer.instalment())
    load(importer.instalment(amount="90.00"), now=NOW + timedelta(hours=1))
    posted = InstalmentVersion.objects.order_by("posted_at").values_list("posted_at", flat=True)
    assert list(posted) == [ALWAYS, NOW + timedelta(hours=1)]


def test_undated_lines_of_one_record_count_in_the_order_in_which_they_come() -> None:
    amounts = [f"{n}.00" for n in range(1, 9)]
    assert load(*(importer.instalment(amount=amount) for amount in amounts)) == ["created"] + ["updated"] * 7
    assert Loan.objects.get(pk="L1").amount == [8]
    assert load(importer.instalment(amount="1.00")) == ["updated"]
    assert Loan.objects.get(pk="L1").amount == [1]


def test_an_undated_payment_made_before_its_loan_was_received_was_posted_when_it_was_made() -> None:
    paid = datetime(2026, 3, 1, 2, tzinfo=UTC)
    load(importer.repayment("P1"), importer.loan(), importer.repayment("P2"))
    load(importer.repayment("P3"), now=NOW + timedelta(days=1))
    load(importer.repayment("P4", paid_at="2026-06-05T00:00:00Z"), now=NOW + timedelta(days=9))
    posted = dict(RepaymentVersion.objects.values_list("external_id", "posted_at"))
    assert posted == {"P1": paid, "P2": paid, "P3": paid, "P4": NOW + timedelta(days=9)}


def test_a_numbered_line_that_comes_again_without_a_date_is_unchanged_though_a_higher_one_is_in_force() -> None:
    load(importer.instalment(version=1), importer.instalment(version=2, amount="90.00"))
    assert load(importer.instalment(version=1)) == ["unchanged"]


def test_a_payment_booked_on_the_wrong_loan_leaves_it_when_it_is_corrected() -> None:
    load(importer.loan("L1"), importer.loan("L2"), importer.instalment(), importer.repayment(posted_at=MARCH))
    before = Loan.objects.get(pk="L1").revision
    load(importer.repayment(loan="L2", posted_at="2026-04-10T10:00:00+08:00"))
    assert dict(Loan.objects.values_list("pk", "paid")) == {"L1": 0, "L2": 100}
    assert Loan.objects.get(pk="L1").revision == before + 1
    history = queries.account_history(loan="L1")
    then = datetime(2026, 4, 1, tzinfo=UTC)
    assert len(account_at(history=history, at=NOW, known_at=then).repayments) == 1
    assert account_at(history=history, at=NOW).repayments == ()


def test_a_void_takes_a_record_away_and_a_void_of_that_void_brings_it_back() -> None:
    load(importer.loan(), importer.repayment(posted_at=JANUARY, paid_at=JANUARY))
    load(importer.void("repayment", "P1", "V1", posted_at=FEBRUARY))
    assert Loan.objects.get(pk="L1").paid == 0
    load(importer.void("void", "V1", "V2", posted_at=MARCH))
    assert Loan.objects.get(pk="L1").paid == 100


def test_a_void_outlasts_later_versions_of_its_target() -> None:
    load(importer.void("repayment", "P1", posted_at=JANUARY), importer.repayment(posted_at=MARCH))
    assert Loan.objects.get(pk="L1").paid == 0


def test_a_void_message_is_nobodys_to_see_but_keeps_its_fields() -> None:
    load(importer.customer(), importer.loan(), importer.message())
    load(importer.void("message", "M1"))
    assert not queries.messages_of_customer(customer="C1").exists()
    assert Message.objects.get(external_id="M1").voided
    assert queries.number_of_message(Message.objects.get(external_id="M1")) == "+8613812340001"


def test_sums_beyond_a_single_amount_are_kept() -> None:
    largest = "999999999999999.999"
    assert load(*(importer.repayment(f"P{n}", amount=largest) for n in range(20))) == ["created"] * 20
    assert Loan.objects.get(pk="L1").paid > 19 * 10**15


def test_a_dry_run_writes_nothing_and_says_what_an_import_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH_LINES", 2)
    lines = [
        importer.repayment("P1"),
        importer.loan(),
        importer.instalment(version=2),
        importer.instalment(version=1, posted_at=JANUARY),
        importer.instalment(version=2),
        importer.instalment(version=3, amount="5.00"),
        importer.repayment("P1"),
        importer.instalment(amount=1.5),
        importer.repayment("P1", amount="7.00"),
    ]
    rehearsed = load(*lines, dry_run=True)
    assert [model._default_manager.count() for model in VERSIONS.values()] == [0] * len(VERSIONS)
    assert Loan.objects.count() == 0
    assert rehearsed == load(*lines)
    assert load(*lines, dry_run=True) == load(*lines)


def test_no_query_a_line() -> None:
    def queries_of(count: int, first: int) -> int:
        numbers = range(first, first + count)
        lines = [
            line
            for n in numbers
            for line in (
                importer.customer(f"C{n}", phones=[{"number": f"+86138{n:08}"}]),
                importer.loan(f"L{n}", customer=f"C{n}"),
                importer.instalment(f"I{n}", loan=f"L{n}"),
                importer.repayment(f"P{n}", loan=f"L{n}"),
                importer.reversal(f"R{n}", repayment=f"P{n}"),
                importer.message(f"M{n}", loan=f"L{n}", sending_rule="S1", permit=None),
                importer.void("instalment", f"I{n}", f"V{n}"),
            )
        ]
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert set(load(*lines)) == {"created"}
        return len(captured)

    few = queries_of(10, 100)
    assert queries_of(100, 1000) <= few
    with CaptureQueriesContext(connection) as captured:
        queries.histories(loans=[f"L{n}" for n in range(1000, 1100)])
    assert len(captured) <= 12


def test_memory_does_not_grow_with_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH_LINES", 200)
    line = json.dumps(importer.instalment(amount="1.00")).encode()

    def peak(count: int) -> int:
        def stream() -> Iterator[bytes]:
            for _ in range(count):
                yield bytes(bytearray(line))

        tracemalloc.start()
        try:
            assert sum(1 for _ in import_lines(lines=stream(), now=NOW, dry_run=True)) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(400)
    assert peak(6_000) < 1.5 * peak(600)


def test_an_open_dispute_hears_of_its_loan_and_of_the_message_that_it_waits_for() -> None:
    load(importer.loan("L1"), importer.loan("L2", customer="C2"))
    load(importer.message(sending_rule="S1", short_ref="R7"))
    with transaction.atomic():
        watching.watch(keys=["loan:L1", "short_ref:R9"])
        watching.watch(keys=["loan:L1"])

    def heard(*lines: dict[str, Any]) -> list[tuple[str, str]]:
        OutboxTopic.objects.all().delete()
        load(*lines)
        return sorted(OutboxTopic.objects.values_list("topic", "key"))

    of_loan = [("loan.changed", "L1")]
    assert heard(importer.repayment("P1"), importer.repayment("P2", loan="L2")) == of_loan
    assert heard(importer.reversal(repayment="P1")) == of_loan
    assert heard(importer.rule()) == of_loan
    assert heard(importer.watermark()) == [("checks.requested", "watermark")]
    assert heard(importer.void("repayment", "P1")) == of_loan
    assert heard(importer.message(sending_rule="S1", short_ref="R7", claimed_amount="5.00")) == of_loan
    assert heard(importer.repayment("P1")) == []
    other = "+8613812340002"
    assert heard(importer.message("M2", short_ref="R8", loan="L2", phone=other)) == []
    arrived = heard(importer.message("M3", short_ref="R9", loan="L2", phone=other))
    assert arrived == [("message.arrived", str(Message.objects.get(external_id="M3").pk))]
    with transaction.atomic():
        watching.unwatch(keys=["loan:L1"])
    assert Watch.objects.get(pk="loan:L1").count == 1
    with transaction.atomic():
        watching.unwatch(keys=["loan:L1", "loan:L1"])
    assert not Watch.objects.filter(pk="loan:L1").exists()


def test_personal_fields_stand_sealed_beside_the_versions() -> None:
    load(
        importer.customer(name="王芳", email="wang@example.com", phones=[{"number": "13812340001"}]),
        importer.message(body="请还款"),
    )
    with connection.cursor() as cursor:
        for table in ("customerversion", "customerpersonal", "customerphoneversion", "messageversion", "message"):
            cursor.execute(f"SELECT t::text FROM disputes_{table} t")
            text = str(cursor.fetchall())
            assert not any(word in text for word in ("王芳", "wang", "13812340001", "请还款")), table
    message = Message.objects.get(external_id="M1")
    assert queries.text_of_message(message) == {"phone": "+8613812340001", "body": "请还款"}
    MessagePersonal.objects.filter(version_id=message.version_id).update(sealed=None)
    assert queries.number_of_message(message) is None


@pytest.mark.parametrize("table", [model._meta.db_table for model in VERSIONS.values()])
@pytest.mark.parametrize("act", ["UPDATE {} SET version = 7", "DELETE FROM {}", "TRUNCATE {}"])
def test_a_version_is_never_changed(table: str, act: str) -> None:
    with pytest.raises(DatabaseError, match="only ever added to"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(act.format(table))


def test_a_feed_is_as_far_as_its_furthest_watermark_and_a_check_keeps_the_one_that_reached_it() -> None:
    load(
        importer.watermark("repayments", external_id="W1", posted_at=JANUARY, complete_until="2026-01-09T00:00:00Z"),
        importer.watermark("repayments", external_id="W2", posted_at=FEBRUARY, complete_until="2026-02-09T00:00:00Z"),
        importer.watermark("repayments", external_id="W3", posted_at=MARCH, complete_until="2026-03-09T00:00:00Z"),
        importer.watermark("messages", external_id="W4", posted_at=MARCH, complete_until="2026-01-01T00:00:00Z"),
    )

    def reached(at: datetime | None) -> dict[str, str]:
        history = queries.account_history(loan="L1", at=at)
        return {mark.feed: f"{mark.complete_until:%m-%d}" for mark in history.watermarks}

    assert reached(None) == {"repayments": "03-09", "messages": "01-01"}
    assert reached(datetime(2026, 2, 1, tzinfo=UTC)) == {"repayments": "02-09", "messages": "01-01"}
    assert reached(datetime(2026, 4, 1, tzinfo=UTC)) == {"repayments": "03-09", "messages": "01-01"}
    load(importer.void("watermark", "W3"))
    assert reached(None)["repayments"] == "02-09"


def test_the_services_own_role_can_import_and_cannot_change_a_version() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = 'recourse_service'")
        if cursor.fetchone() is None:
            pytest.skip("this database has no role of the service's own")
        cursor.execute("SET LOCAL ROLE recourse_service")
    lines = [
        importer.customer(phones=[{"number": "+8613812340001"}]),
        importer.loan(),
        importer.instalment(),
        importer.repayment(),
        importer.reversal(),
        importer.rule(),
        importer.message(),
        importer.watermark(),
        importer.void("reversal", "R1"),
    ]
    assert set(load(*lines)) == {"created"}
    assert load(importer.loan(customer="C2"), importer.repayment(loan="L2")) == ["updated", "updated"]
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE disputes_loanversion SET version = 7")
