"""Opening a dispute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from config.api.callers import Caller
from config.api.idempotency import BeginAgain
from config.fields import phone_digest
from config.statements import Row, Statement, as_json, as_row, make
from disputes.cases import lifecycle
from disputes.cases.facts import Facts
from disputes.cases.finding import Found, Search, Selector, find
from disputes.cases.models import Dispute, Ground, Language, Status
from disputes.cases.queries import needs_of
from disputes.cases.reading import write_payments, write_selector
from disputes.cases.telling import acknowledgement, address_of_opener
from disputes.check.facts import ClaimedPayment
from disputes.holds.owners import Owned
from disputes.holds.permits import PermitOut
from disputes.holds.placing import PlacedHold, number_changes, prepare_hold
from disputes.holds.policies import pack_in_force
from disputes.holds.scopes import Covers, scope_of_dispute
from disputes.journal.recording import Actor, event_row
from disputes.notices.models import Notice
from disputes.notices.sending import topic_of
from disputes.notices.webhooks import Listeners, announced
from disputes.outbox import queue
from disputes.policy.packs import Pack
from disputes.policy.terms import deadlines
from disputes.records import queries as records
from disputes.records.models import Message
from disputes.routing.assigning import Needs
from disputes.routing.deadlines import Due, start_clocks, started_clocks
from disputes.routing.models import Clock


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
    """The dispute, its hold, and the permits that were out when the hold was placed. `number`: its message's (E.164),
    where it has one that was not erased."""

    dispute: Dispute
    hold: PlacedHold
    number: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """An opening that is decided, under its locks, and not written. `opening`: what writes it, but for what goes to the
    `listeners` of webhooks, which is `said`."""

    opened: Opened
    opening: Statement
    listeners: Listeners
    said: dict[str, Any]

    def write(self, beside: Sequence[Statement] = ()) -> None:
        """Writes, in one call, dispute, hold, clocks, events, topics and acknowledgement, what goes `beside` them, and
        webhooks; the feed's numbers last: no lane is taken after them. Raises AlreadyOpen, where of two at once the
        other was quicker; BeginAgain."""
        dispute = self.opened.dispute
        webhooks = announced(
            event="dispute.opened",
            key=str(dispute.pk),
            data=self.said,
            at=dispute.opened_at,
            listeners=self.listeners,
        )
        writes = (self.opening, *beside, *webhooks)
        number_changes(listeners=self.listeners, after=writes, at=self.opened.hold.hold.placed_at)
        if not self.opening.rows:
            raise AlreadyOpen(_the_other(dispute))


def open_dispute(*, asked: Opening, now: datetime) -> Opened:
    """Writes dispute, hold, first event and outgoing topics in one transaction, which the caller has opened
    (outermost): `prepare_opening`, then its `write`. Raises what they raise."""
    prepared = prepare_opening(asked=asked, now=now)
    prepared.write()
    return prepared.opened


def prepare_opening(*, asked: Opening, now: datetime, search: Search | None = None) -> Prepared:
    """Takes the locks of an opening and decides all of it; the caller writes it in the same transaction, which is the
    outermost, last.

    1. finds the message and who the dispute is for; 2. takes the lanes of all that the hold covers (raises BeginAgain
    where an owner changed meanwhile); 3. reads, under those lanes, what else it needs, in one call. `search`: for the
    message, where it was run already in this transaction.

    Raises MessageNotFound, AlreadyOpen, NobodyToActFor.
    """
    found = find(selector=asked.selector, customer=asked.customer, phone=asked.phone, search=search)
    message = found.message if found else None
    customer, phone = _person(asked, found)
    pack = pack_in_force(at=now)
    dispute = _build(asked, pack, message=message, customer=customer, phone=phone, now=now)
    dispute.owns_loan = found is not None and customer is not None and found.owner == customer
    scope, covers = scope_of_dispute(
        ground=asked.ground,
        loan=message.loan if message else None,
        phone=message.phone_digest if message else phone,
        customer=customer,
    )
    read = Facts(dispute)
    placed, told_of_hold = prepare_hold(
        source="dispute",
        scope=scope,
        reason="dispute_pending",
        covers=covers,
        dispute=dispute.pk,
        actor=asked.actor,
        now=now,
        why=asked.ground,
        owned=_owned(covers, found),
        beside=(read.asked,),
    )
    read.tell()
    if read.standing is not None:
        raise AlreadyOpen(_the_other(dispute))
    dispute.language = asked.language or read.language or Language.ZH_HANS
    needs = Needs(ground=dispute.ground, language=dispute.language, product=found.product if found else None)
    due, clocks = started_clocks(dispute=dispute.pk, pack=pack, opened_at=now, calendar=read.calendars.of(needs))
    _show(dispute, due)
    dispute.watching = _watch_keys(asked.selector, message)
    data = {"ground": dispute.ground, "channel": dispute.channel, "hold": str(placed.hold.pk), "scope": scope}
    events = [
        told_of_hold,
        event_row(
            subject_type="dispute", subject_id=dispute.pk, kind="dispute.opened", actor=asked.actor, at=now, data=data
        ),
    ]
    address = address_of_opener(dispute, at=now, reaching=read.reaching, number=read.number)
    notice = acknowledgement(dispute=dispute, address=address, now=now)
    return Prepared(
        opened=Opened(dispute=dispute, hold=placed, number=read.number),
        opening=_written(dispute, placed, events=events, clocks=clocks, notice=notice),
        listeners=read.listeners,
        said={**lifecycle.announced(dispute), **data},
    )


def _written(
    dispute: Dispute, placed: PlacedHold, *, events: list[Row], clocks: Sequence[Clock], notice: Notice | None
) -> Statement:
    """What writes an opening, its topics too, by one function that keeps its plans (migration 0016). It answers with
    the topics' ids, and writes and answers nothing where such a dispute is open already: of two at once the unique
    constraint lets one be; the other waits until it is committed."""
    topics = [queue.row_of(topic="dispute.opened", key=str(dispute.pk), payload={"dispute": str(dispute.pk)})]
    if notice is not None:
        topics.append(topic_of(notice))
    told = {
        "dispute": as_row(dispute),
        "hold": as_row(placed.hold),
        "keys": placed.keys,
        "events": events,
        "clocks": [as_row(one) for one in clocks],
        "notices": [] if notice is None else [as_row(notice)],
        "topics": topics,
    }
    opening = Statement("SELECT topic FROM disputes_write_opening(%s::jsonb) AS topic", [as_json(told)])
    queue.send_on_commit(opening)
    return opening


def _owned(covers: Covers, found: Found | None) -> Owned | None:
    """Who owns what is to be covered, where finding the message told all of it."""
    if found is None or found.owner is None:
        return None
    loan, owner, whose = found.message.loan, found.owner, covers.customers | covers.persons
    if covers.loans - {loan} or whose - {owner}:
        return None
    return Owned(
        covers=covers,
        owner=frozenset((one, owner) for one in covers.loans),
        phones=frozenset((owner, digest) for digest in found.phones if covers.loans or whose),
    )


def _person(asked: Opening, found: Found | None) -> tuple[str | None, bytes | None]:
    """Who the dispute is for: the customer, and the phone where one is known.

    A system that names no customer acts for the owner of the message's loan, else for the phone. Whoever says that the
    debt is not theirs is not that owner, unless the message went to a phone of the owner's: they would read a
    stranger's words.
    """
    named = phone_digest(asked.selector.phone) if asked.selector.phone else None
    phone = asked.phone or named or (found.message.phone_digest if found else None)
    customer = asked.customer
    if customer is None and asked.phone is None and found is not None:
        customer = _owner_or_nobody(found, ground=asked.ground)
    if customer is None and phone is None:
        raise NobodyToActFor()
    return customer, phone


def _owner_or_nobody(found: Found, *, ground: str) -> str | None:
    if ground != Ground.NOT_MY_DEBT:
        return found.owner
    theirs = records.customers_of_phone(digest=found.message.phone_digest, at=found.message.sent_at)
    return found.owner if found.owner in theirs else None


def _build(
    asked: Opening, pack: Pack, *, message: Message | None, customer: str | None, phone: bytes | None, now: datetime
) -> Dispute:
    by = deadlines(pack=pack, opened_at=now, zone=settings.LENDER_TIME_ZONE)
    dispute = make(
        Dispute,
        status=Status.CHECKING,
        ground=asked.ground,
        channel=asked.channel,
        person=f"c:{customer}" if customer else f"p:{phone.hex() if phone else ''}",
        customer=customer,
        phone_digest=phone,
        opened_by_type=asked.actor.type,
        opened_by_id=asked.actor.id,
        message_id=message.pk if message else None,
        message_key=str(message.pk) if message else asked.selector.key(),
        selector=None if message else write_selector(asked.selector.described()),
        loan=message.loan if message else None,
        statement=asked.statement,
        claimed_payments=write_payments(asked.claimed_payments),
        policy_name=pack.name,
        policy_version=pack.version,
        opened_at=now,
        acknowledge_by=by.acknowledge_by.astimezone(UTC),
    )
    dispute.message = message
    return dispute


def start_dispute_clocks(dispute: Dispute, *, now: datetime) -> None:
    """Starts the dispute's clocks at `now` and shows their deadlines on it; the caller saves. Needs its transaction."""
    pack = pack_in_force(at=now)
    _show(dispute, start_clocks(dispute=dispute.pk, pack=pack, opened_at=now, now=now, needs=needs_of(dispute)))


def _show(dispute: Dispute, due: Due) -> None:
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


def _the_other(dispute: Dispute) -> Dispute:
    """The one that is open already. Raises BeginAgain where it was closed meanwhile."""
    if (existing := same_open(dispute)) is None:
        raise BeginAgain()
    return existing


def _watch_keys(selector: Selector, message: Message | None) -> list[str]:
    return selector.watch_keys() if message is None else [f"loan:{message.loan}"]


def shown_of(permits: Sequence[PermitOut], *, caller: Caller) -> list[dict[str, Any]]:
    """The permits of a hold as the 201 lists them, for recall. A person learns no more of them than that they are
    out: they may be for somebody else's loan."""
    return [permit.render() if caller.kind == "client" else permit.render_bare() for permit in permits]
