"""What every test has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connections
from django.test import TransactionTestCase
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.races import PATIENCE
from tests.stack import Stack, running_stack

# What a generated case shows is never a matter of time: a machine may be slow, or stand still for a while.
hypothesis_settings.register_profile(
    "unhurried", hypothesis_settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("unhurried")

_KEPT = {
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
    "disputes_lane",
    "disputes_lanes",
}
"""What a migration filled: lanes are fixed rows, and a flush would take them."""


_REFERRING = """
WITH RECURSIVE reached (table_id) AS (
    SELECT unnest(%s::text[])::regclass::oid
    UNION SELECT conrelid FROM pg_constraint JOIN reached ON confrelid = table_id WHERE contype = 'f'
)
SELECT table_id::regclass::text FROM reached ORDER BY 1
"""
"""Those tables and all that point to them: CASCADE empties these too, so that their triggers must be off as well."""


def _empty_tables(self: TransactionTestCase) -> None:
    """Empties what a transactional test filled, and only that: Django's flush empties every table.

    Tables that a trigger guards against it are emptied all the same, with the trigger off.
    """
    from disputes.desk.groups import GROUPS

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
                cursor.execute(_REFERRING, [filled])
                filled = [row[0] for row in cursor.fetchall()]
                off = "".join(f"ALTER TABLE {table} DISABLE TRIGGER USER;" for table in filled)
                on = "".join(f"ALTER TABLE {table} ENABLE TRIGGER USER;" for table in filled)
                cursor.execute(f"BEGIN; {off} TRUNCATE {', '.join(filled)} CASCADE; {on} COMMIT;")
            # The back office's own groups stand from the migration on; a group that a test made goes with it.
            cursor.execute("DELETE FROM auth_group WHERE name <> ALL(%s)", [list(GROUPS)])


@pytest.fixture(autouse=True, scope="session")
def _keep_what_a_migration_filled() -> None:
    TransactionTestCase._fixture_teardown = _empty_tables  # type: ignore[attr-defined]


@pytest.fixture(autouse=True, scope="session")
def _places_of_its_own() -> None:
    """Places for bulk calls are locks of a deployment, which its secret key names: two processes of tests are two
    deployments, and neither takes the other's places."""
    settings.SECRET_KEY = f"{settings.SECRET_KEY}-{os.getpid()}"


@pytest.fixture(autouse=True, scope="session")
def _static_files_are_looked_for_when_asked() -> None:
    """Each client of a test builds the middleware anew, and with that the list of all static files."""
    settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture(autouse=True, scope="session")
def _its_servers_may_be_slow() -> None:
    """A service gives up on a database or a cache that is silent for some seconds, and goes on without. A machine of
    tests may stand still for longer, and what a test shows must not hang on it. Processes of their own wait as ever."""
    settings.DATABASES["default"]["OPTIONS"]["connect_timeout"] = int(PATIENCE)
    settings.CACHES["default"]["OPTIONS"] |= {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}


@pytest.fixture(autouse=True, scope="session")
def _receivers_are_waited_for() -> None:
    """The carriers and endpoints of most tests answer from threads of the same process: while it stands still, so do
    they, and what is given up after ten seconds would be tried again. Shorter than a try has its notice for itself."""
    from disputes.notices import delivering, ports, posting, sending

    ports.WAIT = 45.0
    posting.post.__kwdefaults__ = {**(posting.post.__kwdefaults__ or {}), "time_limit": ports.WAIT}
    assert timedelta(seconds=ports.WAIT) < min(sending.CLAIMED_FOR, delivering.CLAIMED_FOR)


@pytest.fixture(scope="session")
def running() -> Iterator[Stack]:
    yield from running_stack()


@pytest.fixture
def stack(running: Stack) -> Stack:
    """The whole service, running (tests/stack.py), with every part that an earlier test killed back in place, and no
    agent of an earlier test on duty: whoever is would be given this one's cases."""
    running.restore()
    with running.database() as database:
        database.execute("UPDATE disputes_agent SET on_duty = false WHERE on_duty")
    return running


_WITH_STACK = (
    "tests/journeys/",
    "tests/browser/",
    "tests/clients/test_road.py",
    "tests/config/test_health.py",
    "tests/config/test_running.py",
)
"""Where tests of the running service stand. One process of a parallel run has them all, one after the other."""


class OneProcessHasTheStack(LoadScopeScheduling):  # type: ignore[misc]
    """Every test is given out by itself, but those of the running service together."""

    def _split_scope(self, nodeid: str) -> str:
        return "stack" if nodeid.startswith(_WITH_STACK) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return OneProcessHasTheStack(config, log)


def pytest_itemcollected(item: pytest.Item) -> None:
    if "stack" in getattr(item, "fixturenames", ()) and not item.nodeid.startswith(_WITH_STACK):
        raise pytest.UsageError(f"{item.nodeid} needs the running service, so it belongs in one of {_WITH_STACK}")
