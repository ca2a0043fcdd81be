"""What disputes wait to hear of from the import, counted so that two disputes may watch one thing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import connection

from config.statements import Statement, run
from disputes.outbox import queue

AFTER = "closed:"
"""Begins the key of a loan whose late records a closed dispute waits for."""


def watch(*, keys: Iterable[str]) -> None:
    """Counts each key once more. Needs the caller's transaction. Keys as in `Watch`."""
    if wanted := set(keys):
        run(watched(keys=wanted))


def watched(*, keys: Iterable[str]) -> Statement:
    """What counts each key once more, to be run in the caller's transaction."""
    return Statement(
        "INSERT INTO disputes_watch AS w (key, count) SELECT k, 1 FROM unnest(%s::text[]) AS k ORDER BY k"
        " ON CONFLICT (key) DO UPDATE SET count = w.count + EXCLUDED.count",
        [sorted(set(keys))],
    )


def unwatch(*, keys: Iterable[str]) -> None:
    """Counts each key once less, and forgets those that nobody watches any more. Needs the caller's transaction."""
    wanted = sorted(set(keys))
    if not wanted:
        return
    with connection.cursor() as cursor:
        # In key order, so that two disputes that let go of the same keys at once cannot wait for each other.
        cursor.execute("SELECT key FROM disputes_watch WHERE key = ANY(%s) ORDER BY key FOR UPDATE", [wanted])
        cursor.execute("UPDATE disputes_watch SET count = count - 1 WHERE key = ANY(%s) AND count > 0", [wanted])
        cursor.execute("DELETE FROM disputes_watch WHERE key = ANY(%s) AND count <= 0", [wanted])


def tell_of_late(*, loans: Iterable[str], received_at: datetime) -> None:
    """`loan.changed.after`, one topic for all of these loans that a closed dispute was about. Needs the import's
    transaction, after the loans' rows were locked. `received_at`: of the versions that it added."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT substr(key, %s) FROM disputes_watch WHERE key = ANY(%s) ORDER BY key",
            [len(AFTER) + 1, [AFTER + loan for loan in sorted(loans)]],
        )
        late = [loan for (loan,) in cursor.fetchall()]
    if late:
        said = {"loans": late, "received_at": received_at.isoformat()}
        queue.put(topic="loan.changed.after", key=late[0], payload=said)
