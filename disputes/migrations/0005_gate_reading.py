"""The gate reads what it needs in fewer and shorter rows, and permits have a last month as well as a first.

Before the deploy: the functions of the second migration stay, for the release before this one.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

# As `disputes_gate_facts`, and besides: all rows of a kind are one text, a list of lists, since a row that is built,
# sent and read by itself costs more than what stands in it; a loan's lines are two texts; and permits are looked for
# between two ids, so that neither past months nor those made ahead are planned for, opened or looked into.
READING = migrations.RunSQL(
    sql="""
        CREATE FUNCTION disputes_gate_reading(
            lanes int[], loans text[], phones bytea[], rules text[], asker text, requests text[],
            look_back interval, floor uuid, ceiling uuid
        ) RETURNS TABLE (kind text, body text)
        LANGUAGE plpgsql VOLATILE SET enable_seqscan = off AS $$
        #variable_conflict use_column
        DECLARE
            whose text[];
            theirs text[];
            at timestamptz;
        BEGIN
            IF lanes IS NOT NULL THEN
                IF current_setting('transaction_isolation') <> 'read committed' THEN
                    RAISE EXCEPTION 'lanes need read committed';
                END IF;
                RETURN QUERY
                    SELECT 'lane', json_agg(locked.n)::text
                    FROM (
                        SELECT lane.n FROM disputes_lane AS lane WHERE lane.n = ANY (lanes)
                        ORDER BY lane.n FOR NO KEY UPDATE SKIP LOCKED
                    ) AS locked;
            END IF;
            at := clock_timestamp();
            RETURN QUERY SELECT 'clock', json_build_array(at)::text;

            whose := ARRAY(
                SELECT loan.customer FROM disputes_loan AS loan
                WHERE loan.external_id = ANY (loans) AND loan.customer IS NOT NULL
                UNION
                SELECT phone.customer FROM disputes_customerphone AS phone WHERE phone.digest = ANY (phones)
            );
            theirs := ARRAY(SELECT loan.external_id FROM disputes_loan AS loan WHERE loan.customer = ANY (whose));
            RETURN QUERY
                SELECT 'loan', json_agg(json_build_array(
                    loan.external_id, loan.customer, loan.currency, loan.time_zone, loan.grace_days,
                    loan.tolerance::text, loan.settled_on, loan.written_off_on, loan.pauses, loan.arrangements,
                    array_to_string(loan.due_on, ','), array_to_string(loan.amount, ','), loan.paid::text))::text
                FROM disputes_loan AS loan WHERE loan.external_id = ANY (loans);
            RETURN QUERY
                SELECT 'phone', json_agg(json_build_array(
                    encode(phone.digest, 'hex'), phone.customer, phone.role, phone.first, phone.until))::text
                FROM disputes_customerphone AS phone WHERE phone.digest = ANY (phones);
            RETURN QUERY
                SELECT 'customer', json_agg(json_build_array(
                    customer.external_id, customer.time_zones, customer.contact_preferences))::text
                FROM disputes_customer AS customer WHERE customer.external_id = ANY (whose);
            IF cardinality(rules) > 0 THEN
                RETURN QUERY
                    SELECT 'rule', json_agg(json_build_array(rule.external_id, rule.aim, rule.min_dpd))::text
                    FROM disputes_sendingrule AS rule WHERE rule.external_id = ANY (rules);
            END IF;
            RETURN QUERY
                SELECT 'cover', json_agg(json_build_array(cover.key, hold.reason, hold.source, hold.why))::text
                FROM disputes_holdcover AS cover JOIN disputes_hold AS hold ON hold.id = cover.hold_id
                WHERE cover.released_at IS NULL AND cover.key = ANY (
                    ARRAY(SELECT 'l:' || one FROM unnest(loans) AS one)
                    || ARRAY(SELECT 'r:' || one FROM unnest(rules) AS one)
                    || ARRAY(SELECT prefix || one FROM unnest(whose) AS one, unnest(ARRAY['c:', 'sc:']) AS prefix)
                    || ARRAY(SELECT prefix || encode(one, 'hex')
                             FROM unnest(phones) AS one, unnest(ARRAY['p:', 'sp:']) AS prefix));
            -- One statement, so that a permit that its message brings back is counted once: as the one or the other.
            RETURN QUERY
                SELECT 'contact', json_agg(json_build_array(
                    contact.at, contact.customer, contact.loan, encode(contact.phone, 'hex'), contact.channel,
                    contact.category))::text
                FROM (
                    SELECT permit.id, permit.granted_at AS at, permit.customer, permit.loan,
                           permit.phone_digest AS phone, permit.channel, permit.category
                    FROM disputes_permit AS permit
                    WHERE permit.customer = ANY (whose) AND permit.granted_at > at - interval '24 hours'
                        AND permit.id BETWEEN floor AND ceiling AND permit.unused_at IS NULL
                        AND permit.message IS NULL
                    UNION
                    SELECT permit.id, permit.granted_at, permit.customer, permit.loan, permit.phone_digest,
                           permit.channel, permit.category
                    FROM disputes_permit AS permit
                    WHERE permit.loan = ANY (loans) AND permit.granted_at > at - interval '24 hours'
                        AND permit.id BETWEEN floor AND ceiling AND permit.unused_at IS NULL
                        AND permit.message IS NULL
                    UNION
                    SELECT permit.id, permit.granted_at, permit.customer, permit.loan, permit.phone_digest,
                           permit.channel, permit.category
                    FROM disputes_permit AS permit
                    WHERE permit.phone_digest = ANY (phones) AND permit.granted_at > at - interval '24 hours'
                        AND permit.id BETWEEN floor AND ceiling AND permit.unused_at IS NULL
                        AND permit.message IS NULL
                    UNION
                    SELECT message.id, message.sent_at, loan.customer, message.loan, message.phone_digest,
                           message.channel, message.category
                    FROM disputes_message AS message JOIN disputes_loan AS loan ON loan.external_id = message.loan
                    WHERE message.loan = ANY (theirs) AND message.sent_at > at - look_back AND NOT message.voided
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
                    SELECT 'live', json_agg(json_build_array(
                        permit.request_id, permit.id, encode(permit.phone_digest, 'hex'), permit.loan, permit.channel,
                        permit.category, permit.expires_at) ORDER BY permit.granted_at)::text
                    FROM disputes_permit AS permit
                    WHERE permit.caller = asker AND permit.request_id = ANY (requests) AND permit.expires_at > at
                        AND permit.id BETWEEN floor AND ceiling AND permit.unused_at IS NULL;
            END IF;
            RETURN QUERY
                SELECT 'watermark', json_agg(json_build_array(feed.name, newest.complete_until))::text
                FROM unnest(ARRAY['repayments', 'schedule', 'messages']) AS feed (name)
                CROSS JOIN LATERAL (
                    SELECT mark.complete_until FROM disputes_watermarkversion AS mark
                    WHERE mark.feed = feed.name AND NOT EXISTS (
                        SELECT FROM disputes_voided AS voided
                        WHERE voided.type = 'watermark' AND voided.external_id = mark.external_id)
                    ORDER BY mark.complete_until DESC LIMIT 1
                ) AS newest;
        END $$;

        CREATE FUNCTION disputes_gate_reading_one(
            lanes int[], loans text[], phones bytea[], rules text[], asker text, requests text[],
            look_back interval, floor uuid, ceiling uuid
        ) RETURNS TABLE (kind text, body text)
        LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
        BEGIN
            RETURN QUERY SELECT * FROM disputes_gate_reading(
                lanes, loans, phones, rules, asker, requests, look_back, floor, ceiling);
        END $$;
    """,
    reverse_sql="""
        DROP FUNCTION disputes_gate_reading_one(int[], text[], bytea[], text[], text, text[], interval, uuid, uuid);
        DROP FUNCTION disputes_gate_reading(int[], text[], bytea[], text[], text, text[], interval, uuid, uuid);
    """,
)

# A month goes as it came: by a function of the owner's, which can take the permits' months and nothing else. DETACH
# first, so that whoever reads the parent meanwhile waits for a moment and not for the drop.
RETENTION = migrations.RunSQL(
    sql="""
        CREATE FUNCTION disputes_drop_partitions(before_month date) RETURNS int
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
        DECLARE
            name text;
            needed boolean;
            dropped int := 0;
        BEGIN
            -- Nothing younger than two months, whatever is asked: caps and live permits look back that far at most.
            IF before_month > (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '2 months')::date THEN
                RAISE EXCEPTION 'permits of the last two months are kept' USING ERRCODE = 'restrict_violation';
            END IF;
            PERFORM pg_advisory_xact_lock(21093, 5);
            FOR name IN
                SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
                WHERE inhparent = 'public.disputes_permit'::regclass
                    AND child.relname ~ '^disputes_permit_[0-9]{4}_[0-9]{2}$'
                    AND to_date(right(child.relname, 7), 'YYYY_MM') < date_trunc('month', before_month)
                ORDER BY 1
            LOOP
                -- A check of a message that is disputed still asks for its permit.
                EXECUTE format(
                    'SELECT EXISTS (SELECT FROM %I AS permit'
                    ' JOIN disputes_message AS message ON message.external_id = permit.message'
                    ' JOIN disputes_dispute AS dispute ON dispute.message_id = message.id'
                    ' WHERE dispute.status <> ''closed'')', name) INTO needed;
                CONTINUE WHEN needed;
                EXECUTE format('ALTER TABLE disputes_permit DETACH PARTITION %I', name);
                EXECUTE format('DROP TABLE %I', name);
                dropped := dropped + 1;
            END LOOP;
            RETURN dropped;
        END $$;
    """,
    reverse_sql="DROP FUNCTION disputes_drop_partitions(date);",
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("disputes", "0004_lasting_checks")]

    operations: ClassVar = [READING, RETENTION]
