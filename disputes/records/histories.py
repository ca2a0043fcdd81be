"""Everything that was ever known of accounts, from rows to the check's values, in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from django.db import connection

from disputes.check import facts
from disputes.records.building import Read, Row, build_history
from disputes.records.models import FEEDS
from disputes.records.voiding import versions_of_voids

_HEAD = "external_id, version, posted_at, effective_at, content"
_UNDER = """
    SELECT {columns} FROM disputes_{table} v WHERE {under} = ANY(%(ids)s)
    UNION ALL
    SELECT {columns} FROM (
        SELECT DISTINCT external_id FROM disputes_moved WHERE type = '{type}' AND under = ANY(%(ids)s)
    ) m JOIN disputes_{table} v USING (external_id) WHERE v.{under} <> ALL(%(ids)s)
"""


def read_histories(
    *, loans: Iterable[str], sending_rules: Mapping[str, Iterable[str]] | None = None, at: datetime | None = None
) -> dict[str, facts.History]:
    """The history of each loan: every version of every record that ever named it, and the watermarks.

    `sending_rules`: by loan, the rules whose versions are wanted too; `at`: as in `read_watermarks`. A loan that
    nothing names has an empty history. The number of queries does not depend on how many loans are asked, but on how
    deep voids are nested.
    """
    ids = sorted(set(loans))
    wanted = {loan: set((sending_rules or {}).get(loan, ())) for loan in ids}
    loan_versions = _rows(_LOANS, ids)
    instalments = _rows(
        _UNDER.format(table="instalmentversion", type="instalment", under="loan", columns=_INSTALMENT), ids
    )
    repayments = _rows(_UNDER.format(table="repaymentversion", type="repayment", under="loan", columns=_REPAYMENT), ids)
    paid = sorted({row[0] for row in repayments})
    reversals = _rows(
        _UNDER.format(table="reversalversion", type="reversal", under="repayment", columns=_REVERSAL), paid
    )
    rules = _rows(_RULES, sorted(set().union(*wanted.values()))) if ids else []
    read = Read(
        loans=_by(loan_versions, lambda row: row[0]),
        instalments=_by(instalments, lambda row: row[5]),
        repayments=_by(repayments, lambda row: row[5]),
        reversals=_by(reversals, lambda row: row[5]),
        rules=_by(rules, lambda row: row[0]),
        zones=_zones(loan_versions),
        voids=find_voids(
            # Also of a loan that never came itself.
            loan=[(loan,) for loan in ids],
            instalment=instalments,
            repayment=repayments,
            reversal=reversals,
            sending_rule=[(rule,) for rules_of in wanted.values() for rule in rules_of],
        ),
        watermarks=read_watermarks(at=at),
    )
    return {loan: build_history(loan=loan, sending_rules=wanted[loan], read=read) for loan in ids}


def _by(rows: Iterable[Row], named: Callable[[Row], str]) -> dict[str, list[Row]]:
    """By each thing that a record has ever named: all versions of that record."""
    of_record: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        of_record[row[0]].append(row)
    found: dict[str, list[Row]] = defaultdict(list)
    for versions in of_record.values():
        for name in {named(row) for row in versions}:
            found[name].extend(versions)
    return found


_LOANS = (
    f"SELECT {_HEAD}, customer, product, currency, principal, opened_on, time_zone, grace_days, tolerance, allocation, "
    "settled_on, written_off_on, pauses, arrangements FROM disputes_loanversion WHERE external_id = ANY(%(ids)s)"
)
_INSTALMENT = f"{_HEAD}, loan, number, due_on, amount, principal, interest, fees, penalties"
_REPAYMENT = f"{_HEAD}, loan, amount, paid_at, paid_on, method, reference"
_REVERSAL = f"{_HEAD}, repayment, reversed_at, reason"
_RULES = f"SELECT {_HEAD}, name, aim, min_dpd, owner FROM disputes_sendingruleversion WHERE external_id = ANY(%(ids)s)"


def _rows(statement: str, ids: list[str]) -> list[Row]:
    if not ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(statement, {"ids": ids})
        return list(cursor.fetchall())


def read_watermarks(*, at: datetime | None = None) -> tuple[facts.Watermark, ...]:
    """How far each feed is complete, as known today: its furthest watermark.

    With `at`: the one posted first that reached that instant, where one did. What was complete then stays so, and a
    check whose input names it does not change with each later watermark.
    """
    return read_watermarks_at(instants=[at])[at]


def read_watermarks_at(*, instants: Iterable[datetime | None]) -> dict[datetime | None, tuple[facts.Watermark, ...]]:
    """`read_watermarks` for each instant, in one statement."""
    wanted = list(dict.fromkeys(instants))
    found: dict[datetime | None, list[facts.Watermark]] = {at: [] for at in wanted}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT asked.place, feed.name, mark.complete_until, mark.posted_at
            FROM unnest(%(ats)s::timestamptz[]) WITH ORDINALITY AS asked(at, place)
            CROSS JOIN unnest(%(feeds)s::text[]) AS feed(name)
            CROSS JOIN LATERAL (
                SELECT complete_until, posted_at FROM disputes_watermarkversion w
                WHERE w.feed = feed.name
                  AND NOT EXISTS (
                      SELECT FROM disputes_voided d WHERE d.type = 'watermark' AND d.external_id = w.external_id
                  )
                  AND NOT EXISTS (
                      SELECT FROM disputes_watermarkversion higher
                      WHERE higher.external_id = w.external_id
                        AND (higher.version, higher.posted_at, higher.content) > (w.version, w.posted_at, w.content)
                        AND higher.complete_until < w.complete_until
                  )
                ORDER BY coalesce(complete_until >= asked.at, false) DESC,
                         CASE WHEN complete_until >= asked.at THEN posted_at END, complete_until DESC
                LIMIT 1
            ) AS mark
            ORDER BY asked.place, feed.name
            """,
            {"feeds": list(FEEDS), "ats": wanted},
        )
        for place, feed, until, posted_at in cursor.fetchall():
            found[wanted[place - 1]].append(facts.Watermark(feed=feed, complete_until=until, posted_at=posted_at))
    return {at: tuple(marks) for at, marks in found.items()}


def _zones(loan_versions: Iterable[Row]) -> dict[str, str]:
    """The zone of each loan by its highest version: what a payment's bare day is read in, on every clock."""
    highest: dict[str, Row] = {}
    for row in loan_versions:
        other = highest.get(row[0])
        if other is None or (row[1], row[2], bytes(row[4])) > (other[1], other[2], bytes(other[4])):
            highest[row[0]] = row
    return {loan: row[10] for loan, row in highest.items() if row[10]}


def find_voids(**rows: Iterable[Row]) -> dict[tuple[str, str], list[facts.VoidVersion]]:
    """Every version of the voids that ever named one of these records (by type), of the voids of those, and so on: by
    (type, external id) of what they named."""
    keys = {(type_, row[0]) for type_, versions in rows.items() for row in versions}
    found: dict[tuple[str, str], dict[tuple[object, ...], facts.VoidVersion]] = defaultdict(dict)
    seen: set[str] = set()
    while keys:
        versions = versions_of_voids(keys, known=seen)
        of_void: dict[str, list[facts.VoidVersion]] = defaultdict(list)
        for version in versions:
            of_void[version.external_id].append(version)
        for group in of_void.values():
            for named in group:
                for version in group:
                    rank = (version.external_id, version.version, version.posted_at, version.content)
                    found[named.target_type, named.target][rank] = version
        seen |= set(of_void)
        keys = {("void", external_id) for external_id in of_void}
    return {key: list(group.values()) for key, group in found.items()}
