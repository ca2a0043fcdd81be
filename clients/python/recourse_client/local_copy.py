"""A copy of what is held and recalled, in one SQLite file: written by who follows the feed, read by who sends."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from recourse_client.clock import SYSTEM, Clock
from recourse_client.messages import Reason
from recourse_client.reading import Change, Page

STALE_SECONDS = 5.0
_WAIT_SECONDS = 5.0
"""For another process that has the file for itself."""
KEPT_FOR = timedelta(hours=1)
"""After a permit's end, by the service's own clock, its recall is forgotten."""
_KIND = {"loan": "loans", "customer": "customers", "phone_digest": "phone_digests", "rule": "sending_rules"}
_TABLES = """
CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), service TEXT NOT NULL,
    after INTEGER NOT NULL, newest TEXT NOT NULL, boot TEXT NOT NULL, whole_at REAL);
CREATE TABLE IF NOT EXISTS hold (hold TEXT PRIMARY KEY, scope TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cover (kind TEXT NOT NULL, name TEXT NOT NULL, hold TEXT NOT NULL,
    PRIMARY KEY (kind, name, hold)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cover_of_hold ON cover (hold);
CREATE TABLE IF NOT EXISTS recall (permit TEXT PRIMARY KEY, expires_at TEXT NOT NULL) WITHOUT ROWID;
"""


class LocalCopy:
    """What the feed has told so far. It can only ever deny: leave comes from the gate alone.

    `path`: a file that every process of this machine may open at once, one of which follows the feed; ":memory:" for
    this process alone. `stale_seconds`: a copy that was not whole for so long says nothing good of a permit that was
    asked for before. Safe for threads and forks. The file holds no phone numbers and no names.
    """

    def __init__(
        self, path: str | Path = ":memory:", *, stale_seconds: float = STALE_SECONDS, clock: Clock = SYSTEM
    ) -> None:
        self.path = str(path)
        self.stale_seconds = stale_seconds
        self._clock = clock
        self._boot = clock.boot()
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._pid = 0
        with self._opened():
            pass

    @contextmanager
    def _opened(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        """The file, for this thread alone; `write`: in one transaction, with no other writer beside it."""
        with self._lock:
            if self._database is None or self._pid != os.getpid():
                # A connection must not be carried over a fork.
                self._database, self._pid = self._open(), os.getpid()
            database = self._database
            if not write:
                yield database
                return
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=_WAIT_SECONDS, check_same_thread=False, isolation_level=None)
        until = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                # Readers do not wait for who writes, nor the other way round.
                database.execute("PRAGMA journal_mode = WAL")
                database.executescript(_TABLES)
                return database
            except sqlite3.OperationalError as error:
                # While another process makes the file, or closes it as the last, SQLite refuses at once and waits for
                # nobody.
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    database.close()
                    raise
                time.sleep(0.01)

    def begin(self, service: str) -> int:
        """The cursor to ask with next. `service`: whose feed it is; raises ValueError where the copy is another's."""
        with self._opened() as database:
            # Two that begin a new copy at once begin it once.
            database.execute("INSERT OR IGNORE INTO state VALUES (1, ?, 0, '', ?, NULL)", [service, self._boot])
            row = database.execute("SELECT service, after FROM state").fetchone()
        if row[0] != service:
            raise ValueError(f"{self.path} is a copy of {row[0]}")
        return int(row[1])

    def apply(self, page: Page, *, since: int, asked_at: float) -> None:
        """Writes a page that was asked for after the number `since`, and the cursor, in one transaction: after a crash
        it is asked for again, whole. `asked_at`: on the steady clock, before it was asked for. Does nothing where
        somebody else has applied it meanwhile."""
        with self._opened(write=True) as database:
            (after, newest, boot, whole_at) = database.execute(
                "SELECT after, newest, boot, whole_at FROM state"
            ).fetchone()
            if after != since:
                return
            for change in page.changes:
                _apply(database, change)
                newest = max(newest, _text(change.at))
            if not page.more:
                whole_at = asked_at if boot != self._boot or whole_at is None else max(whole_at, asked_at)
                boot = self._boot
            database.execute(
                "UPDATE state SET after = ?, newest = ?, boot = ?, whole_at = ?", [page.after, newest, boot, whole_at]
            )
            if page.changes:
                old = _text(datetime.fromisoformat(newest) - KEPT_FOR)
                database.execute("DELETE FROM recall WHERE expires_at < ?", [old])

    def recall(self, permits: Iterable[str]) -> None:
        """Recalls that came another way: a dispute's `permits_out`, a webhook. Every process sees them."""
        ids = [str(uuid.UUID(permit)) for permit in permits]
        until = _text(datetime.fromtimestamp(self._clock.wall(), tz=UTC) + timedelta(days=1))
        with self._opened(write=True) as database:
            database.executemany("INSERT OR IGNORE INTO recall VALUES (?, ?)", [(permit, until) for permit in ids])

    def is_recalled(self, permit: str) -> bool:
        """Whether the copy knows of a recall. False from a copy that is old says nothing: see `why_not`."""
        with self._opened() as database:
            found = database.execute("SELECT 1 FROM recall WHERE permit = ?", [permit]).fetchone()
        return found is not None

    def is_held(
        self,
        *,
        loan: str | None = None,
        customer: str | None = None,
        phone_digest: str | None = None,
        rule: str | None = None,
    ) -> bool:
        """Whether a hold of any kind is known that covers one of these. True: the gate would deny a collection message;
        what a hold lets through (`statutory`, `service`) the gate alone knows. False is never leave."""
        return bool(self.held_for(loan=loan, customer=customer, phone_digest=phone_digest, rule=rule))

    def held_for(self, **named: str | None) -> tuple[str, ...]:
        """The reasons of the holds that cover one of these, sorted. Named as for `is_held`."""
        keys = [(_KIND[kind], name) for kind, name in named.items() if name is not None]
        found: set[str] = set()
        with self._opened() as database:
            for key in keys:
                found.update(
                    row[0]
                    for row in database.execute(
                        "SELECT hold.reason FROM cover JOIN hold USING (hold) WHERE kind = ? AND name = ?", key
                    )
                )
        return tuple(sorted(found))

    def age(self) -> float:
        """Seconds since the feed was last read to its end; infinite where it never was since the machine started."""
        with self._opened() as database:
            row = database.execute("SELECT boot, whole_at FROM state").fetchone()
        if row is None or row[0] != self._boot or row[1] is None:
            return float("inf")
        return max(0.0, self._clock.steady() - float(row[1]))

    def why_not(self, permit: str, *, asked_at: float) -> Reason | None:
        """What the copy has against handing a permit over that was asked for at `asked_at` (steady clock). None:
        nothing, and it is new enough to say so.

        A permit that was asked for a moment ago is itself as new as the copy would have to be.
        """
        try:
            if self.is_recalled(permit):
                return Reason.RECALLED
            if min(self.age(), self._clock.steady() - asked_at) > self.stale_seconds:
                return Reason.COPY_STALE
        except sqlite3.Error:
            return Reason.COPY_STALE
        return None

    def close(self) -> None:
        with self._lock:
            if self._database is not None and self._pid == os.getpid():
                self._database.close()
            self._database = None


def _apply(database: sqlite3.Connection, change: Change) -> None:
    database.execute("DELETE FROM cover WHERE hold = ?", [change.hold])
    if change.kind == "released":
        database.execute("DELETE FROM hold WHERE hold = ?", [change.hold])
    else:
        database.execute("INSERT OR REPLACE INTO hold VALUES (?, ?, ?)", [change.hold, change.scope, change.reason])
        database.executemany(
            "INSERT INTO cover VALUES (?, ?, ?)",
            [(kind, name, change.hold) for kind, names in change.covers.items() for name in dict.fromkeys(names)],
        )
    database.executemany(
        "INSERT OR REPLACE INTO recall VALUES (?, ?)",
        [(permit, _text(ends)) for permit, ends in change.permits_out.items()],
    )


def _text(instant: datetime) -> str:
    """Of one form and zone, so that texts sort as instants do."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")
