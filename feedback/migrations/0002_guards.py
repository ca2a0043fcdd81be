"""What the models cannot say: versions and frozen figures are only added to.

Before the deploy: nothing here is in the way of the release before it.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

_APPEND_ONLY = ("surveyversion", "wavesummary")

APPEND_ONLY = migrations.RunSQL(
    sql=[
        f"CREATE TRIGGER {name}_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON feedback_{name} "
        "FOR EACH STATEMENT EXECUTE FUNCTION disputes_refuse_change();"
        for name in _APPEND_ONLY
    ],
    reverse_sql=[f"DROP TRIGGER {name}_is_append_only ON feedback_{name};" for name in _APPEND_ONLY],
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("feedback", "0001_initial"), ("disputes", "0002_guards")]

    operations: ClassVar = [APPEND_ONLY]
