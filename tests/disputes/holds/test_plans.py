"""How a single decision reads: by index, also where its plan was made while there was next to nothing to read."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.utils import timezone

from disputes.holds import reading
from disputes.holds.policies import pack_in_force
from tests.disputes.holds import scene

pytestmark = pytest.mark.django_db

GROWING = ("disputes_permit_%", "disputes_message", "disputes_holdcover", "disputes_customerphone", "disputes_loan")


def sequential_scans() -> int:
    """Of the tables that grow, in this transaction so far."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(pg_stat_get_xact_numscans(oid)), 0) FROM pg_class"
            " WHERE relkind = 'r' AND relname LIKE ANY (%s)",
            [list(GROWING)],
        )
        return int(cursor.fetchone()[0])


def read_once() -> None:
    """What a single decision reads in one call. Who owns what is read before it by statements that are planned by what
    the tables hold at that time, and so are no matter of plans that are kept."""
    reading.read_facts(
        items=[scene.item(category="statutory")],
        lanes=None,
        caller="t",
        pack_at=lambda at: pack_in_force(at=at),
        now=timezone.now(),
    )


def test_a_decision_whose_plan_was_made_on_empty_tables_reads_none_of_them_through() -> None:
    scene.lender()
    before = sequential_scans()
    read_once()
    assert sequential_scans() == before


def test_the_same_read_through_every_table_if_it_might() -> None:
    scene.lender()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "ALTER FUNCTION disputes_gate_reading(int[], int[], text[], bytea[], text[], text, text[], interval, uuid,"
            " uuid) RESET enable_seqscan"
        )
        before = sequential_scans()
        read_once()
        assert sequential_scans() > before
        transaction.set_rollback(True)
