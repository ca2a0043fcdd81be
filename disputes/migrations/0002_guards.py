"""What the models cannot say: lanes filled once, permits in monthly partitions, tables that are only added to.

Before the deploy: nothing here is in the way of the release before it. Each room has its part.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

LANES = migrations.RunSQL(
    sql="""
        INSERT INTO disputes_lane (n) SELECT generate_series(0, 262143) ON CONFLICT DO NOTHING;
        ANALYZE disputes_lane;
    """,
    reverse_sql="DELETE FROM disputes_lane;",
)

# The plain table of the first migration gives way to one that is partitioned by month, by range of the UUIDv7: its
# first 48 bits are milliseconds. There is no DEFAULT partition: a row without a month is an error to see, not one to
# find later. Partitions are made as tables of their own and then attached, which locks the parent less than CREATE …
# PARTITION OF. The service's own role may not make tables, so it calls a function that runs with its owner's rights
# and can do only this.
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
                    EXECUTE format(
                        'CREATE TABLE %I (LIKE disputes_permit INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
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

# Lock and facts in one call. The function is VOLATILE, so that each statement in it has a snapshot of its own, newer
# than the locks of the first; and its plans live in the server's session, so that a single decision is not planned
# anew each time (`disputes_gate_facts_one` forces the generic plans, which a chunk gains nothing from). A plan that was
# made while the month's permits were few would read all of them for as long as the session lives, so it may only use
# indexes. Rows come as (kind, body).
GATE = migrations.RunSQL(
    sql="""
        CREATE FUNCTION disputes_gate_facts(
            lanes int[], loans text[], phones bytea[], rules text[], asker text, requests text[],
            look_back interval, floor uuid
        ) RETURNS TABLE (kind text, body jsonb)
        LANGUAGE plpgsql VOLATILE SET enable_seqscan = off AS $$
        #variable_conflict use_column
        DECLARE
            whose text[];
            at timestamptz;
        BEGIN
            IF lanes IS NOT NULL THEN
                IF current_setting('transaction_isolation') <> 'read committed' THEN
                    RAISE EXCEPTION 'lanes need read committed';
                END IF;
                RETURN QUERY
                    SELECT 'lane', to_jsonb(lane.n) FROM disputes_lane AS lane WHERE lane.n = ANY (lanes)
                    ORDER BY lane.n FOR NO KEY UPDATE SKIP LOCKED;
            END IF;
            at := clock_timestamp();
            RETURN QUERY SELECT 'clock', to_jsonb(at);

            whose := ARRAY(
                SELECT loan.customer FROM disputes_loan AS loan
                WHERE loan.external_id = ANY (loans) AND loan.customer IS NOT NULL
                UNION
                SELECT phone.customer FROM disputes_customerphone AS phone WHERE phone.digest = ANY (phones)
            );
            RETURN QUERY
                SELECT 'loan', jsonb_build_object(
                    'id', loan.external_id, 'customer', loan.customer, 'currency', loan.currency,
                    'time_zone', loan.time_zone, 'grace_days', loan.grace_days, 'tolerance', loan.tolerance::text,
                    'settled_on', loan.settled_on, 'written_off_on', loan.written_off_on, 'pauses', loan.pauses,
                    'arrangements', loan.arrangements, 'due_on', to_jsonb(loan.due_on),
                    'amount', to_jsonb(loan.amount::text[]), 'paid', loan.paid::text)
                FROM disputes_loan AS loan WHERE loan.external_id = ANY (loans);
            RETURN QUERY
                SELECT 'phone', jsonb_build_object(
                    'phone', encode(phone.digest, 'hex'), 'customer', phone.customer, 'role', phone.role,
                    'first', phone.first, 'until', phone.until)
                FROM disputes_customerphone AS phone WHERE phone.digest = ANY (phones);
            RETURN QUERY
                SELECT 'customer', jsonb_build_object(
                    'id', customer.external_id, 'zones', to_jsonb(customer.time_zones),
                    'wishes', customer.contact_preferences)
                FROM disputes_customer AS customer WHERE customer.external_id = ANY (whose);
            RETURN QUERY
                SELECT 'rule', jsonb_build_object('id', rule.external_id, 'aim', rule.aim, 'min_dpd', rule.min_dpd)
                FROM disputes_sendingrule AS rule WHERE rule.external_id = ANY (rules);
            RETURN QUERY
                SELECT 'cover', jsonb_build_object(
                    'key', cover.key, 'reason', hold.reason, 'source', hold.source, 'why', hold.why)
                FROM disputes_holdcover AS cover JOIN disputes_hold AS hold ON hold.id = cover.hold_id
                WHERE cover.released_at IS NULL AND cover.key = ANY (
                    ARRAY(SELECT 'l:' || one FROM unnest(loans) AS one)
                    || ARRAY(SELECT 'r:' || one FROM unnest(rules) AS one)
                    || ARRAY(SELECT prefix || one FROM unnest(whose) AS one, unnest(ARRAY['c:', 'sc:']) AS prefix)
                    || ARRAY(SELECT prefix || encode(one, 'hex')
                             FROM unnest(phones) AS one, unnest(ARRAY['p:', 'sp:']) AS prefix));
            -- One statement, so that a permit that its message brings back is counted once: as the one or the other.
            RETURN QUERY
                SELECT 'contact', jsonb_build_object(
                    'at', contact.at, 'customer', contact.customer, 'loan', contact.loan,
                    'phone', encode(contact.phone, 'hex'), 'channel', contact.channel, 'category', contact.category)
                FROM (
                    SELECT permit.id, permit.granted_at AS at, permit.customer, permit.loan,
                           permit.phone_digest AS phone, permit.channel, permit.category
                    FROM disputes_permit AS permit
                    WHERE permit.customer = ANY (whose) AND permit.granted_at > at - interval '24 hours'
                        AND permit.id >= floor AND permit.unused_at IS NULL AND permit.message IS NULL
                    UNION
                    SELECT permit.id, permit.granted_at, permit.customer, permit.loan, permit.phone_digest,
                           permit.channel, permit.category
                    FROM disputes_permit AS permit
                    WHERE permit.loan = ANY (loans) AND permit.granted_at > at - interval '24 hours'
                        AND permit.id >= floor AND permit.unused_at IS NULL AND permit.message IS NULL
                    UNION
                    SELECT permit.id, permit.granted_at, permit.customer, permit.loan, permit.phone_digest,
                           permit.channel, permit.category
                    FROM disputes_permit AS permit
                    WHERE permit.phone_digest = ANY (phones) AND permit.granted_at > at - interval '24 hours'
                        AND permit.id >= floor AND permit.unused_at IS NULL AND permit.message IS NULL
                    UNION
                    SELECT message.id, message.sent_at, loan.customer, message.loan, message.phone_digest,
                           message.channel, message.category
                    FROM disputes_loan AS loan JOIN disputes_message AS message ON message.loan = loan.external_id
                    WHERE loan.customer = ANY (whose) AND message.sent_at > at - look_back AND NOT message.voided
                    UNION
                    SELECT message.id, message.sent_at, loan.customer, message.loan, message.phone_digest,
                           message.channel, message.category
                    FROM disputes_message AS message
                    LEFT JOIN disputes_loan AS loan ON loan.external_id = message.loan
                    WHERE message.phone_digest = ANY (phones) AND message.sent_at > at - look_back
                        AND NOT message.voided
                ) AS contact;
            IF cardinality(requests) > 0 THEN
                RETURN QUERY
                    SELECT 'live', jsonb_build_object(
                        'request_id', permit.request_id, 'id', permit.id, 'phone', encode(permit.phone_digest, 'hex'),
                        'loan', permit.loan, 'channel', permit.channel, 'category', permit.category,
                        'expires_at', permit.expires_at)
                    FROM disputes_permit AS permit
                    WHERE permit.caller = asker AND permit.request_id = ANY (requests) AND permit.expires_at > at
                        AND permit.id >= floor AND permit.unused_at IS NULL
                    ORDER BY permit.granted_at;
            END IF;
            RETURN QUERY
                SELECT 'watermark', jsonb_build_object('feed', feed.name, 'until', newest.complete_until)
                FROM unnest(ARRAY['repayments', 'schedule', 'messages']) AS feed (name)
                CROSS JOIN LATERAL (
                    SELECT mark.complete_until FROM disputes_watermarkversion AS mark
                    WHERE mark.feed = feed.name AND NOT EXISTS (
                        SELECT FROM disputes_voided AS voided
                        WHERE voided.type = 'watermark' AND voided.external_id = mark.external_id)
                    ORDER BY mark.complete_until DESC LIMIT 1
                ) AS newest;
        END $$;

        CREATE FUNCTION disputes_gate_facts_one(
            lanes int[], loans text[], phones bytea[], rules text[], asker text, requests text[],
            look_back interval, floor uuid
        ) RETURNS TABLE (kind text, body jsonb)
        LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
        BEGIN
            RETURN QUERY SELECT * FROM disputes_gate_facts(
                lanes, loans, phones, rules, asker, requests, look_back, floor);
        END $$;
    """,
    reverse_sql="""
        DROP FUNCTION disputes_gate_facts_one(int[], text[], bytea[], text[], text, text[], interval, uuid);
        DROP FUNCTION disputes_gate_facts(int[], text[], bytea[], text[], text, text[], interval, uuid);
    """,
)

# Versions of records are what was said and when: they are never changed. What is personal stands in tables of its
# own, which can be emptied.
_VERSIONS = (
    "customerphoneversion",
    "customerversion",
    "instalmentversion",
    "loanversion",
    "messageversion",
    "repaymentversion",
    "reversalversion",
    "sendingruleversion",
    "voidversion",
    "watermarkversion",
)
RECORDS = migrations.RunSQL(
    sql=[
        f"CREATE TRIGGER {name}_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON disputes_{name} "
        "FOR EACH STATEMENT EXECUTE FUNCTION disputes_refuse_change();"
        for name in _VERSIONS
    ],
    reverse_sql=[f"DROP TRIGGER {name}_is_append_only ON disputes_{name};" for name in _VERSIONS],
)


JOURNAL = migrations.RunSQL(
    sql="""
        CREATE TRIGGER event_is_append_only
            BEFORE UPDATE OR DELETE OR TRUNCATE ON disputes_event
            FOR EACH STATEMENT EXECUTE FUNCTION disputes_refuse_change();
    """,
    reverse_sql="DROP TRIGGER event_is_append_only ON disputes_event;",
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("disputes", "0001_initial")]

    operations: ClassVar = [
        # lanes and holds
        LANES,
        PERMITS,
        FEED,
        # journal
        JOURNAL,
        GATE,
        # records (after FEED, whose function its triggers call)
        RECORDS,
    ]
