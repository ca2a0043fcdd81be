"""Records that come after a dispute was closed: those that would turn its outcome ask a person to look."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from disputes.cases import late, lifecycle
from disputes.cases.bearing import bearing_disputes
from disputes.cases.models import Check, Dispute, OutcomeFlag
from disputes.cases.transactions import in_transaction
from disputes.journal.models import Event
from disputes.outbox.models import OutboxTopic
from disputes.records import queries as records
from disputes.records.models import Watch
from tests.callers import customer, system
from tests.disputes.cases.back_office import Agent, agent, decided, in_review
from tests.disputes.cases.test_appealing import appeal
from tests.disputes.cases.test_opening import dispute as open_dispute
from tests.lines import (
    customer_line,
    in_arrears,
    late_posting,
    loan_lines,
    message_line,
    repayment_line,
    send_records,
    watermarks,
)
from tests.races import PATIENCE, at_once, until_somebody_waits_for_me
from tests.work import work

pytestmark = pytest.mark.django_db(transaction=True)

PAID = repayment_line("P9", paid="2026-02-01T09:00:00+08:00", posted="2026-02-05T09:00:00+08:00")


def void(target: str, *, id: str = "V1", type_: str = "repayment") -> dict[str, Any]:
    return {"type": "void", "external_id": id, "target_type": type_, "target": target}


@pytest.fixture
def ann() -> Agent:
    return agent("ann")


def closed(ann: Agent, outcome: str = "rejected", **more: Any) -> Dispute:
    case = in_review(**more)
    decided(case, ann, outcome)
    work()
    case.refresh_from_db()
    assert case.status == "closed"
    return case


def flags(case: Dispute) -> list[tuple[str, bool, str | None]]:
    rows = OutcomeFlag.objects.filter(dispute=case).order_by("pk").select_related("check_found")
    return [(row.check_found.verdict, row.for_customer, row.how) for row in rows]


def events(case: Dispute, kind: str) -> int:
    return Event.objects.filter(subject_id=case.pk, kind=kind).count()


VERDICTS = (None, "inconclusive", "lender_right", "partly_right", "customer_right")
TURNS = (  # outcome, verdict before, verdicts after that cast doubt
    ("rejected", None, {"partly_right", "customer_right"}),
    ("rejected", "inconclusive", {"partly_right", "customer_right"}),
    ("rejected", "lender_right", {"partly_right", "customer_right"}),
    ("rejected", "partly_right", {"customer_right"}),
    ("rejected", "customer_right", set()),
    ("partly_upheld", None, {"lender_right", "customer_right"}),
    ("partly_upheld", "inconclusive", {"lender_right", "customer_right"}),
    ("partly_upheld", "partly_right", {"lender_right", "customer_right"}),
    ("partly_upheld", "lender_right", {"customer_right"}),
    ("partly_upheld", "customer_right", {"lender_right"}),
    ("upheld", None, {"lender_right", "partly_right"}),
    ("upheld", "inconclusive", {"lender_right", "partly_right"}),
    ("upheld", "customer_right", {"lender_right", "partly_right"}),
    ("upheld", "partly_right", {"lender_right"}),
    ("upheld", "lender_right", set()),
    *((outcome, before, set()) for outcome in ("withdrawn", "merged", None) for before in VERDICTS),
)


class TestTheTableOfDoubts:
    @pytest.mark.parametrize(("outcome", "before", "after"), TURNS)
    def test_holds_in_every_row(self, outcome, before, after):
        found = {one for one in VERDICTS[1:] if late.doubts(outcome=outcome, before=before, after=one)}
        assert found == after


class TestALateRecordThatTurnsTheOutcome:
    def test_raises_a_flag_and_an_event_where_the_customer_was_rejected(self, ann):
        send_records(*in_arrears())
        case = closed(ann)
        send_records(PAID)
        work()
        assert flags(case) == [("customer_right", True, None)]
        assert events(case, "dispute.outcome_doubted") == 1
        case.refresh_from_db()
        assert (case.status, case.outcome) == ("closed", "rejected"), "a flag changes nothing by itself"
        assert case.last_check.verdict == "lender_right"
        assert Check.objects.get(pk=OutcomeFlag.objects.get().check_found_id).input

    def test_raises_one_against_what_the_machine_upheld(self):
        send_records(*late_posting())
        opened = open_dispute(customer("C1")).json()
        work()
        case = Dispute.objects.get(pk=opened["id"])
        send_records(void("P1"))
        work()
        assert flags(case) == [("lender_right", False, None)]

    def test_raises_one_however_often_it_is_told(self, ann):
        send_records(*in_arrears())
        case = closed(ann)
        send_records(PAID)
        work()
        received = timezone.now() - timedelta(hours=1)
        for _ in range(2):
            assert late.hear_late_records(loans=["L1"], received_at=received, now=timezone.now()) == 1
        assert (len(flags(case)), events(case, "dispute.outcome_doubted")) == (1, 1)

    def test_is_not_the_customers_to_see_before_a_person_has_looked(self, ann):
        send_records(*in_arrears())
        case = closed(ann)
        send_records(PAID)
        work()
        address = f"/api/v1/disputes/{case.pk}"
        assert "doubt" not in customer("C1").get(f"{address}/events").content.decode()
        assert customer("C1").get(address).json()["check"]["verdict"] == "lender_right"
        assert "outcome_doubted" in system("disputes:read").get(f"{address}/events").content.decode()

    def test_ends_by_itself_where_a_later_one_turns_it_back(self, ann):
        send_records(*in_arrears())
        case = closed(ann)
        send_records(PAID)
        work()
        send_records(void("P9"))
        work()
        assert flags(case) == [("customer_right", True, "turned_back")]
        assert events(case, "dispute.doubt_ended") == 1

    def test_gives_way_to_the_flag_of_a_later_one(self, ann):
        send_records(*in_arrears())
        case = closed(ann)
        send_records(PAID)
        work()
        send_records({**PAID, "reference": "another", "version": 2})
        work()
        assert flags(case) == [("customer_right", True, "overtaken"), ("customer_right", True, None)]

    def test_does_not_ask_twice_about_what_a_person_has_looked_at(self, ann):
        send_records(*in_arrears())
        case = closed(ann)
        send_records(PAID)
        work()
        flag = OutcomeFlag.objects.get()
        asked = {"dispute_id": case.pk, "flag_id": flag.pk, "why": "a mistaken posting", "user_id": ann.user_id}
        act = partial(late.dismiss_flag, **asked, actor=lifecycle.SERVICE, now=timezone.now())
        in_transaction(act)
        send_records({**PAID, "reference": "another", "version": 2})
        work()
        assert flags(case) == [("customer_right", True, "dismissed")]

    def test_ends_with_the_customers_appeal(self, ann):
        send_records(*in_arrears())
        case = closed(ann)
        send_records(PAID)
        work()
        assert appeal(case).status_code == 200
        assert flags(case) == [("customer_right", True, "appealed")]
        assert not Watch.objects.filter(key="closed:L1").exists()


class TestALateRecordThatTurnsNothing:
    @pytest.mark.parametrize(
        "line",
        [
            repayment_line("P9", paid="2026-02-04T09:00:00+08:00", posted="2026-02-05T09:00:00+08:00"),
            {**loan_lines()[3], "posted_at": "2026-02-20T00:00:00+08:00", "version": 2, "due_on": "2026-05-01"},
            *watermarks("2026-07-01T00:00:00+08:00")[:1],
            message_line("M2", sent_at="2026-02-10T10:00:00+08:00"),
        ],
        ids=["a payment after the message", "a schedule changed after it", "a watermark", "a later message"],
    )
    def test_is_not_even_judged(self, ann, line):
        send_records(*in_arrears())
        case = closed(ann)
        before = timezone.now()
        send_records(line)
        work()
        assert bearing_disputes(loans=["L1"], received_at=before) == []
        assert flags(case) == []
        assert Check.objects.count() == 1

    def test_leaves_no_flag_where_it_bears_on_the_message_all_the_same(self, ann):
        send_records(*in_arrears())
        case = closed(ann)
        send_records({**PAID, "amount": "30.00"})
        work()
        assert bearing_disputes(loans=["L1"], received_at=case.closed_at) == [case.pk]
        assert flags(case) == []

    def test_is_told_to_nobody_once_the_time_is_over(self, ann):
        send_records(*in_arrears())
        case = closed(ann)
        assert late.let_go(now=case.closed_at + timedelta(days=364)) == 0
        assert late.let_go(now=case.closed_at + timedelta(days=365)) == 1
        assert not Watch.objects.exists()
        send_records(PAID)
        assert not OutboxTopic.objects.filter(topic="loan.changed.after").exists()

    def test_of_a_withdrawn_dispute_is_told_to_nobody(self):
        send_records(*in_arrears())
        case = in_review()
        customer("C1").post(f"/api/v1/disputes/{case.pk}/withdraw")
        assert not Watch.objects.exists()


class TestWhatBearsOnTheInstant:
    @pytest.mark.parametrize(
        "line",
        [
            PAID,
            {**loan_lines()[1], "version": 2, "effective_at": "2026-01-15T00:00:00+08:00", "due_on": "2026-02-20"},
            {**loan_lines()[0], "version": 2, "grace_days": 5},
            {**message_line(), "version": 2, "category": "reminder"},
            {"type": "sending_rule", "external_id": "R1", "name": "Overdue", "aim": "overdue", "min_dpd": 9},
            void("L1-1", type_="instalment"),
            customer_line(phone="+8613812340009"),
        ],
        ids=["payment", "schedule", "terms", "message", "rule", "void", "customer"],
    )
    def test_is_found_by_one_statement(self, ann, line):
        send_records(*in_arrears())
        case = closed(ann)
        send_records({**line, "posted_at": "2026-02-01T00:00:00+08:00"} if line["type"] != "void" else line)
        assert bearing_disputes(loans=["L1"], received_at=case.closed_at) == [case.pk]

    def test_is_found_of_a_payment_that_was_moved_to_another_loan(self, ann):
        paid = {**PAID, "amount": "10.00"}
        send_records(*in_arrears(), *loan_lines("L2"), paid)
        case = closed(ann)
        send_records({**paid, "loan": "L2", "version": 2})
        assert bearing_disputes(loans=["L1"], received_at=case.closed_at) == [case.pk]

    def test_is_found_of_a_payment_that_is_said_to_be_later_by_now(self, ann):
        paid = {**PAID, "amount": "10.00"}
        send_records(*in_arrears(), paid)
        case = closed(ann)
        send_records({**paid, "paid_at": "2026-02-04T09:00:00+08:00", "version": 2})
        assert bearing_disputes(loans=["L1"], received_at=case.closed_at) == [case.pk]

    def test_is_found_of_a_void_of_a_void(self, ann):
        send_records(*in_arrears(), {**PAID, "amount": "10.00"}, void("P9"))
        case = closed(ann)
        send_records(void("V1", id="V2", type_="void"))
        assert bearing_disputes(loans=["L1"], received_at=case.closed_at) == [case.pk]


def late_payment_at_once(ann: Agent) -> Dispute:
    """An import and the closing of a dispute that it turns, at once."""
    case = in_review()
    at_once([lambda: decided(case, ann), lambda: send_records(PAID)])
    work()
    case.refresh_from_db()
    return case


class TestAnImportAgainstAClosing:
    def test_is_seen_by_one_of_them_however_they_fall(self, ann):
        send_records(*in_arrears())
        case = late_payment_at_once(ann)
        seen = case.last_check.verdict == "customer_right" or flags(case) == [("customer_right", True, None)]
        assert seen, (case.status, case.last_check.verdict, flags(case))

    def importing_before_the_commit(self, monkeypatch, *, must_wait):
        """The import runs when the decision has taken the loan's row: it must wait, and then see who watches."""
        real, sent = lifecycle.close, []

        def closing(**asked):
            sender = threading.Thread(target=lambda: sent.append(at_once([lambda: send_records(PAID)])))
            sender.start()
            if must_wait:
                until_somebody_waits_for_me()
            else:
                sender.join(PATIENCE)
                assert len(sent) == 1
            sent.append(sender)
            real(**asked)

        monkeypatch.setattr(lifecycle, "close", closing)
        return sent

    def test_waits_for_the_closing_and_raises_the_flag(self, ann, monkeypatch):
        send_records(*in_arrears())
        case = in_review()
        sent = self.importing_before_the_commit(monkeypatch, must_wait=True)
        decided(case, ann)
        sent[0].join(PATIENCE)
        work()
        assert flags(case) == [("customer_right", True, None)]

    def test_would_be_lost_if_the_loan_were_not_locked(self, ann, monkeypatch):
        send_records(*in_arrears())
        case = in_review()
        monkeypatch.setattr(records, "lock_loan", lambda *, loan: records.revision_of_loan(loan=loan))
        self.importing_before_the_commit(monkeypatch, must_wait=False)
        decided(case, ann)
        monkeypatch.undo()
        work()
        assert flags(case) == []
        case.refresh_from_db()
        assert (case.outcome, case.last_check.verdict) == ("rejected", "lender_right")


class TestAChangeThatIsNoneOfTheAccount:
    @pytest.mark.parametrize(
        "line",
        [
            {"type": "sending_rule", "external_id": "R1", "name": "Overdue", "aim": "overdue", "min_dpd": 9},
            {**customer_line(), "time_zones": ["Asia/Tokyo"]},
        ],
        ids=["rule", "customer"],
    )
    def test_is_told_of_the_closed_dispute_as_well(self, ann, line):
        send_records(*in_arrears())
        closed(ann)
        send_records({**line, "version": 2, "effective_at": "2026-01-01T00:00:00+08:00"})
        assert OutboxTopic.objects.filter(topic="loan.changed.after", payload__loans=["L1"]).count() == 1

    def test_raises_a_flag_where_it_turns_the_outcome(self, ann):
        send_records(*in_arrears())
        case = closed(ann)
        rule = {"type": "sending_rule", "external_id": "R1", "name": "Overdue", "aim": "overdue", "min_dpd": 9}
        send_records(
            {
                **rule,
                "version": 2,
                "effective_at": "2026-01-01T00:00:00+08:00",
                "posted_at": "2026-01-01T00:00:00+08:00",
            }
        )
        work()
        assert [row[1:] for row in flags(case)] == [(True, None)]
