"""Notices to customers: queued in the transaction of their cause, sent by a worker through the configured port.

Nothing is sent from inside a transaction. A process that dies between the carrier's answer and its record leaves the
notice `sending`; the next try gives the carrier the same idempotency key (the notice's id), so that an HTTP gateway
which honours it sends the text once. By e-mail such a try may bring the text twice, under the same Message-ID.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from config.fields import keyring, phone_digest
from config.statements import Row, Statement, insert, make, run
from config.values.ciphertext import digest
from config.values.email import is_email
from disputes.notices import hooks
from disputes.notices.models import Notice, NoticeChannel, NoticeState
from disputes.notices.ports import Handed, Port, Refused, Unavailable, port_of
from disputes.outbox import queue

log = structlog.get_logger(__name__)

GIVE_UP_AFTER = timedelta(hours=24)
"""Tries end so long after a notice was queued: an acknowledgement of the day before helps nobody."""
CLAIMED_FOR = timedelta(seconds=60)
"""How long one try has the notice for itself: longer than a port takes, but for a mail server that is slow at every
step."""
_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)


class StillSending(Exception):
    """Another worker is at this notice; the outbox comes again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewNotice:
    """What is to be said to whom. A notice has one (kind, subject, key): `subject` is what it is about, `key` which of
    several.

    `channel`: ``sms`` or ``email``; `address`: a phone in E.164, or an e-mail address; `language`: ``zh-hans`` or
    ``en``; `subject_line`: of an e-mail.
    """

    kind: str
    subject: uuid.UUID
    key: str
    channel: str
    address: str
    language: str
    text: str
    subject_line: str = ""


def queue_notice(new: NewNotice, *, now: datetime) -> Notice:
    """Writes a notice and its topic `notice.queued`. Needs the transaction of its cause.

    The same (kind, subject, key) again is answered with the notice that is there, unchanged. Raises ValueError for an
    address that is none.
    """
    run(*queued(new, now=now))
    return Notice.objects.get(kind=new.kind, subject=new.subject, key=new.key)


def queued(new: NewNotice, *, now: datetime) -> list[Statement]:
    """As `queue_notice`: what writes the notice and its topic unless the same one is there already, to be run
    in the transaction of its cause, which is open."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("a notice is queued in the transaction that causes it")
    notice = new_notice(new, now=now)
    topic = topic_of(notice)
    # ON CONFLICT waits for whoever writes the same notice now, so that the next statement sees which of two is there.
    telling = queue.topics(
        topic=topic["topic"],
        payloads={topic["key"]: topic["payload"]},
        where="EXISTS (SELECT FROM disputes_notice WHERE id = %s)",
        parameters=[notice.pk],
    )
    return [insert(notice, ending="ON CONFLICT DO NOTHING"), telling]


def new_notice(new: NewNotice, *, now: datetime) -> Notice:
    """As `queue_notice`: the notice, for who writes it and its topic (`topic_of`) with others. It must be the first of
    its (kind, subject, key)."""
    return make(
        Notice,
        kind=new.kind,
        subject=new.subject,
        key=new.key,
        channel=NoticeChannel(new.channel),
        address=new.address,
        address_digest=_digest_of(new.channel, new.address),
        language=new.language,
        subject_line=new.subject_line,
        text=new.text,
        queued_at=now,
    )


def topic_of(notice: Notice) -> Row:
    """The topic by which a worker hears of a notice that is queued."""
    return queue.row_of(topic="notice.queued", key=str(notice.pk), payload={"notice": str(notice.pk)})


def _digest_of(channel: str, address: str) -> bytes:
    if channel == NoticeChannel.SMS:
        if not _E164.fullmatch(address):
            raise ValueError("a phone is given in E.164")
        return phone_digest(address)
    if not is_email(address):
        raise ValueError("not an e-mail address")
    return digest(keyring(), "email", address.lower())


def send_notice(*, notice_id: uuid.UUID, now: datetime, port: Port | None = None) -> None:
    """Hands one notice to its carrier. Opens its transactions; must not be called inside one.

    1. Claims the notice by one conditional UPDATE, 2. asks the port, 3. records what became of it, unless a receipt
    was quicker. One that is handed over, delivered or given up is left alone. Raises Unavailable where another try may
    help (the outbox comes again, later and later, for GIVE_UP_AFTER), and StillSending.
    """
    claimed = Notice.objects.filter(
        pk=notice_id, state__in=[NoticeState.QUEUED, NoticeState.SENDING], claimed_until__lte=Now()
    ).update(state=NoticeState.SENDING, claimed_until=Now() + CLAIMED_FOR, attempts=F("attempts") + 1)
    notice = Notice.objects.get(pk=notice_id)
    if not claimed:
        if notice.state in (NoticeState.QUEUED, NoticeState.SENDING):
            raise StillSending(str(notice_id))
        return
    withheld = hooks.before_sending.get(notice.kind, lambda _notice, _now: "")(notice, now)
    if withheld:
        # An earlier try may have brought it to the carrier all the same.
        state = NoticeState.UNKNOWN if notice.in_doubt else NoticeState.FAILED
        _give_up(notice, state=state, why=hooks.WITHHELD + withheld, now=now)
        return
    try:
        handed = (port or port_of(notice.channel)).send(notice)
    except Refused as error:
        _give_up(notice, state=NoticeState.FAILED, why=f"refused: {error.code}", now=now)
    except Unavailable as error:
        in_doubt = notice.in_doubt or error.in_doubt
        if now - notice.queued_at >= GIVE_UP_AFTER:
            state = NoticeState.UNKNOWN if in_doubt else NoticeState.FAILED
            _give_up(notice, state=state, why=f"unavailable: {error.code}", now=now)
            return
        _ours(notice).update(
            state=NoticeState.QUEUED, claimed_until=Now(), in_doubt=in_doubt, failure=f"unavailable: {error.code}"
        )
        raise
    else:
        _record_handed(notice, handed, now=now)


def _ours(notice: Notice):  # type: ignore[no-untyped-def]  # a queryset of one row
    """The row while nobody else has written it: this try's number, and no receipt meanwhile."""
    return Notice.objects.filter(pk=notice.pk, state=NoticeState.SENDING, attempts=notice.attempts)


def _record_handed(notice: Notice, handed: Handed, *, now: datetime) -> None:
    reference = handed.reference
    if not _ours(notice).update(
        state=NoticeState.HANDED_OVER, provider_ref=reference, handed_over_at=now, in_doubt=False, failure=""
    ):
        # A receipt, or a later try after this one's claim ran out, was quicker; what it did not know is added.
        Notice.objects.filter(pk=notice.pk, provider_ref__isnull=True).update(provider_ref=reference)
        Notice.objects.filter(pk=notice.pk, handed_over_at__isnull=True).update(handed_over_at=now)
    log.info("notice_handed_over", notice=str(notice.pk), kind=notice.kind, channel=notice.channel)


def _give_up(notice: Notice, *, state: NoticeState, why: str, now: datetime) -> None:
    with transaction.atomic(durable=True):
        if _ours(notice).update(state=state, failed_at=now, failure=why[:200]):
            tell_failed(notice)
    log.warning("notice_given_up", notice=str(notice.pk), kind=notice.kind, state=str(state), why=why)


def tell_failed(notice: Notice) -> None:
    """Writes the topic `notice.failed`. Needs the transaction that records it."""
    _tell("notice.failed", notice)


def tell_delivered(notice: Notice) -> None:
    """Writes the topic `notice.delivered`. Needs the transaction that records it."""
    _tell("notice.delivered", notice)


def _tell(topic: str, notice: Notice) -> None:
    payload = {"notice": str(notice.pk), "kind": notice.kind, "subject": str(notice.subject)}
    queue.put(topic=topic, key=str(notice.pk), payload=payload)
