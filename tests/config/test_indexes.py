"""A migration that builds or drops an index while rows are written is interrupted, and run again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import OperationalError, ProgrammingError, connection, migrations, transaction
from django.db.migrations.executor import MigrationExecutor

from config import indexes
from config.environment import ROOT
from tests.races import at_once, until

pytestmark = pytest.mark.django_db(transaction=True)

BUILDS = ("0013_opt_outs_listed", "hold_opt_outs", "disputes_hold")
DROPS = [
    ("0017_opening_indexes", "disputes_watch_key_e8ebce01_like", "disputes_watch"),
    ("0017_opening_indexes", "disputes_holdcover_hold_id_a5cf291d", "disputes_holdcover"),
]


class Running:
    """One migration of the disputes, run forwards and backwards by itself."""

    def __init__(self, name: str) -> None:
        made = import_module(f"disputes.migrations.{name}").Migration
        self.migration: migrations.Migration = made(name, "disputes")
        (self.before,) = self.migration.dependencies

    def run(self, *, backwards: bool = False) -> None:
        state = MigrationExecutor(connection).loader.project_state(self.before)
        with connection.schema_editor(atomic=False) as editor:
            (self.migration.unapply if backwards else self.migration.apply)(state, editor)


def validity(index: str) -> bool | None:
    """Whether an index is valid; None: it is not there."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [index])
        row = cursor.fetchone()
    return row[0] if row else None


def interrupt(running: Running, table: str, *, backwards: bool = False) -> Any:
    """What comes of a run that waits for somebody who works on the table, and is cancelled there."""

    def cancel_whoever_waits_for(works: int) -> None:
        def cancelled() -> list[Any]:
            with connection.cursor() as cursor:
                # For them alone: autovacuum may be at the table too, and is waited for before anything is built.
                cursor.execute(
                    "SELECT pg_cancel_backend(pid) FROM pg_locks"
                    " WHERE NOT granted AND pg_blocking_pids(pid) = ARRAY[%s]",
                    [works],
                )
                return cursor.fetchall()

        until(cancelled, what="a run that waits")

    # The lock is held before the run begins: it cannot come through.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")
        cursor.execute("SELECT pg_backend_pid()")
        (works,) = cursor.fetchone()
        came_of_it, cancelled = at_once(
            [partial(running.run, backwards=backwards), partial(cancel_whoever_waits_for, works)]
        )
    assert cancelled is None, cancelled
    return came_of_it


@contextmanager
def left_as_found(running: Running) -> Iterator[None]:
    try:
        yield
    finally:
        running.run()


def test_an_index_whose_build_was_interrupted_is_built_by_the_next_run() -> None:
    name, index, table = BUILDS
    running = Running(name)
    with left_as_found(running):
        running.run(backwards=True)
        assert validity(index) is None
        assert isinstance(interrupt(running, table), OperationalError)
        assert validity(index) is False, "what is left of it is there"
        running.run()
        assert validity(index) is True


def test_control_djangos_own_operation_fails_on_what_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    name, index, table = BUILDS
    running = Running(name)
    with left_as_found(running):
        running.run(backwards=True)
        with monkeypatch.context() as patched:
            patched.setattr(indexes.AddIndex, "database_forwards", AddIndexConcurrently.database_forwards)
            interrupt(running, table)
            with pytest.raises(ProgrammingError, match="already exists"):
                running.run()
        assert validity(index) is False


@pytest.mark.parametrize(("name", "index", "table"), DROPS)
def test_a_drop_that_was_interrupted_is_done_by_the_next_run(name: str, index: str, table: str) -> None:
    running = Running(name)
    with left_as_found(running):
        running.run(backwards=True)
        assert validity(index) is True
        assert isinstance(interrupt(running, table), OperationalError)
        assert validity(index) is False
        running.run()
        assert validity(index) is None


@pytest.mark.parametrize(("name", "index", "table"), DROPS)
def test_so_is_its_way_back(name: str, index: str, table: str) -> None:
    running = Running(name)
    with left_as_found(running):
        assert isinstance(interrupt(running, table, backwards=True), OperationalError)
        assert validity(index) is False
        running.run(backwards=True)
        assert validity(index) is True


@pytest.mark.parametrize(("name", "index", "valid"), [(BUILDS[0], BUILDS[1], True), (*DROPS[0][:2], None)])
def test_one_that_came_to_its_end_and_was_not_noted_is_run_again(name: str, index: str, valid: bool | None) -> None:
    running = Running(name)
    running.run()
    assert validity(index) is valid
    with left_as_found(running):
        running.run(backwards=True)
        running.run(backwards=True)
        assert validity(index) is not valid


def test_no_migration_builds_or_drops_an_index_beside_writers_in_any_other_way() -> None:
    paths = [
        path for app in ("config/api", "disputes", "feedback") for path in (ROOT / app / "migrations").glob("*.py")
    ]
    assert len(paths) > 15
    assert [path.name for path in paths if "concurrently" in path.read_text().lower()] == []
