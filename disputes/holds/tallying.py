"""How often the gate denies, and why: kept by the hour, beside the decisions and never in their way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from django.db import Error as DatabaseError
from django.db import connection

from disputes.holds.models import GateHour
from disputes.holds.walking import GateItem

log = structlog.get_logger(__name__)

KEPT = timedelta(days=400)
"""How long an hour's denials are kept: a year, and the same weeks of the year before."""
ROLLED = 20_000
"""Rows that are rolled up in one statement."""


def tally_denials(
    *, items: Sequence[GateItem | None], reasons: Sequence[Sequence[str]], at: datetime, dry_run: bool
) -> None:
    """Adds what one call was denied, in one statement; a call that was allowed altogether adds nothing.

    `reasons`: of each item, the weightiest first, which alone is counted: the sum is how many were denied. A dry run is
    no denial. Call it outside of any transaction, once the decisions are committed: it has nothing that a lock could
    keep waiting, and whatever goes wrong is logged and changes no answer.
    """
    if dry_run:
        return
    denied = Counter(
        (why[0], item.category if item else "", item.vendor if item else "") for item, why in zip(items, reasons) if why
    )
    if not denied:
        return
    hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    rows = [
        {"reason": reason, "category": category, "vendor": vendor, "count": count}
        for (reason, category, vendor), count in denied.items()
    ]
    try:
        with connection.cursor() as cursor:
            # A count that a crash of the database may lose is not worth a wait for its disk.
            cursor.execute(
                """
                WITH unhurried AS (SELECT set_config('synchronous_commit', 'off', true))
                INSERT INTO disputes_gatetally (hour, reason, category, vendor, count)
                SELECT %s, row.reason, row.category, row.vendor, row.count
                FROM unhurried, jsonb_to_recordset(%s::jsonb)
                    AS row (reason text, category text, vendor text, count int)
                """,
                [hour, json.dumps(rows)],
            )
    except DatabaseError as error:
        log.warning("gate_tally_lost", denied=sum(denied.values()), error=type(error).__name__)


def roll_up_tallies(*, now: datetime) -> int:
    """Adds the calls' rows up into one an hour, reason, category and vendor, and lets go of hours older than KEPT.
    Returns how many rows went into it.

    Opens no transaction: each statement takes rows away and adds them in one, so that none is counted twice or lost,
    however many do it at once.
    """
    rolled = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                """
                WITH gone AS (
                    DELETE FROM disputes_gatetally WHERE id IN (
                        SELECT id FROM disputes_gatetally ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
                    RETURNING hour, reason, category, vendor, count
                ), added AS (
                    INSERT INTO disputes_gatehour AS kept (hour, reason, category, vendor, count)
                    SELECT hour, reason, category, vendor, sum(count) FROM gone
                    GROUP BY hour, reason, category, vendor ORDER BY hour, reason, category, vendor
                    ON CONFLICT (hour, reason, category, vendor) DO UPDATE SET count = kept.count + EXCLUDED.count
                )
                SELECT count(*) FROM gone
                """,
                [ROLLED],
            )
            found = int(cursor.fetchone()[0])
            rolled += found
            if found < ROLLED:
                break
    GateHour.objects.filter(hour__lt=now - KEPT).delete()
    return rolled


@dataclass(frozen=True, kw_only=True, slots=True)
class Denials:
    """The denials of one hour for one reason. `hour`: when it began (UTC)."""

    hour: datetime
    reason: str
    count: int


def denials_by_hour(*, start: datetime, end: datetime, category: str = "", vendor: str = "") -> list[Denials]:
    """The denials of [start, end), by hour and reason, oldest first; of a category or a vendor where one is named.

    One statement: what was rolled up, and what was not yet. Hours and reasons without a denial are left out.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT hour, reason, sum(count)::bigint FROM (
                SELECT hour, reason, category, vendor, count FROM disputes_gatehour
                UNION ALL
                SELECT hour, reason, category, vendor, count FROM disputes_gatetally
            ) AS tally
            WHERE hour >= %(start)s AND hour < %(end)s
                AND (%(category)s = '' OR category = %(category)s) AND (%(vendor)s = '' OR vendor = %(vendor)s)
            GROUP BY hour, reason ORDER BY hour, reason
            """,
            {"start": start, "end": end, "category": category, "vendor": vendor},
        )
        return [Denials(hour=hour, reason=reason, count=count) for hour, reason, count in cursor.fetchall()]
