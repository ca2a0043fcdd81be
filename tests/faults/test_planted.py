"""Faults planted in the running service: the checker finds each, and finds nothing in the same schedule without it.

The schedules are fixed: a process of the service waits at a stop until the test lets it go on.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.test_killed import people_of
from tests.faults.checker import breaches
from tests.faults.history import Asked, Breach, Held, History, Kept, KeptChange, Read
from tests.faults.service import FaultsStack
from tests.faults.stops import Stops
from tests.lines import customer_line, loan_lines


class Scene:
    """One customer with a loan in arrears, and a log of what was called."""

    def __init__(self, service: FaultsStack) -> None:
        self.service = service
        self.stops = Stops(place=service.stops)
        self.person, self.other = people_of(service, 2)
        self.asked: list[Asked] = []
        self.held: list[Held] = []
        self.read: list[Read] = []

    def ask(self, phone: str | None = None) -> None:
        phone = phone or self.person.phone
        item = {"phone": phone, "loan": self.person.loan, "channel": "sms", "category": "urge"}
        # Of a single item the owners are read by the same call as all else, with no place to stop between.
        beside = {"phone": "+8613000000000", "channel": "sms", "category": "survey"}
        with self.service.client("sender") as api:
            invoked = time.monotonic()
            answer = api.post("/gate/decisions", json={"items": [item, beside]}).json()["decisions"][0]
        keys = frozenset({f"l:{self.person.loan}", f"p:{phone}"})
        permit = answer["permit"] and answer["permit"]["id"]
        row = {"invoked": invoked, "answered": time.monotonic(), "request": uuid.uuid4().hex, "permit": permit}
        self.asked.append(Asked(who="gate", keys=keys, **row))

    def dispute(self, person: Any = None) -> None:
        person = person or self.person
        key = uuid.uuid4().hex
        body = {"message": {"external_id": person.message}, "ground": "not_overdue"}
        with self.service.client() as api:
            invoked = time.monotonic()
            answer = api.post("/disputes", json=body, headers={"Idempotency-Key": key})
        assert answer.status_code == 201, answer.text
        opened = answer.json()
        self.held.append(
            Held(
                who="dispute",
                invoked=invoked,
                answered=time.monotonic(),
                key=key,
                keys=frozenset({f"l:{person.loan}"}),
                name=f"d:{opened['id']}",
                hold=opened["hold"]["id"],
                dispute=opened["id"],
                out=frozenset(permit["id"] for permit in opened["permits_out"]),
            )
        )

    def read_feed(self) -> None:
        """To its end, from where the reader is."""
        reached = self.read[-1].reached if self.read else 0
        with self.service.client() as api:
            more = True
            while more:
                invoked = time.monotonic()
                page = api.get("/suppressions/changes", params={"after": reached}).json()
                numbers = tuple(row["number"] for row in page["results"])
                times = {"invoked": invoked, "answered": time.monotonic()}
                self.read.append(Read(who="reader", after=reached, numbers=numbers, reached=page["after"], **times))
                reached, more = page["after"], page["more"]

    def move_loan(self, customer: str, phone: str) -> None:
        """The loan goes to another customer; `phone` is a contact's of both."""
        import json

        lines = [loan_lines(self.person.loan, customer=customer, due=[], version=2, posted_at=None)[0]]
        del lines[0]["posted_at"]
        with self.service.client("core_banking") as api:
            answer = api.post("/records/import", content="\n".join(json.dumps(line) for line in lines))
        assert "updated" in answer.text, answer.text

    def share(self, phone: str) -> None:
        """Gives both customers a contact's phone, so that the loan's lane is its owner's alone."""
        import json

        lines = []
        for person in (self.person, self.other):
            line = customer_line(person.customer, phone=person.phone, version=2)
            line["phones"] = [*line["phones"], {"number": phone, "role": "contact"}]
            lines.append(line)
        with self.service.client("core_banking") as api:
            answer = api.post("/records/import", content="\n".join(json.dumps(line) for line in lines))
        assert answer.text.count("updated") == 2, answer.text

    def found(self) -> list[Breach]:
        return breaches(history=History(asked=self.asked, held=self.held, read=self.read))

    def feed_missed(self) -> list[Breach]:
        from tests.faults.kept import feed_missed

        with self.service.database() as database:
            rows = database.execute("SELECT number, hold_id::text, kind FROM disputes_suppressionchange").fetchall()
        feed = [KeptChange(number=number, hold=hold, kind=kind) for number, hold, kind in rows]
        return list(feed_missed(History(read=self.read), Kept(feed=feed)))


class Doing:
    """An act in a thread of its own; `join` returns when it is done, and raises what it raised."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.failed: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(act,))
        self.thread.start()

    def _run(self, act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:
            self.failed = error

    def is_done_within(self, seconds: float) -> bool:
        self.thread.join(timeout=seconds)
        return not self.thread.is_alive()

    def join(self) -> None:
        self.thread.join(timeout=120)
        if self.failed is not None:
            raise self.failed
        assert not self.thread.is_alive()


@pytest.fixture
def planted(service: FaultsStack) -> Callable[[str], Scene]:
    def plant(fault: str) -> Scene:
        service.plant(fault)
        return Scene(service)

    return plant


PATIENCE = 10.0
"""Seconds that a call which nothing stops may take at the most, on a machine that is busy with other tests."""
LOCKED_OUT = 1.5
"""Seconds after which a call that has not come back is taken to wait for a lock."""


def a_permit_is_granted_while_a_dispute_opens(scene: Scene, *, within: float = PATIENCE) -> bool:
    """The gate has read that nothing is held, and waits to grant; a dispute opens meanwhile. True where it could."""
    scene.stops.arm("granting")
    gate = Doing(scene.ask)
    scene.stops.wait_taken("granting")
    dispute = Doing(scene.dispute)
    through = dispute.is_done_within(within)
    scene.stops.let_go("granting")
    gate.join()
    dispute.join()
    return through


def a_loan_moves_while_the_gate_asks(scene: Scene, *, within: float = PATIENCE) -> bool:
    """The gate has read whose the loan is; it moves; the gate goes on to grant, and a dispute opens meanwhile."""
    phone = f"+8613{int(uuid.uuid4().hex[:7], 16) % 10**9:09d}"
    scene.share(phone)
    scene.stops.arm("owners")
    scene.stops.arm("granting")
    gate = Doing(lambda: scene.ask(phone))
    scene.stops.wait_taken("owners")
    scene.move_loan(scene.other.customer, phone)
    scene.stops.let_go("owners")
    scene.stops.wait_taken("granting")
    dispute = Doing(scene.dispute)
    through = dispute.is_done_within(within)
    scene.stops.let_go("granting")
    gate.join()
    dispute.join()
    return through


def a_reader_pages_while_two_holds_are_numbered(scene: Scene, *, within: float = PATIENCE) -> bool:
    """The first hold has its number and waits to commit; a second one comes; the reader reads; the first commits."""
    scene.read_feed()
    scene.stops.arm("numbered")
    first = Doing(scene.dispute)
    scene.stops.wait_taken("numbered")
    second = Doing(lambda: scene.dispute(scene.other))
    through = second.is_done_within(within)
    scene.read_feed()
    scene.stops.let_go("numbered")
    first.join()
    second.join()
    scene.read_feed()
    return through


def gone_through(scene: Scene, act: Callable[..., bool]) -> Scene:
    """The scene in which nothing stopped the second call. Where it came to the web process that waits in the first
    one, it could not: then once more, in a scene of its own."""
    for _ in range(40):  # as often as not
        if act(scene, within=PATIENCE):
            return scene
        scene = Scene(scene.service)
    raise AssertionError("the second call never went through")


HOWS = {"neither before the hold nor refused"}


def test_without_the_lane_lock_the_checker_finds_the_permit(planted: Callable[[str], Scene]) -> None:
    scene = planted("lanes")
    scene = gone_through(scene, a_permit_is_granted_while_a_dispute_opens)
    assert {breach.how for breach in scene.found()} == HOWS


def test_without_a_second_look_at_the_owner_the_checker_finds_the_permit(planted: Callable[[str], Scene]) -> None:
    scene = planted("owners")
    scene = gone_through(scene, a_loan_moves_while_the_gate_asks)
    assert {breach.how for breach in scene.found()} == HOWS


def test_without_the_feeds_lock_the_checker_finds_the_missed_row(planted: Callable[[str], Scene]) -> None:
    scene = planted("number")
    scene = gone_through(scene, a_reader_pages_while_two_holds_are_numbered)
    assert {breach.how for breach in scene.feed_missed()} == {"a row of the feed that a reader missed"}


def test_without_a_fault_the_same_schedules_are_clean(planted: Callable[[str], Scene]) -> None:
    scene = planted("")
    assert not a_permit_is_granted_while_a_dispute_opens(scene, within=LOCKED_OUT)
    assert scene.found() == []
    (asked,), (held,) = scene.asked, scene.held
    assert held.out == {asked.permit}
    scene = Scene(scene.service)
    assert not a_loan_moves_while_the_gate_asks(scene, within=LOCKED_OUT)
    assert scene.found() == []
    assert scene.held[0].out == {scene.asked[0].permit}
    scene = Scene(scene.service)
    assert not a_reader_pages_while_two_holds_are_numbered(scene, within=LOCKED_OUT)
    assert scene.feed_missed() == []
