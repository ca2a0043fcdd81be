"""Twenty workers at once: one owner each, nobody above their capacity, and the load spread evenly."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.models import Count

from disputes.journal.models import Event
from disputes.routing import assigning
from disputes.routing.assigning import CannotHandOn, CannotTake
from disputes.routing.duty import set_duty
from disputes.routing.models import Agent, CaseState, Queue, RoutedCase
from tests.disputes.routing.scene import BOSS, NOW, agent, enter, loads, owner, within
from tests.races import PATIENCE, at_once, until_somebody_waits_for_me

pytestmark = pytest.mark.django_db(transaction=True)

SOON = NOW + timedelta(minutes=1)
WORKERS = 20


def over_capacity() -> list[tuple[int, int]]:
    """(load, capacity) of every agent who has more than they can take."""
    rows = RoutedCase.objects.filter(state=CaseState.ASSIGNED).values_list("owner", "owner__capacity")
    return [(load, capacity) for _, capacity, load in rows.annotate(n=Count("pk")) if load > capacity]


@contextmanager
def looker() -> Iterator[list[tuple[int, int]]]:
    """Looks all the while whether somebody has too many, as a committed fact, and remembers it."""
    seen: list[tuple[int, int]] = []
    done = threading.Event()

    def look() -> None:
        try:
            while not done.is_set():
                seen.extend(over_capacity())
                time.sleep(0.01)
        finally:
            connections.close_all()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join(PATIENCE)


def many(cases: int, **more: Any) -> list[uuid.UUID]:
    with transaction.atomic():
        return [enter(due_in_hours=10 + n / 100, **more) for n in range(cases)]


def failures(results: list[Any]) -> list[Any]:
    return [one for one in results if isinstance(one, BaseException)]


class TestTheLock:
    def test_spreads_the_load_evenly_over_equal_agents(self):
        """All 12 equal, 20 workers: at no time does one get a second more than another."""
        for n in range(12):
            agent(f"a{n}", capacity=50)
        disputes = many(120)
        results = at_once([partial(self.one_by_one, disputes[n::WORKERS]) for n in range(WORKERS)])
        assert failures(results) == []
        assert sum(results) == 120
        assert set(loads().values()) == {10}

    @staticmethod
    def one_by_one(_: list[uuid.UUID]) -> int:
        return assigning.assign_waiting(now=SOON)

    def test_gives_nobody_more_than_they_can_take_whatever_is_done_meanwhile(self):
        """Assign, take next, hand on, close, ask and bring back, duty on and off, mixed for a few seconds."""
        queues = [Queue.objects.create(name=f"Q{n}", languages=[lang]) for n, lang in enumerate(("en", "zh-hans"))]
        agents = [
            agent(f"a{n}", capacity=3, queues=tuple(queues) if n % 2 else (), languages=["en"] if n % 3 == 0 else [])
            for n in range(8)
        ]
        many(30)
        many(30, language="zh-hans")
        done = dict.fromkeys(ACTS, 0)
        for turn in range(20):  # on a busy machine four seconds are a handful of acts
            end = time.monotonic() + 4
            dice = [random.Random(f"{turn} {n}") for n in range(WORKERS)]
            with looker() as seen:
                results = at_once([partial(worker, one, [one.pk for one in agents], end) for one in dice])
            assert failures(results) == []
            assert seen == []
            assert over_capacity() == []
            done = {name: count + sum(row.get(name, 0) for row in results) for name, count in done.items()}
            if all(done.values()):
                break
        else:
            pytest.fail(f"not every act was done: {done}")
        self.every_owner_is_the_one_last_written_down()

    @staticmethod
    def every_owner_is_the_one_last_written_down() -> None:
        for case in RoutedCase.objects.filter(state=CaseState.ASSIGNED):
            last = Event.objects.filter(subject_id=case.pk, kind="dispute.assigned").order_by("id").last()
            assert last is not None
            assert last.data["agent"] == case.owner_id

    def test_two_who_take_the_next_never_take_the_same(self):
        agents = [agent(f"a{n}", capacity=5) for n in range(WORKERS)]
        many(WORKERS)
        taken = at_once([partial(assigning.take_next, agent_id=one.pk, now=SOON) for one in agents])
        assert len(set(taken)) == WORKERS
        assert set(loads().values()) == {1}

    def test_the_last_place_goes_to_one_of_many_supervisors(self):
        ann = agent("ann", capacity=1)
        disputes = many(WORKERS)
        acts = [partial(assigning.hand_on, dispute=one, actor=BOSS, now=SOON, agent_id=ann.pk) for one in disputes]
        results = at_once(acts)
        assert results.count(None) == 1
        assert {type(one) for one in results if one is not None} == {CannotHandOn}
        assert loads() == {"ann": 1}


ACTS = ("assign", "take", "leave", "aside", "back", "hand_on", "duty", "enter")


def worker(dice: random.Random, agents: list[int], end: float) -> dict[str, int]:
    done: dict[str, int] = {}
    while time.monotonic() < end:
        act = dice.choices(ACTS, weights=(25, 20, 20, 8, 8, 8, 6, 8))[0]
        try:
            if one_act(act, dice, agents):
                done[act] = done.get(act, 0) + 1
        except (CannotTake, CannotHandOn):
            pass
        time.sleep(dice.random() * 0.003)
    return done


def one_act(act: str, dice: random.Random, agents: list[int]) -> Any:
    def some(*states: str) -> uuid.UUID | None:
        rows = list(RoutedCase.objects.filter(state__in=states).values_list("pk", flat=True)[:50])
        return dice.choice(rows) if rows else None

    if act == "assign":
        return assigning.assign_waiting(now=SOON)
    if act == "take":
        return assigning.take_next(agent_id=dice.choice(agents), now=SOON)
    if act == "duty":
        one = Agent.objects.get(pk=dice.choice(agents))
        return set_duty(agent_id=one.pk, on=not one.on_duty, actor=BOSS, now=SOON)
    if act == "enter":
        return enter(language=dice.choice(("en", "zh-hans")), due_in_hours=dice.random() * 100)
    wanted: dict[str, tuple[str, ...]] = {
        "leave": ("assigned",),
        "aside": ("assigned", "waiting"),
        "back": ("aside",),
        "hand_on": ("assigned", "waiting"),
    }
    dispute = some(*wanted[act])
    if dispute is None:
        return False
    if act == "hand_on":
        to: dict[str, int] = {"agent_id": dice.choice(agents)}
        if dice.random() < 0.3:
            to = {"queue_id": Queue.objects.values_list("pk", flat=True)[0]}
        assigning.hand_on(dispute=dispute, actor=BOSS, now=SOON, **to)
        return True
    change: Callable[..., None] = {
        "leave": assigning.leave,
        "aside": assigning.set_aside,
        "back": assigning.bring_back,
    }[act]
    within(change, dispute=dispute, now=SOON)
    return True


class TestWithoutTheLock:
    """The control: why it is one lock for all, and not the queue's row."""

    def test_a_lock_on_the_queues_row_lets_an_agent_of_two_queues_have_too_many(self, monkeypatch):
        """Each queue is given out under the lock of its own row; its agents are the same, and none of them is locked:
        two workers of two queues both see the last place."""
        queues = [Queue.objects.create(name=f"Q{n}", products=[f"p{n}"]) for n in range(4)]
        for n in range(3):
            agent(f"a{n}", capacity=2)
        for n in range(4):
            many(8, product=f"p{n}")
        all_read = threading.Barrier(4)
        monkeypatch.setattr(assigning._Desks, "on_duty", classmethod(lambda cls: self.together(cls, all_read)))

        def give_queue(place: int) -> int:
            given = 0
            with transaction.atomic():
                list(Queue.objects.select_for_update().filter(pk=queues[place % 4].pk))
                waiting = RoutedCase.objects.filter(state=CaseState.WAITING, queue=queues[place % 4])
                cases = list(waiting.select_for_update(skip_locked=True, of=("self",)).order_by("decide_by", "pk"))
                given += assigning._give(cases, assigning._Desks.on_duty(), now=SOON)
            return given

        results = at_once([partial(give_queue, n) for n in range(4)])
        assert failures(results) == []
        assert over_capacity() != []

    @staticmethod
    def together(desks: Any, all_read: threading.Barrier) -> Any:
        """The agents and their loads as anybody reads them, unlocked, when all have read and nobody has written."""
        read = desks(list(Agent.objects.select_related("user").filter(on_duty=True).order_by("pk")))
        all_read.wait(PATIENCE)
        return read

    def test_and_with_it_the_same_workers_give_nobody_too_many(self):
        [Queue.objects.create(name=f"Q{n}", products=[f"p{n}"]) for n in range(4)]
        for n in range(3):
            agent(f"a{n}", capacity=2)
        for n in range(4):
            many(8, product=f"p{n}")
        results = at_once([partial(assigning.assign_waiting, now=SOON)] * 4)
        assert failures(results) == []
        assert set(loads().values()) == {2}


class TestWhatItWaitsFor:
    def test_a_case_that_somebody_has_locked_is_passed_over_and_given_the_next_time(self):
        agent("ann")
        held, free = enter(due_in_hours=1), enter(due_in_hours=2)
        with transaction.atomic():
            RoutedCase.objects.select_for_update(of=("self",)).get(pk=held)
            assert at_once([partial(assigning.assign_waiting, now=SOON)]) == [1]
        assert (owner(held), owner(free)) == (None, "ann")
        assert assigning.assign_waiting(now=SOON) == 1

    def test_whoever_goes_off_duty_meanwhile_is_given_nothing(self):
        """The change is not committed when the worker begins; it waits for it, and reads it."""
        ann = agent("ann")
        enter()
        given: list[Any] = []
        with transaction.atomic():
            Agent.objects.filter(pk=ann.pk).update(on_duty=False)
            thread = threading.Thread(
                target=lambda: given.extend(at_once([partial(assigning.assign_waiting, now=SOON)]))
            )
            thread.start()
            until_somebody_waits_for_me()
        thread.join(PATIENCE)
        assert given == [0]

    def test_closing_takes_no_routing_lock(self):
        """So a dispute is closed while cases are given."""
        agent("ann")
        dispute = enter()
        assigning.assign_waiting(now=SOON)
        with transaction.atomic():
            assigning._lock_routing()
            assert at_once([partial(within, assigning.leave, dispute=dispute, now=SOON)]) == [None]
        assert RoutedCase.objects.get(pk=dispute).state == CaseState.LEFT
