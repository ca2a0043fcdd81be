"""Who gets a case, and who does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from config.values.ids import new_id
from disputes.journal.models import Event
from disputes.outbox.models import OutboxTopic
from disputes.routing import assigning
from disputes.routing.assigning import CannotHandOn, CannotTake
from disputes.routing.duty import set_duty
from disputes.routing.models import Agent, Queue, RoutedCase
from disputes.routing.queries import case_of, desk_of, owner_of, unfit
from disputes.routing.queries import loads as loads_of
from tests.disputes.routing.scene import BOSS, NOW, agent, enter, hear_who_waits, loads, owner, state, within

pytestmark = pytest.mark.django_db

SOON = NOW + timedelta(minutes=1)
LATER = NOW + timedelta(minutes=2)


def give(now=SOON) -> int:
    return assigning.assign_waiting(now=now)


class TestTheLeastLoadedWhoFits:
    def test_has_it(self):
        for name in ("ann", "bob"):
            agent(name)
        for _ in range(5):
            enter()
        assert give() == 5
        assert sorted(loads().values()) == [2, 3]

    def test_ties_go_to_the_longest_idle(self):
        """Ann was given hers before Bob, and both have one: so the next is Ann's."""
        ann, bob = agent("ann"), agent("bob")
        Agent.objects.filter(pk=ann.pk).update(last_given_at=NOW - timedelta(hours=2))
        Agent.objects.filter(pk=bob.pk).update(last_given_at=NOW - timedelta(hours=3))
        assert [self.given(NOW + timedelta(minutes=n)) for n in range(4)] == ["bob", "ann", "bob", "ann"]

    def test_whoever_was_never_given_any_is_the_longest_idle(self):
        agent("ann", last_given_at=NOW - timedelta(days=300))
        agent("bob")
        assert self.given(NOW) == "bob"

    def test_the_longest_idle_is_known_within_one_second_and_one_batch_too(self):
        """In one batch after Ann's case of the same second: Bob, whose load is less; then Ann, idle for longer."""
        ann = agent("ann")
        agent("bob")
        at = NOW.replace(microsecond=400_000)
        assert self.given(at) == "ann"
        both = [enter(due_in_hours=10 + n) for n in range(2)]
        give(at + timedelta(microseconds=200_000))
        assert [owner(one) for one in both] == ["bob", "ann"]
        ann.refresh_from_db()
        assert ann.last_given_at > at

    def given(self, now) -> str | None:
        dispute = enter(now=now)
        give(now)
        return owner(dispute)

    def test_the_nearest_deadline_comes_first(self):
        agent("ann", capacity=2)
        late, soon, sooner = enter(due_in_hours=90), enter(due_in_hours=20), enter(due_in_hours=10)
        assert give() == 2
        assert [state(one) for one in (sooner, soon, late)] == ["assigned", "assigned", "waiting"]

    @pytest.mark.parametrize(
        ("can", "needs"),
        [
            ({"languages": ["zh-hans"]}, {"language": "en"}),
            ({"grounds": ["identity_theft", "other"]}, {"ground": "already_paid"}),
            ({"products": ["card"]}, {"product": "cash"}),
            ({"products": ["card"]}, {"product": None}),
        ],
    )
    def test_an_agent_without_the_skill_has_none_of_it(self, can, needs):
        agent("ann", **can)
        dispute = enter(**needs)
        assert give() == 0
        agent("bob")
        assert give(LATER) == 1
        assert owner(dispute) == "bob"

    def test_no_skill_named_is_every_skill(self):
        agent("ann", languages=["en", "zh-hans"], grounds=["already_paid"], products=["card"])
        assert [enter(product="card"), enter(language="zh-hans", product="card")]
        assert give() == 2

    def test_an_agent_of_some_queues_has_the_cases_of_those(self):
        fraud = Queue.objects.create(name="Fraud", grounds=["identity_theft"])
        agent("ann", queues=(fraud,))
        agent("bob", grounds=["already_paid"])
        theft, paid = enter(ground="identity_theft"), enter()
        give()
        assert (owner(theft), owner(paid)) == ("ann", "bob")

    def test_the_first_queue_by_place_that_takes_a_case_has_it(self):
        Queue.objects.create(name="English", languages=["en"], place=2)
        Queue.objects.create(name="Cards", products=["card"], place=1)
        rows = [enter(product="card"), enter(), enter(language="zh-hans")]
        assert [case_of(one).queue.name for one in rows] == ["Cards", "English", "All disputes"]


class TestNobodyIsGivenMoreThanTheyCanTake:
    def test_at_capacity_the_case_waits(self):
        agent("ann", capacity=2)
        for _ in range(3):
            enter()
        assert (give(), loads()) == (2, {"ann": 2})
        assert give(LATER) == 0

    def test_one_that_is_closed_or_set_aside_frees_its_place(self):
        agent("ann", capacity=1)
        first, second, third = (enter(due_in_hours=n) for n in (1, 2, 3))
        give()
        within(assigning.leave, dispute=first, now=SOON)
        assert (give(), owner(second)) == (1, "ann")
        within(assigning.set_aside, dispute=second, now=SOON)
        assert (give(), owner(third)) == (1, "ann")

    def test_lowering_the_capacity_takes_none_away(self):
        ann = agent("ann", capacity=3)
        rows = [enter() for _ in range(3)]
        give()
        Agent.objects.filter(pk=ann.pk).update(capacity=1)
        enter()
        assert give(LATER) == 0
        assert {owner(one) for one in rows} == {"ann"}
        for one in rows[:2]:
            within(assigning.leave, dispute=one, now=LATER)
        assert give(LATER) == 0
        within(assigning.leave, dispute=rows[2], now=LATER)
        assert give(LATER) == 1

    def test_a_capacity_of_nothing_is_given_nothing(self):
        agent("ann", capacity=0)
        enter()
        assert give() == 0


class TestNoneFits:
    def test_the_queue_waits_and_its_supervisor_is_told_once(self):
        agent("ann", languages=["zh-hans"])
        dispute = enter()
        give()
        give(LATER)
        assert [row.pk for row in unfit()] == [dispute]
        assert Event.objects.filter(kind="dispute.unassignable", subject_id=dispute).count() == 1
        assert OutboxTopic.objects.filter(topic="case.unassignable").count() == 1

    def test_one_that_nobody_fits_blocks_nobody_behind_it(self, monkeypatch):
        monkeypatch.setattr(assigning, "AT_ONCE", 2)
        agent("ann", languages=["zh-hans"], capacity=50)
        for n in range(5):
            enter(due_in_hours=n)
        behind = [enter(language="zh-hans", due_in_hours=50 + n) for n in range(3)]
        assert give() == 3
        assert {owner(one) for one in behind} == {"ann"}

    def test_once_somebody_fits_it_is_no_longer_among_them(self):
        dispute = enter()
        give()
        agent("ann")
        give(LATER)
        assert list(unfit()) == []
        assert owner(dispute) == "ann"


class TestDuty:
    def test_off_duty_none_is_given_and_those_there_stay(self):
        ann = agent("ann")
        had = enter()
        give()
        assert set_duty(agent_id=ann.pk, on=False, actor=BOSS, now=SOON)
        new = enter()
        assert give(LATER) == 0
        assert (owner(had), owner(new)) == ("ann", None)

    def test_whoever_comes_on_duty_is_given_what_waits(self):
        ann = agent("ann", on_duty=False)
        dispute = enter()
        hear_who_waits()
        assert owner(dispute) is None
        set_duty(agent_id=ann.pk, on=True, actor=BOSS, now=SOON)
        hear_who_waits()
        assert owner(dispute) == "ann"

    def test_being_on_duty_already_changes_nothing(self):
        ann = agent("ann")
        assert not set_duty(agent_id=ann.pk, on=True, actor=BOSS, now=SOON)

    @pytest.mark.parametrize("gone", [{"is_active": False}, {"is_staff": False}])
    def test_a_user_who_can_no_longer_log_in_is_given_nothing(self, gone):
        ann = agent("ann")
        type(ann.user).objects.filter(pk=ann.user_id).update(**gone)
        dispute = enter()
        assert give() == 0
        with pytest.raises(CannotHandOn, match="off duty"):
            assigning.hand_on(dispute=dispute, actor=BOSS, now=SOON, agent_id=ann.pk)


class TestTakingTheNext:
    def test_is_the_nearest_deadline_that_fits(self):
        ann = agent("ann", languages=["en"])
        enter(language="zh-hans", due_in_hours=1)
        enter(due_in_hours=9)
        soon = enter(due_in_hours=3)
        assert assigning.take_next(agent_id=ann.pk, now=SOON) == soon
        assert owner(soon) == "ann"

    def test_looks_past_a_page_of_what_does_not_fit(self, monkeypatch):
        monkeypatch.setattr(assigning, "AT_ONCE", 2)
        ann = agent("ann", languages=["en"])
        for n in range(5):
            enter(language="zh-hans", due_in_hours=n)
        mine = enter(due_in_hours=9)
        assert assigning.take_next(agent_id=ann.pk, now=SOON) == mine

    def test_where_nothing_waits_is_none(self):
        assert assigning.take_next(agent_id=agent("ann").pk, now=SOON) is None

    def test_off_duty_or_at_capacity_is_refused_with_the_reason(self):
        off, full = agent("ann", on_duty=False), agent("bob", capacity=1)
        enter()
        enter()
        give()
        with pytest.raises(CannotTake, match="off duty"):
            assigning.take_next(agent_id=off.pk, now=SOON)
        with pytest.raises(CannotTake, match="1 cases in review, of 1"):
            assigning.take_next(agent_id=full.pk, now=SOON)


class TestHandingOn:
    def test_to_another_agent(self):
        agent("ann")
        dispute = enter()
        give()
        bob = agent("bob")
        assigning.hand_on(dispute=dispute, actor=BOSS, now=SOON, agent_id=bob.pk)
        assert (owner(dispute), loads()) == ("bob", {"ann": 0, "bob": 1})
        told = Event.objects.get(kind="dispute.handed_on", subject_id=dispute)
        assert (told.actor_id, told.data["to"]) == ("boss", bob.pk)

    def test_to_a_queue_from_which_it_does_not_come_back_by_itself(self):
        ann = agent("ann")
        dispute = enter()
        give()
        fraud = Queue.objects.create(name="Fraud", grounds=["identity_theft"])
        assigning.hand_on(dispute=dispute, actor=BOSS, now=SOON, queue_id=fraud.pk, from_agent=ann.pk)
        assert (state(dispute), case_of(dispute).queue) == ("waiting", fraud)
        hear_who_waits()
        assert owner(dispute) is None
        assert assigning.take_next(agent_id=ann.pk, now=LATER) is None
        assigning.hand_on(dispute=dispute, actor=BOSS, now=LATER, agent_id=ann.pk)
        assert owner(dispute) == "ann"

    def test_whoever_may_never_have_a_case_is_not_given_it_by_any_road(self):
        """As after an appeal: never to the one who decided, though another put it back meanwhile."""
        judge = agent("judge")
        other = agent("other")
        dispute = enter(not_agent=judge)
        give()
        assert owner(dispute) == "other"
        assigning.hand_on(dispute=dispute, actor=BOSS, now=SOON, queue_id=case_of(dispute).queue_id)
        assert give(LATER) == 0
        assert assigning.take_next(agent_id=judge.pk, now=LATER) is None
        with pytest.raises(CannotHandOn, match="may not have"):
            assigning.hand_on(dispute=dispute, actor=BOSS, now=LATER, agent_id=judge.pk)
        assigning.hand_on(dispute=dispute, actor=BOSS, now=LATER, agent_id=other.pk)
        assert owner(dispute) == "other"

    def test_is_refused_where_the_agent_cannot_take_it_and_nothing_changes(self):
        ann = agent("ann")
        dispute = enter()
        give()
        full, off = agent("full", capacity=0), agent("off", on_duty=False)
        for to, why in [(ann, "already"), (full, "no place free"), (off, "off duty")]:
            with pytest.raises(CannotHandOn, match=why):
                assigning.hand_on(dispute=dispute, actor=BOSS, now=SOON, agent_id=to.pk)
        with pytest.raises(CannotHandOn, match="another agent's"):
            assigning.hand_on(dispute=dispute, actor=BOSS, now=SOON, agent_id=agent("bob").pk, from_agent=full.pk)
        assert owner(dispute) == "ann"
        assert not Event.objects.filter(kind="dispute.handed_on").exists()

    @pytest.mark.parametrize("gone", [assigning.set_aside, assigning.leave])
    def test_only_what_is_in_review(self, gone):
        dispute = enter()
        within(gone, dispute=dispute, now=SOON)
        with pytest.raises(CannotHandOn, match="in review"):
            assigning.hand_on(dispute=dispute, actor=BOSS, now=SOON, agent_id=agent("ann").pk)

    def test_what_is_not_there_is_an_error(self):
        dispute = enter()
        with pytest.raises(Agent.DoesNotExist):
            assigning.hand_on(dispute=dispute, actor=BOSS, now=SOON, agent_id=987_654)
        with pytest.raises(Queue.DoesNotExist):
            assigning.hand_on(dispute=dispute, actor=BOSS, now=SOON, queue_id=987_654)


class TestTheCustomersAnswer:
    def asked(self, *, capacity: int = 5) -> tuple[Agent, object]:
        """A case of Ann's, set aside; and Bob, who has nothing."""
        ann = agent("ann", capacity=capacity)
        dispute = enter()
        give()
        agent("bob")
        within(assigning.set_aside, dispute=dispute, now=SOON)
        assert (state(dispute), owner(dispute)) == ("aside", None)
        return ann, dispute

    def answered(self, dispute) -> str | None:
        within(assigning.bring_back, dispute=dispute, now=LATER)
        give(LATER)
        return owner(dispute)

    def test_returns_it_to_its_agent_though_another_has_less(self):
        ann, dispute = self.asked()
        for _ in range(2):
            assigning.hand_on(dispute=enter(), actor=BOSS, now=SOON, agent_id=ann.pk)
        assert self.answered(dispute) == "ann"

    def test_goes_to_another_where_its_agent_is_off_duty(self):
        ann, dispute = self.asked()
        set_duty(agent_id=ann.pk, on=False, actor=BOSS, now=SOON)
        assert self.answered(dispute) == "bob"

    def test_goes_to_another_where_its_agent_has_no_place(self):
        ann, dispute = self.asked(capacity=1)
        assigning.hand_on(dispute=enter(), actor=BOSS, now=SOON, agent_id=ann.pk)
        assert self.answered(dispute) == "bob"

    def test_its_agent_is_remembered_though_it_is_asked_again_before_anybody_has_it(self):
        _, dispute = self.asked()
        within(assigning.bring_back, dispute=dispute, now=LATER)
        within(assigning.set_aside, dispute=dispute, now=LATER)
        assert self.answered(dispute) == "ann"

    def test_one_that_is_not_aside_is_not_brought_back(self):
        agent("ann")
        dispute = enter()
        give()
        within(assigning.bring_back, dispute=dispute, now=LATER)
        assert state(dispute) == "assigned"


class TestEnteringAndLeaving:
    def test_entering_again_changes_nothing_while_it_is_open(self):
        agent("ann")
        dispute = enter()
        give()
        enter(dispute=dispute)
        assert (owner(dispute), case_of(dispute).round) == ("ann", 1)

    def test_one_that_was_closed_enters_anew_without_an_owner_and_never_goes_to_who_decided(self):
        ann = agent("ann")
        dispute = enter()
        give()
        within(assigning.leave, dispute=dispute, now=SOON)
        within(assigning.leave, dispute=dispute, now=SOON)
        assert (state(dispute), owner(dispute)) == ("left", None)
        enter(dispute=dispute, not_agent=ann)
        assert give(LATER) == 0
        agent("bob")
        assert give(LATER) == 1
        assert (owner(dispute), case_of(dispute).round) == ("bob", 2)

    def test_leaving_what_never_entered_is_nothing(self):
        within(assigning.leave, dispute=new_id(), now=SOON)
        within(assigning.set_aside, dispute=new_id(), now=SOON)
        assert not RoutedCase.objects.exists()

    def test_each_case_given_leaves_one_event_and_one_topic(self):
        ann = agent("ann")
        dispute = enter()
        give()
        told = Event.objects.get(kind="dispute.assigned", subject_id=dispute)
        assert (told.subject_type, told.data) == ("dispute", {"agent": ann.pk, "user": ann.user_id})
        topic = OutboxTopic.objects.get(topic="dispute.assigned")
        assert topic.payload == {"dispute": str(dispute), "agent": ann.pk}

    def test_the_database_refuses_an_owner_of_what_is_not_assigned_and_none_of_what_is(self):
        ann = agent("ann")
        dispute = enter()
        for wrong in ({"owner": ann}, {"state": "assigned"}):
            with pytest.raises(IntegrityError), transaction.atomic():
                RoutedCase.objects.filter(pk=dispute).update(**wrong)


class TestWhatOthersAsk:
    def test_a_desk_is_in_order_of_its_deadlines_and_a_load_counts_it(self):
        ann = agent("ann")
        late, soon = enter(due_in_hours=50), enter(due_in_hours=5)
        aside = enter(due_in_hours=1)
        give()
        within(assigning.set_aside, dispute=aside, now=SOON)
        assert [row.pk for row in desk_of(ann)] == [soon, late]
        assert [(row.pk, row.load) for row in loads_of()] == [(ann.pk, 2)]
        assert (owner_of(soon), owner_of(aside)) == (ann, None)

    def test_giving_many_asks_the_database_no_more_often(self, django_assert_max_num_queries):
        for n in range(6):
            agent(f"a{n}", capacity=20)
        for _ in range(60):
            enter()
        with django_assert_max_num_queries(20):
            assert give() == 60
