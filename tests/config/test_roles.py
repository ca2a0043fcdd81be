"""What the service's own role may do with the tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import ProgrammingError, connection, transaction

from config.embedded import SERVICE_ROLE
from config.roles import append_only_tables, grant_service_role

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _role() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [SERVICE_ROLE])
        if cursor.fetchone() is None:
            pytest.skip(f"this server has no role {SERVICE_ROLE}")
    assert grant_service_role(connection=connection, role=SERVICE_ROLE)


@contextmanager
def as_service() -> Iterator[None]:
    """The statements inside run with the rights of the service's role; what they raise goes up."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {SERVICE_ROLE}")
        yield
        cursor.execute("RESET ROLE")


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_journal_and_versions_are_append_only() -> None:
    tables = append_only_tables()
    assert "disputes_event" in tables
    for table in tables:
        columns = connection.introspection.get_primary_key_columns(connection.cursor(), table)
        assert columns
        column = columns[0]
        for statement in (
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
        ):
            with pytest.raises(ProgrammingError, match="permission denied"), as_service():
                run(statement)
        with as_service():
            run(f"SELECT 1 FROM {table} LIMIT 1")


def test_other_rows_can_be_worked_on_but_no_table_changed() -> None:
    with as_service():
        run("UPDATE disputes_dispute SET status = status")
    for statement in (
        "TRUNCATE disputes_dispute",
        "DROP TABLE disputes_dispute",
        "ALTER TABLE disputes_dispute ADD n int",
        "CREATE TABLE another (n int)",
        "DELETE FROM django_migrations",
        "ALTER TABLE disputes_event DISABLE TRIGGER ALL",
    ):
        with pytest.raises(ProgrammingError), as_service():
            run(statement)


def test_rights_given_by_hand_are_taken_back() -> None:
    run(f"GRANT UPDATE ON disputes_event TO {SERVICE_ROLE}")
    with as_service():
        run("SELECT 1 WHERE has_table_privilege('disputes_event', 'UPDATE')")
    grant_service_role(connection=connection, role=SERVICE_ROLE)
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege(%s, 'disputes_event', 'UPDATE')", [SERVICE_ROLE])
        assert cursor.fetchone() == (False,)


def test_a_service_that_owns_the_tables_is_given_nothing() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        (owner,) = cursor.fetchone()
    assert grant_service_role(connection=connection, role=owner) is False
    assert grant_service_role(connection=connection, role="nobody_of_that_name") is False
