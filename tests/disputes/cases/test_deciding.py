"""A person decides a dispute: who may, what it rests on, and when a second person must agree."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from disputes.cases.deciding import NotYours, SamePerson, StaleCheck, WrongReason, approve, decline
from disputes.cases.lifecycle import WrongState
from disputes.cases.models import Decision, Dispute
from disputes.cases.talking import ask_customer
from disputes.notices.models import Notice
from disputes.routing.models import RoutedCase
from tests.callers import customer, system
from tests.disputes.cases.back_office import actor_of, agent, decided, in_review
from tests.disputes.cases.test_opening import dispute
from tests.lines import customer_line, in_arrears, late_posting, message_line, repayment_line, send_records
from tests.races import at_once
from tests.work import work

pytestmark = pytest.mark.django_db(transaction=True)

PAID = repayment_line("P9", paid="2026-02-01T09:00:00+08:00", posted="2026-02-05T09:00:00+08:00")


@pytest.fixture
def ann():
    return agent("ann")


@pytest.fixture
def bob():
    return agent("bob")


@pytest.fixture
def case(ann):
    send_records(*in_arrears())
    return in_review()


@pytest.fixture
def favoured(ann, settings):
    """A dispute that the check says the customer is right in, and that the sample sent to an agent all the same."""
    settings.REVIEW_SAMPLE = 1.0
    send_records(*late_posting())
    return in_review()


class TestADecision:
    def test_closes_the_dispute_and_tells_the_customer(self, case, ann):
        decision = decided(case, ann)
        seen = customer("C1").get(f"/api/v1/disputes/{case.pk}").json()
        assert (decision.state, seen["status"], seen["outcome"]) == ("final", "closed", "rejected")
        assert seen["decision"]["explanation"] == "We looked at your account."
        assert seen["check"]["verdict"] == "lender_right"  # a person has decided, so it may be shown
        told = Notice.objects.get(kind="outcome", subject=case.pk)
        assert case.reference in told.text
        assert "L1" not in told.text.replace(case.reference, "").partition("http")[0]  # reference and link are random

    def test_frees_the_agents_place_and_stops_the_clocks(self, case, ann):
        decided(case, ann)
        routed = RoutedCase.objects.get(pk=case.pk)
        assert (routed.state, routed.owner) == ("left", None)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM disputes_clock WHERE stopped_at IS NULL")
            assert cursor.fetchone() == (0,)

    def test_is_the_owners_alone_but_for_supervisors(self, case, ann, bob):
        with pytest.raises(NotYours):
            decided(case, bob)
        assert Decision.objects.count() == 0
        assert decided(case, bob, any_case=True).state == "final"

    def test_needs_a_reason_of_its_outcome(self, case, ann):
        with pytest.raises(WrongReason):
            decided(case, ann, "upheld", reason="records_confirm_arrears")

    def test_is_refused_on_a_closed_dispute(self, case, ann):
        customer("C1").post(f"/api/v1/disputes/{case.pk}/withdraw")
        with pytest.raises(WrongState):
            decided(case, ann)

    def test_is_refused_where_the_records_moved_on_unseen_and_the_check_runs_again(self, case, ann):
        send_records(PAID)  # nobody has told the worker yet
        with pytest.raises(StaleCheck):
            decided(case, ann)
        case.refresh_from_db()
        assert (case.status, case.last_check.verdict) == ("in_review", "customer_right")

    def test_is_refused_where_another_check_lies_before_the_agent(self, case, ann):
        seen = case.last_check_id
        send_records(PAID)
        work()
        case.refresh_from_db()
        assert case.last_check_id != seen
        with pytest.raises(StaleCheck):
            decided(case, ann, check=seen)

    def test_stands_where_the_records_moved_but_say_the_same(self, case, ann):
        send_records(repayment_line("P8", loan="L1", amount="1.00", paid="2026-05-01", posted="2026-05-01T09:00:00Z"))
        work()
        case.refresh_from_db()
        assert decided(case, ann).state == "final"

    def test_is_made_once_however_many_try(self, case, ann):
        results = at_once([lambda: decided(case, ann)] * 6)
        assert sum(isinstance(result, Decision) for result in results) == 1, results
        assert Decision.objects.count() == 1
        assert Notice.objects.filter(kind="outcome").count() == 1

    def test_and_a_withdrawal_never_both_close_it(self, case, ann):
        results = at_once(
            [
                lambda: decided(case, ann),
                lambda: customer("C1").post(f"/api/v1/disputes/{case.pk}/withdraw").status_code,
            ]
        )
        case.refresh_from_db()
        won = case.outcome == "rejected"
        assert isinstance(results[0], Decision) == won
        assert (results[1] == 409) == won


class TestWhoMayNotHearOfTheDebt:
    @pytest.mark.parametrize("ground", ["not_my_debt", "identity_theft"])
    def test_is_told_the_outcome_and_neither_reason_nor_words(self, ann, ground):
        send_records(*in_arrears())
        case = in_review(ground)
        decided(case, ann)
        seen = customer("C1").get(f"/api/v1/disputes/{case.pk}").json()
        assert (seen["outcome"], "decision" in seen, seen["check"]) == ("rejected", False, None)
        assert system("disputes:read").get(f"/api/v1/disputes/{case.pk}").json()["decision"]["reason"]

    def test_a_stranger_to_the_loan_is_told_as_little(self, ann):
        theirs = "+8613812340009"
        send_records(*in_arrears(), customer_line("C2", phone=theirs), message_line("M9", phone=theirs))
        case = Dispute.objects.get(pk=dispute(customer("C2"), {"external_id": "M9"}).json()["id"])
        work()
        case.refresh_from_db()
        decided(case, ann)
        seen = customer("C2").get(f"/api/v1/disputes/{case.pk}").json()
        assert (seen["outcome"], "decision" in seen, seen["check"]) == ("rejected", False, None)


class TestACheckThatTurns:
    def test_never_takes_a_case_from_the_agent_who_has_it(self, case, ann):
        send_records(PAID)
        work()
        case.refresh_from_db()
        assert (case.last_check.verdict, case.status) == ("customer_right", "in_review")
        assert RoutedCase.objects.get(pk=case.pk).owner == ann

    def test_closes_one_that_nobody_has(self):
        send_records(*in_arrears())
        case = in_review()
        send_records(PAID)
        work()
        case.refresh_from_db()
        assert (case.status, case.outcome) == ("closed", "upheld")
        assert RoutedCase.objects.get(pk=case.pk).state == "left"


class TestARejectionAgainstTheCheck:
    def test_waits_for_a_second_person_and_changes_nothing(self, favoured, ann):
        decision = decided(favoured, ann)
        favoured.refresh_from_db()
        assert (decision.state, favoured.status) == ("waiting_second", "in_review")
        assert Notice.objects.filter(kind="outcome").count() == 0
        seen = customer("C1").get(f"/api/v1/disputes/{favoured.pk}").json()
        assert (seen["outcome"], "decision" in seen) == (None, False)

    def test_is_not_told_in_the_customers_time_line(self, favoured, ann):
        decided(favoured, ann)
        kinds = [row["kind"] for row in customer("C1").get(f"/api/v1/disputes/{favoured.pk}/events").json()["results"]]
        assert not [kind for kind in kinds if kind.startswith("decision")]
        rows = system("disputes:read").get(f"/api/v1/disputes/{favoured.pk}/events").json()["results"]
        assert "decision.proposed" in [row["kind"] for row in rows]

    def test_is_final_when_another_person_agrees(self, favoured, ann, bob):
        decision = decided(favoured, ann)
        approve(decision_id=decision.pk, actor=actor_of(bob), user_id=bob.user_id, now=timezone.now())
        favoured.refresh_from_db()
        assert (favoured.status, favoured.outcome) == ("closed", "rejected")

    def test_is_never_approved_by_who_made_it(self, favoured, ann):
        decision = decided(favoured, ann)
        with pytest.raises(SamePerson):
            approve(decision_id=decision.pk, actor=actor_of(ann), user_id=ann.user_id, now=timezone.now())
        with pytest.raises(IntegrityError), transaction.atomic():
            Decision.objects.update(second_by=ann.user)

    def test_falls_when_the_second_disagrees_and_another_can_be_made(self, favoured, ann, bob):
        decision = decided(favoured, ann)
        decline(decision_id=decision.pk, actor=actor_of(bob), user_id=bob.user_id, why="Paid.", now=timezone.now())
        assert decided(favoured, ann, "upheld", reason="records_were_wrong").state == "final"

    def test_stands_alone_while_it_waits(self, favoured, ann):
        decided(favoured, ann)
        with pytest.raises(WrongState):
            decided(favoured, ann, "upheld", reason="records_were_wrong")

    def test_is_overtaken_by_a_withdrawal(self, favoured, ann, bob):
        decision = decided(favoured, ann)
        customer("C1").post(f"/api/v1/disputes/{favoured.pk}/withdraw")
        decision.refresh_from_db()
        assert decision.state == "overtaken"
        with pytest.raises(WrongState):
            approve(decision_id=decision.pk, actor=actor_of(bob), user_id=bob.user_id, now=timezone.now())

    def test_is_not_approved_while_the_customer_is_asked(self, favoured, ann, bob):
        decision = decided(favoured, ann)
        ask = {"dispute_id": favoured.pk, "text": "Which bank?", "actor": actor_of(ann), "user_id": ann.user_id}
        ask_customer(**ask, any_case=False, now=timezone.now())
        with pytest.raises(WrongState):
            approve(decision_id=decision.pk, actor=actor_of(bob), user_id=bob.user_id, now=timezone.now())
        favoured.refresh_from_db()
        assert (favoured.status, favoured.outcome) == ("waiting_customer", None)

    def test_is_approved_once_however_many_try(self, favoured, ann, bob):
        decision = decided(favoured, ann)
        act = {"decision_id": decision.pk, "actor": actor_of(bob), "user_id": bob.user_id, "now": timezone.now()}
        results = at_once([lambda: approve(**act)] * 4)
        assert sum(isinstance(result, Decision) for result in results) == 1, results
        assert Dispute.objects.get().outcome == "rejected"
