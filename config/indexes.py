"""Operations of migrations that build and drop indexes while rows are written, and that may be run again.

Such a migration is no transaction. Interrupted (a deployment that was stopped, a lock that was waited for too long), a
build leaves an index of its name that no query uses and every write keeps up; Django's own operation then fails on it
for ever, and `IF NOT EXISTS` takes it for done.
"""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, NotInTransactionMixin
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation


class AddIndex(AddIndexConcurrently):
    """Builds an index of a model. What an interrupted build left is dropped first; one that stands whole is left."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._ensure_not_in_transaction(schema_editor)
        if not _stands(schema_editor, self.index.name):
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class DropIndex(NotInTransactionMixin, Operation):
    """Drops an index of which the models say nothing. `on`: its table and columns, as CREATE INDEX takes them, by which
    it is built again on the way back."""

    def __init__(self, name: str, on: str) -> None:
        self.name, self.on = name, on

    def state_forwards(self, app_label: str, state: Any) -> None:
        """The models do not know it."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._ensure_not_in_transaction(schema_editor)
        # Of a drop that was interrupted too, the rest.
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {self.name}")

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._ensure_not_in_transaction(schema_editor)
        if not _stands(schema_editor, self.name):
            schema_editor.execute(f"CREATE INDEX CONCURRENTLY {self.name} ON {self.on}")

    def describe(self) -> str:
        return f"Drop the index {self.name}"


def _stands(schema_editor: BaseDatabaseSchemaEditor, name: str) -> bool:
    """Whether the index is there and valid. One that is invalid is dropped: waiting, where its build goes on."""
    if schema_editor.collect_sql:
        return False
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [name])
        row = cursor.fetchone()
    if row is None:
        return False
    if not row[0]:
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    return bool(row[0])
