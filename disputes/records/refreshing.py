"""Identity rows of customers, sending rules and messages: stubs on first mention, then what the versions say now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from config.values.ids import new_id
from disputes.records.models import Customer, CustomerPhone, Loan, Message, MessageFields, SendingRule
from disputes.records.reading import Line
from disputes.records.writing import Sealed, copy_columns

_HIGHEST = "ORDER BY external_id, version DESC, posted_at DESC, content DESC"


def _standing(table: str, type_: str) -> str:
    """The highest version of each of the records (one parameter: their ids), but of those that are void."""
    return f"""
        SELECT DISTINCT ON (external_id) * FROM disputes_{table} v
        WHERE external_id = ANY(%(ids)s)
          AND NOT EXISTS (SELECT FROM disputes_voided d WHERE d.type = '{type_}' AND d.external_id = v.external_id)
        {_HIGHEST}
    """


def mention(*, model: type[Customer | Loan | SendingRule], ids: Iterable[str], now: datetime) -> None:
    """Makes the rows that are missing, so that whatever points to them finds them. Needs the import's lock, under which
    nobody else makes any."""
    wanted = sorted(set(ids))
    if not wanted:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT external_id FROM {model._meta.db_table} WHERE external_id = ANY(string_to_array(%s, ' '))",
            [" ".join(wanted)],
        )
        there = {external_id for (external_id,) in cursor.fetchall()}
    make_stubs(model=model, ids=[one for one in wanted if one not in there], now=now)


def make_stubs(*, model: type[Customer | Loan | SendingRule], ids: Sequence[str], now: datetime) -> None:
    """Rows that say nothing yet, of what has none. Needs the import's lock."""
    if not ids:
        return
    blank = model(first_mentioned_at=now)
    columns: dict[str, list[Any]] = {"external_id": list(ids)}
    for one in model._meta.concrete_fields:
        if not one.primary_key and not one.null:
            columns[str(one.column)] = [getattr(blank, one.attname)] * len(ids)
    copy_columns(model=model, columns=columns)


Phone = tuple[str, bytes]
"""(customer, digest)."""


@dataclass(frozen=True, slots=True)
class PhoneChanges:
    """`touched`: every phone whose row appears, goes or changes; `added`: those that become the customer's own."""

    touched: frozenset[Phone]
    added: frozenset[Phone]

    def and_of_new(self, lines: Iterable[tuple[Line, Sealed]]) -> PhoneChanges:
        """With the phones of customers whom `new_customers` names: all of them appear."""
        phones = [(line.external_id, digest, role) for line, sealed in lines for digest, role, *_ in sealed.phones]
        return PhoneChanges(
            touched=self.touched.union(phone[:2] for phone in phones),
            added=self.added.union(phone[:2] for phone in phones if phone[2] == "own"),
        )


def new_customers(*, customers: Collection[str]) -> set[str]:
    """Of customers who have their first version in this batch and no other: those of whom there is no row yet, and of
    whom no void was said. What they are is what that version says. Needs the import's lock."""
    ids = " ".join(customers)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT external_id FROM disputes_customer WHERE external_id = ANY(string_to_array(%s, ' ')) "
            "UNION ALL SELECT external_id FROM disputes_voided "
            "WHERE type = 'customer' AND external_id = ANY(string_to_array(%s, ' '))",
            [ids, ids],
        )
        return set(customers) - {external_id for (external_id,) in cursor.fetchall()}


def make_customers(*, lines: Sequence[tuple[Line, Sealed]], now: datetime) -> None:
    """Rows and phones of customers whom `new_customers` names. Needs the import's lock and the lanes of the phones."""
    if not lines:
        return
    fields = [line.fields for line, _ in lines]
    names = ("language", "time_zones", "contact_preferences", "segment")
    columns: dict[str, Sequence[Any]] = {name: [one[name] for one in fields] for name in names}
    columns |= {
        "external_id": [line.external_id for line, _ in lines],
        "first_mentioned_at": [now] * len(lines),
        "first_received_at": [now] * len(lines),
        "version_id": [sealed.id for _, sealed in lines],
    }
    copy_columns(model=Customer, columns=columns)
    phones = [(line.external_id, *phone) for line, sealed in lines for phone in sealed.phones]
    if phones:
        columns = dict(zip(("customer", "digest", "role", "first", "until"), zip(*phones, strict=True), strict=True))
        copy_columns(model=CustomerPhone, columns=columns)


def phones_to_change(*, customers: Iterable[str]) -> PhoneChanges:
    """What `refresh_customers` will change of whose phone is whose. Needs the import's lock."""
    ids = sorted(customers)
    if not ids:
        return PhoneChanges(touched=frozenset(), added=frozenset())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT customer, digest, role, first, until FROM disputes_customerphone WHERE customer = ANY(%s)", [ids]
        )
        old = {(row[0], bytes(row[1]), *row[2:]) for row in cursor.fetchall()}
        cursor.execute(
            "SELECT h.external_id, p.digest, p.role, p.first, p.until "
            f"FROM ({_standing('customerversion', 'customer')}) h "
            "JOIN disputes_customerphoneversion p ON p.version_id = h.id",
            {"ids": ids},
        )
        new = {(row[0], bytes(row[1]), *row[2:]) for row in cursor.fetchall()}
    own = frozenset(row[:2] for row in new if row[2] == "own")
    return PhoneChanges(
        touched=frozenset(row[:2] for row in old ^ new), added=own - {row[:2] for row in old if row[2] == "own"}
    )


def refresh_customers(*, customers: Iterable[str], received: Iterable[str], now: datetime) -> None:
    """Works out these customers' rows and phones anew. Needs the import's lock and the lanes of phones that change."""
    ids = sorted(customers)
    if not ids:
        return
    parameters: dict[str, Any] = {"ids": ids, "received": sorted(received), "now": now}
    heads = _standing("customerversion", "customer")
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE disputes_customer c SET
                first_received_at = coalesce(
                    c.first_received_at, CASE WHEN c.external_id = ANY(%(received)s) THEN %(now)s::timestamptz END
                ),
                language = coalesce(h.language, ''),
                time_zones = coalesce(h.time_zones, '{{}}'),
                contact_preferences = coalesce(h.contact_preferences, '{{}}'),
                segment = coalesce(h.segment, ''),
                version_id = h.id
            FROM unnest(%(ids)s::text[]) AS one(id) LEFT JOIN ({heads}) h ON h.external_id = one.id
            WHERE c.external_id = one.id
            """,
            parameters,
        )
        cursor.execute("DELETE FROM disputes_customerphone WHERE customer = ANY(%(ids)s)", parameters)
        cursor.execute(
            f"""
            INSERT INTO disputes_customerphone (customer, digest, role, first, until)
            SELECT h.external_id, p.digest, p.role, p.first, p.until FROM ({heads}) h
            JOIN disputes_customerphoneversion p ON p.version_id = h.id ORDER BY 1, p.place
            """,
            parameters,
        )


def refresh_sending_rules(*, rules: Iterable[str]) -> None:
    """Works out these sending rules' rows anew. Needs the import's lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE disputes_sendingrule s SET
                name = coalesce(h.name, ''),
                aim = coalesce(h.aim, ''),
                min_dpd = h.min_dpd,
                owner = coalesce(h.owner, '')
            FROM unnest(%(ids)s::text[]) AS one(id)
            LEFT JOIN ({_standing("sendingruleversion", "sending_rule")}) h ON h.external_id = one.id
            WHERE s.external_id = one.id
            """,
            {"ids": sorted(rules)},
        )


_MESSAGE_COLUMNS = [str(one.column) for one in MessageFields._meta.local_fields]


def refresh_messages(*, messages: Iterable[str], now: datetime) -> list[Message]:
    """Works out these messages' rows anew, and makes those that are new. Returns them. Needs the import's lock.

    A void message keeps the fields of its highest version, for the disputes that point to it.
    """
    ids = sorted(messages)
    columns = ", ".join(_MESSAGE_COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO disputes_message (id, external_id, first_received_at, version_id, voided, {columns})
            SELECT one.id, h.external_id, %(now)s, h.id,
                   EXISTS (SELECT FROM disputes_voided d WHERE d.type = 'message' AND d.external_id = h.external_id),
                   {", ".join(f"h.{name}" for name in _MESSAGE_COLUMNS)}
            FROM (SELECT DISTINCT ON (external_id) * FROM disputes_messageversion WHERE external_id = ANY(%(ids)s)
                  {_HIGHEST}) h
            JOIN unnest(%(ids)s::text[], %(new)s::uuid[]) AS one(external_id, id) USING (external_id)
            ORDER BY h.external_id
            ON CONFLICT (external_id) DO UPDATE SET
                version_id = excluded.version_id, voided = excluded.voided,
                {", ".join(f"{name} = excluded.{name}" for name in _MESSAGE_COLUMNS)}
            """,
            {"ids": ids, "now": now, "new": [new_id() for _ in ids]},
        )
    return list(Message.objects.filter(external_id__in=ids))
