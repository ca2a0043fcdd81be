"""Sending a wave's invitations: each passes the gate, and its text is queued with its link.

The quiet rules were asked when the sample was drawn; a dispute that was opened since, an opt-out, the contact hours and
the caps are asked now, by the gate, under the lanes of the phone and of whose it is.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from config.fields import phone_digest
from disputes.holds import gate
from disputes.holds.walking import PASSES_WITH_TIME, GateItem
from disputes.notices.hooks import WITHHELD
from disputes.notices.models import Notice, NoticeState
from disputes.notices.sending import NewNotice, queue_notice
from disputes.records.reaching import reach_of_customers
from feedback.waves.links import make_links
from feedback.waves.models import Invitation, InvitationState, Wave, WaveState

log = structlog.get_logger(__name__)

CHUNK = 500
CLAIMED_FOR = timedelta(minutes=2)
"""How long a chunk has its invitations for itself, between being claimed and being sent."""
ASK_AGAIN = timedelta(hours=1)
"""After a denial that names no instant from which on it is allowed: a dispute may be closed meanwhile."""
CALLER = "feedback"
PERMIT_SECONDS = 600
"""Longer than workers take to hand a chunk to the carrier."""
INVITED = 1
"""The ordinal of an invitation's first text; a reminder would have the next."""

TEXTS: Mapping[str, str] = {
    "zh-hans": "【{lender}】诚邀您花一分钟评价我们的服务:{link} 退订回TD",
    "en": "{lender}: one minute to tell us how we did? {link} Reply STOP to hear no more.",
}
DEFAULT_LANGUAGE = "zh-hans"

AskGate = Callable[[Sequence[GateItem]], Sequence[gate.Answer]]


def ask_gate(items: Sequence[GateItem]) -> Sequence[gate.Answer]:
    """The gate's own answers, with a permit for each that is allowed. Opens its transactions."""
    return gate.decide(items=items, caller=CALLER, permit_seconds=PERMIT_SECONDS, dry_run=False).answers


def send_due_invitations(*, now: datetime, most: int = 20, ask: AskGate = ask_gate) -> int:
    """Sends what is due of every wave that is inviting or open, at most `most` chunks. Returns how many were sent.
    Opens its transactions."""
    if not settings.PUBLIC_URL:
        log.error("no_public_url", detail="survey waves send nothing: an invitation is a link")
        return 0
    sent = 0
    running = Wave.objects.filter(state__in=[WaveState.INVITING, WaveState.OPEN], ends_at__gt=now)
    for wave in running.order_by("opened_at"):
        while most > 0:
            claimed = _claim(wave=wave, now=now)
            if not claimed:
                break
            most -= 1
            sent += _send(wave=wave, claimed=claimed, now=now, ask=ask)
        _note_all_tried(wave=wave, now=now)
    return sent


def send_invitations(*, wave: Wave, now: datetime, ask: AskGate = ask_gate) -> int:
    """Sends all that is due of one wave. Returns how many were sent. Opens its transactions.

    `ask`: who is asked for leave. The gate, but where waves of long ago are told again: its clock is the database's.
    """
    sent = 0
    while claimed := _claim(wave=wave, now=now):
        sent += _send(wave=wave, claimed=claimed, now=now, ask=ask)
    _note_all_tried(wave=wave, now=now)
    return sent


def _claim(*, wave: Wave, now: datetime) -> list[Invitation]:
    """A chunk of what is due, which no other worker has. One that is left behind by a killed worker is due again."""
    with transaction.atomic(durable=True):
        due = Invitation.objects.select_for_update(skip_locked=True, no_key=True).filter(
            wave=wave, state=InvitationState.QUEUED, not_before__lte=now
        )
        chunk = list(due.order_by("not_before", "pk")[:CHUNK])
        Invitation.objects.filter(pk__in=[one.pk for one in chunk]).update(not_before=now + CLAIMED_FOR)
    return chunk


def _send(*, wave: Wave, claimed: Sequence[Invitation], now: datetime, ask: AskGate) -> int:
    """1. the numbers; 2. the gate's answers, each in a transaction of its own; 3. what is allowed is sent."""
    reach = reach_of_customers(customers=[one.customer for one in claimed], at=now)
    numbers = {customer: one.number for customer, one in reach.items() if one.number}
    reached = [one for one in claimed if one.customer in numbers]
    items = [
        GateItem(
            request_id=_request(one.pk, _text_key(one)),
            phone=phone_digest(numbers[one.customer]),
            loan=None,
            channel=wave.channel,
            category="survey",
        )
        for one in reached
    ]
    answers = ask(items)
    allowed = {one.pk: answer.permit for one, answer in zip(reached, answers) if answer.permit is not None}
    denied = [(one, answer) for one, answer in zip(reached, answers) if answer.permit is None]
    unreached = [one for one in claimed if one.customer not in numbers]
    _put_off([*denied, *((one, gate.Answer(reasons=("no_phone",))) for one in unreached)], now=now)
    return _hand_over(wave=wave, allowed=allowed, numbers=numbers, now=now)


def _text_key(invitation: Invitation) -> str:
    """The key of an invitation's text: one that was withheld is followed by another."""
    return str(INVITED) if not invitation.withheld else f"{INVITED}.{invitation.withheld}"


def _request(invitation_id: uuid.UUID, key: str) -> str:
    """By what the gate knows a text: asked again while its permit lives, it is given the same one."""
    return f"survey:{invitation_id}:{key}"


def _put_off(denied: Sequence[tuple[Invitation, gate.Answer]], *, now: datetime) -> None:
    """What the gate denied waits: until it says, else a while. The wave's end ends the waiting."""
    for one, answer in denied:
        one.denied = list(answer.reasons)
        one.not_before = max(answer.next_allowed_at or now + ASK_AGAIN, now + timedelta(seconds=1))
    waiting = [one for one, _ in denied]
    if waiting:
        Invitation.objects.bulk_update(waiting, ["denied", "not_before"], batch_size=CHUNK)


def _hand_over(
    *, wave: Wave, allowed: Mapping[uuid.UUID, gate.Permitted], numbers: Mapping[str, str], now: datetime
) -> int:
    """Links, notices and states, in one transaction. A wave that was closed meanwhile sends nothing."""
    if not allowed:
        return 0
    if not settings.PUBLIC_URL:
        raise RuntimeError("PUBLIC_URL is not set: an invitation is a link")
    with transaction.atomic(durable=True):
        running = Wave.objects.select_for_update(no_key=True).filter(pk=wave.pk).exclude(state=WaveState.CLOSED)
        if not running.exists():
            return 0
        ours = Invitation.objects.select_for_update(no_key=True)
        ours = ours.filter(pk__in=list(allowed), state=InvitationState.QUEUED)
        sending = list(ours.order_by("pk"))
        links = make_links(invitations=[one.pk for one in sending], ordinal=INVITED)
        for one in sending:
            language = one.language or DEFAULT_LANGUAGE
            queue_notice(
                NewNotice(
                    kind="survey",
                    subject=one.pk,
                    key=_text_key(one),
                    channel=wave.channel,
                    address=numbers[one.customer],
                    language=language,
                    text=TEXTS[language].format(lender=settings.LENDER_NAME, link=settings.PUBLIC_URL + links[one.pk]),
                ),
                now=now,
            )
            one.state, one.sent_at, one.asked_at, one.denied = InvitationState.SENT, now, now, []
            one.leave_until = allowed[one.pk].expires_at
        written = ["state", "sent_at", "asked_at", "denied", "leave_until"]
        Invitation.objects.bulk_update(sending, written, batch_size=CHUNK)
    return len(sending)


def _note_all_tried(*, wave: Wave, now: datetime) -> None:
    """Once the gate has been asked for everybody, the wave is open; what was put off is sent while it is."""
    untried = Q(state=InvitationState.QUEUED, denied=[])
    if not Invitation.objects.filter(untried, wave=wave).exists():
        Wave.objects.filter(pk=wave.pk, state=WaveState.INVITING).update(state=WaveState.OPEN)


def ask_once_more(notice: Notice, now: datetime) -> str:
    """Why a survey's text may not leave any more, in the moment before it does; empty: it may.

    Between the gate's permit and the carrier a dispute may be opened, a number opt out, or the carrier be away until
    the permit has expired and the night has come. The same request is asked again: while its permit lives a hold that
    came meanwhile denies it, and the clock does not; after that it needs a new one.
    """
    invitation = Invitation.objects.select_related("wave").get(pk=notice.subject)
    if invitation.wave.state == WaveState.CLOSED or invitation.wave.ends_at <= now:
        return "wave_ended"
    item = GateItem(
        request_id=_request(invitation.pk, notice.key),
        phone=bytes(notice.address_digest),
        loan=None,
        channel=notice.channel,
        category="survey",
    )
    lives = invitation.leave_until is not None and now < invitation.leave_until
    asked = gate.decide(items=[item], caller=CALLER, permit_seconds=PERMIT_SECONDS, dry_run=lives)
    stops = [reason for reason in asked.answers[0].reasons if not (lives and reason in PASSES_WITH_TIME)]
    return stops[0] if stops else ""


def note_carrier(*, invitation_id: uuid.UUID, notice_id: uuid.UUID, now: datetime) -> None:
    """Takes over what the carrier says of an invitation's text. One that never left is not asked: it counts for no
    quiet days; one that was withheld waits for the gate again, until the wave ends. One UPDATE; opens no transaction.
    """
    notice = Notice.objects.get(pk=notice_id)
    invitations = Invitation.objects.filter(pk=invitation_id)
    if notice.state == NoticeState.DELIVERED:
        invitations.update(delivered_at=notice.delivered_at, failed_at=None)
    elif notice.state == NoticeState.FAILED:
        invitation = invitations.get()
        if notice.key != _text_key(invitation):
            return  # told a second time: another text has followed
        withheld = notice.failure.startswith(WITHHELD)
        running = Wave.objects.filter(pk=invitation.wave_id, ends_at__gt=now).exclude(state=WaveState.CLOSED)
        sent = invitations.filter(state=InvitationState.SENT, withheld=invitation.withheld, wave__in=running)
        again = {"state": InvitationState.QUEUED, "withheld": invitation.withheld + 1, "sent_at": None}
        if withheld and sent.update(**again, asked_at=None, leave_until=None, not_before=now):
            return
        left = notice.handed_over_at is not None
        invitations.update(failed_at=notice.failed_at, **({} if left else {"asked_at": None}))
