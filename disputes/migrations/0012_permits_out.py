"""The permits that are out for what a hold covers are read by a function that keeps its plan.

Before the deploy: a new function beside the tables that were there.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

# Planned anew, a statement over all partitions costs ten times what it reads. As in 0010, a plan that is kept does not
# know how much of a month lies above an id: so `floor` stands in an OR, which leaves partitions out all the same, but
# is no range of the primary key that would look worth reading.
PERMITS_OUT = migrations.RunSQL(
    sql="""
        CREATE FUNCTION disputes_permits_out(
            loans text[], whose text[], phones bytea[], rules text[], look_back interval
        ) RETURNS TABLE (
            id uuid, request_id text, loan text, channel text, category text, vendor text, granted_at timestamptz,
            expires_at timestamptz, customer text, phone_digest bytea, sending_rule text, reply_to text, owner text
        )
        LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
        #variable_conflict use_column
        DECLARE
            at timestamptz := clock_timestamp();
            floor uuid := disputes_floor_of(at - look_back);
            theirs text[] := loans || ARRAY(
                SELECT owned.external_id::text FROM disputes_loan AS owned WHERE owned.customer = ANY (whose));
        BEGIN
            RETURN QUERY
            SELECT permit.id, permit.request_id::text, permit.loan::text, permit.channel::text, permit.category::text,
                   permit.vendor::text, permit.granted_at, permit.expires_at, permit.customer::text,
                   permit.phone_digest, permit.sending_rule::text, permit.reply_to::text,
                   (SELECT owned.customer::text FROM disputes_loan AS owned WHERE owned.external_id = permit.loan)
            FROM disputes_permit AS permit
            WHERE (permit.loan = ANY (theirs) OR permit.customer = ANY (whose) OR permit.phone_digest = ANY (phones)
                    OR permit.sending_rule = ANY (rules))
                AND (permit.id > floor OR permit.id = floor)
                AND permit.expires_at > at AND permit.unused_at IS NULL
            ORDER BY permit.granted_at, permit.id;
        END $$;
    """,
    reverse_sql="DROP FUNCTION disputes_permits_out(text[], text[], bytea[], text[], interval);",
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("disputes", "0010_single_decisions")]

    operations: ClassVar = [PERMITS_OUT]
