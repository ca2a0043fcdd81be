"""Reads of the records that more than one caller needs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from config.fields import keyring, phone_digest, place_of
from config.statements import Statement, run
from config.values.ciphertext import unseal
from disputes.check import facts
from disputes.check.standing import local_day
from disputes.records.building import arrangements, periods, start_of
from disputes.records.histories import read_histories
from disputes.records.models import (
    Customer,
    CustomerPersonal,
    CustomerPhone,
    Loan,
    Message,
    MessagePersonal,
)

RECEIVED_WITHIN = timedelta(hours=48)
"""How far the instant that a person remembers may lie from the one at which a message was sent."""


def account_history(*, loan: str | None, sending_rule: str | None = None, at: datetime | None = None) -> facts.History:
    """Everything that was ever known of a loan's account, with the versions of a message's sending rule.

    `at`: the message's instant; of the watermarks those are taken that show whether the feeds had reached it. A fixed
    number of queries. An unknown loan has an empty history.
    """
    rules = {loan: [sending_rule]} if loan and sending_rule else {}
    found = read_histories(loans=[loan] if loan else [], sending_rules=rules, at=at)
    return found[loan] if loan else facts.History(loan="", lender_time_zone=settings.LENDER_TIME_ZONE)


def histories(
    *, loans: Iterable[str], sending_rules: Mapping[str, Iterable[str]] | None = None
) -> dict[str, facts.History]:
    """`account_history` of many loans, in the same number of queries. `sending_rules`: by loan."""
    return read_histories(loans=loans, sending_rules=sending_rules)


def position_of_loan(loan: Loan) -> facts.Position:
    """A loan's row as the check's value."""
    return facts.Position(
        currency=loan.currency,
        time_zone=loan.time_zone or settings.LENDER_TIME_ZONE,
        grace_days=loan.grace_days,
        tolerance=loan.tolerance,
        settled_on=loan.settled_on,
        written_off_on=loan.written_off_on,
        pauses=periods(loan.pauses),
        arrangements=arrangements(loan.arrangements),
        due_on=tuple(loan.due_on),
        amounts=tuple(loan.amount),
        paid=loan.paid,
    )


def position(*, loan: str) -> facts.Position | None:
    """The position of a loan as known now; None where nothing ever named it."""
    row = Loan.objects.filter(pk=loan).first()
    return None if row is None else position_of_loan(row)


def revision_of_loan(*, loan: str | None) -> int:
    """How often the loan's account has changed; 0 where nothing ever named it."""
    return Loan.objects.filter(pk=loan).values_list("revision", flat=True).first() or 0


def lock_loan(*, loan: str | None) -> int:
    """The same, with the row locked until the commit, so that no import changes it meanwhile. Needs a transaction."""
    rows = Loan.objects.select_for_update(no_key=True).filter(pk=loan)
    return rows.values_list("revision", flat=True).first() or 0


def owner_of_loan(*, loan: str | None) -> str | None:
    """The customer whose loan it is, as known now."""
    return Loan.objects.filter(pk=loan).values_list("customer", flat=True).first()


def product_of_loan(*, loan: str | None) -> str | None:
    """The loan's product, as known now; None where it is not known."""
    return Loan.objects.filter(pk=loan).values_list("product", flat=True).first() or None


def customers_of_phone(*, digest: bytes | None, at: datetime | None = None) -> frozenset[str]:
    """The customers whose own phone it is; with `at`, whose it was on that day (the lender's). Never those who named it
    as a contact's: what is sent there is not theirs to see."""
    if digest is None:
        return frozenset()
    rows = CustomerPhone.objects.filter(digest=digest, role="own")
    if at is not None:
        day = local_day(at, settings.LENDER_TIME_ZONE)
        rows = rows.filter(Q(first__isnull=True) | Q(first__lte=day), Q(until__isnull=True) | Q(until__gte=day))
    return frozenset(rows.values_list("customer", flat=True))


def phones_of_customer(*, customer: str) -> frozenset[bytes]:
    """The digests of the customer's own phones, as known now."""
    rows = CustomerPhone.objects.filter(customer=customer, role="own")
    return frozenset(bytes(digest) for digest in rows.values_list("digest", flat=True))


def language_of_customer(*, customer: str | None) -> str | None:
    """``zh-hans`` or ``en``, of the customer's own language; None where it is neither, or not known."""
    return language_in(Customer.objects.filter(pk=customer).values_list("language", flat=True).first() or "")


def language_in(tag: str) -> str | None:
    """``zh-hans`` or ``en``, of a language as the records name it (BCP 47)."""
    if tag == "zh" or tag.startswith("zh-"):
        return "zh-hans"
    return "en" if tag == "en" or tag.startswith("en-") else None


def loans_of_customer(*, customer: str) -> QuerySet[Loan]:
    """The customer's loans as known now."""
    return Loan.objects.filter(customer=customer).order_by("external_id")


def messages_of_customer(*, customer: str) -> QuerySet[Message]:
    """What is the customer's own to see: messages about their loans, and messages to a phone while it was theirs.

    Loans and phones are read first, so that the messages are found by their indexes.
    """
    own = Q(loan__in=list(loans_of_customer(customer=customer).values_list("pk", flat=True)))
    zone = settings.LENDER_TIME_ZONE
    for phone in CustomerPhone.objects.filter(customer=customer, role="own"):
        sent = Q(phone_digest=phone.digest)
        if phone.first is not None:
            sent &= Q(sent_at__gte=start_of(phone.first, zone))
        if phone.until is not None:
            sent &= Q(sent_at__lt=start_of(phone.until + timedelta(days=1), zone))
        own |= sent
    return Message.objects.filter(own, voided=False)


def message_by(
    *,
    id: uuid.UUID | None = None,
    external_id: str | None = None,
    short_ref: str | None = None,
    phone: str | None = None,
    received_at: datetime | None = None,
) -> list[Message]:
    """Messages that answer a description, the likeliest first: by id or external id at most one; by the reference that
    the text shows the newest; by phone (E.164) and instant the nearest. At most 20."""
    messages = Message.objects.filter(voided=False)
    if id is not None:
        return list(messages.filter(pk=id))
    if external_id is not None:
        return list(messages.filter(external_id=external_id))
    if short_ref is not None:
        return list(messages.filter(short_ref=short_ref).order_by("-sent_at", "external_id")[:20])
    if phone is None or received_at is None:
        return []
    near = messages.filter(
        phone_digest=phone_digest(phone),
        sent_at__gte=received_at - RECEIVED_WITHIN,
        sent_at__lte=received_at + RECEIVED_WITHIN,
    )[:200]
    timed = [(abs(one.sent_at - received_at), one.external_id, one) for one in near if one.sent_at is not None]
    return [one for _, _, one in sorted(timed, key=lambda row: row[:2])[:20]]


def collection_message(message: Message) -> facts.CollectionMessage:
    """A message's row as the check's value."""
    if message.sent_at is None:
        raise ValueError("a message was sent")
    return facts.CollectionMessage(
        external_id=message.external_id,
        loan=message.loan,
        channel=message.channel,
        category=message.category,
        sent_at=message.sent_at,
        list_built_at=message.list_built_at,
        sending_rule=message.sending_rule,
        campaign=message.campaign,
        vendor=message.vendor,
        claimed_amount=message.claimed_amount,
        claimed_days_past_due=message.claimed_days_past_due,
        permit=message.permit,
        phone=None if message.phone_digest is None else bytes(message.phone_digest).hex(),
    )


def number_of_message(message: Message) -> str | None:
    """The number (E.164) that a message went to; None once it was erased."""
    return text_of_message(message).get("phone")


def numbers_of_messages(messages: Iterable[Message]) -> dict[uuid.UUID, str]:
    """The numbers (E.164) that messages went to, by the message's id; those that were erased are left out. One
    query."""
    versions = {message.pk: message.version_id for message in messages}
    told = personal_of(model=MessagePersonal, versions=versions.values())
    found = {pk: told.get(version, {}).get("phone") for pk, version in versions.items()}
    return {pk: number for pk, number in found.items() if number}


def text_of_message(message: Message) -> dict[str, Any]:
    """Number and text of a message, ``{"phone", "body"}``; empty once it was erased."""
    return personal_of(model=MessagePersonal, versions=[message.version_id]).get(message.version_id, {})


def personal_of(
    *, model: type[MessagePersonal | CustomerPersonal], versions: Iterable[uuid.UUID]
) -> dict[uuid.UUID, dict[str, Any]]:
    """The personal fields of versions, opened, by the version's id; those that were erased are left out."""
    asked = personal(model=model, versions=versions)
    run(asked)
    return opened(asked, model=model)


def personal(*, model: type[MessagePersonal | CustomerPersonal], versions: Iterable[uuid.UUID]) -> Statement:
    """What reads the personal fields of versions; `opened` opens them."""
    table = model._meta.db_table
    return Statement(
        f"SELECT version_id, sealed FROM {table} WHERE version_id = ANY (%s::uuid[]) AND sealed IS NOT NULL",
        [list(versions)],
    )


def opened(asked: Statement, *, model: type[MessagePersonal | CustomerPersonal]) -> dict[uuid.UUID, dict[str, Any]]:
    """The personal fields that a statement has read as (version, sealed), by the version's id."""
    return {version: open_personal(sealed, model=model, version=version) for version, sealed in asked.rows}


def open_personal(
    sealed: bytes, *, model: type[MessagePersonal | CustomerPersonal], version: uuid.UUID
) -> dict[str, Any]:
    """The personal fields of one version, from their ciphertext."""
    place = place_of(model._meta.db_table, "sealed", version)
    told: dict[str, Any] = json.loads(unseal(keyring(), bytes(sealed), place=place))
    return told


def customers_messaged(*, start: datetime, end: datetime) -> QuerySet[Message, Any]:
    """Who was sent a message in [start, end): rows of `customer`, `loan` and `at`, several a customer. Surveys do not
    count; a message that names no loan counts for whose own the phone is."""
    sent = Message.objects.filter(sent_at__gte=start, sent_at__lt=end, voided=False).exclude(category="survey")
    of_loan = Loan.objects.filter(pk=OuterRef("loan")).values("customer")
    of_phone = CustomerPhone.objects.filter(digest=OuterRef("phone_digest"), role="own").values("customer")[:1]
    owner = Coalesce(Subquery(of_loan), Subquery(of_phone))
    return (
        sent.annotate(customer=owner, at=F("sent_at")).filter(customer__isnull=False).values("customer", "loan", "at")
    )


def theirs_on(day: date) -> Q:
    """A phone's days, as a condition of its row: it is the customer's on that day."""
    return (Q(first__isnull=True) | Q(first__lte=day)) & (Q(until__isnull=True) | Q(until__gte=day))
