"""Messages that went out without a valid permit, or against a hold: found as they arrive, counted for supervisors.

The rule is the check's own (`disputes.check.permitting`). An import notes which messages came or changed; beat looks at
them after the import, since a look reads permits, holds and owners. What is found hangs on what is known when it is
looked at, not on the order in which message, permit and correction came.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from config.api.locks import NAMESPACE, UNAUTHORISED_SENDS
from disputes.check.facts import Claim, History
from disputes.check.matter import matter_of
from disputes.check.permitting import is_unauthorised, permit_faults
from disputes.holds.models import UnauthorisedSearch, UnauthorisedSend
from disputes.holds.policies import pack_in_force
from disputes.holds.sending import holds_over, permits_of
from disputes.records import queries as records
from disputes.records.models import Message

LOOKED_AT = 1_000
"""Messages of one transaction."""
AT_MOST = 50_000
"""Messages of one round: the rest waits for the next."""
_CLAIM = Claim(ground="other")
"""What the customer says bears nothing on whether there was a permit."""


def note_sends(messages: Sequence[Message]) -> None:
    """Notes messages to be looked at, and all that name a permit which one of them ever named: of two on one permit the
    first has it, whichever of them changed. One statement, which waits for nobody; needs the import's transaction.
    Nothing where messages need no permit."""
    since = settings.GATE_REQUIRED_FROM
    if since is None:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO disputes_sendtolookat (message)
            SELECT unnest(%(ids)s::uuid[])
            UNION
            SELECT other.id FROM disputes_messageversion AS named
            JOIN disputes_message AS other ON other.permit = named.permit
            WHERE named.external_id = ANY (%(names)s::text[]) AND named.permit IS NOT NULL
            """,
            {"ids": [one.pk for one in messages], "names": [one.external_id for one in messages]},
        )


def look_at_sends(*, now: datetime, at_most: int = AT_MOST) -> int:
    """Looks at what was noted, and notes all messages since GATE_REQUIRED_FROM where that came to be earlier. Returns
    how many were looked at.

    Opens its transactions, LOOKED_AT messages each. Where another process does it already, it leaves it to that one.
    """
    if settings.GATE_REQUIRED_FROM is None:
        return 0
    _note_earlier(settings.GATE_REQUIRED_FROM)
    looked = 0
    while looked < at_most:
        found = _look(now)
        looked += found
        if not found:
            break
    return looked


def _note_earlier(since: datetime) -> None:
    """Once for each earlier `since`: the messages that were none of anybody's business until then."""
    with transaction.atomic():
        if not _alone():
            return
        known = UnauthorisedSearch.objects.values_list("since", flat=True).first()
        if known is not None and known <= since:
            return
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO disputes_sendtolookat (message)
                SELECT id FROM disputes_message WHERE sent_at >= %s AND (%s::timestamptz IS NULL OR sent_at < %s)
                """,
                [since, known, known],
            )
        UnauthorisedSearch.objects.update_or_create(pk=1, defaults={"since": since})


def _alone() -> bool:
    """Whether this transaction has the look for itself, until it ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [NAMESPACE, UNAUTHORISED_SENDS])
        return bool(cursor.fetchone()[0])


def _look(now: datetime) -> int:
    """One transaction. 1. the lock; 2. takes away what was noted; 3. reads the messages in the next statement, so that
    whatever changed before was noted is seen, and what changes after is noted anew; 4. writes what is so, and takes
    away what is so no longer."""
    with transaction.atomic():
        if not _alone():
            return 0
        with connection.cursor() as cursor:
            cursor.execute(
                """
                DELETE FROM disputes_sendtolookat WHERE id IN (
                    SELECT id FROM disputes_sendtolookat ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
                RETURNING message
                """,
                [LOOKED_AT],
            )
            noted = [row[0] for row in cursor.fetchall()]
        ids = set(noted)
        messages = list(Message.objects.filter(pk__in=ids, voided=False, sent_at__gte=settings.GATE_REQUIRED_FROM))
        found = faults_of(messages=messages)
        UnauthorisedSend.objects.filter(pk__in=ids - set(found)).delete()
        UnauthorisedSend.objects.bulk_create(
            [_row(one, found[one.pk], now) for one in messages if one.pk in found],
            update_conflicts=True,
            unique_fields=["message"],
            update_fields=["sent_at", "vendor", "sending_rule", "category", "faults"],
        )
        return len(noted)


def _row(message: Message, faults: tuple[str, ...], now: datetime) -> UnauthorisedSend:
    return UnauthorisedSend(
        message=message,
        sent_at=message.sent_at or now,
        vendor=message.vendor,
        sending_rule=message.sending_rule or "",
        category=message.category,
        faults=list(faults),
        found_at=now,
    )


def faults_of(*, messages: Sequence[Message]) -> dict[uuid.UUID, tuple[str, ...]]:
    """What was missing, by message, in the check's words and order; authorised ones are left out. In a number of
    statements that does not depend on how many there are. Every message was sent."""
    if not messages:
        return {}
    histories = records.histories(loans={one.loan for one in messages if one.loan})
    permits = permits_of(messages=messages)
    holds = holds_over(messages=messages, histories=histories)
    found = {}
    for one in messages:
        if one.sent_at is None:
            continue
        matter = matter_of(
            history=History(
                loan=one.loan or "",
                lender_time_zone=settings.LENDER_TIME_ZONE,
                permits=permits.get(one.pk, ()),
                holds=holds.get(one.pk, ()),
                gate_required_from=settings.GATE_REQUIRED_FROM,
            ),
            message=records.collection_message(one),
            claim=_CLAIM,
            pack=pack_in_force(at=one.sent_at),
        )
        if is_unauthorised(matter):
            found[one.pk] = permit_faults(matter)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """How many sends of one vendor and sending rule (empty: none named) had no valid permit. `faults`: the first that
    was missing of each, with how many; `last`: the latest."""

    vendor: str
    sending_rule: str
    count: int
    faults: tuple[tuple[str, int], ...]
    last: datetime


def sends(
    *,
    start: datetime,
    end: datetime,
    vendor: str | None = None,
    sending_rule: str | None = None,
    fault: str | None = None,
) -> QuerySet[UnauthorisedSend]:
    """The sends of [start, end), newest first; of a vendor, a sending rule or what was missing first, where one is
    named (an empty name is that of none). Those from before GATE_REQUIRED_FROM, which may have moved, are left out."""
    since = settings.GATE_REQUIRED_FROM
    if since is None:
        return UnauthorisedSend.objects.none()
    found = UnauthorisedSend.objects.filter(sent_at__gte=max(start, since), sent_at__lt=end)
    if vendor is not None:
        found = found.filter(vendor=vendor)
    if sending_rule is not None:
        found = found.filter(sending_rule=sending_rule)
    if fault is not None:
        found = found.filter(faults__0=fault)
    return found.order_by("-sent_at", "message")


def count_by_group(*, start: datetime, end: datetime) -> list[Group]:
    """By vendor and sending rule, the most first. One statement."""
    rows = _counted(start, end, "vendor, sending_rule")
    found: dict[tuple[str, str], list[tuple[str, int, datetime]]] = {}
    for vendor, rule, fault, count, last in rows:
        found.setdefault((vendor, rule), []).append((fault, count, last))
    groups = [
        Group(
            vendor=vendor,
            sending_rule=rule,
            count=sum(count for _, count, _ in parts),
            faults=tuple(sorted(((fault, count) for fault, count, _ in parts), key=lambda row: (-row[1], row[0]))),
            last=max(last for _, _, last in parts),
        )
        for (vendor, rule), parts in found.items()
    ]
    return sorted(groups, key=lambda one: (-one.count, one.vendor, one.sending_rule))


def count_by_day(*, start: datetime, end: datetime) -> list[tuple[date, str, int]]:
    """(day of the lender's zone, vendor, how many), oldest first. One statement."""
    rows = _counted(start, end, "(sent_at AT TIME ZONE %(zone)s)::date, vendor")
    found: dict[tuple[date, str], int] = {}
    for day, vendor, _, count, _ in rows:
        found[day, vendor] = found.get((day, vendor), 0) + count
    return [(day, vendor, count) for (day, vendor), count in sorted(found.items())]


def _counted(start: datetime, end: datetime, by: str) -> list[tuple[Any, ...]]:
    since = settings.GATE_REQUIRED_FROM
    if since is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {by}, faults[1], count(*), max(sent_at) FROM disputes_unauthorisedsend"
            " WHERE sent_at >= %(start)s AND sent_at < %(end)s GROUP BY 1, 2, 3",
            {"start": max(start, since), "end": end, "zone": settings.LENDER_TIME_ZONE},
        )
        return cursor.fetchall()
