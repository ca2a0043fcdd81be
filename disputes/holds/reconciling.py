"""Reconciling: which sends of a carrier's delivery file went past the gate.

A send is explained by a permit for its number that lived then and was not handed back, or by a record of a message to
it. One permit, with the message that brought it back, explains one send, as does one message. The whole file is staged
in a temporary table and looked at a share of its numbers at a time: all sends to one number are together, so that the
order of the file bears on nothing, and memory does not grow with it.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from config.values.ids import floor_of
from disputes.holds.models import Permit
from disputes.holds.permits import CLOCKS_DIFFER, LONGEST

SLOTS = 2**24
"""Numbers are spread over so many slots by their digest; a share is a run of slots."""
SHARE = 20_000
"""Sends of one share, about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Send:
    """One line of the file. `phone`: the number's digest, `masked`: what may be shown of it; `at`: when it was sent, on
    the service's clock; `permit`: as the file names it. Fields that the file does not have are empty."""

    line: int
    phone: bytes
    masked: str
    at: datetime
    id: str = ""
    vendor: str = ""
    permit: str = ""
    short_ref: str = ""
    status: str = ""

    @property
    def slot(self) -> int:
        """By the digest's own bytes; the first names its key."""
        return int.from_bytes(self.phone[1:4], "big")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A send that nothing explains. `why`: ``nothing`` (no permit and no message near it), ``taken`` (what was near it
    explains another send), ``unknown_permit`` ``other_number`` ``not_live`` ``returned`` (what is wrong with the permit
    that it names)."""

    send: Send
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """What came of one share. `repeated`: lines of a send that the share has already; `sends`: by vendor, without
    them."""

    found: Sequence[Found]
    sends: dict[str, int]
    repeated: int


def open_stage() -> None:
    """Makes the temporary table that sends are staged in; it goes with the connection."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS reconciled")
        cursor.execute(
            "CREATE TEMP TABLE reconciled (line bigint, slot int, phone bytea, masked text, at timestamptz, id text,"
            " vendor text, permit text, short_ref text, status text)"
        )


def stage(sends: Iterable[Send]) -> int:
    """Stages sends by COPY. Returns how many."""
    count = 0
    with connection.cursor() as cursor, cursor.copy("COPY reconciled FROM STDIN") as copy:
        for one in sends:
            copy.write_row(
                (
                    one.line,
                    one.slot,
                    one.phone,
                    one.masked,
                    one.at,
                    one.id,
                    one.vendor,
                    one.permit,
                    one.short_ref,
                    one.status,
                )
            )
            count += 1
    return count


def close_stage() -> None:
    """Once all is staged: what finds a share's sends."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX ON reconciled (slot)")
        cursor.execute("ANALYZE reconciled")


def share_of(*, share: int, shares: int) -> tuple[int, int]:
    """[first, end) of the slots of one of so many shares."""
    return share * SLOTS // shares, (share + 1) * SLOTS // shares


# A permit and the message that brought it back are one: `unit` is the permit's id, or that of a message without one.
_NEAR = r"""
WITH sends AS MATERIALIZED (
    SELECT *, at - make_interval(secs => %(slack)s) AS early, at + make_interval(secs => %(slack)s) AS late,
        CASE WHEN permit ~* '^\{?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\}?$' THEN permit::uuid END AS named
    FROM reconciled WHERE slot >= %(first)s AND slot < %(end)s
), near AS (
    SELECT sends.line, permit.id AS unit, permit.expires_at AS until, permit.id = sends.named AS sure
    FROM sends JOIN disputes_permit AS permit ON permit.phone_digest = sends.phone
        AND permit.granted_at <= sends.late AND permit.granted_at > sends.early - make_interval(secs => %(longest)s)
    WHERE permit.id BETWEEN %(floor)s AND %(ceiling)s AND permit.expires_at >= sends.early
        AND permit.unused_at IS NULL AND (sends.permit = '' OR permit.id = sends.named)
    UNION ALL
    SELECT message.line, coalesce(permit.id, message.id), message.until, message.sure
    FROM (
        SELECT sends.line, sends.named, sends.permit AS says, message.id, message.external_id,
            message.sent_at + make_interval(secs => %(slack)s) AS until,
            (message.short_ref <> '' AND message.short_ref = sends.short_ref)
                OR message.external_id = sends.id COLLATE "C" AS sure,
            CASE WHEN message.permit ~* '^\{?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\}?$'
                THEN message.permit::uuid END AS brought
        FROM sends JOIN disputes_message AS message ON message.phone_digest = sends.phone
            AND message.sent_at BETWEEN sends.early AND sends.late
        WHERE NOT message.voided
    ) AS message
    LEFT JOIN disputes_permit AS permit ON permit.id = message.brought AND permit.message = message.external_id
    WHERE message.says = '' OR message.brought IS NULL OR message.brought = message.named
), grouped AS (
    SELECT line, array_agg(unit) AS units, array_agg(until) AS until, array_agg(coalesce(sure, false)) AS sure
    FROM near GROUP BY line
)
SELECT sends.line, sends.phone, sends.masked, sends.at, sends.id, sends.vendor, sends.permit, sends.short_ref,
    sends.status, grouped.units, grouped.until, grouped.sure
FROM sends LEFT JOIN grouped ON grouped.line = sends.line
ORDER BY sends.phone, sends.at, sends.line
"""


def look_at_share(*, share: int, shares: int, tolerance: timedelta, span: tuple[datetime, datetime]) -> Looked:
    """Explains the sends of one share. `tolerance`: how far a send may lie outside a permit's life, or from a message's
    instant; `span`: the first and the last instant of all sends. One statement, and one more where something is found.
    """
    first, end = share_of(share=share, shares=shares)
    margin = tolerance + timedelta(seconds=LONGEST) + CLOCKS_DIFFER
    with connection.cursor() as cursor:
        cursor.execute(
            _NEAR,
            {
                "first": first,
                "end": end,
                "slack": tolerance.total_seconds(),
                "longest": LONGEST,
                "floor": floor_of(span[0] - margin),
                "ceiling": floor_of(span[1] + margin),
            },
        )
        rows = cursor.fetchall()
    sends, near, repeated = _distinct(rows)
    counts: dict[str, int] = defaultdict(int)
    for one in sends:
        counts[one.vendor] += 1
    left = _unexplained(sends, near)
    return Looked(found=_told(left, near, tolerance), sends=dict(counts), repeated=repeated)


Near = dict[int, dict[uuid.UUID, tuple[bool, datetime]]]
"""By line: what may explain it, whether it is surely that, and until when it could explain a send."""


def _distinct(rows: Sequence[Sequence[Any]]) -> tuple[list[Send], Near, int]:
    """The sends, oldest first for each number. A carrier may tell of one send on several lines (accepted, delivered):
    those of one number and id are the first of them."""
    sends, seen, repeated = [], set(), 0
    near: Near = {}
    for line, phone, masked, at, id_, vendor, permit, short_ref, status, units, until, sure in rows:
        key = (bytes(phone), id_)
        if id_ and key in seen:
            repeated += 1
            continue
        seen.add(key)
        sends.append(
            Send(
                line=line,
                phone=bytes(phone),
                masked=masked,
                at=at,
                id=id_,
                vendor=vendor,
                permit=permit,
                short_ref=short_ref,
                status=status,
            )
        )
        found = near.setdefault(line, {})
        for unit, last, certain in zip(units or (), until or (), sure or ()):
            before = found.get(unit, (False, last))
            found[unit] = (before[0] or certain, max(before[1], last))
    return sends, near, repeated


def _unexplained(sends: Sequence[Send], near: Near) -> list[Send]:
    """What is left when each takes one: first those that name theirs, then the others, oldest first, each what ends
    soonest. As many as can be are explained, whatever the order of the file."""
    taken: set[uuid.UUID] = set()
    left = []
    for one in sends:
        certain = sorted(unit for unit, (sure, _) in near[one.line].items() if sure and unit not in taken)
        if certain:
            taken.add(certain[0])
        else:
            left.append(one)
    unexplained = []
    for one in left:
        free = sorted((until, unit) for unit, (_, until) in near[one.line].items() if unit not in taken)
        if free:
            taken.add(free[0][1])
        else:
            unexplained.append(one)
    return unexplained


def _told(left: Sequence[Send], near: Near, tolerance: timedelta) -> list[Found]:
    named = {one.line: permit for one in left if (permit := _as_uuid(one.permit)) is not None}
    permits = {row.pk: row for row in Permit.objects.filter(pk__in=set(named.values()))} if named else {}

    def why(one: Send) -> str:
        if near[one.line]:
            return "taken"
        if not one.permit:
            return "nothing"
        permit = permits.get(named[one.line]) if one.line in named else None
        if permit is None:
            return "unknown_permit"
        if bytes(permit.phone_digest) != one.phone:
            return "other_number"
        return "returned" if permit.unused_at is not None else "not_live"

    return [Found(send=one, why=why(one)) for one in left]


def _as_uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def span_of_stage() -> tuple[datetime, datetime] | None:
    """The first and the last instant of what is staged; None where nothing is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(at), max(at) FROM reconciled")
        first, last = cursor.fetchone()
    return None if first is None else (first, last)
