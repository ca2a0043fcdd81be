"""Permits: leave for one message. Granted by the gate alone; listed for recall, marked used, handed back here."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

import msgspec
from django.db import connection
from django.db.models.functions import Now

from config.api.fields import render_instant
from config.statements import Statement, run
from config.values.ids import floor_of, new_id
from disputes.holds.arrays import array_of_digests, array_of_ids, array_of_texts
from disputes.holds.models import Permit
from disputes.holds.scopes import covers_of_keys
from disputes.holds.stopping import HoldFact, stops
from disputes.holds.walking import GateItem
from disputes.policy.packs import Pack

LONGEST = 600
"""Seconds that a permit may be good for."""
COUNTS_FOR = timedelta(hours=24)
"""How long a permit counts as a contact without a message."""
CLOCKS_DIFFER = timedelta(hours=1)
"""An id bears the web process's clock, the rest the database's: how far apart they may be when partitions are
pruned."""


class PermitUsed(Exception):
    """A message was recorded on the permit, so it cannot be handed back (409)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PermitOut:
    """A permit that is out while a hold is placed."""

    id: uuid.UUID
    request_id: str
    loan: str | None
    channel: str
    category: str
    vendor: str
    granted_at: datetime
    expires_at: datetime

    def render(self) -> dict[str, Any]:
        """For the lender's systems, and for the feed."""
        return {
            "id": str(self.id),
            "request_id": self.request_id,
            "loan": self.loan,
            "channel": self.channel,
            "category": self.category,
            "vendor": self.vendor,
            "granted_at": render_instant(self.granted_at),
            "expires_at": render_instant(self.expires_at),
        }

    def render_bare(self) -> dict[str, Any]:
        """For a person, who learns nothing of whose loan it is."""
        return {"id": str(self.id), "expires_at": render_instant(self.expires_at)}


def permits_touched(*, keys: Iterable[str]) -> Statement:
    """What reads the permits that live and that these keys name, for `permits_covered`; to be run under the keys'
    lanes."""
    covers = covers_of_keys(keys)
    return Statement(
        "SELECT id, request_id, loan, channel, category, vendor, granted_at, expires_at,"
        " customer, phone_digest, sending_rule, reply_to, owner"
        " FROM disputes_permits_out(%s::text[], %s::text[], %s::bytea[], %s::text[], %s)",
        [
            array_of_texts(covers.loans),
            array_of_texts(covers.customers | covers.persons),
            array_of_digests(covers.phones | covers.person_phones),
            array_of_texts(covers.rules),
            # For the partitions alone: what is out is decided by the database's clock.
            timedelta(seconds=LONGEST) + CLOCKS_DIFFER,
        ],
    )


def permits_covered(
    *, keys: Sequence[str], hold: HoldFact, pack: Pack, touched: Statement | None = None
) -> tuple[PermitOut, ...]:
    """The permits that live and that a hold of these keys would have denied, oldest first. Needs the keys' lanes.
    `touched`: of these keys, where they were read already.

    One that was handed back is out no longer; one whose message is recorded already is listed all the same. A permit
    for a loan that has moved since it was granted is found by the loan's owner of now, as the gate would find him.
    """
    if touched is None:
        touched = permits_touched(keys=keys)
        run(touched)
    if not touched.rows:
        return ()
    covers = covers_of_keys(keys)
    out: dict[uuid.UUID, PermitOut] = {}
    for *shown, customer, phone, rule, reply_to, owner in touched.rows:
        permit = PermitOut(**dict(zip(_SHOWN, shown, strict=True)))
        covered = (
            permit.loan in covers.loans
            or owner in covers.customers
            or customer in covers.customers
            or bytes(phone) in covers.phones
            or rule in covers.rules
        )
        if stops(
            hold=hold,
            category=permit.category,
            loan=permit.loan,
            surveys_only=not covered,
            pack=pack,
            answers_own_message=reply_to is not None,
        ):
            out[permit.id] = permit
    return tuple(sorted(out.values(), key=lambda one: (one.granted_at, one.id)))


_SHOWN = [one.name for one in fields(PermitOut)]


def _clock_timestamp() -> Any:
    from django.db.models import DateTimeField, Func

    return Func(function="clock_timestamp", output_field=DateTimeField())


class Grant(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A permit to be written, for an item as the gate read it, under its lanes. `reply_to`: the person's own message
    that it answers."""

    id: uuid.UUID
    item: GateItem
    customer: str | None
    reply_to: str | None
    granted_at: datetime
    expires_at: datetime


def new_permit_id() -> uuid.UUID:
    return new_id()


def write_grants(*, caller: str, grants: Sequence[Grant]) -> None:
    """Writes permits, in one statement. Needs the transaction that holds their lanes."""
    if not grants:
        return
    if len(grants) == 1:
        # Plain values are read and planned in less time than a set of one.
        with connection.cursor() as cursor:
            cursor.execute(_WRITE_ONE, [caller, *_values(grants[0])])
        return
    given, columns = [caller], []
    for field, _, kind in _GRANTED:
        values = list(map(attrgetter(field), grants))
        # What all have in common is stated once.
        if values.count(values[0]) == len(values):
            given.append(values[0])
            columns.append(f"%s::{kind}")
        else:
            given.append(_ARRAYS.get(kind, array_of_texts)(values))
            columns.append(f"unnest(%s::{kind}[])")
    with connection.cursor() as cursor:
        cursor.execute(f"{_WRITE} SELECT %s, {', '.join(columns)}", given)


_GRANTED = (
    ("id", "id", "uuid"),
    ("item.request_id", "request_id", "text"),
    ("granted_at", "granted_at", "timestamptz"),
    ("expires_at", "expires_at", "timestamptz"),
    ("item.phone", "phone_digest", "bytea"),
    ("item.loan", "loan", "text"),
    ("customer", "customer", "text"),
    ("item.channel", "channel", "text"),
    ("item.category", "category", "text"),
    ("item.sending_rule", "sending_rule", "text"),
    ("item.vendor", "vendor", "text"),
    ("reply_to", "reply_to", "text"),
)
"""A grant's fields, with their columns and those columns' types."""
_values = attrgetter(*(field for field, _, _ in _GRANTED))
_ARRAYS: Mapping[str, Callable[[Any], str]] = {"bytea": array_of_digests, "uuid": array_of_ids}
_WRITE = f"INSERT INTO disputes_permit (caller, {', '.join(column for _, column, _ in _GRANTED)})"
_WRITE_ONE = f"{_WRITE} VALUES (%s{', %s' * len(_GRANTED)})"


def hand_back(*, permit: uuid.UUID, caller: str) -> datetime:
    """The permit's message will not be sent: its slot under the caps is free again. Returns since when.

    `caller`: who hands it back. Only whoever it was granted to knows whether its message goes out: to others it is not
    there. Opens no transaction: one conditional UPDATE, so that a message that is recorded at the same moment wins.
    Again: the same answer. Raises Permit.DoesNotExist, PermitUsed.
    """
    own = Permit.objects.filter(pk=permit, caller=caller)
    own.filter(unused_at__isnull=True, message__isnull=True).update(unused_at=Now())
    row = own.only("unused_at", "message").get()
    if row.unused_at is None:
        raise PermitUsed()
    unused_at: datetime = row.unused_at
    return unused_at


def hand_back_expired(*, caller: str, request_id: str, since: datetime) -> int:
    """Hands back what a request was granted, no earlier than `since`, and did not use in time: asked again, it is given
    another. One UPDATE; opens no transaction. Returns how many."""
    granted = Permit.objects.filter(caller=caller, request_id=request_id, pk__gte=floor_of(since - CLOCKS_DIFFER))
    left = granted.filter(expires_at__lte=_clock_timestamp(), unused_at__isnull=True, message__isnull=True)
    return left.update(unused_at=Now())


def mark_used(messages: Iterable[Any]) -> int:
    """Messages that were recorded bring their permits back: each then counts as its message, not twice.

    `messages`: with `permit` (what the sender named: maybe nonsense), `external_id`, `sent_at`, `phone_digest`, `loan`,
    `channel` and `category`. Set-based; needs the import's transaction. The first message of a permit stays its own; a
    permit that was handed back becomes a contact again through the message alone. A message that names a permit which
    was granted for another (`disputes.check.permitting`) does not use it: that one's slot stays taken, and its own
    message, when it comes, is none too many. Returns how many were marked.
    """
    rows: dict[tuple[object, ...], dict[str, str | None]] = {}
    for message in messages:
        permit = _as_uuid(message.permit)
        if permit is None or message.sent_at is None:
            continue
        phone = None if message.phone_digest is None else bytes(message.phone_digest).hex()
        row = {
            "id": permit,
            "phone": phone,
            "loan": message.loan,
            "channel": message.channel,
            "category": message.category,
        }
        rows.setdefault(tuple(row.values()), {**row, "message": message.external_id, "at": message.sent_at.isoformat()})
    if not rows:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE disputes_permit AS permit SET message = brought.message, used_at = brought.at
            FROM jsonb_to_recordset(%s::jsonb) AS brought
                (id uuid, message text, at timestamptz, phone text, loan text, channel text, category text)
            WHERE permit.id = brought.id AND permit.message IS NULL
                AND (brought.phone IS NULL OR permit.phone_digest = decode(brought.phone, 'hex'))
                AND (permit.loan IS NULL OR permit.loan = brought.loan)
                AND permit.channel = brought.channel AND permit.category = brought.category
            """,
            [json.dumps(list(rows.values()))],
        )
        return int(cursor.rowcount)


def _as_uuid(text: str | None) -> str | None:
    try:
        return str(uuid.UUID(text)) if text else None
    except ValueError:
        return None
