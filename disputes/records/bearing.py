"""Which loans of disputes, open or closed not long ago, a change bears on, though it is none of their account: the
sending rule, the customer's record, and other messages that the same person was sent before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What a message line says of whom it reached. `phone`: the digest."""

    phone: bytes
    loan: str | None
    sent_at: datetime
    permit: str | None = None


def anybody_watches() -> bool:
    """Whether anybody waits for a record at all."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM disputes_watch)")
        return bool(cursor.fetchone()[0])


def watched_loans_of_rules(rules: Iterable[str]) -> set[str]:
    """Watched loans that were messaged by one of these sending rules."""
    wanted = sorted(set(rules))
    if not wanted:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.loan FROM disputes_watch w JOIN disputes_message m ON m.loan = substr(w.key, 6) "
            "WHERE w.key >= 'loan:' AND w.key < 'loan;' AND m.sending_rule = ANY(%(rules)s) "
            "UNION SELECT m.loan FROM disputes_watch w JOIN disputes_message m ON m.loan = substr(w.key, 8) "
            "WHERE w.key >= 'closed:' AND w.key < 'closed;' AND m.sending_rule = ANY(%(rules)s)",
            {"rules": wanted},
        )
        return {loan for (loan,) in cursor.fetchall()}


def watched_loans_of_customers(customers: Iterable[str]) -> set[str]:
    """Watched loans that ever were one of these customers'."""
    wanted = sorted(set(customers))
    if not wanted:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT v.external_id FROM disputes_loanversion v "
            "JOIN disputes_watch w ON w.key IN ('loan:' || v.external_id, 'closed:' || v.external_id) "
            "WHERE v.customer = ANY(%s)",
            [wanted],
        )
        return {loan for (loan,) in cursor.fetchall()}


def watched_loans_of_messages(sent: Sequence[Sent]) -> set[str]:
    """Watched loans about which a message went out at the same instant as one of these or later, to the same phone or
    to the same customer, or on the same permit: what was sent before it counts for it."""
    if not sent:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH one AS (
                SELECT * FROM unnest(%s::bytea[], %s::text[], %s::timestamptz[], %s::text[])
                    AS one(phone, loan, sent_at, permit)
            ), later AS (
                SELECT m.loan FROM one
                JOIN disputes_message m ON m.phone_digest = one.phone AND m.sent_at >= one.sent_at
                UNION
                SELECT m.loan FROM one
                JOIN disputes_loan l ON l.external_id = one.loan
                JOIN disputes_loan theirs ON theirs.customer = l.customer
                JOIN disputes_message m ON m.loan = theirs.external_id AND m.sent_at >= one.sent_at
                UNION
                SELECT m.loan FROM one
                JOIN disputes_message m ON m.permit = one.permit AND m.permit IS NOT NULL
            )
            SELECT DISTINCT later.loan FROM later
            JOIN disputes_watch w ON w.key IN ('loan:' || later.loan, 'closed:' || later.loan)
            """,
            [
                [row.phone for row in sent],
                [row.loan for row in sent],
                [row.sent_at for row in sent],
                [row.permit for row in sent],
            ],
        )
        return {loan for (loan,) in cursor.fetchall()}
