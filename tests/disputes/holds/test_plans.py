"""How decisions read, and how a hold lists the permits that are out: by key, also where the plan was made
while there was next to nothing to read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from config.fields import phone_digest
from config.statements import run
from disputes.holds import reading
from disputes.holds.permits import Grant, new_permit_id, permits_touched, write_grants
from disputes.holds.policies import pack_in_force
from disputes.holds.walking import GateItem
from tests.disputes.holds import scene

pytestmark = pytest.mark.django_db

GROWING = ("disputes_permit_%", "disputes_message", "disputes_holdcover", "disputes_customerphone", "disputes_loan")
OTHERS = 3000
SINGLE_AND_BATCH = pytest.mark.parametrize("items", [1, 2], ids=["single", "batch"])


def counted(what: str) -> int:
    """Of the tables that grow, in this transaction so far."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT coalesce(sum(pg_stat_get_xact_{what}(oid)), 0) FROM pg_class"
            " WHERE relkind = 'r' AND relname LIKE ANY (%s)",
            [list(GROWING)],
        )
        return int(cursor.fetchone()[0])


def read_once(*, items: int = 1) -> None:
    """What a decision about so many items reads in one call. Who owns what is read before it by statements that are
    planned by what the tables hold at that time, and so are no matter of plans that are kept."""
    reading.read_facts(
        items=[scene.item(category="statutory", request_id=f"q{n}") for n in range(items)],
        lanes=None,
        caller="t",
        pack_at=lambda at: pack_in_force(at=at),
        now=timezone.now(),
    )


def grant_to_others(*, ago: timedelta = timedelta(0), same: bool = False) -> None:
    """As in a month that has just begun: nothing is known yet of its permits. `same`: all to one other."""
    now = timezone.now() - ago
    write_grants(
        caller="t",
        grants=[
            Grant(
                id=new_permit_id(),
                item=GateItem(
                    request_id=f"other {n}",
                    phone=phone_digest(f"+8613900{0 if same else n:06d}"),
                    loan="other" if same else f"other {n}",
                    channel="sms",
                    category="urge",
                ),
                customer="other" if same else f"other {n}",
                reply_to=None,
                granted_at=now,
                expires_at=now + timedelta(seconds=60),
            )
            for n in range(OTHERS)
        ],
    )


def send_to_others() -> None:
    """Loans of others, a message about each, and a hold of each, in tables of which nothing is known yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO disputes_loan (external_id, revision, customer, product, currency, time_zone, grace_days,"
            " tolerance, pauses, arrangements, due_on, amount, paid) SELECT 'other ' || n, 1, 'other ' || n, '', 'CNY',"
            " 'Asia/Shanghai', 0, 0, '[]', '[]', '{}', '{}', 0 FROM generate_series(1, %s) AS n",
            [OTHERS],
        )
        cursor.execute(
            "INSERT INTO disputes_message (id, external_id, loan, phone_digest, channel, category, sent_at, campaign,"
            " vendor, short_ref, delivery_status, version_id, voided) SELECT gen_random_uuid(), 'other ' || n,"
            " 'other ' || n, substr(sha256(n::text::bytea), 1, 17), 'sms', 'urge', now(), '', '', '', '',"
            " gen_random_uuid(), false FROM generate_series(1, %s) AS n",
            [OTHERS],
        )
        cursor.execute(
            "WITH placed AS (INSERT INTO disputes_hold (id, source, scope, reason, why, placed_at, placed_by,"
            " released_by, release_reason) SELECT gen_random_uuid(), 'dispute', 'loan', 'dispute_pending', '', now(),"
            " 't', '', '' FROM generate_series(1, %s) AS n RETURNING id)"
            " INSERT INTO disputes_holdcover (hold_id, key, since) SELECT id, 'l:other ' || id, now() FROM placed",
            [OTHERS],
        )


def list_once() -> None:
    run(permits_touched(keys=["l:L11", "c:C1", f"p:{scene.digest(1).hex()}", "sc:C2", "r:R7"]))


@SINGLE_AND_BATCH
def test_a_decision_whose_plan_was_made_on_empty_tables_reads_none_of_them_through(items: int) -> None:
    scene.lender()
    before = counted("numscans")
    read_once(items=items)
    grant_to_others()
    send_to_others()
    read_once(items=items)
    assert counted("numscans") == before


@SINGLE_AND_BATCH
def test_a_decision_whose_plan_was_made_on_empty_tables_looks_at_nothing_of_others(items: int) -> None:
    scene.lender()
    read_once(items=items)
    grant_to_others()
    send_to_others()
    before = counted("tuples_fetched")
    read_once(items=items)
    assert counted("tuples_fetched") - before < OTHERS / 10


@SINGLE_AND_BATCH
def test_a_decision_looks_at_nothing_of_others(items: int) -> None:
    scene.lender()
    grant_to_others()
    send_to_others()
    before = counted("tuples_fetched")
    read_once(items=items)
    assert counted("tuples_fetched") - before < OTHERS / 10


def test_a_hold_whose_plan_was_made_on_empty_tables_reads_no_permits_through() -> None:
    scene.lender()
    before = counted("numscans")
    list_once()
    grant_to_others()
    list_once()
    assert counted("numscans") == before


def test_a_hold_looks_at_no_permits_of_others() -> None:
    scene.lender()
    list_once()
    grant_to_others()
    before = counted("tuples_fetched")
    list_once()
    assert counted("tuples_fetched") - before < OTHERS / 10


@SINGLE_AND_BATCH
def test_nor_where_what_is_known_of_a_month_is_old_and_of_one_customer(items: int) -> None:
    """Then the planner believes that a key says nothing, and that no permit is new."""
    scene.lender()
    grant_to_others(ago=timedelta(days=3), same=True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE disputes_permit")
    grant_to_others()
    before = counted("tuples_fetched")
    read_once(items=items)
    list_once()
    assert counted("tuples_fetched") - before < OTHERS / 10
