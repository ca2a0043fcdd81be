"""Keeping what people text back: once, whatever comes of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from config.fields import keyring, phone_digest
from config.values.ciphertext import digest
from disputes.inbound.models import InboundKind, InboundMessage


class OtherText(Exception):
    """This caller delivered another text under the same id (422)."""


def keep(
    *,
    caller: str,
    external_id: str,
    phone: str,
    text: str,
    received_at: datetime,
    now: datetime,
    to: str = "",
    vendor: str = "",
) -> tuple[InboundMessage, bool]:
    """Writes one text, and says whether it is new; needs a transaction. `phone`: E.164.

    Of two deliveries at once the second waits for the first to commit, and finds it answered. Raises OtherText.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("a text is kept in the transaction of what comes of it")
    content = digest(keyring(), "inbound", f"{phone}\0{text}")
    said = InboundMessage(
        caller=caller,
        external_id=external_id,
        content=content,
        phone=phone,
        phone_digest=phone_digest(phone),
        text=text,
        to=to,
        vendor=vendor,
        received_at=received_at,
        recorded_at=now,
    )
    # ON CONFLICT waits for whoever writes the same text now, so that the next statement sees which of two is there.
    InboundMessage.objects.bulk_create([said], ignore_conflicts=True)
    [stored] = InboundMessage.objects.filter(caller=caller, external_id=external_id)
    if bytes(stored.content) != content:
        raise OtherText(external_id)
    return stored, stored.pk == said.pk


def mark_read(*, ids: Iterable[UUID], by: str, now: datetime) -> int:
    """Notes that a person has read texts that were kept. Opens no transaction; returns how many were unread."""
    return unread().filter(pk__in=list(ids)).update(read_at=now, read_by=by[:200])


def unread() -> QuerySet[InboundMessage]:
    """Texts that were kept and that a person has still to read; an index has just these."""
    return InboundMessage.objects.filter(kind=InboundKind.KEPT, read_at__isnull=True)


def said_until(*, phone: bytes, holds: Iterable[UUID]) -> dict[UUID, datetime]:
    """Hold → when its person last said so by text, of those that texts placed or confirmed."""
    rows = InboundMessage.objects.filter(phone_digest=phone, kind=InboundKind.OPT_OUT, hold__in=list(holds))
    found: dict[UUID, datetime] = {}
    for hold, at in rows.values_list("hold", "received_at"):
        if hold is not None:
            found[hold] = max(at, found.get(hold, at))
    return found
