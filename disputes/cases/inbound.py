"""What comes of a text that somebody sent back: an opt-out, an opt-in, a dispute, a comment; else a person reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from config.api.idempotency import BeginAgain
from disputes.cases import lifecycle, talking
from disputes.cases.finding import Selector
from disputes.cases.models import Channel, Dispute, Language, Status
from disputes.cases.opening import AlreadyOpen, Opening, open_dispute
from disputes.holds.models import Hold
from disputes.holds.opting_out import opt_in, place_opt_out
from disputes.holds.permits import PermitOut
from disputes.holds.placing import number_changes
from disputes.holds.policies import pack_in_force
from disputes.inbound.keeping import said_until
from disputes.inbound.models import InboundKind, InboundMessage
from disputes.journal.recording import Actor
from disputes.policy.keywords import Asked, read_text
from disputes.records import queries as records
from disputes.records.models import Message

ABOUT_WITHIN = timedelta(days=30)
"""How long ago the last message to a number may be for ``DISPUTE`` to be about it."""
CLOCKS_DIFFER = timedelta(minutes=5)
"""How far a carrier's clock may be behind the sender's, so that an answer seems to come before its message."""
SOURCE = "sms"


@dataclass(frozen=True, kw_only=True, slots=True)
class Came:
    """What came of a text. `kind`: of `InboundKind`."""

    kind: str
    dispute: Dispute | None = None
    hold: Hold | None = None
    permits_out: Sequence[PermitOut] = ()


def answer_text(*, said: InboundMessage, now: datetime) -> Came:
    """Does what a text asks for, and notes on its row what that was. Needs the outermost transaction, in which the text
    was kept; may raise BeginAgain.

    The order of locks is that of everybody: lanes, then the dispute's row, then the feed's number.
    """
    asked = read_text(pack=pack_in_force(at=now), text=said.text)
    if asked.kind == "opt_out":
        came = _opt_out(said, asked, now=now)
    elif asked.kind == "opt_in":
        came = _opt_in(said, now=now)
    elif asked.kind == "dispute":
        came = _dispute(said, asked, now=now)
    else:
        came = _comment(said, _newest_open(said, now=now), now=now)
    said.kind = came.kind
    said.dispute = came.dispute.pk if came.dispute is not None else None
    said.hold = came.hold.pk if came.hold is not None else None
    return came


def _actor(said: InboundMessage) -> Actor:
    """The person is the phone, as with a phone's token."""
    return Actor(type="phone", id=str(said.pk))


def _opt_out(said: InboundMessage, asked: Asked, *, now: datetime) -> Came:
    """Words beside the wish are the person's too: they join an open dispute."""
    out = place_opt_out(phone=bytes(said.phone_digest), source=SOURCE, actor=_actor(said), now=now)
    dispute = _newest_open(said, now=now) if asked.words else None
    if dispute is not None:
        _add_comment(said, dispute, now=now)
    number_changes()
    return Came(kind=InboundKind.OPT_OUT, dispute=dispute, hold=out.hold, permits_out=out.permits_out)


def _opt_in(said: InboundMessage, *, now: datetime) -> Came:
    """Takes back what was said before it: texts may be delivered late, and one that was sent before an opt-out is not
    the person's last word."""
    phone = bytes(said.phone_digest)

    def before_this(standing: Sequence[Hold]) -> Sequence[Hold]:
        said_at = said_until(phone=phone, holds=[hold.pk for hold in standing])
        return [hold for hold in standing if said_at.get(hold.pk, hold.placed_at) <= said.received_at]

    taken = opt_in(phone=phone, source=SOURCE, actor=_actor(said), now=now, takes_back=before_this)
    return Came(kind=InboundKind.OPT_IN, hold=taken[-1] if taken else None)


def _dispute(said: InboundMessage, asked: Asked, *, now: datetime) -> Came:
    """Opens a dispute about the last message to the number; one that stands already about it, on the same ground, is
    joined by the words."""
    message = _last_message(said)
    standing = _standing(said, message=message, ground=asked.ground, now=now)
    if standing is not None:
        return _comment(said, standing, now=now)
    selector = Selector(phone=said.phone, received_at=said.received_at) if message is None else Selector(id=message.pk)
    opening = Opening(
        actor=_actor(said),
        customer=None,
        phone=bytes(said.phone_digest),
        selector=selector,
        ground=asked.ground,
        statement=asked.statement or None,
        claimed_payments=(),
        language=_language(said, now=now),
        channel=Channel.SMS,
    )
    try:
        opened = open_dispute(asked=opening, now=now)
    except AlreadyOpen:
        # Another text of the same person was quicker: begun again, this one finds its dispute.
        raise BeginAgain() from None
    return Came(
        kind=InboundKind.DISPUTE,
        dispute=opened.dispute,
        hold=opened.hold.hold,
        permits_out=opened.hold.permits_out,
    )


def _last_message(said: InboundMessage) -> Message | None:
    sent = Message.objects.filter(
        phone_digest=said.phone_digest,
        sent_at__gt=said.received_at - ABOUT_WITHIN,
        sent_at__lte=said.received_at + CLOCKS_DIFFER,
        voided=False,
    )
    return sent.order_by("-sent_at", "external_id").first()


def _language(said: InboundMessage, *, now: datetime) -> str:
    """The customer's whose own phone it is, where that is one; else that of the words."""
    owners = records.customers_of_phone(digest=bytes(said.phone_digest), at=now)
    if len(owners) == 1 and (language := records.language_of_customer(customer=next(iter(owners)))):
        return language
    return Language.EN if said.text.isascii() else Language.ZH_HANS


def _open_disputes(said: InboundMessage, *, now: datetime) -> Q:
    """Disputes that the number may write to: those that it opened, and those of the customer whose own phone it is.
    Not those of whoever else was texted there: they would read a stranger's words."""
    phone = bytes(said.phone_digest)
    owners = records.customers_of_phone(digest=phone, at=now)
    return Q(person__in=[f"p:{phone.hex()}", *(f"c:{owner}" for owner in owners)]) & ~Q(status=Status.CLOSED)


def _newest_open(said: InboundMessage, *, now: datetime) -> Dispute | None:
    return Dispute.objects.filter(_open_disputes(said, now=now)).order_by("-pk").first()


def _standing(said: InboundMessage, *, message: Message | None, ground: str, now: datetime) -> Dispute | None:
    """The open dispute about the message, or about one that nobody could find, on this ground."""
    about = Q(message__isnull=True, channel=Channel.SMS) if message is None else Q(message=message)
    return Dispute.objects.filter(_open_disputes(said, now=now) & about, ground=ground).order_by("-pk").first()


def _comment(said: InboundMessage, dispute: Dispute | None, *, now: datetime) -> Came:
    if dispute is None:
        return Came(kind=InboundKind.KEPT)
    _add_comment(said, dispute, now=now)
    return Came(kind=InboundKind.COMMENT, dispute=dispute)


def _add_comment(said: InboundMessage, dispute: Dispute, *, now: datetime) -> None:
    try:
        talking.add_comment(dispute_id=dispute.pk, text=said.text, actor=_actor(said), now=now)
    except lifecycle.WrongState:
        # It was closed meanwhile: begun again, the text finds another, or is kept.
        raise BeginAgain() from None
