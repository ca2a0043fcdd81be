"""A wrong file must not poison the lender: an import that changes too much of what is stored stops and says so.

What counts is records that were stored before the import began: each once, where a line of the import becomes their
version in force, or voids them. What an import brings itself, it may correct as often as it likes.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection

from disputes.records.models import RECORD_TYPES, VERSIONS, Voided
from disputes.records.walking import Outcome

EXACT_UP_TO = 100_000
"""So many versions of a type are counted; more are estimated from the database's statistics."""
NEVER = 1.0
"""The share at which updates of a type are not counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """How many of the stored records of a type an import changes; `at_most`: beyond it, it stops."""

    type: str
    changed: int
    stored: int
    at_most: int

    @property
    def too_many(self) -> bool:
        return self.changed > self.at_most

    def __str__(self) -> str:
        share = f"{self.changed / self.stored:.1%}" if self.stored else "all"
        return f"{self.changed:,} of {self.stored:,} stored records of type {self.type} ({share})"


class TooManyChanges(Exception):
    """The batch that would have changed too much was not written."""

    def __init__(self, changes: Changes) -> None:
        super().__init__(f"The import would change {changes}; at most {changes.at_most:,} are let through.")
        self.changes = changes


class Guard:
    """Watches one import (`BatchWatch`); raises TooManyChanges before the batch that goes too far is written.

    So what an import writes of changes is never more than was let through. `began_at`: the import's `now`, or that of
    its first run over the same file; what was received from then on counts as brought by it. `began_with`: what earlier
    runs changed, by type. `dry_run`: it counts alone, and stops nothing.
    """

    def __init__(
        self, *, began_at: datetime, began_with: Mapping[str, int] | None = None, dry_run: bool = False
    ) -> None:
        self._began_at = began_at
        self._settled: Counter[str] = Counter(began_with or {})
        self._pending: list[tuple[int, str]] = []
        """(line, type) of each change in the batch that was looked at last: it may be looked at again."""
        self._stored: dict[str, int] = {}
        self._rehearsed = Rehearsed() if dry_run else None

    def before_commit(self, outcomes: Sequence[Outcome]) -> None:
        """Needs the import's lock, so that nobody else changes what it counts."""
        if not outcomes:
            return
        # What lies before these lines is written for good; the rest was undone, and comes again.
        self._settle(line for line in self._pending if line[0] < outcomes[0].line.number)
        updated, voided = _changes(outcomes)
        for type_, ids in updated.items():
            if share_of(type_) < NEVER:
                self._add(type_, ids, self._untouched(type_, ids))
        for type_, ids in voided.items():
            self._add(type_, ids, _standing(type_, self._untouched(type_, ids)))
        if self._rehearsed is not None:
            return
        for type_ in {type_ for _, type_ in self._pending}:
            if self._counted(type_) > settings.IMPORT_CHANGE_FLOOR and (changes := self._of(type_)).too_many:
                self._pending = []
                raise TooManyChanges(changes)

    def counts(self) -> dict[str, int]:
        """How many records were changed, by type; all that was looked at is taken as committed."""
        self._settle(self._pending)
        return dict(self._settled)

    def told(self) -> list[Changes]:
        """The same beside what is stored, in the order of the types."""
        counts = self.counts()
        return [self._of(type_) for type_ in RECORD_TYPES if counts.get(type_)]

    def close(self) -> None:
        if self._rehearsed is not None:
            self._rehearsed.close()

    def _settle(self, lines: Iterable[tuple[int, str]]) -> None:
        self._settled.update(type_ for _, type_ in lines)
        self._pending = []

    def _add(self, type_: str, ids: Mapping[str, int], changed: list[str]) -> None:
        if self._rehearsed is not None:
            changed = self._rehearsed.first_time(type_, changed)
        self._pending += [(ids[external_id], type_) for external_id in changed]

    def _untouched(self, type_: str, ids: Iterable[str]) -> list[str]:
        """Those of the records that were stored before the import began, and not changed since."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT external_id FROM {VERSIONS[type_]._meta.db_table} WHERE external_id = ANY(%s) "
                "GROUP BY external_id HAVING max(received_at) < %s",
                [list(ids), self._began_at],
            )
            return [external_id for (external_id,) in cursor.fetchall()]

    def _counted(self, type_: str) -> int:
        return self._settled[type_] + sum(1 for _, one in self._pending if one == type_)

    def _of(self, type_: str) -> Changes:
        if type_ not in self._stored:
            self._stored[type_] = count_stored(type_, before=self._began_at)
        stored, share = self._stored[type_], share_of(type_)
        return Changes(
            type=type_,
            changed=self._counted(type_),
            stored=stored,
            at_most=max(settings.IMPORT_CHANGE_FLOOR, int((share if share < NEVER else share_of("")) * stored)),
        )


def _standing(type_: str, ids: list[str]) -> list[str]:
    """Those that are not void yet."""
    void = set(Voided.objects.filter(type=type_, external_id__in=ids).values_list("external_id", flat=True))
    return [external_id for external_id in ids if external_id not in void]


class Rehearsed:
    """Which records a dry run has counted, in an unnamed SQLite database: a temporary file that goes with the
    connection, since memory must not grow with the file."""

    def __init__(self) -> None:
        self._seen = sqlite3.connect("")
        self._seen.execute(
            "CREATE TABLE seen (type TEXT, external_id TEXT, PRIMARY KEY (type, external_id)) WITHOUT ROWID"
        )

    def first_time(self, type_: str, ids: Iterable[str]) -> list[str]:
        """Those that come for the first time; they are remembered."""
        insert = "INSERT OR IGNORE INTO seen VALUES (?, ?)"
        return [one for one in ids if self._seen.execute(insert, (type_, one)).rowcount]

    def close(self) -> None:
        self._seen.close()


def share_of(type_: str) -> float:
    """The share of a type's stored records that one import may change. From 1 on their updates are not counted, and
    voids of them have the share of all types."""
    shares: dict[str, float] = settings.IMPORT_CHANGE_SHARE
    return shares.get(type_, shares[""])


def _changes(outcomes: Sequence[Outcome]) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, int]]]:
    """By type, the ids that get another version in force, and those that are voided, each with its line."""
    updated: dict[str, dict[str, int]] = {}
    voided: dict[str, dict[str, int]] = {}
    for outcome in outcomes:
        line = outcome.line
        if outcome.result == "updated":
            updated.setdefault(line.type, {}).setdefault(line.external_id, line.number)
        if line.type == "void" and outcome.result in ("created", "updated"):
            fields = line.fields
            voided.setdefault(fields["target_type"], {}).setdefault(fields["target"], line.number)
    return updated, voided


def count_stored(type_: str, *, before: datetime) -> int:
    """How many records of a type were received before an instant: exact where few versions are stored, else what the
    database's statistics say of all."""
    table = VERSIONS[type_]._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM (SELECT FROM {table} LIMIT {EXACT_UP_TO + 1}) few")
        if cursor.fetchone()[0] > EXACT_UP_TO:
            cursor.execute(_ESTIMATE, [table])
            estimate = cursor.fetchone()
            if estimate is not None:
                return int(estimate[0])
        cursor.execute(f"SELECT count(DISTINCT external_id) FROM {table} WHERE received_at < %s", [before])
        counted: int = cursor.fetchone()[0]
        return counted


# A negative number of distinct values is a share of the rows.
_ESTIMATE = """
    SELECT CASE WHEN s.n_distinct < 0 THEN -s.n_distinct * c.reltuples ELSE s.n_distinct END
    FROM pg_class c
    JOIN pg_stats s ON s.schemaname = c.relnamespace::regnamespace::text AND s.tablename = c.relname
    WHERE c.oid = %s::regclass AND s.attname = 'external_id' AND c.reltuples > 0
"""
