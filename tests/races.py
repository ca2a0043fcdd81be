"""Threads that begin together, each with a database connection of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections
from django.test import TransactionTestCase

PATIENCE = 60.0
"""Seconds that one may have to wait for the other where nothing is wrong, on a machine that is busy, slow, or stands
still for a while. Whoever waits goes on as soon as the other is there."""


def until(holds: Callable[[], Any], *, what: str = "it", seconds: float = PATIENCE) -> Any:
    """Asks until the answer is true, and returns it. Fails where it is not within so many seconds."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"{what} did not come within {seconds} s"
        time.sleep(0.01)
    return found


def until_somebody_waits_for_me() -> None:
    """Until another connection waits for a lock that this thread's one has taken."""

    def waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pg_locks"
                " WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
            )
            return bool(cursor.fetchone()[0])

    until(waits, what="somebody who waits for this lock")


def at_once(acts: Sequence[Callable[[], Any]]) -> list[Any]:
    """Runs every act in a thread of its own, all released at one instant. Returns their results, in order; an
    exception is a result too."""
    results: list[Any] = [None] * len(acts)
    start = threading.Barrier(len(acts))

    def run(place: int, act: Callable[[], Any]) -> None:
        try:
            start.wait(timeout=PATIENCE)
            results[place] = act()
        except BaseException as error:
            results[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(place, act)) for place, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10 * PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "a thread did not come back"
    return results


@contextmanager
def without_index(name: str) -> Iterator[None]:
    """The control of a unique constraint: it is gone inside the block. All that the test wrote is taken away before it
    stands again, so what came of the race is looked at inside. Needs a test without a transaction of its own."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT index.indrelid::regclass::text, pg_get_indexdef(index.indexrelid),
                   (SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conindid = index.indexrelid)
            FROM pg_index AS index WHERE index.indexrelid = %s::regclass
            """,
            [name],
        )
        table, index, constraint = cursor.fetchone()
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}" if constraint else f"DROP INDEX {name}")
        try:
            yield
        finally:
            TransactionTestCase()._fixture_teardown()  # type: ignore[attr-defined]
            cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {constraint}" if constraint else index)
