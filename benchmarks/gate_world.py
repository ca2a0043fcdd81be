"""A lender as the gate's benchmarks need one: rows copied in, and the bare SQL that the gate is measured against.

Customer ``C7`` owns the loan ``L7``, twelve lines long and overdue since the fourth, and the phone of `number(7)`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from uuid_utils import compat

from config.fields import phone_digest

NOW_ISH = timedelta(minutes=5)
_DUE = [date(2026, month, 1) for month in range(1, 13)]


def number(n: int) -> str:
    """The phone of customer `n`, up to 90 million."""
    return f"+86{13_900_000_000 + n}"


def fill_lender(database: psycopg.Connection[Any], *, customers: int) -> None:
    """Customers, phones and loans, and watermarks up to now. The connection commits by itself."""
    _copy(
        database,
        "disputes_customer (external_id, language, time_zones, contact_preferences, segment)",
        ((f"C{n}", "zh-Hans", ["Asia/Shanghai"], "{}", "") for n in range(customers)),
    )
    _copy(
        database,
        "disputes_customerphone (customer, digest, role)",
        ((f"C{n}", phone_digest(number(n)), "own") for n in range(customers)),
    )
    dues, amounts = list(_DUE), [1000] * len(_DUE)
    _copy(
        database,
        "disputes_loan (external_id, revision, customer, product, currency, time_zone, grace_days, tolerance,"
        " pauses, arrangements, due_on, amount, paid)",
        (
            (f"L{n}", 1, f"C{n}", "p", "CNY", "Asia/Shanghai", 0, 0, "[]", "[]", dues, amounts, 3000)
            for n in range(customers)
        ),
    )
    now = datetime.now(tz=UTC)
    _copy(
        database,
        "disputes_watermarkversion (external_id, version, posted_at, stated, content, received_at, feed,"
        " complete_until)",
        (
            (f"W-{feed}-{now}", 1, now, True, b"\1" * 17, now, feed, now + timedelta(hours=12))
            for feed in ("repayments", "schedule", "messages")
        ),
    )
    analyze(database, "customer", "customerphone", "loan", "watermarkversion")


def fill_holds(database: psycopg.Connection[Any], *, holds: int, covering: Iterable[int] = ()) -> None:
    """So many holds that stand, of loans that nobody owns but those of `covering`. The connection commits by itself."""
    now = datetime.now(tz=UTC)
    covering = list(covering)
    ids = [compat.uuid7() for _ in range(holds)]
    _copy(
        database,
        "disputes_hold (id, source, scope, reason, why, placed_at, placed_by, released_by, release_reason)",
        ((one, "dispute", "loan", "dispute_pending", "not_overdue", now, "bench", "", "") for one in ids),
    )
    _copy(
        database,
        "disputes_holdcover (hold_id, key, since)",
        (
            (one, f"l:L{covering[n]}" if n < len(covering) else f"l:X{uuid.uuid4().hex[:12]}", now)
            for n, one in enumerate(ids)
        ),
    )
    analyze(database, "hold", "holdcover")


def fill_contacts(database: psycopg.Connection[Any], *, permits: int, messages: int, first: int, among: int) -> None:
    """Permits and messages of the last months, of customers from `first` on. The connection commits by itself."""
    now = datetime.now(tz=UTC)

    def instants(count: int) -> Iterator[tuple[int, datetime]]:
        for n in range(count):
            yield first + n % among, now - timedelta(seconds=(n * 37) % (30 * 86_400))

    _copy(
        database,
        "disputes_permit (id, caller, request_id, granted_at, expires_at, phone_digest, loan, customer, channel,"
        " category, vendor)",
        (
            (_id_at(at), "c", f"q{at}", at, at + NOW_ISH, phone_digest(number(n)), f"L{n}", f"C{n}", "sms", "urge", "")
            for n, at in instants(permits)
        ),
    )
    _copy(
        database,
        "disputes_message (id, external_id, loan, phone_digest, channel, category, sent_at, campaign, vendor,"
        " short_ref, delivery_status, version_id, voided)",
        (
            (_id_at(at), uuid.uuid4().hex, f"L{n}", phone_digest(number(n)), "sms", "urge", at, "", "", "", "",
             uuid.uuid4(), False)
            for n, at in instants(messages)
        ),
    )  # fmt: skip
    analyze(database, "permit", "message")


_PERSONS = 2_000_000
_HISTORY = f"""
    FROM generate_series(1, %s) AS n
    CROSS JOIN LATERAL (
        SELECT n %% {_PERSONS} AS person, now() - make_interval(secs => (n::bigint * 37) %% (20 * 86400)) AS at
    ) AS sent
    CROSS JOIN LATERAL (
        SELECT substr(sha256(person::text::bytea), 1, 17) AS phone,
            (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || substr(md5(n::text), 1, 20))::uuid AS id
    ) AS made
"""


def fill_history(database: psycopg.Connection[Any], *, rows: int) -> None:
    """So many permits and as many messages of the last twenty days, of two million persons, a few each: made by the
    server itself, since to send them would take longer than all that is measured. The connection commits by itself."""
    database.execute(
        "INSERT INTO disputes_permit (id, caller, request_id, granted_at, expires_at, phone_digest, loan, customer,"
        " channel, category, vendor) SELECT id, 'c', 'q' || n, at, at + interval '5 minutes', phone, 'L' || person,"
        f" 'C' || person, 'sms', 'service', '' {_HISTORY}",
        [rows],
    )
    database.execute(
        "INSERT INTO disputes_message (id, external_id, loan, phone_digest, channel, category, sent_at, campaign,"
        " vendor, short_ref, delivery_status, version_id, voided) SELECT id, 'history ' || n, 'L' || person, phone,"
        f" 'sms', 'service', at, '', '', '', '', id, false {_HISTORY}",
        [rows],
    )
    analyze(database, "permit", "message")


def _id_at(instant: datetime) -> uuid.UUID:
    return uuid.UUID(int=(int(instant.timestamp() * 1000) << 80) | (uuid.uuid4().int & ((1 << 80) - 1)))


def _copy(database: psycopg.Connection[Any], into: str, rows: Iterable[tuple[Any, ...]]) -> None:
    with database.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def analyze(database: psycopg.Connection[Any], *tables: str) -> None:
    """Statistics, and the pages' visibility for index-only scans."""
    for table in tables:
        database.execute(f"VACUUM ANALYZE disputes_{table}")
