"""Indexes that every opening wrote and nothing read.

After the deploy: nothing needs them, neither before it. Those for LIKE are Django's own, beside an index of the same
column; nobody looks for the beginning of a reference, a loan's id or a watched key. A hold's covers are found by the
unique index that begins with the hold.
"""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

from config.indexes import DropIndex

_FOR_LIKE = (
    ("disputes_dispute_reference_d5c34516_like", "disputes_dispute (reference varchar_pattern_ops)"),
    ("disputes_dispute_loan_bc758c8c_like", "disputes_dispute (loan varchar_pattern_ops)"),
    ("disputes_watch_key_e8ebce01_like", "disputes_watch (key varchar_pattern_ops)"),
)
_OF_A_HOLD = ("disputes_holdcover_hold_id_a5cf291d", "disputes_holdcover (hold_id)")


class Migration(migrations.Migration):
    atomic = False

    dependencies: ClassVar = [("disputes", "0016_opening_writing")]

    operations: ClassVar = [
        *[DropIndex(*one) for one in _FOR_LIKE],
        migrations.SeparateDatabaseAndState(
            database_operations=[DropIndex(*_OF_A_HOLD)],
            state_operations=[
                migrations.AlterField(
                    model_name="holdcover",
                    name="hold",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="covers",
                        to="disputes.hold",
                    ),
                ),
            ],
        ),
    ]
