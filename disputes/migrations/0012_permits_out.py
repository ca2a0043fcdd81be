"""The permits that are out for what a hold covers are read by a function that keeps its plan.

Before the deploy: a new function beside the tables that were there.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

_SHOWN = """permit.id, permit.request_id::text, permit.loan::text, permit.channel::text,
                    permit.category::text, permit.vendor::text, permit.granted_at, permit.expires_at,
                    permit.customer::text, permit.phone_digest, permit.sending_rule::text, permit.reply_to::text,
                    (SELECT owned.customer::text FROM disputes_loan AS owned WHERE owned.external_id = permit.loan)"""

# Planned anew, a statement over all partitions costs ten times what it reads. As in 0011, a plan that is kept knows
# neither how long an array is nor how much of a month lies above an id or after an instant: so each key is looked up
# by itself, with `=`; an instant stands together with the key, or is reckoned with; and `floor` stands in an OR. What
# lives was granted within `look_back`. One permit may answer several keys.
PERMITS_OUT = migrations.RunSQL(
    sql=f"""
        CREATE FUNCTION disputes_permits_out(
            loans text[], whose text[], phones bytea[], rules text[], look_back interval
        ) RETURNS TABLE (
            id uuid, request_id text, loan text, channel text, category text, vendor text, granted_at timestamptz,
            expires_at timestamptz, customer text, phone_digest bytea, sending_rule text, reply_to text, owner text
        )
        LANGUAGE plpgsql VOLATILE
        SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
        #variable_conflict use_column
        DECLARE
            at timestamptz := clock_timestamp();
            floor uuid := disputes_floor_of(at - look_back);
            theirs text[] := loans;
            key text;
            digest bytea;
        BEGIN
            FOREACH key IN ARRAY whose LOOP
                theirs := theirs || ARRAY(
                    SELECT owned.external_id::text FROM disputes_loan AS owned
                    WHERE owned.customer = key AND owned.external_id <> ALL (loans));
            END LOOP;
            FOREACH key IN ARRAY theirs LOOP
                RETURN QUERY SELECT {_SHOWN}
                FROM disputes_permit AS permit
                WHERE permit.loan = key AND (permit.loan, permit.granted_at) > (key, at - look_back)
                    AND (permit.id > floor OR permit.id = floor)
                    AND permit.expires_at + interval '0' > at AND permit.unused_at IS NULL;
            END LOOP;
            FOREACH key IN ARRAY whose LOOP
                RETURN QUERY SELECT {_SHOWN}
                FROM disputes_permit AS permit
                WHERE permit.customer = key AND (permit.customer, permit.granted_at) > (key, at - look_back)
                    AND (permit.id > floor OR permit.id = floor)
                    AND permit.expires_at + interval '0' > at AND permit.unused_at IS NULL;
            END LOOP;
            FOREACH digest IN ARRAY phones LOOP
                RETURN QUERY SELECT {_SHOWN}
                FROM disputes_permit AS permit
                WHERE permit.phone_digest = digest
                    AND (permit.phone_digest, permit.granted_at) > (digest, at - look_back)
                    AND (permit.id > floor OR permit.id = floor)
                    AND permit.expires_at + interval '0' > at AND permit.unused_at IS NULL;
            END LOOP;
            FOREACH key IN ARRAY rules LOOP
                RETURN QUERY SELECT {_SHOWN}
                FROM disputes_permit AS permit
                WHERE permit.sending_rule = key AND (permit.sending_rule, permit.expires_at) > (key, at)
                    AND (permit.id > floor OR permit.id = floor) AND permit.unused_at IS NULL;
            END LOOP;
        END $$;
    """,
    reverse_sql="DROP FUNCTION disputes_permits_out(text[], text[], bytea[], text[], interval);",
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("disputes", "0011_gate_facts")]

    operations: ClassVar = [PERMITS_OUT]
