"""How a single decision reads, and how a hold lists the permits that are out: by key, also where the plan was made
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


def list_once() -> None:
    run(permits_touched(keys=["l:L11", "c:C1", f"p:{scene.digest(1).hex()}", "sc:C2", "r:R7"]))


def test_a_decision_whose_plan_was_made_on_empty_tables_reads_none_of_them_through() -> None:
    scene.lender()
    before = counted("numscans")
    read_once()
    grant_to_others()
    read_once()
    assert counted("numscans") == before


def test_a_decision_looks_at_no_permits_of_others() -> None:
    scene.lender()
    grant_to_others()
    before = counted("tuples_fetched")
    read_once()
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


@pytest.mark.parametrize("items", [1, 2], ids=["single", "batch"])
def test_nor_where_what_is_known_of_a_month_is_old_and_of_one_customer(items: int) -> None:
    """Then the planner believes that a key says nothing, and that no permit is new."""
    scene.lender()
    grant_to_others(ago=timedelta(days=3), same=True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE disputes_permit")
        # As a batch is planned from its sixth chunk on.
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    grant_to_others()
    before = counted("tuples_fetched")
    read_once(items=items)
    list_once()
    assert counted("tuples_fetched") - before < OTHERS / 10
