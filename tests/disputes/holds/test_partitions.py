"""The permits' partitions: there ahead of time, pruned, and never a default one."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from config.values.ids import floor_of, new_id
from disputes.holds.models import Permit
from disputes.holds.partitions import keep_partitions

pytestmark = pytest.mark.django_db


def partitions() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid)"
            " FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid"
            " WHERE inhparent = 'disputes_permit'::regclass ORDER BY 1"
        )
        return [f"{name} {bound}" for name, bound in cursor.fetchall()]


def permit(at: datetime) -> Permit:
    return Permit.objects.create(
        id=uuid.UUID(int=floor_of(at).int + 7),
        caller="client:t",
        request_id="r",
        granted_at=at,
        expires_at=at,
        phone_digest=b"\1" * 17,
        channel="sms",
        category="urge",
    )


def test_the_months_to_come_are_there_after_the_migration() -> None:
    now = datetime.now(tz=UTC)
    for months in range(13):
        permit(now + timedelta(days=30 * months))
    assert Permit.objects.count() == 13
    assert not [one for one in partitions() if "DEFAULT" in one]


def test_they_are_made_ahead_and_only_once() -> None:
    before = partitions()
    later = datetime.now(tz=UTC) + timedelta(days=3 * 365)
    assert keep_partitions(now=later) == 13
    assert keep_partitions(now=later) == 0
    assert len(partitions()) == len(before) + 13
    permit(later)


def test_a_month_that_is_not_there_is_an_error() -> None:
    with pytest.raises(IntegrityError, match="no partition"), transaction.atomic():
        permit(datetime(2090, 1, 1, tzinfo=UTC))


def test_months_touch() -> None:
    edge = datetime(2051, 1, 1, tzinfo=UTC)
    keep_partitions(now=edge - timedelta(days=1))
    for at in (edge - timedelta(milliseconds=1), edge):
        permit(at)
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM disputes_permit ORDER BY id")
        assert [row[0] for row in cursor.fetchall()] == ["disputes_permit_2050_12", "disputes_permit_2051_01"]


def test_the_database_and_the_service_agree_on_the_lowest_id_of_an_instant() -> None:
    at = datetime(2026, 11, 24, 12, 30, 0, 123000, tzinfo=UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT disputes_floor_of(%s)", [at])
        assert cursor.fetchone()[0] == floor_of(at)
    assert floor_of(datetime.now(tz=UTC) - timedelta(seconds=1)) < new_id()


def test_what_is_old_is_not_looked_at() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute("PREPARE look (uuid) AS SELECT count(*) FROM disputes_permit WHERE customer = 'C1' AND id >= $1")
        cursor.execute(f"EXPLAIN EXECUTE look ('{floor_of(datetime.now(tz=UTC) + timedelta(days=200))}')")
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("DEALLOCATE look")
    assert "Subplans Removed" in plan
