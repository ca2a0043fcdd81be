"""Many open disputes checked at once: what one check promises holds for each of them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from disputes.cases import bulk, checking, weighing
from disputes.cases.models import Check, Dispute
from disputes.check.judging import ENGINE_VERSION
from disputes.journal.models import Event
from disputes.notices.models import WebhookMessage
from disputes.notices.webhooks import register_endpoint
from disputes.outbox.models import OutboxTopic
from disputes.records import queries as records
from tests.callers import customer
from tests.disputes.cases.back_office import agent
from tests.disputes.cases.test_opening import dispute, payment
from tests.lines import (
    RULE,
    customer_line,
    in_arrears,
    loan_lines,
    message_line,
    repayment_line,
    send_records,
    watermarks,
)
from tests.races import at_once
from tests.work import work

pytestmark = pytest.mark.django_db(transaction=True)

LATER = "2026-07-01T00:00:00+08:00"


def book(count: int = 4, **watermark: Any) -> list[Dispute]:
    """Open disputes about as many loans, each checked once, by the engine of before a release, and left to a person."""
    after = weighing.ENGINE_VERSION
    weighing.ENGINE_VERSION = ENGINE_VERSION
    try:
        return _opened(count, **watermark)
    finally:
        weighing.ENGINE_VERSION = after


def _opened(count: int, **watermark: Any) -> list[Dispute]:
    lines = [RULE, customer_line(), *watermarks(**watermark)]
    for number in range(1, count + 1):
        loan = f"L{number}"
        lines += [*loan_lines(loan), message_line(f"M{number}", loan=loan)]
    send_records(*lines)
    for number in range(1, count + 1):
        said = {"claimed_payments": [payment()]} if number % 2 else {}
        assert dispute(customer("C1"), {"external_id": f"M{number}"}, **said).status_code == 201
    work()
    found = list(Dispute.objects.order_by("pk"))
    assert {one.status for one in found} == {"in_review"}
    return found


def check(rows: list[Dispute]) -> bulk.Done:
    return bulk.check_many(dispute_ids=[one.pk for one in rows], now=timezone.now())


def paid(loan: str, amount: str = "30.00") -> dict[str, Any]:
    dates = {"paid": "2026-02-01T09:00:00+08:00", "posted": "2026-02-05T09:00:00+08:00"}
    return repayment_line(f"P-{loan}", loan=loan, amount=amount, **dates)


@pytest.fixture
def another_engine(monkeypatch):
    """As after a release: every stored check is of another engine."""
    monkeypatch.setattr(weighing, "ENGINE_VERSION", "next")


def rows_of(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM disputes_{table}")
        return int(cursor.fetchone()[0])


class TestAChunk:
    def test_that_reads_the_same_writes_nothing(self):
        rows = book()
        tables = ("check", "event", "outboxtopic")
        before = [rows_of(table) for table in tables]
        assert check(rows) == bulk.Done(same=4)
        assert [rows_of(table) for table in tables] == before

    def test_writes_what_the_single_road_would(self, another_engine):
        rows = book()
        send_records(paid("L1"), paid("L2"))
        with_one_by_one = {}
        for one in rows:
            written, _, _ = checking.judged(dispute=one, message=one.message, now=timezone.now())
            with_one_by_one[one.pk] = written
        assert check(rows) == bulk.Done(written=4)
        for one in rows:
            one.refresh_from_db()
            single, ours = with_one_by_one[one.pk], one.last_check
            for name in (field.attname for field in Check._meta.concrete_fields):
                if name not in ("id", "checked_at", "created_at"):
                    assert getattr(ours, name) == getattr(single, name), name
            event = Event.objects.filter(subject_id=one.pk, kind="dispute.checked").latest("id")
            assert event.data == {
                "check": str(ours.pk),
                "verdict": ours.verdict,
                "cause": ours.cause,
                "detail": ours.detail,
            }
            assert (event.subject_type, event.actor_type) == ("dispute", "service")

    def test_replays_to_the_byte(self, another_engine):
        check(book())
        out = StringIO()
        call_command("recheck", "--json", stdout=out)
        sums = json.loads(out.getvalue().splitlines()[-1])
        assert (sums["checks"], sums["same"]) == (8, 8)

    def test_takes_as_many_statements_whatever_its_size(self, another_engine, django_assert_max_num_queries):
        rows = book(6)
        with django_assert_max_num_queries(40) as few:
            check(rows[:1])
        with django_assert_max_num_queries(len(few)):
            check(rows[1:])

    def test_brings_an_earlier_check_of_the_same_input_back(self):
        rows = book(2, until="2026-01-15T00:00:00+08:00")
        firsts = [one.last_check_id for one in rows]
        assert {one.last_check.verdict for one in rows} == {"inconclusive"}
        for feed in ("repayments", "schedule"):
            send_records({"type": "watermark", "external_id": f"late-{feed}", "feed": feed, "complete_until": LATER})
        work()
        assert {one.last_check.verdict for one in Dispute.objects.all()} == {"lender_right"}
        for feed in ("repayments", "schedule"):
            target = f"late-{feed}"
            send_records({"type": "void", "external_id": f"v-{feed}", "target_type": "watermark", "target": target})
        assert check(rows).written == 2
        assert [one.last_check_id for one in Dispute.objects.order_by("pk")] == firsts
        assert Check.objects.count() == 4


class TestWhatDoesNotFitAChunk:
    def test_what_the_machine_may_close_is_closed_by_the_single_road(self):
        rows = book(2)
        send_records(paid("L1", "100.00"))
        OutboxTopic.objects.filter(done_at=None).delete()
        assert check(rows) == bulk.Done(same=1, left=1)
        assert not Dispute.objects.filter(status="closed").exists()
        work()
        closed = Dispute.objects.get(status="closed")
        assert (closed.loan, closed.outcome) == ("L1", "upheld")
        assert closed.last_check.verdict == "customer_right"

    def test_a_case_that_an_agent_has_stays_theirs(self):
        agent("ann")
        rows = book(2)
        send_records(paid("L1", "100.00"))
        OutboxTopic.objects.filter(done_at=None).delete()
        assert check(rows) == bulk.Done(same=1, written=1)
        case = Dispute.objects.get(loan="L1")
        assert (case.status, case.last_check.verdict) == ("in_review", "customer_right")

    def test_one_that_is_checked_for_the_first_time_enters_its_queue(self):
        send_records(*in_arrears())
        opened = dispute(customer("C1")).json()
        OutboxTopic.objects.filter(done_at=None).delete()
        assert bulk.check_many(dispute_ids=[opened["id"]], now=timezone.now()) == bulk.Done(left=1)
        work()
        assert Dispute.objects.get().status == "in_review"

    def test_one_that_cannot_be_judged_does_not_stop_the_others(self, another_engine, monkeypatch):
        rows = book(3)
        real = weighing.judge

        def judging(*, message, **asked):
            if message.loan == "L2":
                raise ZeroDivisionError
            return real(message=message, **asked)

        monkeypatch.setattr(weighing, "judge", judging)
        assert check(rows) == bulk.Done(left=3)
        for topic in OutboxTopic.objects.filter(topic="check.requested", done_at=None):
            at_once([lambda pk=topic.pk: bulk.queue.deliver(topic_id=pk, subscribers=subscribers())])
        assert Check.objects.filter(engine_version="next").count() == 2

    def test_a_closed_dispute_is_left_alone(self, another_engine):
        rows = book(2)
        customer("C1").post(f"/api/v1/disputes/{rows[0].pk}/withdraw")
        assert check(rows) == bulk.Done(written=1)


def subscribers() -> Any:
    from disputes.tasks import SUBSCRIBERS

    return SUBSCRIBERS


@contextmanager
def importing_after_the_judging(monkeypatch, line):
    real = bulk.weigh_many

    def weighing_many(**asked):
        found = real(**asked)
        at_once([lambda: send_records(line)])
        return found

    with monkeypatch.context() as patched:
        patched.setattr(bulk, "weigh_many", weighing_many)
        yield


class TestAnImportDuringAChunk:
    def test_leaves_that_dispute_to_be_judged_again(self, another_engine, monkeypatch):
        rows = book(3)
        with importing_after_the_judging(monkeypatch, paid("L2")):
            assert check(rows) == bulk.Done(written=2, left=1)
        work()
        case = Dispute.objects.get(loan="L2")
        assert "P-L2" in case.last_check.input

    def test_would_be_missed_if_the_revision_were_not_compared(self, another_engine, monkeypatch):
        rows = book(3)
        real = bulk._lock_loans
        seen = real({"L1", "L2", "L3"})
        monkeypatch.setattr(bulk, "_lock_loans", lambda loans: seen)
        with importing_after_the_judging(monkeypatch, paid("L2")):
            assert check(rows) == bulk.Done(written=3)
        assert "P-L2" not in Dispute.objects.get(loan="L2").last_check.input


class TestTwoWorkers:
    def test_on_the_same_disputes_write_one_check_each(self, another_engine):
        rows = book(6)
        both = at_once([lambda: check(rows), lambda: check(rows), lambda: check(rows[::-1])])
        assert not [one for one in both if isinstance(one, BaseException)], both
        work()
        assert Check.objects.filter(engine_version="next").count() == 6
        assert Event.objects.filter(kind="dispute.checked").count() == 12

    def test_beside_the_single_road_write_one_check_each(self, another_engine):
        rows = book(4)
        now = timezone.now()
        singly = [lambda pk=one.pk: checking.run_check(dispute_id=pk, now=now) for one in rows]
        results = at_once([lambda: check(rows), *singly])
        assert not [one for one in results if isinstance(one, BaseException)], results
        work()
        assert Check.objects.filter(engine_version="next").count() == 4


class TestAWatermark:
    def test_asks_for_all_open_disputes_by_chunks_not_one_by_one(self, monkeypatch):
        monkeypatch.setattr(bulk, "CHUNK", 2)
        book(5, until="2026-01-15T00:00:00+08:00")
        OutboxTopic.objects.all().delete()
        send_records(*({**line, "external_id": f"n-{line['feed']}"} for line in watermarks(LATER)))
        work()
        topics = OutboxTopic.objects.values_list("topic", flat=True)
        assert sorted(topics) == ["checks.chunk"] * 3 + ["checks.requested"] + ["disputes.checked"] * 3
        assert "inconclusive" not in {one.last_check.verdict for one in Dispute.objects.all()}

    def test_still_looks_for_the_correction_that_a_closed_one_waits_for(self):
        (case,) = book(1)
        Dispute.objects.filter(pk=case.pk).update(
            awaits_correction=True, status="closed", outcome="upheld", closed_at=timezone.now()
        )
        bulk.request_open(why="test")
        assert OutboxTopic.objects.filter(topic="check.requested", key=str(case.pk), done_at=None).exists()


class TestTheLendersSystems:
    def test_hear_of_each_check_in_the_order_of_its_dispute(self, another_engine, settings):
        settings.WEBHOOKS_TO_LOOPBACK = True
        rows = book(2)
        with bulk.transaction.atomic():
            register_endpoint(url="http://127.0.0.1:9/hook", events=[], created_by="", now=timezone.now())
        check(rows)
        sent = WebhookMessage.objects.filter(event="dispute.checked")
        assert {message.key for message in sent} == {str(one.pk) for one in rows}
        said = json.loads(sent.first().body)["data"]
        assert said["dispute"]["verdict"] == said["verdict"] == "lender_right"


class TestTheCommand:
    def test_judges_the_open_disputes_by_todays_records(self, another_engine):
        book(3)
        out = StringIO()
        call_command("recheck", "--open", stdout=out)
        assert out.getvalue() == "Open disputes: 3 written, 0 the same, 0 left to the workers, one by one.\n"
        call_command("recheck", "--open", "--json", stdout=(again := StringIO()))
        assert json.loads(again.getvalue()) == {"written": 0, "same": 3, "left": 0}

    def test_goes_on_after_where_it_was_stopped(self, another_engine, monkeypatch):
        monkeypatch.setattr(bulk, "CHUNK", 1)
        rows = book(3)
        real = bulk.check_many

        def stopping(**asked):
            if asked["dispute_ids"] == [rows[1].pk]:
                raise KeyboardInterrupt
            return real(**asked)

        monkeypatch.setattr(bulk, "check_many", stopping)
        err = StringIO()
        with pytest.raises(SystemExit) as end:
            call_command("recheck", "--open", stdout=StringIO(), stderr=err)
        assert (end.value.code, str(rows[0].pk) in err.getvalue()) == (130, True)
        monkeypatch.setattr(bulk, "check_many", real)
        call_command("recheck", "--open", "--after", str(rows[0].pk), stdout=(out := StringIO()))
        assert out.getvalue().startswith("Open disputes: 2 written")

    def test_does_not_mix_the_two_kinds(self):
        with pytest.raises(CommandError) as error:
            call_command("recheck", "--open", "--dispute", "D-7K3M-92QF")
        assert error.value.returncode == 2


def test_records_are_read_once_for_all(monkeypatch):
    rows = book(3)
    monkeypatch.setattr(records, "histories", None)
    assert check(rows) == bulk.Done(same=3), "plain accounts are gathered"
