"""A single decision reads what it needs by equality, in one statement.

Before the deploy: the functions that were there stay; the one for batches is called as before.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

# The rows of `disputes_gate_reading` (0008), for one item. A plan that is kept knows neither how long an array is nor
# how much of a table lies between two ids. So it took `= ANY (…)` for ten keys and the ids between `floor` and
# `ceiling` for the two hundredth part of a month, and read a day's permits through by their primary key. Here keys are
# compared with `=`; and `ceiling` stands in an OR, which leaves partitions out all the same, but is no range of the
# primary key that would look worth reading.
READING = migrations.RunSQL(
    sql="""
        CREATE FUNCTION disputes_gate_reading_item(
            lanes int[], stripe int, asked_loan text, asked_phone bytea, asked_rule text, asker text,
            asked_request text, look_back interval, floor uuid, ceiling uuid
        ) RETURNS TABLE (kind text, body text)
        LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
        #variable_conflict use_column
        DECLARE
            at timestamptz;
            whose text[];
            who text;
            digest text;
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
                -- Never waiting, as in 0008. 21094 is RULES_NAMESPACE (config/api/locks.py).
                IF stripe IS NOT NULL THEN
                    RETURN QUERY SELECT 'stripe', CASE WHEN pg_try_advisory_xact_lock_shared(21094, stripe)
                        THEN json_build_array(stripe)::text END;
                END IF;
            END IF;
            at := clock_timestamp();
            whose := ARRAY(
                SELECT loan.customer FROM disputes_loan AS loan
                WHERE loan.external_id = asked_loan AND loan.customer IS NOT NULL
                UNION
                SELECT phone.customer FROM disputes_customerphone AS phone WHERE phone.digest = asked_phone
            );
            IF cardinality(whose) > 1 THEN
                -- A phone of several people: as items of a batch are read, planned for what is asked.
                PERFORM set_config('plan_cache_mode', 'force_custom_plan', true);
                RETURN QUERY SELECT * FROM disputes_gate_reading(
                    NULL, '{}', array_remove(ARRAY[asked_loan], NULL), ARRAY[asked_phone],
                    array_remove(ARRAY[asked_rule], NULL), asker, array_remove(ARRAY[asked_request], NULL), look_back,
                    floor, ceiling);
                RETURN;
            END IF;
            who := whose[1];
            digest := encode(asked_phone, 'hex');
            -- One statement, so one snapshot, newer than the locks: a permit that its message brings back counts once.
            RETURN QUERY
            SELECT 'clock', json_build_array(at)::text
            UNION ALL SELECT 'loan', json_build_array(json_build_array(
                    loan.external_id, loan.customer, loan.currency, loan.time_zone, loan.grace_days,
                    loan.tolerance::text, loan.settled_on, loan.written_off_on, loan.pauses, loan.arrangements,
                    array_to_string(loan.due_on, ','), array_to_string(loan.amount, ','), loan.paid::text))::text
                FROM disputes_loan AS loan WHERE loan.external_id = asked_loan
            UNION ALL SELECT 'phone', json_agg(json_build_array(
                    encode(phone.digest, 'hex'), phone.customer, phone.role, phone.first, phone.until))::text
                FROM disputes_customerphone AS phone WHERE phone.digest = asked_phone
            UNION ALL SELECT 'customer', json_build_array(json_build_array(
                    customer.external_id, customer.time_zones, customer.contact_preferences))::text
                FROM disputes_customer AS customer WHERE customer.external_id = who
            UNION ALL SELECT 'rule', json_build_array(json_build_array(rule.external_id, rule.aim, rule.min_dpd))::text
                FROM disputes_sendingrule AS rule WHERE rule.external_id = asked_rule
            UNION ALL SELECT 'cover', json_agg(json_build_array(cover.key, hold.reason, hold.source, hold.why))::text
                FROM disputes_holdcover AS cover JOIN disputes_hold AS hold ON hold.id = cover.hold_id
                WHERE cover.released_at IS NULL AND cover.key IN (
                    'l:' || asked_loan, 'r:' || asked_rule, 'c:' || who, 'sc:' || who, 'p:' || digest, 'sp:' || digest)
            UNION ALL SELECT 'contact', json_agg(json_build_array(
                    contact.at, contact.customer, contact.loan, encode(contact.phone, 'hex'), contact.channel,
                    contact.category))::text
                FROM (
                    SELECT permit.id, permit.granted_at AS at, permit.customer, permit.loan,
                           permit.phone_digest AS phone, permit.channel, permit.category
                    FROM disputes_permit AS permit
                    WHERE permit.customer = who AND permit.granted_at > at - interval '24 hours'
                        AND permit.id >= floor AND (permit.id < ceiling OR permit.id = ceiling)
                        AND permit.unused_at IS NULL AND permit.message IS NULL
                    UNION
                    SELECT permit.id, permit.granted_at, permit.customer, permit.loan, permit.phone_digest,
                           permit.channel, permit.category
                    FROM disputes_permit AS permit
                    WHERE permit.loan = asked_loan AND permit.granted_at > at - interval '24 hours'
                        AND permit.id >= floor AND (permit.id < ceiling OR permit.id = ceiling)
                        AND permit.unused_at IS NULL AND permit.message IS NULL
                    UNION
                    SELECT permit.id, permit.granted_at, permit.customer, permit.loan, permit.phone_digest,
                           permit.channel, permit.category
                    FROM disputes_permit AS permit
                    WHERE permit.phone_digest = asked_phone AND permit.granted_at > at - interval '24 hours'
                        AND permit.id >= floor AND (permit.id < ceiling OR permit.id = ceiling)
                        AND permit.unused_at IS NULL AND permit.message IS NULL
                    UNION
                    SELECT message.id, message.sent_at, loan.customer, message.loan, message.phone_digest,
                           message.channel, message.category
                    FROM disputes_loan AS loan JOIN disputes_message AS message ON message.loan = loan.external_id
                    WHERE loan.customer = who AND message.sent_at > at - look_back AND NOT message.voided
                    UNION
                    SELECT message.id, message.sent_at, loan.customer, message.loan, message.phone_digest,
                           message.channel, message.category
                    FROM disputes_message AS message
                    LEFT JOIN disputes_loan AS loan ON loan.external_id = message.loan
                    WHERE message.phone_digest = asked_phone AND message.sent_at > at - look_back
                        AND NOT message.voided
                ) AS contact
            UNION ALL SELECT 'live', json_agg(json_build_array(
                    permit.request_id, permit.id, encode(permit.phone_digest, 'hex'), permit.loan, permit.channel,
                    permit.category, permit.sending_rule, permit.expires_at, permit.message IS NOT NULL)
                    ORDER BY permit.granted_at)::text
                FROM disputes_permit AS permit
                WHERE permit.caller = asker AND permit.request_id = asked_request
                    AND permit.id >= floor AND (permit.id < ceiling OR permit.id = ceiling)
                    AND CASE WHEN permit.message IS NULL THEN permit.expires_at > at AND permit.unused_at IS NULL
                        ELSE permit.granted_at > at - interval '24 hours' END
            UNION ALL SELECT 'watermark', json_agg(json_build_array(feed.name, newest.complete_until))::text
                FROM unnest(ARRAY['repayments', 'schedule', 'messages']) AS feed (name)
                CROSS JOIN LATERAL (
                    SELECT mark.complete_until FROM disputes_watermarkversion AS mark
                    WHERE mark.feed = feed.name AND NOT EXISTS (
                        SELECT FROM disputes_voided AS voided
                        WHERE voided.type = 'watermark' AND voided.external_id = mark.external_id)
                    ORDER BY mark.complete_until DESC LIMIT 1
                ) AS newest;
        END $$;
    """,
    reverse_sql="""
        DROP FUNCTION disputes_gate_reading_item(
            int[], int, text, bytea, text, text, text, interval, uuid, uuid);
    """,
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("disputes", "0008_rules_and_requests")]

    operations: ClassVar = [READING]
