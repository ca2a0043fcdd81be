"""What follows from new versions: identity rows, positions, lanes of owners that change, and the news of it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from django.db import connection

from disputes.lanes.locking import lane_of_customer, lane_of_loan, lane_of_phone, take_lanes
from disputes.outbox import queue
from disputes.records import bearing, hooks, watching
from disputes.records.models import Customer, Loan, Message, Moved, SendingRule
from disputes.records.positions import add_paid, loans_of, lock_loans, owners_to_change, paid_once, refresh_loans
from disputes.records.reading import Line
from disputes.records.refreshing import (
    make_customers,
    make_stubs,
    mention,
    new_customers,
    phones_to_change,
    refresh_customers,
    refresh_messages,
    refresh_sending_rules,
)
from disputes.records.voiding import Key, refresh_voided
from disputes.records.walking import UNDER, Outcome
from disputes.records.writing import Sealed

Added: TypeAlias = dict[str, list[tuple[Outcome, Sealed | None]]]
"""By type: the lines of which a version was added."""


@dataclass(slots=True)
class Touched:
    """What must be worked out anew. `owners`: loans whose owner may change; `loans`: all whose account may, but those
    in `paid`, to which nothing came but this much; `customers`: all but `new_customers`; `watermarks`: how far a feed
    reaches may have changed, which concerns every loan."""

    owners: set[str] = field(default_factory=set)
    loans: set[str] = field(default_factory=set)
    paid: dict[str, Decimal] = field(default_factory=dict)
    customers: set[str] = field(default_factory=set)
    new_customers: list[tuple[Line, Sealed]] = field(default_factory=list)
    rules: set[str] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)
    watermarks: bool = False


def settle(*, added: Added, now: datetime) -> None:
    """Needs the import's transaction and lock, with the versions written.

    1. what is void; 2. what all of it touches; 3. rows for what is mentioned for the first time; 4. the lanes, in one
    go: old and new owner of each loan that moves, customer and number of each phone that changes hands; 5. the loans'
    rows, in order; 6. the other identity rows; 7. topics; 8. what the rooms above do, which may end with the feed's
    number.
    """
    _note_moved(added)
    touched = _touched(added)
    _mention(added, touched, now=now)
    moves = owners_to_change(loans=touched.owners) if touched.owners else []
    phones = phones_to_change(customers=touched.customers).and_of_new(touched.new_customers)
    take_lanes(
        [lane_of_loan(loan=loan, customer=customer) for loan, *both in moves for customer in both]
        + [lane for customer, digest in phones.touched for lane in (lane_of_customer(customer), lane_of_phone(digest))]
    )
    accounts = touched.loans.union(touched.paid)
    known = lock_loans(loans=accounts)
    make_stubs(model=Loan, ids=[loan for loan in touched.paid if loan not in known], now=now)
    refresh_loans(loans=touched.loans, received=_ids(added, "loan"), now=now)
    add_paid(paid=touched.paid)
    refresh_customers(customers=touched.customers, received=_ids(added, "customer"), now=now)
    make_customers(lines=touched.new_customers, now=now)
    if touched.rules:
        refresh_sending_rules(rules=touched.rules)
    messages = refresh_messages(messages=touched.messages, now=now) if touched.messages else []
    _tell_of_loans(accounts, everywhere=touched.watermarks)
    watching.tell_of_late(loans=accounts, received_at=now)
    _tell_of_messages(messages)
    _call_hooks(phones.added, moves, messages)


def _ids(added: Added, type_: str) -> set[str]:
    return {outcome.line.external_id for outcome, _ in added.get(type_, ())}


def _named(added: Added, type_: str, name: str) -> set[str]:
    return {value for outcome, _ in added.get(type_, ()) if (value := outcome.line.fields[name]) is not None}


def _mention(added: Added, touched: Touched, *, now: datetime) -> None:
    """All but new customers, who are about to get a row that says more, and loans that were only paid, of which the
    locking of their rows shows which are missing."""
    loans = touched.loans.union(
        _ids(added, "loan"), *(_named(added, type_, "loan") for type_ in ("instalment", "message"))
    )
    mention(model=Loan, ids=loans, now=now)
    customers = _ids(added, "customer") | _named(added, "loan", "customer")
    customers.difference_update(line.external_id for line, _ in touched.new_customers)
    mention(model=Customer, ids=customers, now=now)
    mention(model=SendingRule, ids=_ids(added, "sending_rule") | _named(added, "message", "sending_rule"), now=now)


def _note_moved(added: Added) -> None:
    rows = {
        (type_, outcome.line.external_id, under)
        for type_ in UNDER
        for outcome, _ in added.get(type_, ())
        for under in outcome.moved
    }
    if not rows:
        return
    Moved.objects.bulk_create(
        [Moved(type=type_, external_id=external_id, under=under) for type_, external_id, under in sorted(rows)],
        ignore_conflicts=True,
    )


def _touched(added: Added) -> Touched:
    touched = Touched(
        owners=_ids(added, "loan"),
        rules=_ids(added, "sending_rule"),
        messages=_ids(added, "message"),
    )
    keys: set[Key] = refresh_voided(voids=_ids(added, "void")) if added.get("void") else set()
    of = {type_: {external_id for one, external_id in keys if one == type_} for type_, _ in keys}
    touched.watermarks = bool(added.get("watermark") or of.get("watermark"))
    touched.owners |= of.get("loan", set())
    touched.new_customers = _new_customers(added, but=of.get("customer", set()))
    touched.customers = _ids(added, "customer") - {line.external_id for line, _ in touched.new_customers}
    touched.customers |= of.get("customer", set())
    touched.rules |= of.get("sending_rule", set())
    touched.messages |= of.get("message", set())
    plain = _plain_repayments(added)
    touched.loans = touched.owners.union(
        *(
            outcome.moved or (outcome.line.fields["loan"],)
            for type_ in ("instalment", "repayment")
            for outcome, _ in added.get(type_, ())
            if type_ == "instalment" or outcome.line.external_id not in plain
        )
    )
    reversals = _ids(added, "reversal") | of.get("reversal", set())
    instalments, repayments = of.get("instalment", set()), of.get("repayment", set())
    if reversals or instalments or repayments:
        touched.loans |= loans_of(instalments=instalments, repayments=repayments, reversals=reversals)
    touched.loans |= _loans_of_messages(added, voided=of.get("message", set()))
    if touched.rules or touched.customers or touched.messages:
        touched.loans |= _borne_on(touched, added)
    touched.paid = _sums(plain.values(), without=touched.loans)
    return touched


def _once(added: Added, type_: str) -> dict[str, tuple[Line, Sealed | None]]:
    """By id, the records of which the first version came, and no other with it."""
    rows = added.get(type_, ())
    times = Counter(outcome.line.external_id for outcome, _ in rows)
    return {
        outcome.line.external_id: (outcome.line, sealed)
        for outcome, sealed in rows
        if outcome.first and times[outcome.line.external_id] == 1
    }


def _plain_repayments(added: Added) -> dict[str, Line]:
    """Repayments, by id, of which nothing but their first version was ever said."""
    once = _once(added, "repayment")
    return {one: once[one][0] for one in paid_once(repayments=once)} if once else {}


def _new_customers(added: Added, *, but: set[str]) -> list[tuple[Line, Sealed]]:
    """Customers of whom nothing but their first version was ever said, and whom nothing mentioned before."""
    once = {one: row for one, row in _once(added, "customer").items() if one not in but}
    new = new_customers(customers=once) if once else set()
    return [(line, sealed) for one, (line, sealed) in once.items() if sealed is not None and one in new]


def _sums(repayments: Iterable[Line], *, without: set[str]) -> dict[str, Decimal]:
    """What was paid, by loan."""
    sums: dict[str, Decimal] = {}
    for line in repayments:
        loan = line.fields["loan"]
        if loan not in without:
            sums[loan] = sums.get(loan, _NOTHING) + line.fields["amount"]
    return sums


_NOTHING = Decimal("0.000")


def _loans_of_messages(added: Added, *, voided: set[str]) -> set[str]:
    """Loans of messages that say something else now; a message that is new changes no account."""
    changed = [outcome for outcome, _ in added.get("message", ()) if not outcome.first]
    ids = {outcome.line.external_id for outcome in changed} | voided
    if not ids:
        return set()
    stored = Message.objects.filter(external_id__in=ids, loan__isnull=False).values_list("loan", flat=True)
    said = {loan for outcome in changed if (loan := outcome.line.fields["loan"]) is not None}
    return said.union(loan for loan in stored if loan is not None)


def _borne_on(touched: Touched, added: Added) -> set[str]:
    """Watched loans on whose messages a change bears, though it is none of their account."""
    if not bearing.anybody_watches():
        return set()
    sent = [
        bearing.Sent(
            phone=fields["phone_digest"], loan=fields["loan"], sent_at=fields["sent_at"], permit=fields["permit"]
        )
        for outcome, _ in added.get("message", ())
        if (fields := outcome.line.fields)
    ]
    # What a message said before counts too: it may have been sent earlier, or never, or to somebody else.
    stored = Message.objects.filter(external_id__in=touched.messages, sent_at__isnull=False)
    sent += [
        bearing.Sent(phone=bytes(one.phone_digest or b""), loan=one.loan, sent_at=one.sent_at, permit=one.permit)
        for one in stored
        if one.sent_at is not None
    ]
    return (
        bearing.watched_loans_of_rules(touched.rules)
        | bearing.watched_loans_of_customers(touched.customers)
        | bearing.watched_loans_of_messages(sent)
    )


def _tell_of_loans(loans: set[str], *, everywhere: bool) -> None:
    """`loan.changed` for those that an open dispute is about; one `checks.requested` for all of them where a feed's
    watermark moved (`everywhere`)."""
    with connection.cursor() as cursor:
        if everywhere:
            cursor.execute("SELECT EXISTS (SELECT FROM disputes_watch WHERE key >= 'loan:' AND key < 'loan;')")
            if cursor.fetchone()[0]:
                queue.put(topic="checks.requested", key="watermark", payload={"why": "watermark"})
            return
        cursor.execute(
            "SELECT substr(key, 6) FROM disputes_watch WHERE key = ANY(string_to_array(%s, ' '))",
            [" ".join(f"loan:{loan}" for loan in loans)],
        )
        watched = [loan for (loan,) in cursor.fetchall()]
    queue.put_many(topic="loan.changed", payloads={loan: {"loan": loan} for loan in watched})


def _tell_of_messages(messages: Sequence[Message]) -> None:
    """`message.arrived` for those that an open dispute may be waiting for."""
    keys: dict[str, list[str]] = {}
    for message in messages:
        if not message.voided:
            for key in watch_keys(message):
                keys.setdefault(key, []).append(str(message.pk))
    if not keys:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT key FROM disputes_watch WHERE key = ANY(%s)", [sorted(keys)])
        waited_for = {message for (key,) in cursor.fetchall() for message in keys[key]}
    queue.put_many(topic="message.arrived", payloads={pk: {"message": pk} for pk in sorted(waited_for)})


def watch_keys(message: Message) -> list[str]:
    """The keys under which somebody may wait for a message."""
    keys = [f"message:{message.external_id}"]
    if message.short_ref:
        keys.append(f"short_ref:{message.short_ref}")
    if message.phone_digest:
        keys.append(f"phone:{bytes(message.phone_digest).hex()}")
    return keys


def _call_hooks(
    phones: Iterable[tuple[str, bytes]], moves: Iterable[tuple[str, str | None, str | None]], messages: list[Message]
) -> None:
    if messages:
        for arrived in hooks.on_messages_arrived:
            arrived(messages)
    customer_phones = sorted(phones)
    loans_moved = [(loan, new) for loan, _, new in moves if new is not None]
    if customer_phones or loans_moved:
        for changed in hooks.on_owners_changed:
            changed(customer_phones=customer_phones, loans_moved=loans_moved)
