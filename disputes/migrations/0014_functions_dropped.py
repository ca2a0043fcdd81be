"""Functions by which the gate once read, and which nothing calls any more, are gone.

After the deploy, in principle: a process of 0010's time would find no function. But no release has called them, so
that no process of a release can be running.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from django.db import migrations

_MADE_BY = (
    ("0002_guards", "GATE"),
    ("0005_gate_reading", "READING"),
    ("0008_rules_and_requests", "READING"),
    ("0010_single_decisions", "READING"),
)


def _undone(module: str, name: str) -> migrations.RunSQL:
    made: Any = getattr(import_module(f"disputes.migrations.{module}"), name)
    return migrations.RunSQL(sql=made.reverse_sql, reverse_sql=made.sql)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("disputes", "0013_opt_outs_listed")]

    operations: ClassVar = [_undone(*one) for one in reversed(_MADE_BY)]
