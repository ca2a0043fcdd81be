"""Writing to the journal."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from config.statements import Row, Statement, run
from disputes.journal.models import Event


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who acts: ``customer`` (id: external id), ``client`` (a system's client id), ``phone``, ``user`` or
    ``service``."""

    type: str
    id: str = ""


SERVICE = Actor(type="service")


def event_row(
    *,
    subject_type: str,
    subject_id: uuid.UUID,
    kind: str,
    actor: Actor,
    at: datetime,
    data: Mapping[str, Any] | None = None,
) -> Row:
    """The row of one event, for who writes it with others. `data` holds no personal data: ids, codes, instants."""
    return {
        "subject_type": subject_type,
        "subject_id": subject_id,
        "kind": kind,
        "at": at,
        "actor_type": actor.type,
        "actor_id": actor.id,
        "data": dict(data or {}),
    }


def written(row: Row) -> Statement:
    """What writes an `event_row`, to be run in the transaction of what it tells of."""
    return Statement(_WRITTEN, [*list(row.values())[:-1], json.dumps(row["data"])])


_WRITTEN = (
    "INSERT INTO disputes_event (subject_type, subject_id, kind, at, actor_type, actor_id, data)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s)"
)


def record_event(
    *,
    subject_type: str,
    subject_id: uuid.UUID,
    kind: str,
    actor: Actor,
    at: datetime,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Writes one event. Needs the transaction of what it tells of. `data` as in `event_row`."""
    row = event_row(subject_type=subject_type, subject_id=subject_id, kind=kind, actor=actor, at=at, data=data)
    run(written(row))


def record_events(
    *, subject_type: str, kind: str, actor: Actor, at: datetime, data: Mapping[uuid.UUID, Mapping[str, Any]]
) -> None:
    """Writes one event of the same kind for each subject, in one statement. As `record_event` otherwise."""
    rows: Iterable[Event] = (
        Event(
            subject_type=subject_type,
            subject_id=subject,
            kind=kind,
            at=at,
            actor_type=actor.type,
            actor_id=actor.id,
            data=dict(said),
        )
        for subject, said in data.items()
    )
    Event.objects.bulk_create(rows)
