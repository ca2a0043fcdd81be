"""Checks of many open disputes at once, when something changes for all: a watermark, an engine, a pack.

Read, judged and written by the chunk, under the guarantees of one check: `disputes.cases.checking.record_check`. What
reads the same again writes nothing. What closes a dispute, or does not fit a chunk, is left to the single road.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
import structlog
from django.db import connection, transaction
from django.db.models import Q
from psycopg.types.json import Jsonb

from config.fields import keyring, place_of
from config.values.ciphertext import seal
from disputes.cases import lifecycle
from disputes.cases.models import Check, Dispute, Status
from disputes.cases.transactions import in_transaction
from disputes.cases.weighing import Weighed, collector_off, weigh_many
from disputes.journal.models import Event
from disputes.journal.recording import SERVICE
from disputes.notices.models import WebhookEndpoint
from disputes.notices.webhooks import announce
from disputes.outbox import queue
from disputes.outbox.models import OutboxTopic
from disputes.records.models import Message
from disputes.records.writing import copy_rows
from disputes.routing.models import RoutedCase

log = structlog.get_logger(__name__)

CHUNK = 500
JUDGED = frozenset({Status.IN_REVIEW, Status.WAITING_CUSTOMER})
"""A dispute that is still being checked for the first time enters a queue with its check: the single road does that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """Of a chunk's disputes: how many read the same again, were written, were left to the single road."""

    same: int = 0
    written: int = 0
    left: int = 0

    def __add__(self, other: Done) -> Done:
        return Done(same=self.same + other.same, written=self.written + other.written, left=self.left + other.left)


def request_open(*, why: str) -> int:
    """Asks for a new check of every open dispute, and of every closed one that waits for the records to be corrected.
    Opens its transaction. Returns how many chunks were asked for.

    One topic a chunk, so that workers share them and one that fails is tried again by itself.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM disputes_dispute "
            "WHERE status <> 'closed') AS numbered WHERE n %% %s = 1 ORDER BY id",
            [CHUNK],
        )
        firsts = [str(pk) for (pk,) in cursor.fetchall()]
        spans = zip(firsts, [*firsts[1:], None], strict=False)
        queue.put_many(
            topic="checks.chunk",
            payloads={first: {"first": first, "before": before, "why": why} for first, before in spans},
        )
        waiting = Dispute.objects.filter(status=Status.CLOSED, awaits_correction=True).values_list("pk", flat=True)
        _leave(list(waiting))
    return len(firsts)


def check_span(*, first: uuid.UUID, before: uuid.UUID | None, now: datetime) -> Done:
    """Checks the open disputes with an id from `first` on and below `before` (None: to the end). Opens its
    transactions; may be called again."""
    span = Q(pk__gte=first) & (Q(pk__lt=before) if before is not None else Q())
    ids = list(Dispute.objects.filter(span).exclude(status=Status.CLOSED).order_by("pk").values_list("pk", flat=True))
    done = Done()
    for start in range(0, len(ids), CHUNK):
        done += check_many(dispute_ids=ids[start : start + CHUNK], now=now)
    return done


def check_open(*, after: uuid.UUID | None = None, clock: Callable[[], datetime]) -> Iterator[tuple[uuid.UUID, Done]]:
    """Checks every open dispute with an id beyond `after`, here and now; yields the last id of each chunk. Opens its
    transactions; may be stopped between two chunks, and begun again after the last id that it gave."""
    while True:
        still = Dispute.objects.exclude(status=Status.CLOSED).order_by("pk").values_list("pk", flat=True)
        ids = list((still if after is None else still.filter(pk__gt=after))[:CHUNK])
        if not ids:
            return
        after = ids[-1]
        yield after, check_many(dispute_ids=ids, now=clock())


def count_chunks() -> int:
    """How many chunks the open disputes are."""
    return -(-Dispute.objects.exclude(status=Status.CLOSED).count() // CHUNK)


def check_many(*, dispute_ids: Sequence[uuid.UUID], now: datetime) -> Done:
    """Judges these disputes anew and writes what is new. Opens its transactions; may be called at any time and again.

    1. disputes, messages and revisions, and after them the histories, so that no history is older than its revision; 2.
    `judge`, pure; 3. what its newest check has read already is done with; 4. one transaction for the rest
    (`_record`); 5. what closes, moved on meanwhile or could not be judged: a topic each.
    """
    with collector_off():
        return _check_many(dispute_ids, now=now)


def _check_many(dispute_ids: Sequence[uuid.UUID], *, now: datetime) -> Done:
    waiting = _read(dispute_ids)
    fit = [one for one in waiting if one.status in JUDGED and one.message is not None]
    left = {one.pk for one in waiting} - {one.pk for one in fit}
    try:
        found = weigh_many(disputes=fit, now=now) if fit else {}
    except Exception:  # one that cannot be judged must not stop the others
        log.exception("chunk_left_for_later", first=str(fit[0].pk), count=len(fit))
        found, fit, left = {}, [], {one.pk for one in waiting}
    new = [one for one in fit if not _same(one.last_check, found[one.pk].check)]
    closing = _closing([one.pk for one in new], found)
    fresh = [one for one in new if one.pk not in closing]
    written = in_transaction(partial(_record, fresh, found, now=now)) if fresh else set()
    left |= closing | {one.pk for one in fresh} - written
    if left:
        with transaction.atomic():
            _leave(sorted(left))
    return Done(same=len(found) - len(new), written=len(written), left=len(left))


def _read(ids: Sequence[uuid.UUID]) -> list[Dispute]:
    """Open disputes with their message and the name of what their newest check has read."""
    # One array: a list of 500 parameters costs more to write than the rows to read.
    asked = Dispute.objects.extra(where=["disputes_dispute.id = ANY(%s)"], params=[list(ids)])
    rows = asked.exclude(status=Status.CLOSED).select_related("message", "last_check")
    return list(rows.only(*_READ).order_by("pk"))


_READ = (
    "status",
    "ground",
    "claimed_payments",
    "message",
    "last_check",
    "last_check__records_digest",
    "last_check__engine_version",
    *(f"message__{one.name}" for one in Message._meta.concrete_fields),
)


def _leave(ids: Iterable[uuid.UUID]) -> None:
    queue.put_many(topic="check.requested", payloads={str(pk): {"dispute": str(pk)} for pk in ids})


def _same(last: Check | None, check: Check) -> bool:
    read = None if last is None else (last.records_digest, last.engine_version)
    return read == (check.records_digest, check.engine_version)


def _closing(ids: Sequence[uuid.UUID], found: Mapping[uuid.UUID, Weighed]) -> set[uuid.UUID]:
    """Which of them the machine may close: those need their holds' lanes first, so the single road."""
    right = [
        pk for pk in ids if found[pk].check.verdict == "customer_right" and found[pk].pack.auto_close_customer_right
    ]
    if not right:
        return set()
    owned = RoutedCase.objects.filter(dispute__in=right, owner__isnull=False).values_list("dispute", flat=True)
    return set(right) - set(owned)


def _record(fresh: Sequence[Dispute], found: Mapping[uuid.UUID, Weighed], *, now: datetime) -> set[uuid.UUID]:
    """Writes the checks that are new, and what follows from them. Needs the outermost transaction. Returns which
    disputes it wrote.

    1. the loans' rows, in order: another revision than the check read → left; 2. the disputes' rows, in order: closed,
    or another check meanwhile → left; 3. checks (an earlier one of the same input is the newest again), by COPY; 4.
    the disputes, events, one topic for all, and the news to whoever listens.
    """
    revisions = _lock_loans({found[one.pk].loan for one in fresh})
    before = {one.pk: (one.status, one.last_check_id) for one in fresh}
    held = [
        pk
        for pk, status, last in _lock_disputes(list(before))
        if (status, last) == before[pk] and revisions.get(found[pk].loan, 0) == found[pk].check.loan_revision
    ]
    if not held:
        return set()
    known = _known([found[pk].check for pk in held])
    checks = {pk: known.get(pk, found[pk].check.pk) for pk in held}
    _copy_checks([found[pk].check for pk in held if pk not in known])
    _point(checks)
    said = {pk: _said(found[pk].check, checks[pk]) for pk in held}
    copy_rows(
        model=Event,
        columns=("subject_type", "subject_id", "kind", "at", "actor_type", "actor_id", "data"),
        rows=(("dispute", pk, "dispute.checked", now, SERVICE.type, SERVICE.id, _json(said[pk])) for pk in held),
    )
    queue.put(topic="disputes.checked", key=str(held[0]), payload={"disputes": [str(pk) for pk in held]})
    _announce(held, said, now=now)
    return set(held)


def _said(check: Check, id: uuid.UUID) -> dict[str, Any]:
    return {"check": str(id), "verdict": check.verdict, "cause": check.cause, "detail": check.detail}


def _lock_loans(loans: set[str]) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT external_id, revision FROM disputes_loan WHERE external_id = ANY(%s) "
            "ORDER BY external_id FOR NO KEY UPDATE",
            [sorted(loans)],
        )
        return dict(cursor.fetchall())


def _lock_disputes(ids: list[uuid.UUID]) -> list[tuple[uuid.UUID, str, uuid.UUID | None]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, status, last_check_id FROM disputes_dispute WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",
            [sorted(ids)],
        )
        return list(cursor.fetchall())


def _known(checks: Sequence[Check]) -> dict[uuid.UUID, uuid.UUID]:
    """By dispute: an earlier check of the same input by the same engine."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.dispute_id, c.id FROM unnest(%s::uuid[], %s::text[], %s::text[]) AS one(dispute, digest, engine) "
            "JOIN disputes_check c ON c.dispute_id = one.dispute AND c.records_digest = one.digest "
            "AND c.engine_version = one.engine",
            [
                [check.dispute_id for check in checks],
                [check.records_digest for check in checks],
                [check.engine_version for check in checks],
            ],
        )
        return dict(cursor.fetchall())


_CHECK = (
    "id",
    "dispute_id",
    "checked_at",
    "engine_version",
    "policy_name",
    "policy_version",
    "policy_digest",
    "loan_revision",
    "input",
    "records_digest",
    "verdict",
    "cause",
    "detail",
    "facts",
    "findings",
)


def _copy_checks(checks: Sequence[Check]) -> None:
    """By COPY, its text made here: psycopg's own way, value by value, takes as long as the database itself."""
    lines = [_check_line(check) for check in checks]
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(f"COPY disputes_check ({', '.join(_CHECK)}) FROM STDIN") as copy,
    ):
        copy.write("".join(lines))


def _check_line(check: Check) -> str:
    sealed = seal(keyring(), check.input.encode(), place=place_of("disputes_check", "input", check.pk))
    values = (
        str(check.pk),
        str(check.dispute_id),
        check.checked_at.isoformat(),
        check.engine_version,
        check.policy_name,
        check.policy_version,
        check.policy_digest,
        str(check.loan_revision),
        "\\x" + sealed.hex(),
        check.records_digest,
        check.verdict,
        check.cause,
        check.detail,
        msgspec.json.encode(check.facts).decode(),
        msgspec.json.encode(check.findings).decode(),
    )
    return "\t".join(["\\N" if value is None else _escaped(value) for value in values]) + "\n"


def _escaped(value: str) -> str:
    """As COPY reads it. A tab or a line's end stands in none of these values but as JSON writes them."""
    return value.replace("\\", "\\\\") if "\\" in value else value


def _json(value: Any) -> Jsonb:
    return Jsonb(value, dumps=msgspec.json.encode)


def _point(checks: Mapping[uuid.UUID, uuid.UUID]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE disputes_dispute d SET last_check_id = one.checked "
            "FROM unnest(%s::uuid[], %s::uuid[]) AS one(id, checked) WHERE d.id = one.id",
            [list(checks), list(checks.values())],
        )


def _announce(ids: Sequence[uuid.UUID], said: Mapping[uuid.UUID, Mapping[str, Any]], *, now: datetime) -> None:
    """Says it to the lender's systems where one listens, each dispute in its own order: first who was given it."""
    listening = WebhookEndpoint.objects.filter(enabled=True).filter(
        Q(events=[]) | Q(events__overlap=["dispute.checked", "dispute.assigned"])
    )
    if not listening.exists():
        return
    keys = [str(pk) for pk in ids]
    untold = OutboxTopic.objects.filter(topic="dispute.assigned", key__in=keys, done_at__isnull=True)
    assigned = set(untold.values_list("key", flat=True))
    for dispute in Dispute.objects.filter(pk__in=ids).select_related("last_check").order_by("pk"):
        if str(dispute.pk) in assigned:
            lifecycle.tell_assigned(dispute=dispute, now=now)
        data = {**lifecycle.announced(dispute), **said[dispute.pk]}
        announce(event="dispute.checked", key=str(dispute.pk), data=data, at=now)
