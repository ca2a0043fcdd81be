"""The guarantee: a permit that a hold covers was committed before it and is listed, or is refused.

Raced with real connections; judged by the order in which the transactions committed, as the database itself kept it.
Each race has a control without the lock, which must break: else the race would prove nothing.
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection, transaction
from django.utils import timezone

from config.api.idempotency import BeginAgain
from config.statements import Statement, run
from disputes.holds import gate, permits, placing, reading
from disputes.holds.models import Hold, Permit, SuppressionChange
from disputes.holds.placing import release_hold
from disputes.holds.scopes import Covers
from disputes.lanes import locking
from tests.disputes.holds import scene
from tests.races import PATIENCE, at_once, until_somebody_waits_for_me

pytestmark = pytest.mark.django_db(transaction=True)

NAP = 0.004


@pytest.fixture(autouse=True)
def _pack(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    # The broker is not what is raced here.
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)


def nap() -> None:
    time.sleep(random.uniform(0, NAP))


@contextmanager
def naps_between_statements() -> Iterator[None]:
    """A nap after the lanes, and one before the commit, on both sides: where interleavings hide."""
    granted, taken, told = gate.write_grants, placing.take_lanes, placing.permits_covered

    def late_grants(**call: Any) -> None:
        nap()
        granted(**call)
        nap()

    def slow_lanes(lanes: Any, then: Sequence[Statement] = ()) -> None:
        taken(lanes)
        nap()
        run(*then)

    def late_listing(**call: Any) -> Any:
        found = told(**call)
        nap()
        return found

    with (
        patch.object(gate, "write_grants", late_grants),
        patch.object(placing, "take_lanes", slow_lanes),
        patch.object(placing, "permits_covered", late_listing),
    ):
        yield


def take_none(lanes: Any, then: Sequence[Statement] = ()) -> None:
    """The control of `take_lanes`: no lane is taken, and the same is read."""
    run(*then)


@contextmanager
def without_the_lock() -> Iterator[None]:
    """The same code, but nobody takes a lane: the gate takes all for its own, the hold waits for none."""
    prepare = reading.prepare

    def unlocked(*, lanes: Any, **more: Any) -> reading.Asked:
        return prepare(lanes=None, **more)

    with (
        patch.object(reading, "prepare", unlocked),
        patch.object(reading.Reading, "locked", lambda read, items, before: [True] * len(items)),
        patch.object(placing, "take_lanes", take_none),
    ):
        yield


@dataclass(frozen=True, kw_only=True)
class Breach:
    permit: str
    hold: str
    how: str


def commit_times(table: str) -> dict[str, datetime]:
    """When each row's transaction committed. Whoever commits later has a later time: WAL order, to the microsecond."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id::text, pg_xact_commit_timestamp(xmin) FROM {table}")
        return dict(cursor.fetchall())


def breaches() -> list[Breach]:
    """Every permit against every hold of its loan, phone, customer or sending rule.

    Granted between the hold's commit and its release's, or committed before it, alive until then and not in its
    `permits_out`.
    """
    granted, every = commit_times("disputes_permit"), list(Permit.objects.all())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT kind, hold_id::text, pg_xact_commit_timestamp(xmin), permits_out FROM disputes_suppressionchange"
        )
        changes = [(kind, hold, at, _ids(out)) for kind, hold, at, out in cursor.fetchall()]
    placed = {hold: at for kind, hold, at, _ in changes if kind == "placed"}
    released = {hold: at for kind, hold, at, _ in changes if kind == "released"}
    listed: dict[str, set[str]] = defaultdict(set)
    for _, hold, at, out in changes:
        # A list that has no room in one row goes on in others of the same transaction.
        listed[hold] |= out if at == placed[hold] else set()
    found = []
    for hold in Hold.objects.prefetch_related("covers"):
        at, until = placed[str(hold.pk)], released.get(str(hold.pk))
        keys = {cover.key for cover in hold.covers.all()}
        for permit in every:
            touched = {f"l:{permit.loan}", f"c:{permit.customer}", f"p:{bytes(permit.phone_digest).hex()}"}
            if not keys & {*touched, f"r:{permit.sending_rule}"}:
                continue
            when = granted[str(permit.pk)]
            if when > at and (until is None or when < until):
                found.append(Breach(permit=str(permit.pk), hold=str(hold.pk), how="granted against a hold"))
            elif when <= at and str(permit.pk) not in listed[str(hold.pk)] and permit.expires_at > at:
                found.append(Breach(permit=str(permit.pk), hold=str(hold.pk), how="not listed"))
    return found


def _ids(out: Any) -> set[str]:
    import json

    rows = json.loads(out) if isinstance(out, str) else out
    return {row["id"] for row in rows}


def again(act: Callable[[], Any]) -> Any:
    """As whoever owns a transaction does."""
    for _ in range(1_000):
        try:
            return act()
        except BeginAgain:
            continue
    raise AssertionError("never came through")


def keep_asking(until: float, seed: int) -> int:
    chance = random.Random(seed)
    asked = 0
    while time.monotonic() < until:
        batch = []
        for _ in range(chance.choice([1, 1, 2, 5])):
            n, m = chance.randint(1, 3), chance.randint(1, 2)
            batch.append(scene.item(n, loan=f"L{n}{m}"))
        scene.ask(*batch)
        asked += len(batch)
    return asked


def keep_disputing(until: float, seed: int) -> int:
    chance = random.Random(seed)
    placed = 0
    while time.monotonic() < until:
        n, m = chance.randint(1, 3), chance.randint(1, 2)
        ground = chance.choice(["not_overdue", "not_my_debt", "too_frequent", "identity_theft"])
        out = again(lambda: scene.dispute(ground, loan=f"L{n}{m}", n=n, customer=f"C{n}"))  # noqa: B023
        placed += 1
        nap()
        with transaction.atomic(durable=True):
            release_hold(hold=out.hold, actor=scene.ACTOR, reason="withdrawn", now=timezone.now())
            placing.number_changes()
        nap()
    return placed


def race(seconds: float) -> tuple[int, int]:
    """Four gates against two lines of disputes, on three customers and six loans."""
    if not scene.Loan.objects.exists():
        scene.lender(customers=3, loans=2)
    until = time.monotonic() + seconds
    with naps_between_statements():
        results = at_once(
            [partial(keep_asking, until, seed) for seed in range(4)]
            + [partial(keep_disputing, until, seed) for seed in (10, 11)]
        )
    failed = [one for one in results if isinstance(one, BaseException)]
    assert not failed, failed
    return sum(results[:4]), sum(results[4:])


@pytest.mark.usefixtures("commit_order")
def test_gates_and_disputes_at_once_never_break_it() -> None:
    disputes = 0
    for _ in range(10):  # on a busy machine four seconds are a handful
        disputes += race(4.0)[1]
        if disputes > 20 and Permit.objects.count() > 20:
            break
    else:
        pytest.fail(f"{disputes} disputes: too few to be a race")
    assert breaches() == []


@pytest.mark.usefixtures("commit_order")
def test_control_without_the_lock_it_breaks() -> None:
    for _ in range(20):
        with without_the_lock():
            race(2.0)
        if {breach.how for breach in breaches()} == {"not listed", "granted against a hold"}:
            return
    pytest.fail("nothing broke: the race proves nothing")


@contextmanager
def whoever_comes_second_waits(*, gate_leads: bool) -> Iterator[threading.Event]:
    """The one side has its lanes and goes on when the other one waits for them, or tries for them in vain; the event
    tells when it has them."""
    leads, granted, taken = threading.Event(), gate.write_grants, placing.take_lanes
    tried, locked = threading.Event(), reading.Reading.locked

    def lead() -> None:
        leads.set()
        if gate_leads:
            until_somebody_waits_for_me()
        else:
            assert tried.wait(PATIENCE)

    def late_grants(**call: Any) -> None:
        if gate_leads and not leads.is_set():
            lead()
        granted(**call)

    def late_lanes(lanes: Any, then: Sequence[Statement] = ()) -> None:
        taken(lanes)
        if not gate_leads:
            lead()
        run(*then)

    def trying(read: reading.Reading, items: Any, before: Any) -> list[bool]:
        got = locked(read, items, before)
        if not all(got):
            tried.set()
        return got

    with (
        patch.object(gate, "write_grants", late_grants),
        patch.object(placing, "take_lanes", late_lanes),
        patch.object(reading.Reading, "locked", trying),
    ):
        yield leads


def test_a_batch_and_an_opening_dispute_on_the_same_phone() -> None:
    """Round after round: the batch has its permit and the dispute lists it, or the batch is refused."""
    scene.lender(customers=3, loans=2)
    outcomes = {"listed": 0, "refused": 0}

    def once(*, gate_waits: Callable[[], Any] = nap, dispute_waits: Callable[[], Any] = nap) -> None:
        batch = [scene.item(1, loan="L12", category="service"), scene.item(1), scene.item(2), scene.item(3)]

        def ask() -> Any:
            gate_waits()
            return scene.ask(*batch)

        def dispute() -> Any:
            dispute_waits()
            return again(lambda: scene.dispute("already_paid", loan="L11", n=1, customer="C1"))

        answers, placed = at_once([ask, dispute])
        assert isinstance(placed, placing.PlacedHold), placed
        answer = answers[1]
        if answer.permit is None:
            assert answer.reasons == ("dispute_pending",)
            outcomes["refused"] += 1
        else:
            assert answer.permit.id in {permit.id for permit in placed.permits_out}
            outcomes["listed"] += 1
        assert all(other.permit is not None for other in (answers[0], *answers[2:]))
        with transaction.atomic(durable=True):
            release_hold(hold=placed.hold, actor=scene.ACTOR, reason="withdrawn", now=timezone.now())
            placing.number_changes()

    with naps_between_statements():
        for _ in range(60):
            once()
    with whoever_comes_second_waits(gate_leads=True) as leads:
        once(dispute_waits=partial(leads.wait, PATIENCE))
    assert outcomes["listed"] > 0
    with whoever_comes_second_waits(gate_leads=False) as leads:
        once(gate_waits=partial(leads.wait, PATIENCE))
    assert outcomes["refused"] > 0


def ask_one(asked: Any) -> Any:
    return scene.ask(asked)[0]


def last_slot_rounds(rounds: int, *, first: int = 0) -> int:
    """Two vendors ask for the last slot of one customer at once. Returns how often both got it."""
    both = 0
    with naps_between_statements():
        for number in range(first, first + rounds):
            scene.loan(f"S{number}", f"S{number}")
            scene.CustomerPhone.objects.create(customer=f"S{number}", digest=scene.digest(50), role="own")
            asked = scene.item(50, loan=f"S{number}")
            answers = at_once([partial(ask_one, asked) for _ in range(2)])
            granted = [answer for answer in answers if answer.permit is not None]
            assert granted, answers
            assert all(answer.reasons == ("frequency_cap",) for answer in answers if answer.permit is None)
            both += len(granted) == 2
    return both


def test_two_vendors_never_both_take_the_last_slot(any_hour: Callable[..., None]) -> None:
    any_hour(customer=1)
    scene.lender()
    assert last_slot_rounds(40) == 0


def test_control_without_the_lock_both_take_it(any_hour: Callable[..., None]) -> None:
    any_hour(customer=1)
    scene.lender()
    with without_the_lock():
        assert any(last_slot_rounds(10, first=10 * turn) for turn in range(10))


class TestALoanThatChangesHands:
    """The loan's lane is its owner's: whoever finds another owner under the lanes begins again."""

    def move(self, loan: str, customer: str, *, before: str, lanes: bool = True) -> None:
        """What an import does: the lanes of both sides first."""
        with transaction.atomic(durable=True):
            if lanes:
                locking.take_lanes([locking.lane_of_customer(before), locking.lane_of_customer(customer)])
            scene.Loan.objects.filter(pk=loan).update(customer=customer)

    def test_the_gate_decides_it_anew_in_the_next_round(self) -> None:
        self.both_have_phone_one()
        with self.moved_before_the_lanes() as moving:
            answer = scene.ask(scene.item(1))[0]
        assert moving.result() is None
        assert answer.permit is not None
        assert Permit.objects.get(pk=answer.permit.id).customer == "C2"

    def test_control_without_comparing_owners_it_is_decided_by_the_lanes_of_the_one_before(self) -> None:
        self.both_have_phone_one()
        with (
            patch.object(reading.Reading, "locked", lambda read, items, before: [before.lanes_of(items) <= read.lanes]),
            self.moved_before_the_lanes(),
            patch.object(gate, "write_grants", self.write_where_nobody_has(locking.lane_of_customer("C2"))),
        ):
            assert scene.ask(scene.item(1))[0].permit is not None
        assert self.free == [True], "nobody kept the new owner's holds away"

    def both_have_phone_one(self) -> None:
        scene.lender(customers=2, loans=1)
        scene.CustomerPhone.objects.create(customer="C2", digest=scene.digest(1), role="own")

    @contextmanager
    def moved_before_the_lanes(self) -> Iterator[Future[None]]:
        """Whoever decides meanwhile has read the owner, and waits for the table of lanes, when the loan moves."""
        ready = threading.Event()

        def move() -> None:
            with transaction.atomic(durable=True), connection.cursor() as cursor:
                cursor.execute("LOCK TABLE disputes_lane IN ACCESS EXCLUSIVE MODE")
                ready.set()
                until_somebody_waits_for_me()
                scene.Loan.objects.filter(pk="L11").update(customer="C2")

        with ThreadPoolExecutor(1) as pool:
            moving = pool.submit(lambda: at_once([move])[0])
            assert ready.wait(PATIENCE)
            yield moving

    def write_where_nobody_has(self, lane: int) -> Callable[..., None]:
        """Writes permits, and notes in `free` whether somebody else could have taken the lane then."""
        write = permits.write_grants
        self.free: list[bool] = []

        def noting(**call: Any) -> None:
            def take() -> bool:
                with transaction.atomic(durable=True):
                    return locking.try_lanes([lane]) == {lane}

            self.free += at_once([take])
            write(**call)

        return noting

    def test_so_it_does_of_a_batch(self) -> None:
        answer = self.asked_for_two_while_the_first_moves()
        assert answer.permit is not None
        assert Permit.objects.get(pk=answer.permit.id).customer == "C2"
        assert self.free == [True, False], "the other's permit in the first round, this one under its new owner's lane"

    def test_control_of_a_batch_without_comparing_owners(self) -> None:
        with patch.object(reading.Reading, "_owned_as", lambda read, items, before: True):
            assert self.asked_for_two_while_the_first_moves().permit is not None
        assert self.free == [True], "nobody kept the new owner's holds away"

    def asked_for_two_while_the_first_moves(self) -> gate.Answer:
        """The answer about the first of two customers' loans, which a third one owns from the moment on at which the
        owners were read; `free`: whether that one's lane was, when permits were written."""
        scene.lender(customers=3, loans=1)
        scene.CustomerPhone.objects.create(customer="C2", digest=scene.digest(1), role="own")
        moved: list[Any] = []
        read = reading.read_owners

        def then_it_moves(items: Any) -> Any:
            found = read(items)
            if not moved:
                moved.append(at_once([lambda: self.move("L11", "C2", before="C1")]))
            return found

        noting = self.write_where_nobody_has(locking.lane_of_customer("C2"))
        with patch.object(reading, "read_owners", then_it_moves), patch.object(gate, "write_grants", noting):
            answer = scene.ask(scene.item(1), scene.item(3))[0]
        assert moved == [[None]]
        return answer

    def test_the_dispute_begins_again(self) -> None:
        from disputes.holds import owners

        scene.lender(customers=2, loans=1)
        moved: list[Any] = []
        resolve = owners.resolve

        def then_it_moves(covers: Any) -> Any:
            found = resolve(covers)
            if not moved:
                moved.append(at_once([lambda: self.move("L11", "C2", before="C1")]))
            return found

        with patch.object(owners, "resolve", then_it_moves):
            with pytest.raises(BeginAgain):
                scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
            assert Hold.objects.count() == 0
            assert SuppressionChange.objects.count() == 0
            placed = scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        assert "sc:C2" in placed.keys

    @pytest.mark.usefixtures("commit_order")
    def test_moving_it_all_the_time_breaks_nothing(self) -> None:
        moves = disputes = 0
        for _ in range(20):
            moved, disputed = self.race_with_moves(3.0, lanes=True)
            moves, disputes = moves + moved, disputes + disputed
            if moves > 5 and disputes > 5:
                break
        else:
            pytest.fail(f"{moves} moves, {disputes} disputes: too few to be a race")
        assert breaches() == []

    @pytest.mark.usefixtures("commit_order")
    def test_control_a_move_without_the_lanes_of_both_sides_breaks_it(self) -> None:
        for _ in range(40):
            self.race_with_moves(1.0, lanes=False)
            if breaches():
                return
        pytest.fail("nothing broke")

    def race_with_moves(self, seconds: float, *, lanes: bool) -> tuple[int, int]:
        """Gates and disputes about one loan while it moves from hand to hand. Returns how many moves and how many
        disputes there were."""
        if not scene.Loan.objects.exists():
            scene.lender(customers=3, loans=2)
            # A contact's phone, so that the owner's lane is the only one that both sides take.
            for n in (1, 2, 3):
                scene.CustomerPhone.objects.create(customer=f"C{n}", digest=scene.digest(7), role="contact")
        until = time.monotonic() + seconds

        def keep_moving() -> int:
            owner, moves = scene.Loan.objects.get(pk="L11").customer or "", 0
            while time.monotonic() < until:
                new = random.choice(["C1", "C2", "C3"])
                self.move("L11", new, before=owner, lanes=lanes)
                owner, moves = new, moves + 1
                nap()
            return moves

        def keep_asking_for_it() -> None:
            while time.monotonic() < until:
                scene.ask(scene.item(7, loan="L11"))

        with naps_between_statements():
            results = at_once(
                [keep_moving, keep_asking_for_it, keep_asking_for_it]
                + [partial(keep_disputing_one, until, seed) for seed in (1, 2)]
            )
        assert [one for one in results if isinstance(one, BaseException)] == []
        return int(results[0]), int(results[3] + results[4])


def keep_disputing_one(until: float, seed: int) -> int:
    placed = 0
    while time.monotonic() < until:
        out = again(lambda: scene.hold(Covers(loans=frozenset({"L11"}))))
        nap()

        def let_go(hold: Hold = out.hold) -> None:
            with transaction.atomic(durable=True):
                release_hold(hold=hold, actor=scene.ACTOR, reason="withdrawn", now=timezone.now())
                placing.number_changes()

        again(let_go)
        placed += 1
        nap()
    return placed


def test_a_lane_that_is_in_use_makes_busy_and_stops_nobody_else() -> None:
    scene.lender()
    held, done = threading.Event(), threading.Event()

    def sit_on_it() -> None:
        with transaction.atomic(durable=True):
            locking.take_lanes([locking.lane_of_phone(scene.digest(1))])
            held.set()
            assert done.wait(PATIENCE)

    def ask() -> Any:
        assert held.wait(PATIENCE)
        try:
            return scene.ask(scene.item(1), scene.item(2), wait=0.2)
        finally:
            done.set()

    answers = at_once([sit_on_it, ask])[1]
    assert answers[0].reasons == ("busy",)
    assert answers[1].permit is not None


def test_the_same_request_from_many_places_at_once_has_one_permit() -> None:
    scene.lender()
    answers = at_once([partial(ask_one, scene.item(1, request_id="r1")) for _ in range(8)])
    assert {answer.permit.id for answer in answers} == {Permit.objects.get().pk}
