"""The service's own role, which owns no table, does all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.db import ProgrammingError, connection, transaction

from disputes.holds.models import SuppressionChange
from disputes.holds.partitions import keep_partitions
from disputes.holds.screening import screen_rows
from tests.disputes.holds import scene
from tests.disputes.holds.test_screening import rows_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _as_the_service(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", [settings.SERVICE_ROLE])
        if not cursor.fetchone()[0]:
            pytest.skip("there is no role of the service's own here")
        cursor.execute(f"SET LOCAL ROLE {connection.ops.quote_name(settings.SERVICE_ROLE)}")
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")


def test_grants_holds_hands_back_and_makes_partitions() -> None:
    scene.lender()
    (allowed,) = scene.ask(scene.item(1))
    assert allowed.permit
    placed = scene.dispute("too_frequent", loan="L11", n=1, customer="C1")
    assert [out.id for out in placed.permits_out] == [allowed.permit.id]
    assert scene.reasons(scene.item(1)) == [("dispute_pending",)]
    scene.hand_back(allowed.permit.id)
    assert keep_partitions(now=datetime.now(tz=UTC) + timedelta(days=4000)) == 13


@pytest.mark.parametrize("may", ["may", "may not"])
def test_screens_whether_it_may_make_a_temporary_table_or_not(may: str) -> None:
    scene.lender(customers=3)
    scene.dispute("too_frequent", loan="L11", n=1, customer="C1")
    rows = rows_of(*(scene.item(n, request_id=f"r{n}") for n in (1, 2, 3)))
    if may == "may not":
        with connection.cursor() as cursor:
            database = connection.ops.quote_name(connection.settings_dict["NAME"])
            role = connection.ops.quote_name(settings.SERVICE_ROLE)
            cursor.execute(f"RESET ROLE; REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC; SET LOCAL ROLE {role}")
    answers = screen_rows(rows, caller="t").answers
    assert [answer.reasons for answer in answers] == [("dispute_pending",), (), ()]


@pytest.mark.parametrize("statement", ["UPDATE {} SET reason = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_cannot_rewrite_the_feed(statement: str) -> None:
    table = SuppressionChange._meta.db_table
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        connection.cursor().execute(statement.format(table))


def test_cannot_make_a_table() -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        connection.cursor().execute("CREATE TABLE mine (n int)")
