"""Reading the facts of a chunk: the lanes and everything that the walk asks, in one call of the database."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

import msgspec
from django.conf import settings
from django.db import connection

from disputes.check.facts import Position
from disputes.holds.arrays import array_of_digests, array_of_texts
from disputes.holds.calls import Lanes, reading_of
from disputes.holds.replies import read_replies
from disputes.holds.stopping import HoldFact
from disputes.holds.walking import CustomerFact, GateFacts, GateItem, LivePermit, PhoneFact, RuleFact, request_of
from disputes.lanes.locking import check_outermost, lanes_of, stripe_of_rule
from disputes.policy.caps import Contact
from disputes.policy.contact_hours import NO_WISHES, read_preferences
from disputes.policy.freshness import feeds_behind
from disputes.policy.packs import Pack
from disputes.records.building import arrangements, periods

_NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Owners:
    """Who owns the loans and phones of a chunk: `loans`: loan → customer; `phones`: digest → whose own it is."""

    loans: Mapping[str, str | None]
    phones: Mapping[bytes, frozenset[str]]

    def of(self, item: GateItem) -> tuple[str | None, frozenset[str]]:
        """What the item's lanes hang on: its loan's customer; without a loan, the customers whose own phone it is."""
        if item.loan is not None:
            return self.loans.get(item.loan), _NOBODY
        return None, self.phones.get(item.phone, _NOBODY)

    def lanes_of(self, items: Collection[GateItem]) -> set[int]:
        """The lanes of the items: of each its phone's and its loan's customer's; without a loan, those of the customers
        whose own phone it is."""
        loans = {item.loan for item in items if item.loan is not None}
        known = {loan: customer for loan in loans if (customer := self.loans.get(loan)) is not None}
        customers = set(known.values())
        for item in items:
            if item.loan is None:
                customers |= self.phones.get(item.phone, _NOBODY)
        return lanes_of(phones={item.phone for item in items}, customers=customers, loans=loans - known.keys())


def read_owners(items: Sequence[GateItem]) -> Owners:
    """Who owns them now, in two statements; read before the lanes are taken."""
    loans = {item.loan for item in items if item.loan is not None}
    bare = {item.phone for item in items if item.loan is None}
    owner: dict[str, str | None] = {}
    own: dict[bytes, set[str]] = {}
    # Plain statements with one array: a parameter a key would be planned, and bound, each by itself.
    with connection.cursor() as cursor:
        if len(loans) == 1:
            cursor.execute("SELECT external_id, customer FROM disputes_loan WHERE external_id = %s", [*loans])
            owner.update(cursor.fetchall())
        elif loans:
            # Key by key (OFFSET keeps the planner to it): it would rather read a small table through.
            cursor.execute(
                "SELECT loan.external_id, loan.customer FROM unnest(%s::text[]) AS one CROSS JOIN LATERAL ("
                "SELECT external_id, customer FROM disputes_loan WHERE external_id = one OFFSET 0) AS loan",
                [array_of_texts(sorted(loans))],
            )
            owner.update(cursor.fetchall())
        if bare:
            cursor.execute(
                "SELECT digest, customer FROM disputes_customerphone WHERE digest = ANY (%s::bytea[]) AND role = 'own'",
                [array_of_digests(sorted(bare))],
            )
            for digest, customer in cursor.fetchall():
                own.setdefault(bytes(digest), set()).add(customer)
    return Owners(loans=owner, phones={digest: frozenset(customers) for digest, customers in own.items()})


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The facts, the lanes and the locks of sending rules that were got, and the owners as they are under them.

    `before`: the owners by whom the lanes were chosen, where the reading itself chose them (`OWN_LANES`). `has_all`:
    every lock that was asked for by number was got.
    """

    facts: GateFacts
    lanes: frozenset[int]
    stripes: frozenset[int]
    owners: Owners
    before: Owners | None = None
    has_all: bool = False

    def locked(self, items: Sequence[GateItem], before: Owners | None) -> list[bool]:
        """Of each of the items that were asked for, whether all of its locks were got, and its owners are who they were
        `before`, when its lanes were chosen; None: no lane was."""
        if before is None:
            return [False] * len(items)
        if self.has_all and self._owned_as(items, before):
            return [True] * len(items)
        return [self._is_locked(item, before) for item in items]

    def _owned_as(self, items: Sequence[GateItem], before: Owners) -> bool:
        """Whether all have the owners that they had: most of a batch have, and that is seen in one go."""
        loans = [item.loan for item in items if item.loan is not None]
        return list(map(self.owners.loans.get, loans)) == list(map(before.loans.get, loans)) and all(
            self.owners.of(item) == before.of(item) for item in items if item.loan is None
        )

    def _is_locked(self, item: GateItem, before: Owners) -> bool:
        if item.sending_rule is not None and stripe_of_rule(item.sending_rule) not in self.stripes:
            return False
        return self.lanes >= before.lanes_of((item,)) and before.of(item) == self.owners.of(item)


@dataclass(kw_only=True, slots=True)
class Asked:
    """A reading that the database is asked for. `call`: the statement and its values; `bodies`: what it said, by kind,
    once it was waited for."""

    items: Sequence[GateItem]
    lanes: Lanes
    stripes: Sequence[int]
    pack_at: Callable[[datetime], Pack]
    now: datetime
    call: tuple[str, list[Any]]
    cursor: Any = None
    bodies: Sequence[tuple[str, str | None]] | None = None

    def ask(self) -> None:
        """Has the database lock those of the lanes that nobody holds, and of the items' sending rules that nobody holds
        alone, without waiting, and read the facts of the items after that.

        Needs the outermost transaction, in read committed, whose commit frees the locks.
        """
        if self.lanes is not None:
            check_outermost()
        self.cursor = connection.cursor()
        self.cursor.execute(*self.call)

    def wait(self) -> None:
        """Waits for the answer: in a block of `ahead` also for that of every statement before it."""
        with self.cursor:
            self.bodies = self.cursor.fetchall()


def stripes_of(items: Iterable[GateItem]) -> frozenset[int]:
    """The locks of the sending rules that the items name."""
    return frozenset({stripe_of_rule(item.sending_rule) for item in items if item.sending_rule is not None})


def read_facts(
    *,
    items: Sequence[GateItem],
    lanes: Lanes,
    caller: str,
    pack_at: Callable[[datetime], Pack],
    now: datetime,
    at: datetime | None = None,
) -> Reading:
    """Asks for the facts of the items and reads them, all in one go."""
    asked = prepare(items=items, lanes=lanes, caller=caller, pack_at=pack_at, now=now)
    asked.ask()
    asked.wait()
    return read(asked, at=at)


def prepare(
    *,
    items: Sequence[GateItem],
    lanes: Lanes,
    caller: str,
    pack_at: Callable[[datetime], Pack],
    now: datetime,
) -> Asked:
    """What the database is to be asked of the items; asks nothing yet.

    `lanes` None: nothing is locked (a dry run); `OWN_LANES`: those of the single item. `now`: the process's clock, for
    what only prunes. `pack_at`: the pack in force at the database's instant.
    """
    stripes = () if lanes is None else sorted(stripes_of(items))
    call = reading_of(items, lanes, stripes, caller, pack_at(now).look_back(), now)
    return Asked(items=items, lanes=lanes, stripes=stripes, pack_at=pack_at, now=now, call=call)


def read(asked: Asked, *, at: datetime | None = None) -> Reading:
    """The facts, the locks that were got and the owners, of a reading that was waited for. `at`: an instant of the
    database's clock to decide for; None: that of the reading."""
    items, rows = asked.items, _rows(asked.bodies or ())
    facts = _facts(rows, items=items, at=at or rows["clock"][0], pack_at=asked.pack_at, now=asked.now)
    before = None
    if rows["before"]:
        customer, holders = rows["before"]
        before = Owners(
            loans={items[0].loan: customer} if items[0].loan is not None else {},
            phones={items[0].phone: frozenset(holders)},
        )
    own = {  # which nobody asks of a phone whose item names a loan
        phone: frozenset([one.customer for one in facts.phones.get(phone, ()) if one.role == "own"])
        for phone in {item.phone for item in items if item.loan is None}
    }
    lanes, stripes = frozenset(rows["lane"]), frozenset(rows["stripe"])
    return Reading(
        facts=facts,
        lanes=lanes,
        stripes=stripes,
        owners=Owners(loans=facts.owner, phones=own),
        before=before,
        has_all=isinstance(asked.lanes, list) and lanes >= set(asked.lanes) and len(stripes) == len(asked.stripes),
    )


def _facts(
    rows: Mapping[str, Sequence[Any]],
    *,
    items: Sequence[GateItem],
    at: datetime,
    pack_at: Callable[[datetime], Pack],
    now: datetime,
) -> GateFacts:
    pack = pack_at(at)
    phones: dict[bytes, list[PhoneFact]] = {}
    for digest, customer, role, first, until in rows["phone"]:
        theirs = PhoneFact(customer=customer, role=role, first=first, until=until)
        phones.setdefault(bytes.fromhex(digest), []).append(theirs)
    covers: dict[str, list[HoldFact]] = {}
    for key, reason, source, why in rows["cover"]:
        covers.setdefault(key, []).append(HoldFact(reason=reason, source=source, why=why))
    return GateFacts(
        at=at,
        pack=pack,
        lender_zone=settings.LENDER_TIME_ZONE,
        owner={row[0]: row[1] for row in rows["loan"]},
        positions={row[0]: partial(_position, row) for row in rows["loan"]},
        phones=phones,
        customers=_customers(rows["customer"]),
        rules={name: RuleFact(aim=aim or None, min_dpd=min_dpd) for name, aim, min_dpd in rows["rule"]},
        covers=covers,
        behind=feeds_behind(pack=pack, reached=dict(rows["watermark"]), at=at),
        live={row[0]: _live(row) for row in rows["live"] if not row[-1]},
        sent=frozenset(request_of(row[0], _live(row)) for row in rows["live"] if row[-1]),
        taken=[_contact(row) for row in rows["contact"]],
        replies=read_replies(items=items, at=at, now=now),
    )


@contextmanager
def ahead() -> Iterator[None]:
    """A block in which the database works on what it was asked for while something else is done: what is written is not
    waited for. An error of the database may show with a later statement, at the latest where the block ends; put it
    into the transaction that it should undo."""
    connection.ensure_connection()
    with connection.connection.pipeline():
        yield


PhoneRow = tuple[str, str, str, date | None, date | None]
ContactRow = tuple[datetime, str | None, str | None, str | None, str, str]
LiveRow = tuple[str, uuid.UUID, str, str | None, str, str, str | None, datetime, bool]
PositionRow = tuple[str, str | None, str, str, int, str, date | None, date | None, list[Any], list[Any], str, str, str]
CustomerRow = tuple[str, list[str], Any]
_DECODERS: Mapping[str, msgspec.json.Decoder[Any]] = {
    "before": msgspec.json.Decoder(tuple[str | None, list[str]]),
    "lane": msgspec.json.Decoder(list[int]),
    "stripe": msgspec.json.Decoder(list[int]),
    "clock": msgspec.json.Decoder(tuple[datetime]),
    "loan": msgspec.json.Decoder(list[PositionRow]),
    "phone": msgspec.json.Decoder(list[PhoneRow]),
    "customer": msgspec.json.Decoder(list[CustomerRow]),
    "rule": msgspec.json.Decoder(list[tuple[str, str, int | None]]),
    "cover": msgspec.json.Decoder(list[tuple[str, str, str, str]]),
    "contact": msgspec.json.Decoder(list[ContactRow]),
    "live": msgspec.json.Decoder(list[LiveRow]),
    "watermark": msgspec.json.Decoder(list[tuple[str, datetime]]),
}
"""What the rows of a kind are made of."""


def _rows(bodies: Iterable[tuple[str, str | None]]) -> dict[str, Sequence[Any]]:
    """What the database's function said, by kind."""
    rows: dict[str, Sequence[Any]] = dict.fromkeys(_DECODERS, ())
    for kind, body in bodies:
        if body is not None:
            rows[kind] = _DECODERS[kind].decode(body)
    return rows


def _customers(rows: Iterable[CustomerRow]) -> dict[str, Callable[[], CustomerFact]]:
    """By customer; those who may be in the same zones, and wish for nothing, share one fact."""
    usual: dict[tuple[str, ...], Callable[[], CustomerFact]] = {}
    found = {}
    for name, zones, wishes in rows:
        places = tuple(zones)
        make = partial(_customer, places, wishes) if wishes else usual.get(places)
        if make is None:
            make = usual[places] = partial(_same, CustomerFact(zones=places, wishes=NO_WISHES))
        found[name] = make
    return found


def _same(fact: CustomerFact) -> CustomerFact:
    return fact


def _customer(zones: tuple[str, ...], wishes: Any) -> CustomerFact:
    return CustomerFact(zones=zones, wishes=read_preferences(wishes))


def _contact(row: ContactRow) -> Contact:
    at, customer, loan, phone, channel, category = row
    digest = None if phone is None else bytes.fromhex(phone)
    return Contact(at=at, customer=customer, loan=loan, phone=digest, channel=channel, category=category)


def _live(row: LiveRow) -> LivePermit:
    _, permit, phone, loan, channel, category, rule, expires_at, _ = row
    return LivePermit(
        id=permit,
        phone=bytes.fromhex(phone),
        loan=loan,
        channel=channel,
        category=category,
        sending_rule=rule,
        expires_at=expires_at,
    )


def _position(row: PositionRow) -> Position:
    """A loan's position, as `disputes.check` reads it."""
    _, _, currency, zone, grace_days, tolerance, settled_on, written_off_on, pauses, kept, due_on, amount, paid = row
    fields = (  # by place: names would cost as much as all the rest
        currency,
        zone or settings.LENDER_TIME_ZONE,
        grace_days,
        _amount(tolerance),
        settled_on,
        written_off_on,
        periods(pauses) if pauses else (),
        arrangements(kept) if kept else (),
        _days(due_on) if due_on else (),
        tuple(map(_amount, amount.split(","))) if amount else (),
        Decimal(paid),
    )
    return tuple.__new__(Position, fields)


@lru_cache(maxsize=4096)
def _days(text: str) -> tuple[date, ...]:
    """The days of a schedule: many loans have the same."""
    return tuple(map(date.fromisoformat, text.split(",")))


_amount = lru_cache(maxsize=65536)(Decimal)
"""Of an amount's text: the instalments of a loan are mostly alike."""
