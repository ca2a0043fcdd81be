"""What the service's own role may do: work on rows, and only add to what is append-only.

The owner migrates and gives these rights after each migration; a model is append-only when it says so
(`append_only = True`). Triggers guard the same tables against everybody, the owner included.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder
from psycopg import sql


def append_only_tables() -> list[str]:
    """Tables of the models that say `append_only = True`."""
    return sorted({model._meta.db_table for model in apps.get_models() if getattr(model, "append_only", False)})


def grant_service_role(*, connection: BaseDatabaseWrapper, role: str) -> bool:
    """Gives `role` its rights in the schema `public`. False where there is no such role, or we are that role.

    Needs the owner's connection. Repeating it changes nothing; rights that were given by hand are taken back.
    """
    name = sql.Identifier(role)
    read_only = [MigrationRecorder.Migration._meta.db_table]
    # One transaction: a service that runs meanwhile never sees the rights half given.
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s AND rolname <> current_user", [role])
        if cursor.fetchone() is None:
            return False
        existing = set(connection.introspection.table_names(cursor))
        cursor.execute(_granting(name))
        for table in existing.intersection(append_only_tables()):
            cursor.execute(_taking_back("UPDATE, DELETE", table, name))
        for table in existing.intersection(read_only):
            cursor.execute(_taking_back("INSERT, UPDATE, DELETE", table, name))
    return True


def _granting(name: sql.Identifier) -> Any:
    return sql.SQL(
        """
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
        GRANT USAGE ON SCHEMA public TO {role};
        REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role};
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
        GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role};
        """
    ).format(role=name)


def _taking_back(rights: str, table: str, name: sql.Identifier) -> Any:
    return sql.SQL("REVOKE {rights} ON {table} FROM {role}").format(
        rights=sql.SQL(rights), table=sql.Identifier(table), role=name
    )


def grant_after_migrate(*, using: str, **signal: Any) -> None:
    """Receiver of `post_migrate`. `flush` sends it too, without a plan, and changes no rights."""
    if "plan" in signal and connections[using].vendor == "postgresql":
        grant_service_role(connection=connections[using], role=settings.SERVICE_ROLE)
