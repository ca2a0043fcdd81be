"""A sending rule that is paused: from the answer on, each of its permits was committed before and is listed, or is
refused. Decisions share the rule's lock, and only ever try for it; whoever pauses has it alone.

Raced with real connections and judged by the order of commits, with a control without the lock, as in
`test_guarantee`.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection, transaction
from django.utils import timezone

from config.api.locks import RULES_NAMESPACE
from disputes.holds import by_hand, placing, reading
from disputes.holds.models import Permit
from disputes.holds.placing import PlacedHold
from disputes.journal.recording import Actor
from disputes.lanes.locking import RULE_STRIPES, NotOutermost, stripe_of_rule, take_rules
from tests.disputes.holds import scene
from tests.disputes.holds import test_guarantee as racing
from tests.races import PATIENCE, at_once, until

pytestmark = pytest.mark.django_db(transaction=True)

SUPERVISOR = Actor(type="user", id="7")
RULES = ("R7", "RR")


@pytest.fixture(autouse=True)
def _lender(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    # The broker is not what is raced here.
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
    scene.lender(customers=6, loans=1)


def pause(rule: str) -> PlacedHold:
    with transaction.atomic(durable=True):
        return by_hand.pause_rule(rule=rule, why="wrong list", actor=SUPERVISOR, now=timezone.now(), supervisor=True)


def lift(placed: PlacedHold) -> None:
    with transaction.atomic(durable=True):
        by_hand.lift(hold_id=placed.hold.pk, why="mended", actor=SUPERVISOR, now=timezone.now(), supervisor=True)


@contextmanager
def without_the_rules_lock() -> Iterator[None]:
    """Lanes are taken as ever, but nobody takes the lock of a rule."""
    locked, every = reading.Reading.locked, frozenset(range(RULE_STRIPES))

    def as_if_all_were_got(read: reading.Reading, items: Any, before: Any) -> list[bool]:
        return locked(replace(read, stripes=every), items, before)

    with (
        patch.object(reading, "stripes_of", lambda items: frozenset()),
        patch.object(reading.Reading, "locked", as_if_all_were_got),
        patch.object(placing, "take_rules", lambda rules: None),
    ):
        yield


def race(seconds: float) -> int:
    """Four lines of decisions against two that pause and lift, on two rules. Returns how many pauses there were."""
    end = time.monotonic() + seconds

    def keep_asking(seed: int) -> None:
        chance = random.Random(seed)
        while time.monotonic() < end:
            customers = chance.sample(range(1, 7), chance.choice([1, 1, 2, 4]))
            scene.ask(*(scene.item(n, sending_rule=chance.choice([*RULES, None])) for n in customers))

    def keep_pausing(seed: int) -> int:
        chance, paused = random.Random(seed), 0
        while time.monotonic() < end:
            placed = pause(chance.choice(RULES))
            racing.nap()
            lift(placed)
            racing.nap()
            paused += 1
        return paused

    with racing.naps_between_statements():
        results = at_once(
            [partial(keep_asking, seed) for seed in range(4)] + [partial(keep_pausing, seed) for seed in (10, 11)]
        )
    assert [one for one in results if isinstance(one, BaseException)] == []
    return int(results[4] + results[5])


@pytest.mark.usefixtures("commit_order")
def test_decisions_and_pauses_at_once_never_break_it() -> None:
    pauses = 0
    for _ in range(10):
        pauses += race(3.0)
        if pauses > 20 and Permit.objects.filter(sending_rule__in=RULES).count() > 20:
            break
    else:
        pytest.fail(f"{pauses} pauses: too few to be a race")
    assert racing.breaches() == []


@pytest.mark.usefixtures("commit_order")
def test_control_without_the_rules_lock_it_breaks() -> None:
    for _ in range(20):
        with without_the_rules_lock():
            race(2.0)
        if {breach.how for breach in racing.breaches()} == {"not listed", "granted against a hold"}:
            return
    pytest.fail("nothing broke: the race proves nothing")


class Standing:
    """A decision about a rule that is being made in another transaction, until it is told to commit."""

    def __init__(self, rule: str) -> None:
        self.rule, self.begun, self.done = rule, threading.Event(), threading.Event()

    def decide(self) -> None:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_try_advisory_xact_lock_shared(%s, %s)", [RULES_NAMESPACE, stripe_of_rule(self.rule)]
            )
            assert cursor.fetchone() == (True,)
            self.begun.set()
            assert self.done.wait(3 * PATIENCE)


def wait_until_somebody_waits() -> None:
    """For the lock of a rule, in this database: another process of tests has one of its own on the same server."""

    def waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database AS here ON here.oid = database"
                " WHERE datname = current_database() AND locktype = 'advisory' AND classid = %s AND NOT granted)",
                [RULES_NAMESPACE],
            )
            return bool(cursor.fetchone()[0])

    until(waits, what="somebody who waits for a rule")


def test_while_somebody_waits_to_pause_it_no_decision_about_the_rule_is_begun() -> None:
    """PostgreSQL asks the queue before it grants: a shared lock that is only tried for never passes one that waits."""
    assert stripe_of_rule("R7") != stripe_of_rule("RR")
    standing = Standing("R7")

    def ask() -> Any:
        assert standing.begun.wait(PATIENCE)
        try:
            beside = scene.ask(scene.item(1, sending_rule="R7"), scene.item(2))
            wait_until_somebody_waits()
            return beside, scene.ask(
                scene.item(3, sending_rule="R7"), scene.item(4, sending_rule="RR"), scene.item(5), wait=0.2
            )
        finally:
            standing.done.set()

    def pause_it() -> PlacedHold:
        assert standing.begun.wait(PATIENCE)
        until(lambda: Permit.objects.count() == 2)
        return pause("R7")

    _, (beside, during), placed = at_once([standing.decide, ask, pause_it])
    assert [answer.reasons for answer in beside] == [(), ()], "decisions share the lock"
    assert [answer.reasons for answer in during] == [("busy",), (), ()]
    assert [permit.id for permit in placed.permits_out] == [beside[0].permit.id]
    assert scene.reasons(scene.item(3, sending_rule="R7")) == [("rule_paused",)]


def test_a_rule_in_steady_use_is_paused_all_the_same() -> None:
    """Decisions overlap without a gap; the pause comes through while they go on, and no answer is `busy`."""
    stop = threading.Event()
    asked: list[tuple[str, ...]] = []

    def keep_asking(n: int) -> None:
        while not stop.is_set():
            asked.extend(scene.reasons(scene.item(n, category="service", sending_rule="R7"), wait=2 * PATIENCE))

    def pause_amid() -> float:
        try:
            until(lambda: len(asked) >= 20)
            began = time.monotonic()
            pause("R7")
            return time.monotonic() - began
        finally:
            stop.set()

    with racing.naps_between_statements():
        results = at_once([*(partial(keep_asking, n) for n in range(1, 7)), pause_amid])
    assert isinstance(results[6], float), results[6]
    assert results[6] < PATIENCE
    assert set(asked) == {()}


def test_a_rule_is_held_after_the_lanes_and_nothing_is_asked_of_a_wrong_level() -> None:
    with pytest.raises(NotOutermost):
        take_rules(["R7"])
    with pytest.raises(NotOutermost), transaction.atomic(), transaction.atomic():
        take_rules(["R7"])
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(NotOutermost):
            take_rules(["R7"])
    with transaction.atomic():
        take_rules([])


def test_the_number_is_the_same_in_every_process_and_for_ever() -> None:
    assert [stripe_of_rule(rule) for rule in ("R7", "RR", "overdue-1", "逾期一")] == [9, 10, 37, 18]
