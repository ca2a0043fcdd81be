"""Plants a fault in a process of the service when it starts, and puts stops between its statements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.backends.signals import connection_created

BEFORE = {"INSERT INTO disputes_permit": "granting"}
AFTER = {
    "SELECT external_id, customer FROM disputes_loan": "owners",
    "SELECT disputes_number_changes": "numbered",
}
"""How a statement of a call of the database begins → the stop before or after it."""


class Planting(AppConfig):
    name = "tests.faults"
    label = "faults"

    def ready(self) -> None:
        place, planted = Path(settings.FAULTS_STOPS), settings.FAULTS_PLANTED

        def between(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
            from tests.faults.stops import stop_at

            said = [one.strip() for one in str(sql).split(";\n")]
            for begins, name in BEFORE.items():
                if any(one.startswith(begins) for one in said):
                    stop_at(place, name)
            done = execute(sql, params, many, context)
            for begins, name in AFTER.items():
                if any(one.startswith(begins) for one in said):
                    stop_at(place, name)
            return done

        def wrap(connection: Any, **_: Any) -> None:
            if between not in connection.execute_wrappers:
                connection.execute_wrappers.append(between)

        connection_created.connect(wrap, weak=False)
        if planted == "lanes":
            _take_no_lanes()
        elif planted == "owners":
            _compare_no_owners()
        elif planted == "number":
            _lock_no_numbers()


def _take_no_lanes() -> None:
    """The gate has all lanes for its own, and whoever places a hold waits for none."""
    from config.statements import run
    from disputes.holds import opting_out, placing, reading

    prepare = reading.prepare

    def unlocked(*, lanes: Any, **more: Any) -> reading.Asked:
        return prepare(lanes=None, **more)

    reading.prepare = unlocked
    reading.Reading.locked = lambda read, items, before: [True] * len(items)  # type: ignore[method-assign]
    for module in (placing, opting_out):
        module.take_lanes = lambda lanes, then=(): run(*then)  # type: ignore[attr-defined]


def _compare_no_owners() -> None:
    """The owners that were read before the lanes stand for those under them."""
    from disputes.holds import reading

    def locked(read: Any, items: Any, before: Any) -> list[bool]:
        return [before is not None and before.lanes_of([item]) <= read.lanes for item in items]

    reading.Reading.locked = locked  # type: ignore[method-assign]


def _lock_no_numbers() -> None:
    """The feed's number is drawn without its lock."""
    from config.statements import Statement
    from disputes.holds import feed

    feed._lock_numbers = lambda: Statement("SELECT 1")
