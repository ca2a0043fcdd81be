"""An outcome that late records speak against, as the back office sees and answers it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone

from disputes.cases.models import Comment, Dispute, OutcomeFlag
from disputes.holds.models import Hold
from disputes.journal.models import Event
from disputes.records.models import Watch
from disputes.routing.assigning import assign_waiting
from tests.callers import customer
from tests.disputes.desk.staff import Person, agent, case_of, dispute_in_review, supervisor
from tests.disputes.desk.test_acts import REJECT, UPHOLD, told
from tests.lines import in_arrears, repayment_line, send_records
from tests.work import work

pytestmark = pytest.mark.django_db(transaction=True)

PAID = repayment_line("P9", paid="2026-02-01T09:00:00+08:00", posted="2026-02-05T09:00:00+08:00")


@pytest.fixture
def ann() -> Person:
    return agent()


@pytest.fixture
def rejected(ann: Person) -> Dispute:
    case = dispute_in_review(*in_arrears())
    assert ann.act(case, "decide", **REJECT).status_code == 302
    work()
    return case


@pytest.fixture
def doubted(rejected: Dispute) -> Dispute:
    send_records(PAID)
    work()
    assert OutcomeFlag.objects.filter(dispute=rejected, resolved_at=None).exists()
    return rejected


def again(case: Dispute) -> Dispute:
    case.refresh_from_db()
    return case


class TestTheFlag:
    def test_stands_on_the_first_page_of_supervisors(self, doubted: Dispute) -> None:
        home = supervisor().home()
        assert [row.reference for row in home.context["home"].doubted.rows] == [doubted.reference]
        assert "late records speak against" in home.content.decode()

    def test_stands_on_the_disputes_page_with_what_the_records_say(self, ann: Person, doubted: Dispute) -> None:
        page = ann.page(doubted)
        assert page.context["page"].doubt.verdict == "The customer is right"
        assert page.context["page"].doubt.findings
        assert "The customer is right" in page.content.decode()

    def test_is_not_on_the_page_of_one_that_nobody_doubts(self, ann: Person, rejected: Dispute) -> None:
        page = ann.page(rejected)
        assert page.context["page"].doubt is None
        assert "dismiss" not in page.context["forms"]


class TestLeavingTheOutcome:
    def test_ends_the_flag_with_the_reason_sealed(self, ann: Person, doubted: Dispute) -> None:
        assert ann.act(doubted, "dismiss", why="The payment is for another loan.").status_code == 302
        flag = OutcomeFlag.objects.get()
        assert (flag.how, flag.resolved_by, flag.why) == ("dismissed", ann.user, "The payment is for another loan.")
        assert again(doubted).outcome == "rejected"
        assert not supervisor().home().context["home"].doubted.rows
        told_of = Event.objects.get(kind="dispute.doubt_ended")
        assert (told_of.actor_id, "another loan" in str(told_of.data)) == (str(ann.user.pk), False)

    def test_needs_a_reason(self, ann: Person, doubted: Dispute) -> None:
        assert ann.act(doubted, "dismiss", why=" ").status_code == 409
        assert OutcomeFlag.objects.get().how is None

    def test_is_refused_once_the_records_have_ended_it(self, ann: Person, doubted: Dispute) -> None:
        said = {field.name: field.value() for field in ann.form(doubted, "dismiss").hidden_fields()}
        send_records({"type": "void", "external_id": "V1", "target_type": "repayment", "target": "P9"})
        work()
        answer = ann.http.post(reverse("admin:desk_act", args=[doubted.pk, "dismiss"]), {**said, "why": "no"})
        assert "Look at it again" in told(answer)


class TestReopening:
    def test_puts_it_back_in_review_with_a_new_hold_and_no_owner(self, ann: Person, doubted: Dispute) -> None:
        answer = ann.act(doubted, "reopen", why="The payment was posted late.")
        assert answer.status_code == 302
        case = again(doubted)
        assert (case.status, case.outcome, case.closed_at, case_of(case).owner) == ("in_review", None, None, None)
        first, second = Hold.objects.order_by("pk")
        assert first.release_reason == "reopened"
        assert second.released_at is None
        assert Comment.objects.filter(internal=True, dispute=case).last().text == "The payment was posted late."
        event = Event.objects.get(kind="dispute.reopened")
        assert (event.actor_id, "posted late" in str(event.data)) == (str(ann.user.pk), False)
        assert OutcomeFlag.objects.get().how == "reopened"

    def test_is_given_to_another_never_to_who_decided(self, ann: Person, rejected: Dispute) -> None:
        ann.act(rejected, "reopen", why="Look again.")
        work()
        assert (again(rejected).status, case_of(rejected).owner) == ("in_review", None)
        bob = agent("bob")
        assign_waiting(now=timezone.now())
        assert case_of(rejected).owner == bob.agent
        assert "decided this dispute before" in told(supervised_again(ann, rejected))

    def test_hears_of_its_loans_records_again(self, ann: Person, rejected: Dispute) -> None:
        ann.act(rejected, "reopen", why="Look again.")
        assert list(Watch.objects.values_list("key", "count")) == [("loan:L1", 1)]
        send_records(PAID)
        work()
        assert (again(rejected).outcome, rejected.last_check.verdict) == ("upheld", "customer_right")

    def test_of_an_open_dispute_is_refused(self, ann: Person, rejected: Dispute) -> None:
        said = {field.name: field.value() for field in ann.form(rejected, "reopen").hidden_fields()}
        assert ann.act(rejected, "reopen", why="Look again.").status_code == 302
        said["once"] = "00000000-0000-7000-8000-00000000000b"
        boss = supervisor()
        answer = boss.http.post(reverse("admin:desk_act", args=[rejected.pk, "reopen"]), {**said, "why": "again"})
        assert "in_review cannot be reopened" in told(answer)
        assert Event.objects.filter(kind="dispute.reopened").count() == 1

    def test_of_a_withdrawn_one_is_not_offered(self, ann: Person) -> None:
        case = dispute_in_review(*in_arrears())
        customer("C1").post(f"/api/v1/disputes/{case.pk}/withdraw")
        assert "reopen" not in ann.page(again(case)).context["forms"]

    def test_names_the_other_dispute_where_the_customer_opened_one(self, ann: Person, rejected: Dispute) -> None:
        asked = {"message": {"external_id": "M1"}, "ground": "already_paid"}
        other = customer("C1").post("/api/v1/disputes", asked, Idempotency_Key="another").json()
        answer = ann.act(rejected, "reopen", why="Look again.")
        assert other["reference"] in told(answer)
        assert again(rejected).status == "closed"

    def test_lets_the_customer_appeal_the_new_decision(self, ann: Person, rejected: Dispute) -> None:
        ann.act(rejected, "reopen", why="Look again.")
        work()
        bob = agent("bob")
        assign_waiting(now=timezone.now())
        assert bob.act(rejected, "decide", **REJECT).status_code == 302
        assert again(rejected).outcome == "rejected"
        assert customer("C1").post(f"/api/v1/disputes/{rejected.pk}/appeal", {"text": ""}).status_code == 200

    def test_starts_the_clocks_anew(self, ann: Person, rejected: Dispute) -> None:
        before = rejected.decide_by
        ann.act(rejected, "reopen", why="Look again.")
        assert again(rejected).decide_by >= before
        assert rejected.decide_by > timezone.now() + timedelta(days=1)


def supervised_again(person: Person, case: Dispute) -> Any:
    """The one who decided before tries again, now as a supervisor too."""
    person.user.groups.add(Group.objects.get(name="supervisors"))
    return person.act(case, "decide", **UPHOLD)
