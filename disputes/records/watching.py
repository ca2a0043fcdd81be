"""What open disputes wait to hear of from the import, counted so that two disputes may watch one thing."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection


def watch(*, keys: Iterable[str]) -> None:
    """Counts each key once more. Needs the caller's transaction. Keys as in `Watch`."""
    _count(sorted(set(keys)), by=1)


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


def _count(keys: list[str], *, by: int) -> None:
    if not keys:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO disputes_watch AS w (key, count) SELECT k, %s FROM unnest(%s::text[]) AS k ORDER BY k "
            "ON CONFLICT (key) DO UPDATE SET count = w.count + EXCLUDED.count",
            [by, keys],
        )
