"""What permits and holds say of messages that went out: for the check, which judges a message after the fact."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from django.db import connection

from disputes.check.facts import History, PermitFact, StandingHold
from disputes.check.permitting import is_for_another
from disputes.check.versions import true_at
from disputes.holds.models import Permit
from disputes.holds.policies import pack_in_force
from disputes.holds.scopes import stops_messages
from disputes.holds.stopping import HoldFact, stops
from disputes.records.models import Message


def permits_of(*, messages: Sequence[Message]) -> dict[uuid.UUID, tuple[PermitFact, ...]]:
    """By message: the permit that it names, where the gate granted one of that name. Two statements.

    Whose a permit is does not hang on which message arrived first: of the messages that name it, and that it was
    granted for, the one sent first (ties by id) used it.
    """
    named = {one.pk: found for one in messages if (found := _as_uuid(one.permit)) is not None}
    if not named:
        return {}
    permits = {row.pk: row for row in Permit.objects.filter(pk__in=set(named.values()))}
    texts = {one.permit for one in messages if one.pk in named}
    users: dict[uuid.UUID, tuple[datetime, str]] = {}
    brought = Message.objects.filter(permit__in=texts, permit__isnull=False, voided=False)
    brought = brought.only("permit", "sent_at", "external_id", "phone_digest", "loan", "channel", "category")
    for message in brought:
        permit, sent_at, external_id = _as_uuid(message.permit), message.sent_at, message.external_id
        if permit is None or sent_at is None or permit not in permits or not _is_for(permits[permit], message):
            continue
        before = users.get(permit)
        users[permit] = (sent_at, external_id) if before is None else min(before, (sent_at, external_id))
    return {
        pk: (_fact(permits[permit], used_by=users[permit][1] if permit in users else permits[permit].message),)
        for pk, permit in named.items()
        if permit in permits
    }


def _is_for(permit: Permit, message: Message) -> bool:
    """By the check's own rule (`disputes.check.permitting`)."""
    return not is_for_another(
        permit=_fact(permit, used_by=None),
        phone=None if message.phone_digest is None else bytes(message.phone_digest).hex(),
        loan=message.loan,
        channel=message.channel,
        category=message.category,
    )


def _fact(permit: Permit, *, used_by: str | None) -> PermitFact:
    return PermitFact(
        id=str(permit.pk),
        granted_at=permit.granted_at,
        expires_at=permit.expires_at,
        phone=bytes(permit.phone_digest).hex(),
        loan=permit.loan,
        channel=permit.channel,
        category=permit.category,
        used_by=used_by,
        unused_at=permit.unused_at,
        reply_to=permit.reply_to,
    )


def _as_uuid(text: str | None) -> uuid.UUID | None:
    with suppress(ValueError):
        return uuid.UUID(text) if text else None
    return None


def holds_over(
    *, messages: Sequence[Message], histories: Mapping[str, History]
) -> dict[uuid.UUID, tuple[StandingHold, ...]]:
    """By message: the holds that covered it at the instant sent and stop its category, oldest first. Two statements.

    The customer is whose loan it was then, with all that is known today. When a hold was released is left out: it
    stood. What the pack lets through to an opted-out number, the one answer to its own message among it, was not held.
    """
    asked: list[tuple[uuid.UUID, datetime, str]] = []
    by_id = {one.pk: one for one in messages}
    for one in messages:
        if one.sent_at is not None:
            asked += [(one.pk, one.sent_at, key) for key in _keys(one, histories.get(one.loan or ""))]
    if not asked:
        return {}
    answering = _answering(messages)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT one.message, h.id, h.source, h.reason, h.why, c.key, c.since
            FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[]) AS one(message, at, key)
            JOIN disputes_holdcover c ON c.key = one.key
                AND c.since <= one.at AND (c.released_at IS NULL OR c.released_at > one.at)
            JOIN disputes_hold h ON h.id = c.hold_id
            ORDER BY one.message, c.since, h.id
            """,
            [[row[0] for row in asked], [row[1] for row in asked], [row[2] for row in asked]],
        )
        found: dict[uuid.UUID, dict[uuid.UUID, StandingHold]] = defaultdict(dict)
        for message_id, hold_id, source, reason, why, key, since in cursor.fetchall():
            message = by_id[message_id]
            if message.sent_at is None or not stops(
                hold=HoldFact(reason=reason, source=source, why=why),
                category=message.category,
                loan=message.loan,
                surveys_only=not stops_messages(key),
                pack=pack_in_force(at=message.sent_at),
                answers_own_message=message_id in answering,
            ):
                continue
            # The key that covered it first.
            found[message_id].setdefault(
                hold_id, StandingHold(id=str(hold_id), source=source, reason=reason, since=since)
            )
    return {message_id: tuple(holds.values()) for message_id, holds in found.items()}


def _answering(messages: Sequence[Message]) -> set[uuid.UUID]:
    """Those whose permit is of the one answer to the person's own message."""
    named = {one.pk: permit for one in messages if (permit := _as_uuid(one.permit)) is not None}
    if not named:
        return set()
    answers = set(Permit.objects.filter(pk__in=named.values(), reply_to__isnull=False).values_list("pk", flat=True))
    return {pk for pk, permit in named.items() if permit in answers}


def _keys(message: Message, history: History | None) -> list[str]:
    keys = []
    owner = (
        true_at(list(history.loans), message.sent_at, None) if history and history.loans and message.sent_at else None
    )
    if owner is not None:
        keys += [f"{kind}:{owner.customer}" for kind in ("c", "sc")]
    if message.loan is not None:
        keys.append(f"l:{message.loan}")
    if message.phone_digest is not None:
        phone = bytes(message.phone_digest).hex()
        keys += [f"p:{phone}", f"sp:{phone}"]
    if message.sending_rule is not None:
        keys.append(f"r:{message.sending_rule}")
    return keys
