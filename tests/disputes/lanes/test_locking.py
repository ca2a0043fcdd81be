"""Lanes: found the same everywhere, taken in order, kept until the commit."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from disputes.lanes import locking
from disputes.lanes.locking import (
    LanesMissing,
    NotOutermost,
    lane_of_customer,
    lane_of_loan,
    lane_of_phone,
    lanes_of,
    take_lanes,
    try_lanes,
)
from disputes.lanes.models import LANES, Lane
from tests.races import PATIENCE, at_once, until_somebody_waits_for_me

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_lane_is_there() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), min(n), max(n) FROM disputes_lane")
        assert cursor.fetchone() == (LANES, 0, LANES - 1)


def test_the_number_is_the_same_in_every_process_and_for_ever() -> None:
    assert lane_of_customer("C1") == 51331
    assert lane_of_phone(b"\1" * 17) == 36130
    code = "from disputes.lanes.locking import lane_of_customer; print(lane_of_customer('C1'))"
    said = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {code}"], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "51331"


@given(st.text(min_size=1), st.binary(min_size=17, max_size=17))
def test_it_is_a_lane(customer: str, phone: bytes) -> None:
    for lane in (
        lane_of_customer(customer),
        lane_of_phone(phone),
        lane_of_loan(loan=customer, customer=None),
        lane_of_loan(loan="L", customer=customer),
    ):
        assert 0 <= lane < LANES


def test_a_loans_lane_is_its_owners() -> None:
    assert lane_of_loan(loan="L1", customer="C1") == lane_of_customer("C1")
    assert lane_of_loan(loan="L1", customer=None) != lane_of_loan(loan="L2", customer=None)


@given(st.sets(st.binary(min_size=17, max_size=17)), st.sets(st.text(min_size=1)), st.sets(st.text(min_size=1)))
def test_of_many_at_once_they_are_the_lanes_of_each(phones: set[bytes], customers: set[str], loans: set[str]) -> None:
    each = {lane_of_phone(phone) for phone in phones}
    each |= {lane_of_customer(customer) for customer in customers}
    each |= {lane_of_loan(loan=loan, customer=None) for loan in loans}
    assert lanes_of(phones=phones, customers=customers, loans=loans) == each


class TestWhereALaneMayBeTaken:
    def test_not_outside_a_transaction(self) -> None:
        with pytest.raises(NotOutermost):
            take_lanes([1])

    def test_not_inside_a_savepoint(self) -> None:
        with transaction.atomic(), transaction.atomic(), pytest.raises(NotOutermost):
            take_lanes([1])

    def test_in_a_block_that_makes_no_savepoint(self) -> None:
        with transaction.atomic(), transaction.atomic(savepoint=False):
            take_lanes([1])
            assert try_lanes([1]) == {1}

    @pytest.mark.django_db
    def test_under_a_test_that_wraps_it(self) -> None:
        with transaction.atomic():
            take_lanes([1])
            assert try_lanes([1]) == {1}

    @pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
    def test_in_read_committed_alone(self, level: str) -> None:
        with transaction.atomic():
            connection.cursor().execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
            for take in (take_lanes, try_lanes):
                with pytest.raises(NotOutermost, match=level.lower()):
                    take([1])

    def test_a_lane_that_is_missing_is_an_error(self) -> None:
        with transaction.atomic(), pytest.raises(LanesMissing):
            take_lanes([1, LANES])


def test_a_lane_locked_in_a_savepoint_would_be_freed_with_it() -> None:
    """Why it is refused: the control of the rule above."""
    with transaction.atomic():
        inner = transaction.savepoint()
        connection.cursor().execute("SELECT n FROM disputes_lane WHERE n = 7 FOR NO KEY UPDATE")
        transaction.savepoint_rollback(inner)
        assert at_once([lambda: _try([7])]) == [{7}]


def _try(lanes: list[int]) -> set[int]:
    with transaction.atomic():
        return try_lanes(lanes)


def test_taken_until_the_commit_and_skipped_by_who_does_not_wait() -> None:
    with transaction.atomic():
        take_lanes([5, 3, 3])
        assert at_once([lambda: _try([2, 3, 4, 5])]) == [{2, 4}]
    assert at_once([lambda: _try([2, 3, 4, 5])]) == [{2, 3, 4, 5}]


def test_whoever_takes_them_waits() -> None:
    order: list[str] = []
    held = threading.Event()

    def first() -> None:
        with transaction.atomic():
            take_lanes([9])
            held.set()
            until_somebody_waits_for_me()
            order.append("first")

    def second() -> None:
        assert held.wait(PATIENCE)
        with transaction.atomic():
            take_lanes([9])
            order.append("second")

    assert at_once([first, second]) == [None, None]
    assert order == ["first", "second"]


def cross(*, take_in_order: bool, threads: int) -> int:
    """So many threads take the same forty lanes, each in an order of its own; where they take them one by one, none
    goes on before each has its first. Returns how many were ended as deadlocked."""
    each_has_one = threading.Barrier(threads)

    def act(seed: int) -> None:
        import random

        lanes = list(range(100, 140))
        random.Random(seed).shuffle(lanes)
        lanes.insert(0, lanes.pop(lanes.index(100 + seed)))
        with transaction.atomic():
            if take_in_order:
                take_lanes(lanes)
                return
            with connection.cursor() as cursor:
                for place, lane in enumerate(lanes):
                    cursor.execute("SELECT n FROM disputes_lane WHERE n = %s FOR NO KEY UPDATE", [lane])
                    if place == 0:
                        each_has_one.wait(PATIENCE)

    results = at_once([partial(act, seed) for seed in range(threads)])
    return sum("deadlock" in str(result) for result in results)


def test_all_at_once_nobody_deadlocks() -> None:
    assert sum(cross(take_in_order=True, threads=8) for _ in range(10)) == 0


def test_control_in_the_order_asked_they_do() -> None:
    assert cross(take_in_order=False, threads=3) > 0


def test_locking_makes_no_new_row() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT ctid, xmin FROM disputes_lane WHERE n = 11")
        before = cursor.fetchone()
        with transaction.atomic():
            take_lanes([11])
        cursor.execute("SELECT ctid, xmin FROM disputes_lane WHERE n = 11")
        assert cursor.fetchone() == before
    assert Lane.objects.filter(n=11).count() == 1
    assert locking.BITS == 18
