"""The history of holds is the database's to keep: they are released, never taken away, never rewritten."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import Error, connection, transaction

from disputes.holds import placing, queries
from disputes.holds.models import Hold, HoldCover
from disputes.holds.placing import change_reason, release_hold, widen_hold
from disputes.holds.scopes import Covers
from tests.disputes.holds import scene

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _pack(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)


@contextmanager
def acting_as(role: str) -> Iterator[None]:
    """`owner`: as the tables' owner; `service`: as the service's own role, where there is one."""
    with connection.cursor() as cursor:
        if role == "service":
            cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", [settings.SERVICE_ROLE])
            if not cursor.fetchone()[0]:
                pytest.skip("there is no role of the service's own here")
            cursor.execute(f"SET LOCAL ROLE {connection.ops.quote_name(settings.SERVICE_ROLE)}")
        yield
        cursor.execute("RESET ROLE")


def refused(statement: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except Error:
        return True
    return False


REWRITES = (
    "DELETE FROM disputes_holdcover",
    "DELETE FROM disputes_hold",
    "TRUNCATE disputes_hold CASCADE",
    "TRUNCATE disputes_holdcover",
    "UPDATE disputes_hold SET placed_at = placed_at - interval '1 day'",
    "UPDATE disputes_hold SET placed_by = 'nobody'",
    "UPDATE disputes_hold SET why = 'other'",
    "UPDATE disputes_hold SET source = 'manual'",
    "UPDATE disputes_hold SET dispute = gen_random_uuid()",
    "UPDATE disputes_hold SET id = gen_random_uuid()",
    "UPDATE disputes_hold SET released_by = 'nobody'",
    "UPDATE disputes_hold SET release_reason = 'none'",
    "UPDATE disputes_hold SET released_at = clock_timestamp(), reason = 'manual_hold'",
    "UPDATE disputes_holdcover SET key = 'l:L99'",
    "UPDATE disputes_holdcover SET since = since - interval '1 day'",
    "UPDATE disputes_holdcover SET since = since",
)
REWRITES_OF_RELEASED = (
    "UPDATE disputes_hold SET released_at = NULL",
    "UPDATE disputes_hold SET released_at = released_at + interval '1 day'",
    "UPDATE disputes_hold SET released_by = 'nobody'",
    "UPDATE disputes_hold SET reason = 'wrong_number'",
    "UPDATE disputes_hold SET scope = 'phone'",
    "UPDATE disputes_holdcover SET released_at = NULL",
    "UPDATE disputes_holdcover SET released_at = released_at + interval '1 day'",
)


@pytest.mark.parametrize("role", ["owner", "service"])
class TestTheDatabaseRefuses:
    @pytest.mark.parametrize("statement", REWRITES)
    def test_to_rewrite_a_hold_that_stands(self, role: str, statement: str) -> None:
        scene.lender()
        scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        with acting_as(role):
            assert refused(statement)
        assert Hold.objects.count() == 1

    @pytest.mark.parametrize("statement", REWRITES_OF_RELEASED)
    def test_to_rewrite_one_that_was_released(self, role: str, statement: str) -> None:
        scene.lender()
        placed = scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        with transaction.atomic():
            release_hold(hold=placed.hold, actor=scene.ACTOR, reason="withdrawn", now=datetime.now(tz=UTC))
            placing.number_changes()
        with acting_as(role):
            assert refused(statement)

    def test_nothing_of_what_the_service_does_with_holds(self, role: str) -> None:
        scene.lender()
        with acting_as(role):
            placed = scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
            now = datetime.now(tz=UTC)
            with transaction.atomic():
                widen_hold(hold=placed.hold, covers=Covers(customers=frozenset({"C1"})), now=now)
                assert change_reason(hold=placed.hold, reason="outcome_not_delivered", now=now)
                placing.number_changes()
            with transaction.atomic():
                assert release_hold(hold=placed.hold, actor=scene.ACTOR, reason="delivered", now=now)
                placing.number_changes()
        hold = Hold.objects.get()
        assert (hold.scope, hold.reason, hold.release_reason) == ("customer", "outcome_not_delivered", "delivered")


@dataclass
class Replay:
    """What a history says was held at which instant, by adding up what was done."""

    done: list[tuple[datetime, Any, frozenset[str]]] = field(default_factory=list)

    def note(self, hold: Any, keys: frozenset[str]) -> None:
        """From now on `hold` covers `keys`; none: it is released."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            self.done.append((cursor.fetchone()[0], hold, keys))

    def at(self, instant: datetime) -> dict[Any, frozenset[str]]:
        held: dict[Any, frozenset[str]] = {}
        for at, hold, keys in self.done:
            if at <= instant:
                held[hold] = keys
        return {hold: keys for hold, keys in held.items() if keys}


def shown(keys: frozenset[str]) -> frozenset[str]:
    return frozenset(key for key in keys if key[0] != "s")


@pytest.mark.parametrize("seed", range(8))
def test_what_was_held_at_an_instant_is_what_a_replay_of_the_history_says(seed: int) -> None:
    """Instants lie between the acts: an act bears the database's, a moment before it is noted."""
    chance = random.Random(seed)
    scene.lender(customers=3)
    replay, standing = Replay(), {}
    instants = [datetime.now(tz=UTC) - timedelta(days=1)]
    for _ in range(25):
        act = chance.choice(["place", "place", "widen", "release"])
        if act == "place" or not standing:
            n = chance.randint(1, 3)
            ground = chance.choice(["not_overdue", "identity_theft", "not_my_debt", "too_frequent"])
            placed = scene.dispute(ground, loan=f"L{n}{chance.randint(1, 2)}", n=n, customer=f"C{n}")
            standing[placed.hold.pk] = placed.hold
            replay.note(placed.hold.pk, shown(frozenset(placed.keys)))
        else:
            hold = standing[chance.choice(sorted(standing))]
            with transaction.atomic():
                if act == "widen":
                    n = chance.randint(1, 3)
                    covers = chance.choice(
                        [Covers(loans=frozenset({f"L{n}1"})), Covers(phones=frozenset({scene.digest(n)}))]
                    )
                    keys = widen_hold(hold=hold, covers=covers, now=datetime.now(tz=UTC)).keys
                    replay.note(hold.pk, shown(frozenset(keys)))
                else:
                    assert release_hold(hold=hold, actor=scene.ACTOR, reason="x", now=datetime.now(tz=UTC))
                    replay.note(hold.pk, frozenset())
                    del standing[hold.pk]
                placing.number_changes()
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            instants.append(cursor.fetchone()[0])
    for instant in instants:
        expected = replay.at(instant)
        found = list(queries.suppressions(at=instant))
        keys = queries.keys_of(found, at=instant)
        assert {hold.pk: frozenset(keys[hold.pk]) for hold in found} == expected
        for n in range(1, 4):
            of_phone = {hold.pk for hold in queries.suppressions(phone=scene.digest(n), at=instant)}
            assert of_phone == {hold for hold, held in expected.items() if f"p:{scene.digest(n).hex()}" in held}
            of_loan = {hold.pk for hold in queries.suppressions(loan=f"L{n}1", at=instant)}
            assert of_loan == {hold for hold, held in expected.items() if f"l:L{n}1" in held}
    assert HoldCover.objects.filter(released_at__isnull=True).count() >= len(standing)
