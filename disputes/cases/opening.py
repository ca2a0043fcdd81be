"""Opening a dispute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from config.api.callers import Caller
from config.fields import phone_digest
from disputes.cases import lifecycle
from disputes.cases.finding import Selector, find_message, owns
from disputes.cases.models import Dispute, Ground, Status
from disputes.cases.queries import needs_of
from disputes.cases.reading import write_payments, write_selector
from disputes.cases.telling import tell_acknowledged
from disputes.check.facts import ClaimedPayment
from disputes.holds.permits import PermitOut
from disputes.holds.placing import PlacedHold, number_changes, place_hold
from disputes.holds.policies import pack_in_force
from disputes.holds.scopes import scope_of_dispute
from disputes.journal.recording import Actor
from disputes.outbox import queue
from disputes.policy.terms import deadlines
from disputes.records import queries as records
from disputes.records.models import Message
from disputes.records.watching import watch
from disputes.routing.deadlines import start_clocks


class AlreadyOpen(Exception):
    """The same person has an open dispute about the same message and ground (409)."""

    def __init__(self, dispute: Dispute) -> None:
        super().__init__(dispute.reference)
        self.dispute = dispute


class NobodyToActFor(Exception):
    """A system named neither a customer, nor a message that is known, nor a phone (400)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """What is asked, and by whom.

    `customer`: who it is for (the token's, or the one that a system acts for); `phone`: the digest of a verified phone.
    """

    actor: Actor
    customer: str | None
    phone: bytes | None
    selector: Selector
    ground: str
    statement: str | None
    claimed_payments: Sequence[ClaimedPayment]
    language: str | None
    channel: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """The dispute, its hold, and the permits that were out when the hold was placed."""

    dispute: Dispute
    hold: PlacedHold


def open_dispute(*, asked: Opening, now: datetime) -> Opened:
    """Writes dispute, hold, first event and outgoing topics in one transaction, which the caller has opened
    (outermost).

    1. finds the message and who the dispute is for; 2. takes the lanes of all that the hold covers and places it
    (raises BeginAgain where an owner changed meanwhile); 3. writes the dispute, under those lanes, and starts its
    clocks; 4. event, topics and the acknowledgement; 5. the feed's numbers, last: no lane is taken after them.

    Raises MessageNotFound, AlreadyOpen, NobodyToActFor.
    """
    message = find_message(selector=asked.selector, customer=asked.customer, phone=asked.phone)
    customer, phone = _person(asked, message)
    dispute = _build(asked, message=message, customer=customer, phone=phone, now=now)
    _refuse_second(dispute)
    scope, covers = scope_of_dispute(
        ground=asked.ground,
        loan=message.loan if message else None,
        phone=message.phone_digest if message else phone,
        customer=customer,
    )
    placed = place_hold(
        source="dispute",
        scope=scope,
        reason="dispute_pending",
        covers=covers,
        dispute=dispute.pk,
        actor=asked.actor,
        now=now,
        why=asked.ground,
    )
    start_dispute_clocks(dispute, now=now)
    dispute.watching = _watch_keys(asked.selector, message)
    try:
        with transaction.atomic():  # a savepoint, after the lanes: a lane locked inside one would be freed with it
            dispute.save(force_insert=True)
    except IntegrityError as error:
        if (existing := same_open(dispute)) is not None:
            raise AlreadyOpen(existing) from error
        raise
    watch(keys=dispute.watching)
    lifecycle.note(
        dispute=dispute,
        kind="dispute.opened",
        actor=asked.actor,
        at=now,
        data={"ground": dispute.ground, "channel": dispute.channel, "hold": str(placed.hold.pk), "scope": scope},
    )
    payload = {"dispute": str(dispute.pk)}
    queue.put(topic="dispute.opened", key=str(dispute.pk), payload=payload)
    tell_acknowledged(dispute=dispute, now=now)
    number_changes()
    return Opened(dispute=dispute, hold=placed)


def _person(asked: Opening, message: Message | None) -> tuple[str | None, bytes | None]:
    """Who the dispute is for: the customer, and the phone where one is known.

    A system that names no customer acts for the owner of the message's loan, else for the phone. Whoever says that the
    debt is not theirs is not that owner, unless the message went to a phone of the owner's: they would read a
    stranger's words.
    """
    named = phone_digest(asked.selector.phone) if asked.selector.phone else None
    phone = asked.phone or named or (message.phone_digest if message else None)
    customer = asked.customer
    if customer is None and asked.phone is None and message is not None:
        customer = _owner_or_nobody(message, ground=asked.ground)
    if customer is None and phone is None:
        raise NobodyToActFor()
    return customer, phone


def _owner_or_nobody(message: Message, *, ground: str) -> str | None:
    owner = records.owner_of_loan(loan=message.loan)
    if ground != Ground.NOT_MY_DEBT:
        return owner
    return owner if owner in records.customers_of_phone(digest=message.phone_digest, at=message.sent_at) else None


def _build(
    asked: Opening, *, message: Message | None, customer: str | None, phone: bytes | None, now: datetime
) -> Dispute:
    pack = pack_in_force(at=now)
    by = deadlines(pack=pack, opened_at=now, zone=settings.LENDER_TIME_ZONE)
    language = asked.language or (records.language_of_customer(customer=customer) if customer else None)
    return Dispute(
        status=Status.CHECKING,
        ground=asked.ground,
        language=language if language in ("zh-hans", "en") else "zh-hans",
        channel=asked.channel,
        person=f"c:{customer}" if customer else f"p:{phone.hex() if phone else ''}",
        customer=customer,
        phone_digest=phone,
        opened_by_type=asked.actor.type,
        opened_by_id=asked.actor.id,
        message=message,
        message_key=str(message.pk) if message else asked.selector.key(),
        selector=None if message else write_selector(asked.selector.described()),
        loan=message.loan if message else None,
        owns_loan=message is not None and owns(customer=customer, message=message),
        statement=asked.statement,
        claimed_payments=write_payments(asked.claimed_payments),
        policy_name=pack.name,
        policy_version=pack.version,
        opened_at=now,
        acknowledge_by=by.acknowledge_by.astimezone(UTC),
    )


def start_dispute_clocks(dispute: Dispute, *, now: datetime) -> None:
    """Starts the dispute's clocks at `now` and shows their deadlines on it; the caller saves. Needs its transaction."""
    pack = pack_in_force(at=now)
    due = start_clocks(dispute=dispute.pk, pack=pack, opened_at=now, now=now, needs=needs_of(dispute))
    dispute.first_answer_by, dispute.decide_by = due.first_answer_by, due.decide_by
    # Days of the calendar may be longer than hours of business: nobody is answered before they are acknowledged.
    dispute.acknowledge_by = min(dispute.acknowledge_by, due.first_answer_by)


def same_open(dispute: Dispute) -> Dispute | None:
    """Another open dispute by the same person about the same message and ground."""
    return (
        Dispute.objects.filter(person=dispute.person, message_key=dispute.message_key, ground=dispute.ground)
        .exclude(status=Status.CLOSED)
        .exclude(pk=dispute.pk)
        .first()
    )


def _refuse_second(dispute: Dispute) -> None:
    """Kindly, before any lock; the unique constraint decides where two come at once."""
    if (existing := same_open(dispute)) is not None:
        raise AlreadyOpen(existing)


def _watch_keys(selector: Selector, message: Message | None) -> list[str]:
    return selector.watch_keys() if message is None else [f"loan:{message.loan}"]


def shown_of(permits: Sequence[PermitOut], *, caller: Caller) -> list[dict[str, Any]]:
    """The permits of a hold as the 201 lists them, for recall. A person learns no more of them than that they are
    out: they may be for somebody else's loan."""
    return [permit.render() if caller.kind == "client" else permit.render_bare() for permit in permits]
