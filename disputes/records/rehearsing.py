"""A dry run's memory of its own lines: on disk, since memory must not grow with the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from disputes.records.reading import Line
from disputes.records.walking import UNDER, Outcome, Record, Records

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


class Rehearsal:
    """What earlier batches of a dry run would have added. An unnamed SQLite database, which lies in a temporary file
    that goes with the connection."""

    def __init__(self) -> None:
        self._seen = sqlite3.connect("")
        self._seen.execute(
            "CREATE TABLE seen (type TEXT, external_id TEXT, version INT, posted_at INT, content BLOB, under TEXT, "
            "PRIMARY KEY (type, external_id, version, posted_at, content)) WITHOUT ROWID"
        )

    def close(self) -> None:
        self._seen.close()

    def add_seen(self, records: Records, lines: Sequence[Line], *, now: datetime) -> Records:
        """Adds to what is stored what earlier batches would have added of the records that these lines name."""
        for type_, external_id in dict.fromkeys((line.type, line.external_id) for line in lines):
            for version, posted_at, content, under in self._rows(type_, external_id):
                record = records.by_key.setdefault((type_, external_id), Record())
                record.ranks.add((version, _EPOCH + posted_at * _TICK, content))
                if under is not None:
                    record.under.add(under)
        for loan in {line.fields["loan"] for line in lines if line.type == "repayment"}:
            if records.loans.received.get(loan) is None and self._rows("loan", loan):
                records.loans.received[loan] = now
        return records

    def _rows(self, type_: str, external_id: str) -> list[tuple[int, int, bytes, str | None]]:
        return self._seen.execute(
            "SELECT version, posted_at, content, under FROM seen WHERE type = ? AND external_id = ?",
            (type_, external_id),
        ).fetchall()

    def remember(self, outcomes: Iterable[Outcome]) -> None:
        self._seen.executemany(
            "INSERT OR IGNORE INTO seen VALUES (?, ?, ?, ?, ?, ?)",
            (
                (
                    outcome.line.type,
                    outcome.line.external_id,
                    outcome.line.version,
                    (outcome.posted_at - _EPOCH) // _TICK,
                    outcome.line.content,
                    outcome.line.fields[UNDER[outcome.line.type]] if outcome.line.type in UNDER else None,
                )
                for outcome in outcomes
                if outcome.posted_at is not None
            ),
        )
