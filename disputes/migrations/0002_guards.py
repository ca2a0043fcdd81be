"""What the models cannot say: lanes filled once, permits in monthly partitions, tables that are only added to.

Before the deploy: nothing here is in the way of the release before it. Each room has its part.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

LANES = migrations.RunSQL(
    sql="INSERT INTO disputes_lane (n) SELECT generate_series(0, 262143) ON CONFLICT DO NOTHING; ANALYZE disputes_lane;",
    reverse_sql="DELETE FROM disputes_lane;",
)

# The plain table of the first migration gives way to one that is partitioned by month, by range of the UUIDv7: its first 48
# bits are milliseconds. There is no DEFAULT partition: a row without a month is an error to see, not one to find later.
# Partitions are made as tables of their own and then attached, which locks the parent less than CREATE … PARTITION OF. The
# service's own role may not make tables, so it calls a function that runs with its owner's rights and can do only this.
PERMITS = migrations.RunSQL(
    sql="""
        ALTER TABLE disputes_permit RENAME TO disputes_permit_plain;
        CREATE TABLE disputes_permit (LIKE disputes_permit_plain INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
            PARTITION BY RANGE (id);
        DROP TABLE disputes_permit_plain;
        ALTER TABLE disputes_permit ADD PRIMARY KEY (id);
        CREATE INDEX permit_by_customer ON disputes_permit (customer, granted_at);
        CREATE INDEX permit_by_loan ON disputes_permit (loan, granted_at);
        CREATE INDEX permit_by_phone ON disputes_permit (phone_digest, granted_at);
        CREATE INDEX permit_by_rule ON disputes_permit (sending_rule, expires_at);
        CREATE INDEX permit_by_request ON disputes_permit (caller, request_id, expires_at);

        CREATE FUNCTION disputes_floor_of(instant timestamptz) RETURNS uuid
        LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
            SELECT (left(ms, 8) || '-' || right(ms, 4) || '-0000-0000-000000000000')::uuid
            FROM (SELECT lpad(to_hex((floor(extract(epoch FROM instant) * 1000))::bigint), 12, '0') AS ms) AS text;
        $$;

        CREATE FUNCTION disputes_keep_partitions(first_month date, months int) RETURNS int
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
        DECLARE
            month date;
            name text;
            made int := 0;
        BEGIN
            -- Two at once would both make the month.
            PERFORM pg_advisory_xact_lock(21093, 5);
            FOR ahead IN 0 .. least(months, 120) - 1 LOOP
                month := (date_trunc('month', first_month) + make_interval(months => ahead))::date;
                name := 'disputes_permit_' || to_char(month, 'YYYY_MM');
                IF to_regclass('public.' || name) IS NULL THEN
                    EXECUTE format('CREATE TABLE %I (LIKE disputes_permit INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
                    EXECUTE format(
                        'ALTER TABLE disputes_permit ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                        name,
                        disputes_floor_of(month::timestamp AT TIME ZONE 'UTC'),
                        disputes_floor_of((month + interval '1 month') AT TIME ZONE 'UTC')
                    );
                    made := made + 1;
                END IF;
            END LOOP;
            RETURN made;
        END $$;

        SELECT disputes_keep_partitions((now() AT TIME ZONE 'UTC' - interval '1 month')::date, 15);
    """,
    reverse_sql="""
        DROP FUNCTION disputes_keep_partitions(date, int);
        DROP FUNCTION disputes_floor_of(timestamptz) CASCADE;
    """,
)

FEED = migrations.RunSQL(
    sql="""
        CREATE SEQUENCE disputes_suppression_number;
        CREATE FUNCTION disputes_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is only ever added to', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
        END $$;
        CREATE TRIGGER suppression_change_is_append_only
            BEFORE UPDATE OR DELETE OR TRUNCATE ON disputes_suppressionchange
            FOR EACH STATEMENT EXECUTE FUNCTION disputes_refuse_change();
    """,
    reverse_sql="""
        DROP TRIGGER suppression_change_is_append_only ON disputes_suppressionchange;
        DROP FUNCTION disputes_refuse_change();
        DROP SEQUENCE disputes_suppression_number;
    """,
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("disputes", "0001_initial")]

    operations: ClassVar = [
        # lanes and holds
        LANES,
        PERMITS,
        FEED,
    ]
