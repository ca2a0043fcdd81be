"""A key is taken, and looked for, by a function that keeps its plan.

Before the deploy: a new function beside the table that was there.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

# Two statements of a volatile function: the key is looked for from a snapshot newer than its lock. A plan that was made
# while the table was empty must not read it through when it is not.
CLAIM = migrations.RunSQL(
    sql="""
        CREATE FUNCTION api_claim_key(
            lock bigint, who text, named text, kept_for interval, OUT locked boolean, OUT kept uuid,
            OUT is_kept boolean
        )
        LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
        BEGIN
            locked := pg_try_advisory_xact_lock(lock);
            IF locked THEN
                SELECT known.id, known.created_at > statement_timestamp() - kept_for INTO kept, is_kept
                FROM api_idempotencykey AS known WHERE known.caller = who AND known.key = named;
            END IF;
        END $$;
    """,
    reverse_sql="DROP FUNCTION api_claim_key(bigint, text, text, interval);",
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("api", "0001_initial")]

    operations: ClassVar = [CLAIM]
