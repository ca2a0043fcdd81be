"""The permits' monthly partitions."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connection

MONTHS_AHEAD = 12


def keep_partitions(*, now: datetime) -> int:
    """Makes the partitions that are missing, from the month of `now` (aware) on, MONTHS_AHEAD ahead. Returns how many.

    In one statement, by a function of the database's owner: the service's own role may not make tables. Repeating it
    does nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT disputes_keep_partitions(%s, %s)", [now.astimezone(UTC).date(), MONTHS_AHEAD + 1])
        return int(cursor.fetchone()[0])
