"""A lender's book in a database of its own, made set-based: loans of 12 instalments and 12 repayments, each with a
message and, of the first, an open dispute that an agent must judge. Needs Django set up."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django

from config.embedded import OWNER_ROLE, Home, in_use
from config.environment import ROOT

BATCH = 20_000

_POSTED = "timestamptz '2025-12-20 00:00+00'"
_SENT = "timestamptz '2026-12-20 02:00+00'"

_ONCE = f"""
    INSERT INTO disputes_sendingrule (external_id, first_mentioned_at, name, aim, min_dpd, owner)
        VALUES ('R1', now(), 'Overdue', 'overdue', 1, '');
    INSERT INTO disputes_sendingruleversion
        (external_id, version, posted_at, stated, content, received_at, name, aim, min_dpd, owner)
        VALUES ('R1', 1, {_POSTED}, true, decode(md5('R1'), 'hex'), now(), 'Overdue', 'overdue', 1, '');
    INSERT INTO disputes_watermarkversion
        (external_id, version, posted_at, stated, content, received_at, feed, complete_until)
        SELECT feed, 1, timestamptz '2026-12-31 00:00+00', true, decode(md5(feed), 'hex'), now(), feed,
            timestamptz '2026-12-31 00:00+00' FROM unnest(ARRAY['repayments', 'schedule', 'messages']) AS feed;
"""

_PHONE = "decode('01' || md5('phone' || n), 'hex')"

_LOANS = f"""
    INSERT INTO disputes_customer (external_id, first_mentioned_at, first_received_at, language, time_zones,
            contact_preferences, segment)
        SELECT 'C' || n, now(), now(), 'en', '{{Asia/Shanghai}}', '{{}}', ''
        FROM generate_series(%(first)s::int, %(last)s) n;
    INSERT INTO disputes_customerversion (id, external_id, version, posted_at, stated, content, received_at, language,
            time_zones, contact_preferences, segment)
        SELECT md5('cv' || n)::uuid, 'C' || n, 1, {_POSTED}, true, decode(md5('c' || n), 'hex'), now(), 'en',
            '{{Asia/Shanghai}}', '{{}}', ''
        FROM generate_series(%(first)s::int, %(last)s) n;
    INSERT INTO disputes_customerphoneversion (version_id, place, digest, role)
        SELECT md5('cv' || n)::uuid, 0, {_PHONE}, 'own' FROM generate_series(%(first)s::int, %(last)s) n;
    INSERT INTO disputes_loan (external_id, revision, first_mentioned_at, first_received_at, customer, product,
            currency, time_zone, grace_days, tolerance, pauses, arrangements, due_on, amount, paid)
        SELECT 'L' || n, 1, now(), now(), 'C' || n, '', 'CNY', 'Asia/Shanghai', 0, 0, '[]', '[]', '{{}}', '{{}}', 0
        FROM generate_series(%(first)s::int, %(last)s) n;
    INSERT INTO disputes_loanversion (external_id, version, posted_at, stated, content, received_at, customer, product,
            currency, principal, opened_on, time_zone, grace_days, tolerance, allocation, pauses, arrangements)
        SELECT 'L' || n, 1, {_POSTED}, true, decode(md5('l' || n), 'hex'), now(), 'C' || n, '', 'CNY', 12000,
            '2025-12-20', 'Asia/Shanghai', 0, 0, '{{}}', '[]', '[]'
        FROM generate_series(%(first)s::int, %(last)s) n;
    INSERT INTO disputes_instalmentversion (external_id, version, posted_at, stated, content, received_at, loan, number,
            due_on, amount, principal, interest, fees, penalties)
        SELECT 'I' || n || '-' || m, 1, {_POSTED}, true, decode(md5('i' || n || '-' || m), 'hex'), now(), 'L' || n, m,
            make_date(2026, m, 10), 1080.25, 1000, 75.25, 5, 0
        FROM generate_series(%(first)s::int, %(last)s) n, generate_series(1, %(lines)s) m;
    INSERT INTO disputes_repaymentversion (external_id, version, posted_at, stated, content, received_at, loan, amount,
            paid_at, method, reference)
        SELECT 'P' || n || '-' || m, 1, make_timestamptz(2026, m, 8, 10, 30, 0, 'UTC'), true,
            decode(md5('p' || n || '-' || m), 'hex'), now(), 'L' || n, 1000,
            make_timestamptz(2026, m, 8, 6, 30, 0, 'UTC'), 'bank transfer', 'TX-' || n || '-' || m
        FROM generate_series(%(first)s::int, %(last)s) n, generate_series(1, %(lines)s) m;
"""

_DISPUTES = f"""
    INSERT INTO disputes_message (id, external_id, first_received_at, version_id, voided, loan, phone_digest, channel,
            category, sent_at, list_built_at, sending_rule, campaign, vendor, short_ref, delivery_status)
        SELECT md5('m' || n)::uuid, 'M' || n, now(), md5('mv' || n)::uuid, false, 'L' || n, {_PHONE}, 'sms', 'urge',
            {_SENT}, {_SENT} - interval '6 hours', 'R1', '', 'V1', '', ''
        FROM generate_series(%(first)s::int, %(last)s) n;
    INSERT INTO disputes_dispute (id, reference, status, ground, language, channel, person, customer, opened_by_type,
            opened_by_id, message_id, message_key, watching, loan, owns_loan, policy_name, policy_version, opened_at,
            acknowledge_by, first_answer_by, decide_by, closed_by_person, awaits_correction)
        SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'B' || n, 'in_review', 'already_paid',
            'en', 'app', 'c:C' || n, 'C' || n, 'customer', '', md5('m' || n)::uuid, md5('m' || n)::uuid::text, '[]',
            'L' || n, true, 'house', '1', {_SENT}, {_SENT}, {_SENT}, {_SENT}, false, false
        FROM generate_series(%(first)s::int, %(last)s) n;
"""


@contextmanager
def own_database() -> Iterator[Home]:
    """A server of its own, set up, with Django connected to it as the tables' owner; gone at the end."""
    with tempfile.TemporaryDirectory(prefix="recourse-bench-", ignore_cleanup_errors=True) as directory:
        home = Home(directory=Path(directory) / "r")
        home.directory.mkdir()
        Path(directory).chmod(0o711)
        os.environ |= {"RECOURSE_ENV": "embedded", "RECOURSE_HOME": str(home.directory), "LOG_LEVEL": "ERROR"}
        with in_use(home):
            words = [sys.executable, "manage.py", "set_up_embedded", "--no-demo", "--verbosity", "0"]
            subprocess.run(words, cwd=ROOT, check=True, timeout=180)
            connect()
            yield home


def connect() -> None:
    """Sets Django up in this process, connected as the owner: rows of a round are taken away again."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    from django.db import connection

    connection.settings_dict["USER"] = OWNER_ROLE


def fill(*, loans: int, first: int = 1, lines: int = 12, disputed: bool = True) -> None:
    """Loans `first` to `first + loans - 1` of so many instalments and repayments; with their messages and disputes."""
    from django.db import connection

    with connection.cursor() as cursor:
        if first == 1:
            cursor.execute(_ONCE)
        for start in range(first, first + loans, BATCH):
            asked = {"first": start, "last": min(start + BATCH, first + loans) - 1, "lines": lines}
            cursor.execute(_LOANS + (_DISPUTES if disputed else ""), asked)
    analyse()


def analyse() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
