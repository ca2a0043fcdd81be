"""A phone, or a loan, comes to a customer by an import while a hold of that customer is placed.

Whichever commits first: the hold covers it, and a permit that is out is in somebody's list.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from disputes.holds import placing
from disputes.holds.models import Hold, HoldCover, SuppressionChange
from disputes.holds.scopes import Covers
from disputes.records import settling
from tests.disputes.holds import scene
from tests.disputes.holds.test_guarantee import again
from tests.disputes.holds.test_with_imports import customer, lender, loan
from tests.lender import load_records
from tests.races import PATIENCE, at_once

pytestmark = pytest.mark.django_db(transaction=True)

CUSTOMERS = range(10, 22)
"""Of the races, one a round."""


class Meeting:
    """Import and hold wait for each other once both have looked and neither has committed; where the lock keeps one
    from looking, the other goes on after a while."""

    def __init__(self) -> None:
        self.barrier, self.patience = threading.Barrier(2), 0.1

    def begin(self) -> None:
        self.barrier = threading.Barrier(2)

    def wait(self) -> None:
        with suppress(threading.BrokenBarrierError):
            self.barrier.wait(timeout=self.patience)


@pytest.fixture(autouse=True)
def meeting(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Meeting:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
    lender()
    meeting = Meeting()
    tell_holds, list_permits = settling._call_hooks, placing.permits_covered

    def tell_and_wait(*said: Any) -> None:
        tell_holds(*said)
        meeting.wait()

    def list_and_wait(**asked: Any) -> Any:
        found = list_permits(**asked)
        meeting.wait()
        return found

    monkeypatch.setattr(settling, "_call_hooks", tell_and_wait)
    monkeypatch.setattr(placing, "permits_covered", list_and_wait)
    return meeting


@pytest.fixture
def unlocked(meeting: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that takes no lanes."""
    meeting.patience = PATIENCE
    monkeypatch.setattr(settling, "take_lanes", lambda lanes: None)


def load_alone(meeting: Meeting, lines: list[dict[str, Any]]) -> None:
    """Before the race: nobody comes to meet this one."""
    meeting.barrier.abort()
    load_records(lines)


def at_the_same_time(meeting: Meeting, line: dict[str, Any], n: int) -> Hold:
    """The line is imported while C`n` is held, in any order."""

    def hold() -> Any:
        time.sleep(random.random() / 20)
        return again(lambda: scene.hold(Covers(customers=frozenset({f"C{n}"})), scope="customer", why="agent_conduct"))

    def load() -> None:
        time.sleep(random.random() / 20)
        load_records([line])

    meeting.begin()
    loaded, placed = at_once([load, hold])
    assert loaded is None, loaded
    assert not isinstance(placed, BaseException), placed
    found: Hold = placed.hold
    return found


def phones_left_out(meeting: Meeting, customers: range) -> int:
    """How often a new phone of a held customer is not covered."""
    left_out = 0
    for n in customers:
        load_alone(meeting, [customer(n)])
        hold = at_the_same_time(meeting, customer(n, n, 40 + n) | {"version": 2}, n)
        keys = set(HoldCover.objects.filter(hold=hold).values_list("key", flat=True))
        assert f"p:{scene.digest(n).hex()}" in keys
        left_out += f"p:{scene.digest(40 + n).hex()}" not in keys
    return left_out


def permits_not_listed(meeting: Meeting, customers: range) -> int:
    """How often the permit of a loan that came to a held customer is in nobody's list."""
    lost = 0
    for n in customers:
        before = 40 + n
        load_alone(meeting, [customer(n), customer(before), loan(n, before)])
        (answer,) = scene.ask(scene.item(before, loan=f"L{n}1", category="survey"))
        assert answer.permit is not None, answer
        at_the_same_time(meeting, loan(n, n) | {"version": 2}, n)
        rows = SuppressionChange.objects.values_list("permits_out", flat=True)
        lost += str(answer.permit.id) not in {permit["id"] for out in rows for permit in out}
    return lost


def test_a_phone_that_comes_meanwhile_is_covered(meeting: Meeting) -> None:
    assert phones_left_out(meeting, CUSTOMERS) == 0


@pytest.mark.usefixtures("unlocked")
def test_control_without_the_imports_lanes_it_is_left_out(meeting: Meeting) -> None:
    assert phones_left_out(meeting, range(10, 13)) > 0


def test_the_permit_of_a_loan_that_comes_meanwhile_is_listed(meeting: Meeting) -> None:
    assert permits_not_listed(meeting, CUSTOMERS) == 0


@pytest.mark.usefixtures("unlocked")
def test_control_without_the_imports_lanes_it_is_in_nobodys_list(meeting: Meeting) -> None:
    assert permits_not_listed(meeting, range(10, 13)) > 0
