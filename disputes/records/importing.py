"""The import: lines of the lender's systems, in order, to versions and what they say now.

The set of lines is the state. Which version is highest, since when it is true, what is void and how an account stands
is worked out from it, so that any order of the same dated lines ends the same. Nothing but `received_at` depends on
arrival.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from typing import Any, Protocol

import msgspec
import structlog
from django.db import DataError, IntegrityError, OperationalError, connection, transaction

from config.api import locks
from disputes.records.reading import Errors, Line, Refused, read_line
from disputes.records.rehearsing import Rehearsal
from disputes.records.settling import Added, settle
from disputes.records.walking import Outcome, read_records, walk
from disputes.records.writing import PERSONAL, Sealed, seal_personal, write_versions

log = structlog.get_logger(__name__)

BATCH_LINES = 2_000
BATCH_BYTES = 4 * 1024 * 1024
FEW = 50
"""So many lines at most are no bulk: they wait behind one batch of a bulk import, never behind a queue of them."""
TRIES = 5
# Deadlock and serialization failure: nothing was written, and the same again may well go through.
_WORTH_ANOTHER_TRY = {"40P01", "40001"}


class Result(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of one line: ``created``, ``updated``, ``unchanged``, ``stale`` (kept as history) or ``error``."""

    line: int
    type: str | None
    external_id: str | None
    result: str
    errors: Errors = []

    def render(self) -> dict[str, Any]:
        """JSON-ready, as the answer shows it."""
        return {
            "line": self.line,
            "type": self.type,
            "external_id": self.external_id,
            "result": self.result,
            "errors": self.errors,
        }


class BatchWatch(Protocol):
    """Somebody who may stop an import before a batch of it is written."""

    def before_commit(self, outcomes: Sequence[Outcome]) -> None:
        """Called once a batch's lines are decided and before any is written, in its transaction and under the import's
        lock. May raise: nothing of the batch is written then, and the import ends; what was yielded before stays.

        A batch that is tried again (a deadlock), or in halves (a value that the database refuses), calls again for the
        same lines. A dry run calls too, outside any transaction.
        """


def import_lines(
    *, lines: Iterable[bytes], dry_run: bool = False, now: datetime, watch: BatchWatch | None = None
) -> Iterator[Result]:
    """Imports NDJSON lines (bytes, with or without their line ends), in order; yields one result a line, in order.

    Opens a transaction of its own a batch; a bad line never spoils the good ones, and what was yielded is committed.
    Lines are never waited for inside a transaction. Memory does not grow with the number of lines. `now` (aware) stands
    for the import's whole length. A dry run writes nothing and says what an import would. `watch` may stop the import:
    what it raises comes out of here.
    """
    rehearsal = Rehearsal() if dry_run else None
    bulk = False
    try:
        for batch in _batches(lines):
            bulk = bulk or len(batch) > FEW
            with collector_at_rest():
                results = _results(batch, rehearsal=rehearsal, bulk=bulk, watch=watch, now=now)
            yield from results
            bulk = True
    finally:
        if rehearsal is not None:
            rehearsal.close()


def _batches(lines: Iterable[bytes]) -> Iterator[list[tuple[int, bytes]]]:
    """Lines with their numbers, from 1."""
    batch: list[tuple[int, bytes]] = []
    size = 0
    for numbered in enumerate(lines, start=1):
        batch.append(numbered)
        size += len(numbered[1])
        if len(batch) >= BATCH_LINES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """The cyclic garbage collector stands still for the length of one batch: it found nothing there and took a third of
    the time, looking again and again at all that the process holds. Two imports at once may switch it on early, never
    leave it off."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _results(
    batch: list[tuple[int, bytes]], *, rehearsal: Rehearsal | None, bulk: bool, watch: BatchWatch | None, now: datetime
) -> list[Result]:
    """What became of each line that is not blank."""
    read = [read_line(raw, number=number, now=now) for number, raw in batch]
    good = [entry for entry in read if isinstance(entry, Line)]
    if rehearsal is not None:
        outcomes: list[str | Refused] = _rehearse(good, rehearsal=rehearsal, watch=watch, now=now)
    else:
        outcomes = _import_batch(good, bulk=bulk, watch=watch, now=now)
    told = iter(outcomes)
    return [_result(entry, entry if isinstance(entry, Refused) else next(told)) for entry in read if entry is not None]


def _result(entry: Line | Refused, outcome: str | Refused) -> Result:
    if isinstance(outcome, str):
        return Result(line=entry.number, type=entry.type, external_id=entry.external_id, result=outcome)
    return Result(
        line=outcome.number,
        type=outcome.type,
        external_id=outcome.external_id,
        result="error",
        errors=outcome.errors,
    )


def _rehearse(
    lines: list[Line], *, rehearsal: Rehearsal, watch: BatchWatch | None, now: datetime
) -> list[str | Refused]:
    records = rehearsal.add_seen(read_records(lines), lines, now=now)
    outcomes = walk(lines, records=records, now=now)
    if watch is not None:
        watch.before_commit(outcomes)
    rehearsal.remember(outcomes)
    return [outcome.result for outcome in outcomes]


def _import_batch(lines: list[Line], *, bulk: bool, watch: BatchWatch | None, now: datetime) -> list[str | Refused]:
    """Writes one batch, in a transaction that it opens; again after a deadlock.

    Should the database refuse a value that reading let through, the batch is halved until the line is found: that line
    is an error, and the others go in.
    """
    if not lines:
        return []
    sealed = [seal_personal(line) if line.type in PERSONAL else None for line in lines]
    return _write_or_halve(lines, sealed, bulk=bulk, watch=watch, now=now)


def _write_or_halve(
    lines: list[Line], sealed: list[Sealed | None], *, bulk: bool, watch: BatchWatch | None, now: datetime
) -> list[str | Refused]:
    try:
        return [outcome.result for outcome in _write(lines, sealed, bulk=bulk, watch=watch, now=now)]
    except (DataError, IntegrityError) as error:
        if len(lines) == 1:
            line = lines[0]
            log.error("line_not_stored", line=line.number, type=line.type, error=type(error.__cause__).__name__)
            what = {"code": "not_stored", "detail": "The database did not take this line.", "attr": None}
            return [Refused(line.number, line.type, line.external_id, [what])]
    half = len(lines) // 2
    return list(
        chain(
            _write_or_halve(lines[:half], sealed[:half], bulk=bulk, watch=watch, now=now),
            _write_or_halve(lines[half:], sealed[half:], bulk=bulk, watch=watch, now=now),
        )
    )


def _write(
    lines: list[Line], sealed: list[Sealed | None], *, bulk: bool, watch: BatchWatch | None, now: datetime
) -> list[Outcome]:
    for attempt in range(1, TRIES + 1):
        try:
            return write_batch(lines, sealed, bulk=bulk, watch=watch, now=now)
        except OperationalError as error:
            if attempt == TRIES or getattr(error.__cause__, "sqlstate", None) not in _WORTH_ANOTHER_TRY:
                raise
            log.info("begin_again", attempt=attempt, error=type(error.__cause__).__name__)
    raise AssertionError("unreachable")


def write_batch(
    lines: list[Line],
    sealed: list[Sealed | None],
    *,
    bulk: bool,
    watch: BatchWatch | None = None,
    now: datetime,
) -> list[Outcome]:
    """The database part of one batch, in a transaction that it opens (durable: the outermost).

    1. the bulk lock, where this is one of many batches, so that a single line waits for one batch at most; 2. the
    import's lock: a reversal and its repayment may come in two imports at once, and neither would see the other's loan;
    3. what is stored of these records; 4. the walk; 5. who watches, and may stop it here; 6. the new versions; 7. all
    that follows from them (`settle`), with the lanes.
    """
    with transaction.atomic(durable=True):
        take_import_locks(bulk=bulk)
        # The next statement has a snapshot newer than the lock (read committed), so it sees all earlier batches.
        outcomes = walk(lines, records=read_records(lines), now=now)
        if watch is not None:
            watch.before_commit(outcomes)
        added: Added = {}
        for outcome, one in zip(outcomes, sealed, strict=True):
            if outcome.posted_at is not None:
                added.setdefault(outcome.line.type, []).append((outcome, one))
        for type_, rows in added.items():
            write_versions(
                type_=type_,
                rows=[(outcome.line, outcome.posted_at, one) for outcome, one in rows if outcome.posted_at],
                received_at=now,
            )
        if added:
            settle(added=added, now=now)
    return outcomes


def take_import_locks(*, bulk: bool) -> None:
    """Waits for the import's lock, and before it for the bulk lock; they last until the commit.

    With them, until then: each statement is planned for what it is about. A plan kept from when a table was empty made
    look-ups twice as slow.
    """
    with connection.cursor() as cursor:
        if bulk:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [locks.NAMESPACE, locks.BULK_IMPORT])
        cursor.execute(
            "SELECT set_config('plan_cache_mode', 'force_custom_plan', true), pg_advisory_xact_lock(%s, %s)",
            [locks.NAMESPACE, locks.IMPORT],
        )
