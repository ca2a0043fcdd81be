"""What every test has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.test import TransactionTestCase

from tests.stack import Stack, running_stack

_KEPT = {"django_migrations", "django_content_type", "auth_permission", "disputes_lane", "disputes_lanes"}
"""What a migration filled: lanes are fixed rows, and a flush would take them."""


def _empty_tables(self: TransactionTestCase) -> None:
    """Empties what a transactional test filled, and only that: Django's flush empties every table.

    Tables that a trigger guards against it are emptied all the same, with the trigger off.
    """
    for alias in self._databases_names(include_mirrors=False):  # type: ignore[attr-defined]
        connection: Any = connections[alias]
        with connection.cursor() as cursor:
            tables = [
                table
                for table in connection.introspection.django_table_names(only_existing=True, include_views=False)
                if table not in _KEPT
            ]
            asked = " UNION ALL ".join(
                f"SELECT '{table}' WHERE EXISTS (SELECT FROM {connection.ops.quote_name(table)})" for table in tables
            )
            cursor.execute(asked)
            filled = [connection.ops.quote_name(row[0]) for row in cursor.fetchall()]
            if filled:
                off = "".join(f"ALTER TABLE {table} DISABLE TRIGGER USER;" for table in filled)
                on = "".join(f"ALTER TABLE {table} ENABLE TRIGGER USER;" for table in filled)
                cursor.execute(f"BEGIN; {off} TRUNCATE {', '.join(filled)} CASCADE; {on} COMMIT;")


@pytest.fixture(autouse=True, scope="session")
def _keep_what_a_migration_filled() -> None:
    TransactionTestCase._fixture_teardown = _empty_tables  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def running() -> Iterator[Stack]:
    yield from running_stack()


@pytest.fixture
def stack(running: Stack) -> Stack:
    """The whole service, running (tests/stack.py), with every part that an earlier test killed back in place."""
    running.restore()
    return running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.stack)
            item.add_marker(pytest.mark.xdist_group("stack"))
