"""The permits' monthly partitions."""

from __future__ import annotations

from datetime import UTC, date, datetime

from django.conf import settings
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


def granted_until() -> datetime | None:
    """Until when permits can be granted: the end of the last month from now on that is there without a gap. None:
    this month is missing, so that the gate denies everything (``undecidable``)."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT to_date(right(child.relname, 7), 'YYYY_MM')
            FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
            WHERE inhparent = 'disputes_permit'::regclass AND child.relname ~ '^disputes_permit_[0-9]{4}_[0-9]{2}$'
            """
        )
        there = {row[0] for row in cursor.fetchall()}
        cursor.execute("SELECT date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC')::date")
        month = first = cursor.fetchone()[0]
    while month in there:
        month = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    return None if month == first else datetime(month.year, month.month, 1, tzinfo=UTC)


def drop_old_partitions(*, now: datetime) -> int:
    """Drops the months of permits that ended more than PERMITS_KEPT_MONTHS (a setting; 0: all are kept) before the
    month of `now` (aware). Returns how many.

    Never one of the last two months, which caps and permits that live look back to, nor one with a permit whose
    message is in an open dispute. By a function of the database's owner, as above.
    """
    if not settings.PERMITS_KEPT_MONTHS:
        return 0
    today = now.astimezone(UTC).date()
    months = today.year * 12 + today.month - 1 - settings.PERMITS_KEPT_MONTHS
    with connection.cursor() as cursor:
        cursor.execute("SELECT disputes_drop_partitions(%s)", [date(months // 12, months % 12 + 1, 1)])
        return int(cursor.fetchone()[0])
