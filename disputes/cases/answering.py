"""The acknowledgement of a dispute that a text opened is the one answer to that text."""

from __future__ import annotations

from datetime import datetime

from disputes.holds import gate
from disputes.holds.permits import hand_back_expired
from disputes.holds.walking import GateItem
from disputes.holds.withholding import withhold_opted_out
from disputes.inbound.models import InboundKind, InboundMessage
from disputes.notices.models import Notice, NoticeChannel

CALLER = "service:notices"
PERMIT_SECONDS = 600


def withhold_acknowledgement(notice: Notice, now: datetime) -> str:
    """Why an acknowledgement may not leave; empty where it may. Called outside of a transaction; opens its own.

    That of a dispute which a text opened asks the gate for leave as its answer: so nobody else answers the same text,
    and it reaches a number that opted out where the pack lets one answer through. A try whose permit has expired asks
    anew: the carrier is given the same text under the same id.
    """
    withheld = withhold_opted_out(notice, now)
    said = InboundMessage.objects.filter(dispute=notice.subject, kind=InboundKind.DISPUTE).order_by("pk").first()
    phone = bytes(notice.address_digest)
    if said is None or notice.channel != NoticeChannel.SMS or bytes(said.phone_digest) != phone:
        return withheld
    request = f"notice:{notice.pk}"
    hand_back_expired(caller=CALLER, request_id=request, since=notice.queued_at)
    item = GateItem(
        request_id=request, phone=phone, loan=None, channel="sms", category="service", reply_to=said.external_id
    )
    [answer] = gate.decide(items=[item], caller=CALLER, permit_seconds=PERMIT_SECONDS, dry_run=False).answers
    return answer.reasons[0] if withheld and answer.reasons else ""
