"""Loans' rows as known now: owner, terms, the lines of the schedule in force and the sum paid.

The same rule as `disputes.check.standing.position_of`, in one set-based statement a table; a test holds the two
together. Since `posted_at` and `effective_at` never lie ahead, what is known and true now is each record's highest
version.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from django.db import connection

# The versions of the records that ever named one of the loans: by what they name, and those few that moved.
_CANDIDATES = """
    SELECT * FROM disputes_{table} WHERE loan = ANY(%(loans)s)
    UNION ALL
    SELECT v.* FROM (
        SELECT DISTINCT external_id FROM disputes_moved WHERE type = '{type}' AND under = ANY(%(loans)s)
    ) m JOIN disputes_{table} v USING (external_id) WHERE v.loan <> ALL(%(loans)s)
"""
_HIGHEST = "ORDER BY external_id, version DESC, posted_at DESC, content DESC"

_HEADS = f"""
    SELECT DISTINCT ON (external_id) * FROM disputes_loanversion v
    WHERE external_id = ANY(%(loans)s)
      AND NOT EXISTS (SELECT FROM disputes_voided d WHERE d.type = 'loan' AND d.external_id = v.external_id)
    {_HIGHEST}
"""

_LINES = f"""
    SELECT loan, array_agg(due_on ORDER BY due_on, number, external_id) AS due_on,
           array_agg(amount ORDER BY due_on, number, external_id) AS amount
    FROM (SELECT DISTINCT ON (external_id) * FROM ({_CANDIDATES.format(table="instalmentversion", type="instalment")}) c
          {_HIGHEST}) i
    WHERE loan = ANY(%(loans)s)
      AND NOT EXISTS (SELECT FROM disputes_voided d WHERE d.type = 'instalment' AND d.external_id = i.external_id)
      AND NOT EXISTS (SELECT FROM disputes_voided d WHERE d.type = 'loan' AND d.external_id = i.loan)
    GROUP BY loan
"""

_PAID = f"""
    SELECT loan, sum(amount) AS paid
    FROM (SELECT DISTINCT ON (external_id) * FROM ({_CANDIDATES.format(table="repaymentversion", type="repayment")}) c
          {_HIGHEST}) r
    WHERE loan = ANY(%(loans)s)
      AND NOT EXISTS (SELECT FROM disputes_voided d WHERE d.type = 'repayment' AND d.external_id = r.external_id)
      AND NOT EXISTS (
          SELECT FROM disputes_reversalversion u
          WHERE u.repayment = r.external_id
            AND NOT EXISTS (SELECT FROM disputes_voided d WHERE d.type = 'reversal' AND d.external_id = u.external_id)
            AND NOT EXISTS (
                SELECT FROM disputes_reversalversion higher
                WHERE higher.external_id = u.external_id
                  AND (higher.version, higher.posted_at, higher.content) > (u.version, u.posted_at, u.content)
            )
      )
    GROUP BY loan
"""


def owners_to_change(*, loans: Iterable[str]) -> list[tuple[str, str | None, str | None]]:
    """(loan, owner in its row, owner by its versions) where the two differ. Needs the import's lock and the rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.external_id, l.customer, h.customer "
            f"FROM disputes_loan l LEFT JOIN ({_HEADS}) h USING (external_id) "
            "WHERE l.external_id = ANY(%(loans)s) AND l.customer IS DISTINCT FROM h.customer",
            {"loans": sorted(loans)},
        )
        return [(loan, old, new) for loan, old, new in cursor.fetchall()]


def refresh_loans(*, loans: Iterable[str], received: Iterable[str], now: datetime) -> None:
    """Works out the rows of these loans anew and raises their revision; `received`: those whose own line came in.

    Needs the import's transaction with its lock, the lanes of owners that change, and the rows locked.
    """
    ids = sorted(loans)
    if not ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE disputes_loan l SET
                revision = l.revision + 1,
                first_received_at = coalesce(
                    l.first_received_at, CASE WHEN l.external_id = ANY(%(received)s) THEN %(now)s::timestamptz END
                ),
                customer = h.customer,
                product = coalesce(h.product, ''),
                currency = coalesce(h.currency, ''),
                time_zone = coalesce(h.time_zone, ''),
                grace_days = coalesce(h.grace_days, 0),
                tolerance = coalesce(h.tolerance, 0),
                settled_on = h.settled_on,
                written_off_on = h.written_off_on,
                pauses = coalesce(h.pauses, '[]'),
                arrangements = coalesce(h.arrangements, '[]'),
                due_on = coalesce(i.due_on, '{{}}'),
                amount = coalesce(i.amount, '{{}}'),
                paid = coalesce(p.paid, 0)
            FROM unnest(%(loans)s::text[]) AS one(loan)
            LEFT JOIN ({_HEADS}) h ON h.external_id = one.loan
            LEFT JOIN ({_LINES}) i ON i.loan = one.loan
            LEFT JOIN ({_PAID}) p ON p.loan = one.loan
            WHERE l.external_id = one.loan
            """,
            {"loans": ids, "received": sorted(received), "now": now},
        )


def paid_once(*, repayments: Collection[str]) -> set[str]:
    """Of repayments that have their first version in this batch and no other: those of which nothing else was said,
    neither a void nor a reversal. What they add to their loan's sum is their amount. Needs the import's lock."""
    ids = " ".join(repayments)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT external_id FROM disputes_voided "
            "WHERE type = 'repayment' AND external_id = ANY(string_to_array(%s, ' ')) "
            "UNION ALL SELECT repayment FROM disputes_reversalversion WHERE repayment = ANY(string_to_array(%s, ' '))",
            [ids, ids],
        )
        return set(repayments) - {external_id for (external_id,) in cursor.fetchall()}


def lock_loans(*, loans: Iterable[str]) -> set[str]:
    """Locks the rows of these loans, in order of their ids, so that nobody who locks several in that order waits for us
    in a circle. Returns those that have one. Needs the import's transaction."""
    ids = " ".join(loans)
    if not ids:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT external_id FROM disputes_loan WHERE external_id = ANY(string_to_array(%s, ' ')) "
            "ORDER BY external_id FOR NO KEY UPDATE",
            [ids],
        )
        return {loan for (loan,) in cursor.fetchall()}


def add_paid(*, paid: Mapping[str, Decimal]) -> None:
    """Adds to what was paid of these loans and raises their revision: all that a repayment which `paid_once` names
    changes. Needs the import's transaction with its lock, and the rows locked."""
    if not paid:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE disputes_loan l SET paid = l.paid + one.amount, revision = l.revision + 1 "
            "FROM unnest(string_to_array(%s, ' '), string_to_array(%s, ' ')::numeric[]) AS one(loan, amount) "
            "WHERE l.external_id = one.loan",
            [" ".join(paid), " ".join(map(str, paid.values()))],
        )


def loans_of(
    *, instalments: Iterable[str] = (), repayments: Iterable[str] = (), reversals: Iterable[str] = ()
) -> set[str]:
    """Every loan that a version of these records has ever named."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT loan FROM disputes_instalmentversion WHERE external_id = ANY(%(instalments)s)
            UNION
            SELECT loan FROM disputes_repaymentversion WHERE external_id = ANY(%(repayments)s)
            UNION
            SELECT r.loan FROM disputes_reversalversion u
            JOIN disputes_repaymentversion r ON r.external_id = u.repayment
            WHERE u.external_id = ANY(%(reversals)s)
            """,
            {"instalments": list(instalments), "repayments": list(repayments), "reversals": list(reversals)},
        )
        return {loan for (loan,) in cursor.fetchall()}
