"""Questions to the customer, their answers, silence, and notes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from disputes.cases.deciding import NotYours
from disputes.cases.lifecycle import WrongState
from disputes.cases.talking import ask_customer, return_silent, write_note
from disputes.notices.models import Notice
from disputes.routing.models import Clock, RoutedCase
from tests.callers import customer
from tests.disputes.cases.back_office import actor_of, agent, in_review
from tests.lines import in_arrears, send_records
from tests.work import work

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann():
    return agent("ann", capacity=1)


@pytest.fixture
def case(ann):
    send_records(*in_arrears())
    return in_review()


def ask(case, by, **more):
    return ask_customer(
        dispute_id=case.pk,
        text="Which bank did you pay from?",
        actor=actor_of(by),
        user_id=by.user_id,
        any_case=False,
        now=timezone.now(),
        **more,
    )


class TestAQuestion:
    def test_goes_to_the_customer_who_can_read_and_answer_it(self, case, ann):
        ask(case, ann)
        api = customer("C1")
        assert api.get(f"/api/v1/disputes/{case.pk}").json()["status"] == "waiting_customer"
        rows = api.get(f"/api/v1/disputes/{case.pk}/comments").json()["results"]
        assert [(row["author"], row["text"]) for row in rows] == [("user", "Which bank did you pay from?")]
        assert "Which bank" in Notice.objects.get(kind="question").text

    def test_pauses_business_time_and_frees_the_agents_place(self, case, ann):
        ask(case, ann)
        assert {clock.running_from for clock in Clock.objects.filter(kind="decide")} == {None}
        assert Clock.objects.get(kind="first_answer").stopped_at is not None
        assert RoutedCase.objects.get(pk=case.pk).state == "aside"

    def test_is_the_owners_to_ask(self, case, ann):
        with pytest.raises(NotYours):
            ask(case, agent("bob"))

    def test_cannot_be_asked_twice(self, case, ann):
        ask(case, ann)
        with pytest.raises(WrongState):
            ask(case, ann)

    def test_that_is_answered_brings_the_case_back_to_its_agent(self, case, ann):
        agent("bob")
        ask(case, ann)
        customer("C1").post(f"/api/v1/disputes/{case.pk}/comments", {"text": "ICBC"})
        work()
        case.refresh_from_db()
        routed = RoutedCase.objects.get(pk=case.pk)
        assert (case.status, routed.state, routed.owner) == ("in_review", "assigned", ann)
        assert Clock.objects.get(kind="decide").running_from is not None

    def test_that_is_answered_while_its_agent_is_off_duty_is_routed_anew(self, case, ann):
        bob = agent("bob")
        ask(case, ann)
        ann.on_duty = False
        ann.save()
        customer("C1").post(f"/api/v1/disputes/{case.pk}/comments", {"text": "ICBC"})
        work()
        assert RoutedCase.objects.get(pk=case.pk).owner == bob


class TestSilence:
    def test_returns_the_dispute_after_the_policys_term_and_never_closes_it(self, case, ann):
        ask(case, ann)
        assert return_silent(now=timezone.now() + timedelta(days=9)) == 0
        assert return_silent(now=timezone.now() + timedelta(days=11)) == 1
        case.refresh_from_db()
        assert (case.status, case.outcome) == ("in_review", None)


class TestANote:
    def test_is_never_the_customers_to_read(self, case, ann):
        write_note(dispute_id=case.pk, text="Sounds angry.", actor=actor_of(ann), now=timezone.now())
        api = customer("C1")
        assert api.get(f"/api/v1/disputes/{case.pk}/comments").json()["results"] == []
        assert b"note.added" not in api.get(f"/api/v1/disputes/{case.pk}/events").content
