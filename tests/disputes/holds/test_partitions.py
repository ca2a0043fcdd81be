"""The permits' partitions: there ahead of time, pruned, and never a default one."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from config.values.ids import floor_of, new_id
from disputes.cases.models import Dispute
from disputes.holds.models import Permit
from disputes.holds.partitions import drop_old_partitions, granted_until, keep_partitions
from disputes.records.models import Message
from tests.disputes.holds import scene

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


def take_away(months: int) -> None:
    """The partition of the month that is so many months from now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_char(now() AT TIME ZONE 'UTC' + make_interval(months => %s), '\"disputes_permit_\"YYYY_MM')",
            [months],
        )
        (name,) = cursor.fetchone()
        cursor.execute(f"ALTER TABLE disputes_permit DETACH PARTITION {name}")
        cursor.execute(f"DROP TABLE {name}")


class TestUntilWhenPermitsCanBeGranted:
    """Nothing is let out where a month is missing; the figure of /metrics says so long before."""

    def figure(self) -> int:
        page = Client().get("/metrics").content.decode()
        (said,) = re.findall(r"^recourse_permits_granted_until_seconds (\d+)$", page, re.MULTILINE)
        return int(said)

    def test_is_a_year_from_now(self) -> None:
        until = granted_until()
        assert until is not None
        # The migration makes a month more than beat does, and until the end of a month: on its first day that is most.
        assert timedelta(days=364) < until - datetime.now(tz=UTC) < timedelta(days=14 * 31)
        assert (until.day, until.hour) == (1, 0)
        assert self.figure() == until.timestamp()

    def test_ends_at_the_first_gap(self) -> None:
        take_away(3)
        until = granted_until()
        assert until is not None
        assert timedelta(days=58) < until - datetime.now(tz=UTC) < timedelta(days=93)
        keep_partitions(now=datetime.now(tz=UTC))
        assert until < (granted_until() or until)

    def test_without_this_month_the_gate_denies_everything_and_disputes_are_opened_all_the_same(
        self, monkeypatch: pytest.MonkeyPatch, any_hour: Callable[..., None]
    ) -> None:
        monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
        scene.lender()
        take_away(0)
        assert granted_until() is None
        assert self.figure() == 0
        assert scene.reasons(scene.item(1), scene.item(2)) == [("undecidable",)] * 2
        assert scene.dispute("not_overdue", loan="L11", n=1, customer="C1").permits_out == ()
        keep_partitions(now=datetime.now(tz=UTC))
        assert scene.reasons(scene.item(1), scene.item(2)) == [("dispute_pending",), ()]


class TestReadyz:
    """Says so too, and is ready all the same: the gate denies, and everything else goes on."""

    def said(self) -> tuple[int, str, str]:
        answer = Client().get("/readyz")
        found = answer.json()
        return answer.status_code, found["status"], found["permits"]

    def test_while_months_are_there(self) -> None:
        assert self.said() == (200, "ok", "ok")

    def test_a_week_before_the_last_one_ends(self) -> None:
        take_away(2)
        until = granted_until()
        assert until is not None
        with patch("config.health.timezone.now", return_value=until - timedelta(days=7)):
            assert self.said() == (200, "ok", "ok")
        with patch("config.health.timezone.now", return_value=until - timedelta(days=7, seconds=-1)):
            assert self.said() == (200, "degraded", "ending")

    def test_when_this_month_is_missing_until_it_is_made(self) -> None:
        take_away(0)
        assert self.said() == (200, "degraded", "missing")
        keep_partitions(now=datetime.now(tz=UTC))
        assert self.said() == (200, "ok", "ok")


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


class TestRetention:
    """Old months go, where a setting says so."""

    def months(self, *ago: int) -> list[datetime]:
        now = datetime.now(tz=UTC)
        instants = [now - timedelta(days=31 * months) for months in ago]
        for at in instants:
            with connection.cursor() as cursor:
                cursor.execute("SELECT disputes_keep_partitions(%s, 1)", [at.date()])
            permit(at)
        return instants

    def test_months_beyond_the_term_are_dropped(self, settings: Any) -> None:
        kept, _ = self.months(3, 40)
        settings.PERMITS_KEPT_MONTHS = 24
        assert drop_old_partitions(now=datetime.now(tz=UTC)) == 1
        assert [row.granted_at for row in Permit.objects.all()] == [kept]
        assert drop_old_partitions(now=datetime.now(tz=UTC)) == 0

    def test_all_are_kept_where_the_setting_says_nothing(self) -> None:
        self.months(3, 400)
        assert drop_old_partitions(now=datetime.now(tz=UTC)) == 0
        assert Permit.objects.count() == 2

    def test_what_caps_look_back_to_is_kept_whatever_is_asked(self, settings: Any) -> None:
        settings.PERMITS_KEPT_MONTHS = 1
        with pytest.raises(IntegrityError, match="are kept"), transaction.atomic():
            drop_old_partitions(now=datetime.now(tz=UTC))

    def test_a_month_with_the_permit_of_a_disputed_message_is_kept(self, settings: Any) -> None:
        settings.PERMITS_KEPT_MONTHS = 24
        (at,) = self.months(40)
        message = Message.objects.create(
            external_id="M1", channel="sms", category="urge", sent_at=at, version_id=uuid.uuid4()
        )
        Permit.objects.update(message="M1")
        dispute = Dispute.objects.create(
            reference="D-7K3M-92QF",
            person="c:C1",
            message=message,
            message_key="M1",
            ground="already_paid",
            channel="sms",
            language="en",
            opened_by_type="client",
            policy_name="house",
            policy_version="1",
            opened_at=at,
            acknowledge_by=at,
            first_answer_by=at,
            decide_by=at,
        )
        assert drop_old_partitions(now=datetime.now(tz=UTC)) == 0
        Dispute.objects.filter(pk=dispute.pk).update(status="closed", outcome="rejected", closed_at=at)
        assert drop_old_partitions(now=datetime.now(tz=UTC)) == 1
