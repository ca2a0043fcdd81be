"""Reading the facts of a chunk: the lanes and everything that the walk asks, in one call of the database."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection

from config.values.ids import floor_of
from disputes.check.facts import Position
from disputes.holds.permits import CLOCKS_DIFFER, COUNTS_FOR
from disputes.holds.walking import CustomerFact, GateFacts, GateItem, HoldFact, LivePermit, PhoneFact, RuleFact, Taken
from disputes.lanes.locking import check_outermost, lane_of_customer, lane_of_loan, lane_of_phone
from disputes.policy.caps import Contact
from disputes.policy.contact_hours import read_preferences
from disputes.policy.freshness import feeds_behind
from disputes.policy.packs import Pack
from disputes.records.building import arrangements, periods
from disputes.records.models import CustomerPhone, Loan


@dataclass(frozen=True, kw_only=True, slots=True)
class Owners:
    """Who owns the loans and phones of a chunk: `loans`: loan → customer; `phones`: digest → whose own it is."""

    loans: Mapping[str, str | None]
    phones: Mapping[bytes, frozenset[str]]

    def of(self, item: GateItem) -> tuple[str | None, frozenset[str]]:
        """What the item's lanes hang on: its loan's customer; without a loan, the customers whose own phone it is."""
        if item.loan is not None:
            return self.loans.get(item.loan), frozenset()
        return None, self.phones.get(item.phone, frozenset())

    def lanes_of(self, item: GateItem) -> frozenset[int]:
        """The phone's and the loan's customer's; without a loan, those of the customers whose own phone it is."""
        customer, own = self.of(item)
        lanes = {lane_of_phone(item.phone), *(lane_of_customer(one) for one in own)}
        if item.loan is not None:
            lanes.add(lane_of_loan(loan=item.loan, customer=customer))
        return frozenset(lanes)


def read_owners(items: Sequence[GateItem]) -> Owners:
    """Who owns them now, in two statements; read before the lanes are taken."""
    loans = {item.loan for item in items if item.loan is not None}
    bare = {item.phone for item in items if item.loan is None}
    owner: dict[str, str | None] = (
        dict(Loan.objects.filter(pk__in=loans).values_list("pk", "customer")) if loans else {}
    )
    own: dict[bytes, set[str]] = {}
    if bare:
        rows = CustomerPhone.objects.filter(digest__in=bare, role="own").values_list("digest", "customer")
        for digest, customer in rows:
            own.setdefault(bytes(digest), set()).add(customer)
    return Owners(loans=owner, phones={digest: frozenset(customers) for digest, customers in own.items()})


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The facts, the lanes that were got, and the owners as they are under them."""

    facts: GateFacts
    lanes: frozenset[int]
    owners: Owners


def read_facts(
    *,
    items: Sequence[GateItem],
    lanes: Sequence[int] | None,
    caller: str,
    pack_at: Callable[[datetime], Pack],
    now: datetime,
    at: datetime | None = None,
) -> Reading:
    """Locks those of the lanes that nobody holds, without waiting, and reads the facts of the items after that.

    Needs the outermost transaction, in read committed, whose commit frees the lanes. `lanes` None: nothing is locked
    (a dry run). `now`: the process's clock, for what only prunes. `pack_at`: the pack in force at the database's
    instant. `at`: an instant of the database's clock to decide for; None: that of the reading.
    """
    if lanes is not None:
        check_outermost()
    look_back = pack_at(now).look_back()
    rows = _call(items=items, lanes=lanes, caller=caller, look_back=look_back, now=now)
    at = at or _instant(rows["clock"][0])
    loans = {row["id"]: row for row in rows["loan"]}
    phones: dict[bytes, list[PhoneFact]] = {}
    for row in rows["phone"]:
        phones.setdefault(bytes.fromhex(row["phone"]), []).append(_phone(row))
    covers: dict[str, list[HoldFact]] = {}
    for row in rows["cover"]:
        hold = HoldFact(reason=row["reason"], source=row["source"], why=row["why"])
        covers.setdefault(row["key"], []).append(hold)
    pack = pack_at(at)
    facts = GateFacts(
        at=at,
        pack=pack,
        lender_zone=settings.LENDER_TIME_ZONE,
        owner={loan: row["customer"] for loan, row in loans.items()},
        positions={loan: partial(_position, row) for loan, row in loans.items()},
        phones=phones,
        customers={row["id"]: partial(_customer, row) for row in rows["customer"]},
        rules={row["id"]: RuleFact(aim=row["aim"] or None, min_dpd=row["min_dpd"]) for row in rows["rule"]},
        covers=covers,
        behind=_behind(pack=pack, rows=rows["watermark"], at=at),
        live={row["request_id"]: _live(row) for row in rows["live"]},
        taken=[Taken(contact=_contact(row)) for row in rows["contact"]],
    )
    own = {
        digest: frozenset(phone.customer for phone in theirs if phone.role == "own")
        for digest, theirs in phones.items()
    }
    return Reading(facts=facts, lanes=frozenset(rows["lane"]), owners=Owners(loans=facts.owner, phones=own))


KINDS = ("lane", "clock", "loan", "phone", "customer", "rule", "cover", "contact", "live", "watermark")


def _call(
    *, items: Sequence[GateItem], lanes: Sequence[int] | None, caller: str, look_back: timedelta, now: datetime
) -> dict[str, list[Any]]:
    """The rows of the database's function, by kind; for a single decision the one whose plans are kept."""
    name = "disputes_gate_facts_one" if len(items) == 1 else "disputes_gate_facts"
    rows: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT kind, body FROM {name}(%s::int[], %s::text[], %s::bytea[], %s::text[], %s, %s::text[],"
            " make_interval(secs => %s), %s)",
            [
                None if lanes is None else sorted(lanes),
                sorted({item.loan for item in items if item.loan is not None}),
                sorted({item.phone for item in items}),
                sorted({item.sending_rule for item in items if item.sending_rule is not None}),
                caller,
                sorted({item.request_id for item in items if item.request_id}),
                look_back.total_seconds(),
                floor_of(now - COUNTS_FOR - CLOCKS_DIFFER),
            ],
        )
        for kind, body in cursor.fetchall():
            rows[kind].append(_json(body))
    return rows


def _json(body: Any) -> Any:

    return json.loads(body) if isinstance(body, str | bytes) else body


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _phone(row: Mapping[str, Any]) -> PhoneFact:
    return PhoneFact(customer=row["customer"], role=row["role"], first=_day(row["first"]), until=_day(row["until"]))


def _customer(row: Mapping[str, Any]) -> CustomerFact:
    return CustomerFact(zones=tuple(row["zones"]), wishes=read_preferences(row["wishes"]))


def _contact(row: Mapping[str, Any]) -> Contact:
    return Contact(
        at=_instant(row["at"]),
        customer=row["customer"],
        loan=row["loan"],
        phone=None if row["phone"] is None else bytes.fromhex(row["phone"]),
        channel=row["channel"],
        category=row["category"],
    )


def _live(row: Mapping[str, Any]) -> LivePermit:
    return LivePermit(
        id=uuid.UUID(row["id"]),
        phone=bytes.fromhex(row["phone"]),
        loan=row["loan"],
        channel=row["channel"],
        category=row["category"],
        expires_at=_instant(row["expires_at"]),
    )


def _position(row: Mapping[str, Any]) -> Position:
    """A loan's position, as `disputes.check` reads it."""
    return Position(
        currency=row["currency"],
        time_zone=row["time_zone"] or settings.LENDER_TIME_ZONE,
        grace_days=row["grace_days"],
        tolerance=Decimal(row["tolerance"]),
        settled_on=_day(row["settled_on"]),
        written_off_on=_day(row["written_off_on"]),
        pauses=periods(row["pauses"]),
        arrangements=arrangements(row["arrangements"]),
        lines=tuple(
            (date.fromisoformat(due_on), Decimal(amount)) for due_on, amount in zip(row["due_on"], row["amount"])
        ),
        paid=Decimal(row["paid"]),
    )


def _behind(*, pack: Pack, rows: Sequence[Mapping[str, Any]], at: datetime) -> tuple[str, ...]:
    """The feeds that are behind `at` by more than the pack allows, or never sent a watermark: as the check has it."""
    reached = {row["feed"]: _instant(row["until"]) for row in rows}
    return feeds_behind(pack=pack, reached=reached, at=at)
