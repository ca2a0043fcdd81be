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

# So that the rows of one part are joined and grouped by hashes that fit in memory: the service's own default is for
# single calls, and the planner takes every row for a class of its own, which it would sort. Other parts are answered at
# the same time, so that no part needs more than its own process.
_SETTINGS = (
    "SET LOCAL jit = off; SET LOCAL work_mem = '64MB'; SET LOCAL enable_sort = off;"
    " SET LOCAL max_parallel_workers_per_gather = 0"
)
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
# OFFSET 0: each step is worked out once a row, and what is wide is left behind before the next tables are looked at.
_NAMED = f"""named AS (
    SELECT n, kind, loan, phone, request, customer, CASE WHEN needs > 0 THEN today END AS today,
        CASE WHEN needs > 0 THEN dated END AS dated, {_ACCOUNT} AS account
    FROM (
        SELECT *, width_bucket(today - greatest(needs, grace + 1), due_on) AS fallen
        FROM (
            SELECT screened.*, loan.customer, loan.due_on, loan.amount, {{today}} AS today,
                (%(needs)s::int[])[screened.kind + 1] AS needs, greatest(loan.grace_days, 0) AS grace,
                loan.paid + loan.tolerance AS covered,
                CASE WHEN loan.settled_on IS NOT NULL OR loan.written_off_on IS NOT NULL OR loan.pauses <> '[]'
                    OR loan.arrangements <> '[]' THEN
                    format('%%s %%s %%s %%s', loan.settled_on, loan.written_off_on, loan.pauses, loan.arrangements)
                END AS dated
            FROM screened LEFT JOIN disputes_loan AS loan ON loan.external_id = screened.loan
            OFFSET 0
        ) AS asked
        OFFSET 0
    ) AS asked
    OFFSET 0
)"""
# The holds that stand, by what they cover. Grouped by the name itself, so that the planner knows of one row a name.
_STANDING = """disputes_holdcover AS cover
    WHERE cover.released_at IS NULL AND cover.key >= '{scope}:' AND cover.key < '{scope};'"""
_HELD = """held_{scope} AS (
    SELECT substr(key, 3) AS name, string_agg(DISTINCT reason || ' ' || source || ' ' || why, E'\\n') AS holds
    FROM (SELECT key, hold_id FROM {standing} {among}) AS cover JOIN disputes_hold AS hold ON hold.id = cover.hold_id
    GROUP BY name
)"""
_SCOPES = {
    "l": ("named.loan", "SELECT loan FROM screened"),
    "c": ("named.customer", "SELECT customer FROM named WHERE customer IS NOT NULL"),
    "p": ("encode(named.phone, 'hex')", "SELECT encode(phone, 'hex') FROM screened"),
}
"""What a hold covers that a row may name, by the letter of its key: the name that a row has, and all that the rows
have."""
# One look through the index, in its order: where more holds stand than a part has rows, reading all costs more.
_AMONG = "AND cover.key = ANY (ARRAY(SELECT '{scope}:' || name FROM ({names}) AS asked (name)))"
MANY_COVERS = 100_000
"""Covers of one scope that stand from which on they are looked up."""
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
# the latest on earth. A row for which that makes a difference is left. A customer without wishes, and in no other zone
# than the lender's, is answered as one of whom nothing is known: only who differs from that is joined. How many do is
# not told by statistics, so the planner is given a condition that it takes for one in two hundred.
_CLASSES = """
SELECT array_agg(named.n)
FROM named
LEFT JOIN disputes_customerphone AS phone ON phone.digest = named.phone AND phone.customer = named.customer
    AND (phone.first IS NULL OR phone.first <= %(last_day)s) AND (phone.until IS NULL OR phone.until >= %(first_day)s)
LEFT JOIN (
    SELECT external_id, time_zones, contact_preferences FROM disputes_customer
    WHERE CASE WHEN time_zones IN (%(home)s, '{{}}') AND contact_preferences = '{{}}' THEN 0 ELSE 1 END = 1
) AS customer ON customer.external_id = named.customer
{joins}
WHERE named.account IS NOT NULL
    AND (phone.customer IS NULL OR (
        (phone.first IS NULL OR phone.first <= %(first_day)s) AND (phone.until IS NULL OR phone.until >= %(last_day)s)))
    {apart}
GROUP BY named.kind, named.account, named.today, named.dated, customer.time_zones, customer.contact_preferences,
    phone.customer IS NOT NULL {holds}
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
        # What the planner needs to know: how many rows, and how many loans. A small sample tells.
        cursor.execute("SET LOCAL default_statistics_target = 10")
        cursor.execute("ANALYZE pg_temp.screened (loan)")
        found = _classes(_STAGED, asked)
        cursor.execute("DROP TABLE pg_temp.screened")
    return found


def _classes(source: str, asked: Mapping[str, Any]) -> Sequence[Members]:
    with connection.cursor() as cursor:
        cursor.execute(_SETTINGS)
        apart = _looked_apart(cursor, asked)
        held = {scope: stand for scope in _SCOPES if (stand := _standing(cursor, scope))}
        steps = [source, _NAMED.format(today=asked["today"])]
        steps += [_held(scope, many=stand >= MANY_COVERS) for scope, stand in held.items()]
        if apart:
            steps.append(f"apart AS ({' UNION '.join(apart)})")
        classes = _CLASSES.format(
            joins=" ".join(f"LEFT JOIN held_{scope} ON held_{scope}.name = {_SCOPES[scope][0]}" for scope in held),
            holds="".join(f", held_{scope}.holds" for scope in held),
            apart=_APART if apart else "",
        )
        cursor.execute(f"WITH {', '.join(steps)} {classes}", asked)
        found = [members for (members,) in cursor.fetchall()]
        # The walk that follows sorts where that is better.
        cursor.execute("SET LOCAL enable_sort = DEFAULT")
        return found


def _standing(cursor: Any, scope: str) -> int:
    """How many covers of the scope stand, but no more than it takes to be many."""
    standing = _STANDING.format(scope=scope)
    cursor.execute(f"SELECT count(*) FROM (SELECT FROM {standing} LIMIT %s) AS counted", [MANY_COVERS])
    return int(cursor.fetchone()[0])


def _held(scope: str, *, many: bool) -> str:
    """The step that says which holds stand, for each name of the scope; `many`: only for the rows' own names."""
    among = _AMONG.format(scope=scope, names=_SCOPES[scope][1]) if many else ""
    return _HELD.format(scope=scope, standing=_STANDING.format(scope=scope), among=among)


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
    pack = pack_in_force(at=at)
    return {
        **_today(at),
        "needs": _needs(kinds),
        "capped": [bool(pack.caps_for(channel=kind.channel, category=kind.category)) for kind in kinds],
        "home": [settings.LENDER_TIME_ZONE],
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


def _today(at: datetime) -> dict[str, Any]:
    """SQL of the local date where a loan is (`today`), and what it is asked with. On earth there are two or three;
    the lender's own is tried first. A loan in a zone that is not there has none, and is walked."""
    zones: dict[date, list[str]] = {}
    for zone, day in _local_days(at).items():
        zones.setdefault(day, []).append(zone)
    asked: dict[str, Any] = {}
    cases = []
    for number, (day, names) in enumerate(zones.items()):
        asked |= {f"zones_{number}": names, f"day_{number}": day}
        cases.append(f"WHEN loan.time_zone = ANY (%(zones_{number})s::text[]) THEN %(day_{number})s::date")
    return {"today": f"CASE {' '.join(cases)} END", **asked}


def _local_days(at: datetime) -> dict[str, date]:
    """Zone → the local date, by the check's own code; first that of a loan that names none."""
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
