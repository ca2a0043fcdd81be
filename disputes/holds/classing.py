"""Sorting the rows of a screening into classes: rows that the gate answers alike, whatever it answers.

One statement compares the rows with the records: those of one class differ in nothing that the walk looks at. It never
says what the answer is, only which rows share one. A row that it cannot place is left to be walked by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfoNotFoundError, available_timezones

import structlog
from django.conf import settings
from django.db import DataError, ProgrammingError, connection, transaction
from psycopg.errors import InsufficientPrivilege

from config.values.ids import floor_of
from disputes.check.matter import days_needed
from disputes.check.standing import local_day
from disputes.holds.permits import CLOCKS_DIFFER, COUNTS_FOR
from disputes.holds.policies import pack_in_force
from disputes.holds.rows import Kind, Rows
from disputes.holds.walking import COLLECTING
from disputes.records.models import SendingRule

log = structlog.get_logger(__name__)

Members = Sequence[int]
"""The places of rows that must be answered alike; a place may stand there twice."""

# So that the rows of one part are joined by hashes that fit in memory: the service's own default is for single calls.
_SETTINGS = "SET LOCAL jit = off; SET LOCAL work_mem = '64MB'"
_TABLE = """
CREATE TEMP TABLE screened (n int, kind int, loan text COLLATE "C", phone bytea, request text COLLATE "C")
    ON COMMIT DROP
"""
_STAGED = "screened AS NOT MATERIALIZED (SELECT * FROM pg_temp.screened)"
_SENT = """screened AS MATERIALIZED (
    SELECT * FROM unnest(%(n)s::int[], %(kind)s::int[], %(loan)s::text[], %(phone)s::bytea[], %(request)s::text[])
        AS sent (n, kind, loan, phone, request)
)"""


def _fell_due(day: str) -> str:
    """SQL: whether what fell due until `day` is beyond what was paid and tolerated (`covered`).

    A schedule keeps its lines oldest first. Where every line is above, or none is, what was paid of it on average, the
    sum need not be made: that is so for level instalments, and a sum costs more than all else about a row.
    """
    count = f"width_bucket({day}, due_on)"
    return f"""CASE
        WHEN {count} = 0 THEN covered < 0
        WHEN covered / {count} < ALL (amount[1:{count}]) THEN true
        WHEN covered / {count} >= ALL (amount[1:{count}]) THEN false
        ELSE (SELECT sum(line) FROM unnest(amount[1:{count}]) AS line) > covered
    END"""


# The account, by what the walk asks of it (`disputes.check.standing`): whether the days past due suffice, and whether
# they are within grace. A schedule without amounts below zero has been overdue for so many days where what fell due
# until then is beyond what was paid. Tried first is what most rows of a campaign are, by the least work: `fallen` lines
# fell due long enough ago, and each line of the schedule is above what was paid of those on average. What counts by its
# own dates is compared as it stands.
_ACCOUNT = f"""CASE
    WHEN customer IS NULL THEN 'unknown'
    WHEN needs = 0 THEN 'any'
    WHEN fallen > 0 AND covered >= 0 AND covered / fallen < ALL (amount) THEN 'overdue'
    WHEN today IS NULL OR 0 > ANY (amount) THEN NULL
    WHEN {_fell_due("today - greatest(needs, grace + 1)")} THEN 'overdue'
    WHEN NOT {_fell_due("today - 1")} THEN 'paid'
    WHEN {_fell_due("today - needs")} THEN 'enough, within grace'
    WHEN {_fell_due("today - 1 - grace")} THEN 'not enough'
    ELSE 'not enough, within grace'
END"""
_NAMED = f"""named AS MATERIALIZED (
    SELECT n, kind, loan, phone, request, customer, CASE WHEN needs > 0 THEN today END AS today,
        CASE WHEN needs > 0 THEN dated END AS dated, {_ACCOUNT} AS account
    FROM (
        SELECT *, width_bucket(today - greatest(needs, grace + 1), due_on) AS fallen
        FROM (
            SELECT screened.*, loan.customer, loan.due_on, loan.amount, zone.today,
                (%(needs)s::int[])[screened.kind + 1] AS needs, greatest(loan.grace_days, 0) AS grace,
                loan.paid + loan.tolerance AS covered,
                CASE WHEN loan.settled_on IS NOT NULL OR loan.written_off_on IS NOT NULL OR loan.pauses <> '[]'
                    OR loan.arrangements <> '[]' THEN
                    format('%%s %%s %%s %%s', loan.settled_on, loan.written_off_on, loan.pauses, loan.arrangements)
                END AS dated
            FROM screened LEFT JOIN disputes_loan AS loan ON loan.external_id = screened.loan
            LEFT JOIN (
                -- Grouped, so that the planner knows of one row a name.
                SELECT name, max(today) AS today FROM unnest(%(zones)s::text[], %(days)s::date[]) AS zone (name, today)
                GROUP BY name
            ) AS zone ON zone.name = loan.time_zone
            OFFSET 0
        ) AS asked
        OFFSET 0
    ) AS asked
)"""
_HELD = """keys AS MATERIALIZED (
    SELECT n, 'l:' || loan AS key FROM named
    UNION ALL SELECT n, 'c:' || customer FROM named WHERE customer IS NOT NULL
    UNION ALL SELECT n, 'p:' || encode(phone, 'hex') FROM named
), held AS (
    SELECT n, string_agg(DISTINCT hold.reason || ' ' || hold.source || ' ' || hold.why, E'\\n') AS holds
    FROM keys
    JOIN disputes_holdcover AS cover ON cover.key = keys.key AND cover.released_at IS NULL {among}
    JOIN disputes_hold AS hold ON hold.id = cover.hold_id
    GROUP BY n
)"""
# One look through the index, in its order: where far more holds stand than a part has rows, reading all costs more.
_AMONG = "AND cover.key = ANY (ARRAY(SELECT key FROM keys))"
MANY_COVERS = 500_000
"""Covers that stand from which on they are looked up."""
_PERMIT = """SELECT n FROM named JOIN disputes_permit AS permit ON {on}
    WHERE permit.id BETWEEN %(floor)s AND %(ceiling)s"""
_ASKED_BEFORE = _PERMIT.format(on="permit.request_id = named.request AND named.request <> ''") + (
    " AND permit.caller = %(caller)s AND (permit.expires_at > %(at)s OR permit.message IS NOT NULL)"
)
_PERMITS = tuple(
    _PERMIT.format(on=f"{on} AND (%(capped)s::bool[])[named.kind + 1]")
    + " AND permit.granted_at > %(day_before)s AND permit.unused_at IS NULL AND permit.message IS NULL"
    for on in ("permit.loan = named.loan", "permit.customer = named.customer", "permit.phone_digest = named.phone")
)
_MESSAGES = tuple(
    f"""SELECT n FROM named {join}
    WHERE message.sent_at > %(look_back)s AND NOT message.voided AND (%(capped)s::bool[])[named.kind + 1]"""
    for join in (
        "JOIN disputes_message AS message ON message.phone_digest = named.phone",
        # Of a loan that is somebody's, all messages are among those of its customer's loans.
        "JOIN disputes_message AS message ON message.loan = named.loan AND named.customer IS NULL",
        "JOIN disputes_loan AS theirs ON theirs.customer = named.customer"
        " JOIN disputes_message AS message ON message.loan = theirs.external_id",
    )
)
# Whether the phone is the customer's hangs on the date where they are: `first_day` and `last_day` are the earliest and
# the latest on earth. A row for which that makes a difference is left.
_CLASSES = """
SELECT array_agg(named.n)
FROM named
LEFT JOIN held ON held.n = named.n
LEFT JOIN disputes_customer AS customer ON customer.external_id = named.customer
LEFT JOIN disputes_customerphone AS phone ON phone.digest = named.phone AND phone.customer = named.customer
    AND (phone.first IS NULL OR phone.first <= %(first_day)s) AND (phone.until IS NULL OR phone.until >= %(last_day)s)
WHERE named.account IS NOT NULL
    AND (phone.customer IS NOT NULL OR NOT EXISTS (
        SELECT FROM disputes_customerphone AS maybe
        WHERE maybe.digest = named.phone AND maybe.customer = named.customer
            AND (maybe.first IS NULL OR maybe.first <= %(last_day)s)
            AND (maybe.until IS NULL OR maybe.until >= %(first_day)s)))
    {apart}
GROUP BY ROW(named.kind, named.account, named.today, named.dated, held.holds, customer.time_zones,
    customer.contact_preferences, phone.customer IS NOT NULL)
"""
_APART = "AND NOT EXISTS (SELECT FROM apart WHERE apart.n = named.n)"


def sort_rows(rows: Rows, *, at: datetime, caller: str) -> Sequence[Members]:
    """The classes of the rows that may share an answer (`Rows.sortable`). What is in none is to be walked: a row that
    somebody was written to lately, or that has a permit; one whose account or phone no class describes.

    Reads the one snapshot of the caller's transaction. Where the role may make no temporary table the rows are sent
    along with the statement; a row that the database cannot take leaves all of them to the walk.
    """
    if not rows.sortable:
        return ()
    asked = _asked(rows.kind_list, at=at, caller=caller)
    try:
        with transaction.atomic():
            return _staged(rows, asked)
    except ProgrammingError as error:
        if not isinstance(error.__cause__, InsufficientPrivilege):
            raise
        log.info("screening_without_temporary_table")
    except DataError as error:
        log.exception("screening_classes_failed", rows=rows.sortable, error=type(error).__name__)
        return ()
    try:
        with transaction.atomic():
            found: list[Members] = []
            for block in rows.columns():
                found += _classes(_SENT, {**asked, **block})
            return found
    except DataError as error:
        log.exception("screening_classes_failed", rows=rows.sortable, error=type(error).__name__)
        return ()


def _staged(rows: Rows, asked: Mapping[str, Any]) -> Sequence[Members]:
    with connection.cursor() as cursor:
        cursor.execute(_TABLE)
        with cursor.copy("COPY pg_temp.screened FROM STDIN") as copy:
            for block in rows.copied():
                copy.write(block)
        # What the planner needs to know: how many rows, and how many loans.
        cursor.execute("ANALYZE pg_temp.screened (loan)")
        found = _classes(_STAGED, asked)
        cursor.execute("DROP TABLE pg_temp.screened")
    return found


def _classes(source: str, asked: Mapping[str, Any]) -> Sequence[Members]:
    with connection.cursor() as cursor:
        cursor.execute(_SETTINGS)
        apart = _looked_apart(cursor, asked)
        steps = [source, _NAMED, _HELD.format(among=_AMONG if _many_covers(cursor) else "")]
        if apart:
            steps.append(f"apart AS ({' UNION '.join(apart)})")
        statement = f"WITH {', '.join(steps)} {_CLASSES.format(apart=_APART if apart else '')}"
        cursor.execute(statement, asked)
        return [members for (members,) in cursor.fetchall()]


def _many_covers(cursor: Any) -> bool:
    """By the index of those that stand, as it was last counted: it bears on the plan alone."""
    cursor.execute("SELECT reltuples FROM pg_class WHERE oid = to_regclass('cover_standing')")
    row = cursor.fetchone()
    return row is not None and row[0] >= MANY_COVERS


def _looked_apart(cursor: Any, asked: Mapping[str, Any]) -> list[str]:
    """The statements that find the rows with contacts and permits of their own; none where nothing could be found."""
    cursor.execute(
        "SELECT EXISTS (SELECT FROM disputes_permit WHERE id BETWEEN %(floor)s AND %(ceiling)s),"
        " EXISTS (SELECT FROM disputes_message)",
        asked,
    )
    permits, messages = cursor.fetchone()
    found = [_ASKED_BEFORE] if permits else []
    if any(asked["capped"]):
        found += _PERMITS if permits else ()
        found += _MESSAGES if messages else ()
    return found


def _asked(kinds: Sequence[Kind], *, at: datetime, caller: str) -> dict[str, Any]:
    """What the statement is asked with, but the rows."""
    pack, days = pack_in_force(at=at), _local_days(at)
    return {
        "needs": _needs(kinds),
        "capped": [bool(pack.caps_for(channel=kind.channel, category=kind.category)) for kind in kinds],
        "zones": list(days),
        "days": list(days.values()),
        "first_day": (at - timedelta(hours=12)).date(),
        "last_day": (at + timedelta(hours=14)).date(),
        "day_before": at - COUNTS_FOR,
        "look_back": at - pack.look_back(),
        "floor": floor_of(at - COUNTS_FOR - CLOCKS_DIFFER),
        "ceiling": floor_of(at + CLOCKS_DIFFER),
        "caller": caller,
        "at": at,
    }


@cache
def _zones() -> tuple[str, ...]:
    return tuple(sorted(available_timezones()))


def _local_days(at: datetime) -> dict[str, date]:
    """Zone → the local date, by the check's own code. A loan in a zone that is not there is walked."""
    found = {"": local_day(at, settings.LENDER_TIME_ZONE)}
    for zone in _zones():
        try:
            found[zone] = local_day(at, zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return found


def _needs(kinds: Sequence[Kind]) -> list[int]:
    """Days past due that each kind presupposes, by the check's own code; 0: the account is not asked."""
    names = {kind.sending_rule for kind in kinds if kind.sending_rule is not None}
    rules = {rule.pk: rule for rule in SendingRule.objects.filter(pk__in=names)} if names else {}
    found = []
    for kind in kinds:
        rule = rules.get(kind.sending_rule) if kind.sending_rule is not None else None
        needs = days_needed(
            category=kind.category, aim=(rule.aim or None) if rule else None, min_dpd=rule.min_dpd if rule else None
        )
        found.append(needs if kind.category in COLLECTING else 0)
    return found
