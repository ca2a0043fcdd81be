"""A batch is read by plans that are kept.

Before the deploy: the function that is there answers the same, and is called as before.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

# A batch is read in some forty parts, and each planned the same statements over all partitions anew, which took longer
# than to read the smaller parts. The statements of 0011 hang on no number of keys: of each table they look up key by
# key, by the only index that its condition leaves, and a plan that is kept does just that.
FUNCTION = "disputes_gate_facts(int[], int[], text[], bytea[], text[], text, text[], interval, uuid, uuid)"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("disputes", "0017_opening_indexes")]

    operations: ClassVar = [
        migrations.RunSQL(
            sql=f"ALTER FUNCTION {FUNCTION} SET plan_cache_mode = force_generic_plan",
            reverse_sql=f"ALTER FUNCTION {FUNCTION} RESET plan_cache_mode",
        )
    ]
