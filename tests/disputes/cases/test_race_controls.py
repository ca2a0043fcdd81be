"""Two at once about one dispute, each beside a control that leaves out what keeps them apart."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from config.statements import Statement
from disputes.cases import checking, deciding, lifecycle, releasing
from disputes.cases.deciding import StaleCheck
from disputes.cases.lifecycle import WrongState
from disputes.cases.models import Check, Decision, DecisionState, Dispute
from disputes.cases.transactions import in_transaction
from disputes.holds import placing
from disputes.holds.models import Hold
from disputes.records import queries as records
from disputes.routing.calendars import default_calendar
from tests.callers import customer
from tests.disputes.cases.back_office import agent, decided, in_review
from tests.disputes.cases.test_opening import DISPUTES
from tests.disputes.holds.test_guarantee import take_none
from tests.lines import in_arrears, late_posting, repayment_line, send_records
from tests.races import PATIENCE, at_once, without_index
from tests.work import work

pytestmark = pytest.mark.django_db(transaction=True)

ASKED = {"message": {"external_id": "M1"}, "ground": "already_paid"}
PAID = repayment_line("P9", paid="2026-02-01T09:00:00+08:00", posted="2026-02-05T09:00:00+08:00")


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)


@pytest.fixture
def ann() -> Any:
    return agent("ann")


@pytest.fixture
def unlocked(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Nobody locks the row of a dispute, of its case or of a loan; two look at once, and neither goes on to its commit
    before both have written."""
    both_look, both_wrote, mine = threading.Barrier(2), threading.Barrier(2), threading.local()
    note = lifecycle.note

    def meet(barrier: threading.Barrier, name: str) -> None:
        if not hasattr(mine, name):
            setattr(mine, name, True)
            barrier.wait(PATIENCE)

    def look(dispute_id: uuid.UUID) -> Dispute:
        meet(both_look, "looked")
        return Dispute.objects.get(pk=dispute_id)

    def note_together(**said: Any) -> None:
        note(**said)
        meet(both_wrote, "wrote")

    def must_own(**asked: Any) -> None:
        return None

    def leave_out() -> None:
        monkeypatch.setattr(lifecycle, "lock_dispute", look)
        monkeypatch.setattr(lifecycle, "note", note_together)
        monkeypatch.setattr(deciding, "must_own", must_own)
        monkeypatch.setattr(records, "lock_loan", lambda *, loan: records.revision_of_loan(loan=loan))

    return leave_out


def once(act: Callable[[], Any], real: Callable[..., Any]) -> Callable[..., Any]:
    """`real`, and the first time after it `act`, by another connection."""
    done: list[Any] = []

    def then_act(*args: Any, **named: Any) -> Any:
        found = real(*args, **named)
        if not done:
            done.append(1)
            done.extend(at_once([act]))
            assert not isinstance(done[1], BaseException), done[1]
        return found

    return then_act


class TestOneMessageAndGround:
    AT_ONCE = 8

    def opened(self) -> int:
        api = customer("C1")
        at_once([lambda: api.post(DISPUTES, ASKED, Idempotency_Key=str(uuid.uuid4()))] * self.AT_ONCE)
        return Dispute.objects.count()

    def test_is_disputed_once(self) -> None:
        send_records(*in_arrears())
        assert self.opened() == 1
        assert Hold.objects.count() == 1

    def test_is_disputed_once_also_where_no_lane_keeps_the_second_waiting(self, unheld: None) -> None:
        send_records(*in_arrears())
        assert self.opened() == 1

    def test_control_without_the_index_several_times(self, unheld: None) -> None:
        send_records(*in_arrears())
        with without_index("one_open_dispute_a_person_message_and_ground"):
            assert self.opened() == self.AT_ONCE

    @pytest.fixture
    def unheld(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No lane is taken, and nobody writes before all have read whether such a dispute is open."""
        default_calendar()  # the first of several who make it would keep the others waiting
        all_read, mine = threading.Barrier(self.AT_ONCE), threading.local()

        def read_together(lanes: Any, then: Sequence[Statement] = ()) -> None:
            take_none(lanes, then)
            if not hasattr(mine, "read"):
                mine.read = True
                all_read.wait(PATIENCE)

        monkeypatch.setattr(placing, "take_lanes", read_together)


class TestTwoChecks:
    def checks(self) -> int:
        send_records(*in_arrears())
        opened = customer("C1").post(DISPUTES, ASKED, Idempotency_Key="k").json()
        now = Dispute.objects.get(pk=opened["id"]).opened_at
        at_once([partial(checking.run_check, dispute_id=uuid.UUID(opened["id"]), now=now)] * 2)
        return Check.objects.count()

    def test_write_one(self) -> None:
        assert self.checks() == 1

    def test_control_without_the_locks_and_the_constraint_several(self, unlocked: Callable[[], None]) -> None:
        with without_index("one_check_a_dispute_and_input"):
            unlocked()
            assert self.checks() > 1


class TestADecisionAndAnImport:
    """The repayment is recorded after the case was judged anew for the decision, and before it is written."""

    @pytest.fixture
    def case(self, ann: Any) -> Dispute:
        send_records(*in_arrears())
        return in_review()

    def test_the_agent_must_look_again(self, case: Dispute, ann: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checking, "judged", once(lambda: send_records(PAID), checking.judged))
        with pytest.raises(StaleCheck):
            decided(case, ann)
        assert Decision.objects.count() == 0
        case.refresh_from_db()
        assert case.status == "in_review"

    def test_control_without_the_revision_a_paid_case_is_rejected(
        self, case: Dispute, ann: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        revision = records.revision_of_loan(loan="L1")
        monkeypatch.setattr(records, "lock_loan", lambda *, loan: revision)
        monkeypatch.setattr(checking, "judged", once(lambda: send_records(PAID), checking.judged))
        assert decided(case, ann).outcome == "rejected"
        assert case.message is not None
        now_says, _, _ = checking.judged(dispute=case, message=case.message, now=timezone.now())
        assert now_says.verdict == "customer_right"


class TestTwoWhoDecide:
    @pytest.fixture
    def favoured(self, ann: Any, settings: Any) -> Dispute:
        """A case in which a rejection waits for a second person."""
        settings.REVIEW_SAMPLE = 1.0
        send_records(*late_posting())
        return in_review()

    def both(self, case: Dispute, ann: Any) -> list[Any]:
        bob = agent("bob", on_duty=False)
        return at_once([partial(decided, case, by, any_case=True) for by in (ann, bob)])

    def test_leave_one_decision_to_a_second_person(self, favoured: Dispute, ann: Any) -> None:
        results = self.both(favoured, ann)
        assert sorted(type(one).__name__ for one in results) == ["Decision", WrongState.__name__]
        assert Decision.objects.filter(state=DecisionState.WAITING_SECOND).count() == 1

    def test_control_without_the_locks_and_the_index_two(
        self, favoured: Dispute, ann: Any, unlocked: Callable[[], None]
    ) -> None:
        with without_index("one_decision_waits_for_a_second_person"):
            unlocked()
            self.both(favoured, ann)
            assert Decision.objects.filter(state=DecisionState.WAITING_SECOND).count() == 2


class TestAnAppealWhileTheHoldEnds:
    """The customer appeals after the worker has read that the hold may go, and before it lets it go."""

    @pytest.fixture
    def over(self, ann: Any) -> Dispute:
        """Rejected, read by the customer, and its days to read the letter over."""
        send_records(*in_arrears())
        case = in_review()
        decided(case, ann)
        work()
        assert customer("C1").get(f"{DISPUTES}/{case.pk}").status_code == 200
        work()
        Dispute.objects.filter(pk=case.pk).update(resume_at=timezone.now())
        assert Hold.objects.filter(released_at__isnull=True).count() == 1
        return case

    def settle(self, case: Dispute, monkeypatch: pytest.MonkeyPatch) -> None:
        api = customer("C1")

        def appeal() -> None:
            answer = api.post(f"{DISPUTES}/{case.pk}/appeal", {"text": "I have a receipt."})
            assert answer.status_code == 200, answer.content

        monkeypatch.setattr(releasing, "waits_for", once(appeal, releasing.waits_for))
        in_transaction(lambda: releasing.settle_holds(dispute_id=case.pk, now=timezone.now()))

    def test_leaves_the_appealed_dispute_held(self, over: Dispute, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settle(over, monkeypatch)
        over.refresh_from_db()
        assert over.status == "in_review"
        assert Hold.objects.filter(released_at__isnull=True).count() == 1

    def test_control_without_a_second_look_it_is_let_go(self, over: Dispute, monkeypatch: pytest.MonkeyPatch) -> None:
        before = Dispute.objects.get(pk=over.pk)
        unlooked = {**vars(lifecycle), "lock_dispute": lambda dispute_id: before}
        monkeypatch.setattr(releasing, "lifecycle", SimpleNamespace(**unlooked))
        self.settle(over, monkeypatch)
        over.refresh_from_db()
        assert over.status == "in_review"
        assert Hold.objects.filter(released_at__isnull=True).count() == 0
