"""What the gate reads, of a batch and of a single decision, by plans that do not hang on what a table held when they
were made.

Before the deploy: the functions that were there stay, for the release before this one.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

# As `disputes_gate_reading` (0008), and besides: loans and phones are read with their owners, in one statement each;
# and a permit can be read by no index but that of its key. Of a month's partition that was analysed while it was empty
# the planner believes that any index will do, so that it read the whole last day once a key. So instants are compared
# together with the key; and `floor`, like `ceiling` in 0010, stands in an OR: it prunes partitions all the same, but is
# no range of the primary key, and without bitmaps two of them are none either.
FACTS = migrations.RunSQL(
    sql="""
        CREATE FUNCTION disputes_gate_facts(
            lanes int[], stripes int[], loans text[], phones bytea[], rules text[], asker text, requests text[],
            look_back interval, floor uuid, ceiling uuid
        ) RETURNS TABLE (kind text, body text)
        LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
        #variable_conflict use_column
        DECLARE
            owners text[];
            holders text[];
            whose text[];
            theirs text[];
            at timestamptz;
            number int;
            got int[] := ARRAY[]::int[];
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
                -- Never waiting: somebody who waits to hold a rule alone is waited for by nobody who decides, and
                -- makes this fail. 21094 is RULES_NAMESPACE (config/api/locks.py).
                IF cardinality(stripes) > 0 THEN
                    FOREACH number IN ARRAY stripes LOOP
                        IF pg_try_advisory_xact_lock_shared(21094, number) THEN
                            got := got || number;
                        END IF;
                    END LOOP;
                    kind := 'stripe';
                    body := to_json(got);
                    RETURN NEXT;
                END IF;
            END IF;
            at := clock_timestamp();
            RETURN QUERY SELECT 'clock', json_build_array(at)::text;

            SELECT json_agg(json_build_array(
                    loan.external_id, loan.customer, loan.currency, loan.time_zone, loan.grace_days,
                    loan.tolerance::text, loan.settled_on, loan.written_off_on, loan.pauses, loan.arrangements,
                    array_to_string(loan.due_on, ','), array_to_string(loan.amount, ','), loan.paid::text))::text,
                array_agg(loan.customer) FILTER (WHERE loan.customer IS NOT NULL)
                INTO body, owners
                FROM disputes_loan AS loan WHERE loan.external_id = ANY (loans);
            kind := 'loan';
            RETURN NEXT;
            SELECT json_agg(json_build_array(
                    encode(phone.digest, 'hex'), phone.customer, phone.role, phone.first, phone.until))::text,
                array_agg(phone.customer)
                INTO body, holders
                FROM disputes_customerphone AS phone WHERE phone.digest = ANY (phones);
            kind := 'phone';
            RETURN NEXT;
            whose := ARRAY(SELECT DISTINCT one FROM unnest(owners || holders) AS one);
            theirs := ARRAY(SELECT loan.external_id FROM disputes_loan AS loan WHERE loan.customer = ANY (whose));
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
            -- Permits are looked up key by key (OFFSET keeps the planner to it): of a month that has just
            -- begun it knows nothing, and it would rather read the whole last day by its ids.
            RETURN QUERY
                SELECT 'contact', json_agg(json_build_array(
                    contact.at, contact.customer, contact.loan, encode(contact.phone, 'hex'), contact.channel,
                    contact.category))::text
                FROM (
                    SELECT permit.id, permit.granted_at AS at, permit.customer, permit.loan,
                           permit.phone_digest AS phone, permit.channel, permit.category
                    FROM unnest(whose) AS one CROSS JOIN LATERAL (
                        SELECT * FROM disputes_permit AS permit
                        WHERE permit.customer = one
                            AND (permit.customer, permit.granted_at) > (one, at - interval '24 hours')
                            AND (permit.id > floor OR permit.id = floor)
                            AND (permit.id < ceiling OR permit.id = ceiling)
                            AND permit.unused_at IS NULL AND permit.message IS NULL
                        OFFSET 0
                    ) AS permit
                    UNION
                    SELECT permit.id, permit.granted_at, permit.customer, permit.loan, permit.phone_digest,
                           permit.channel, permit.category
                    FROM unnest(loans) AS one CROSS JOIN LATERAL (
                        SELECT * FROM disputes_permit AS permit
                        WHERE permit.loan = one
                            AND (permit.loan, permit.granted_at) > (one, at - interval '24 hours')
                            AND (permit.id > floor OR permit.id = floor)
                            AND (permit.id < ceiling OR permit.id = ceiling)
                            AND permit.unused_at IS NULL AND permit.message IS NULL
                        OFFSET 0
                    ) AS permit
                    UNION
                    SELECT permit.id, permit.granted_at, permit.customer, permit.loan, permit.phone_digest,
                           permit.channel, permit.category
                    FROM unnest(phones) AS one CROSS JOIN LATERAL (
                        SELECT * FROM disputes_permit AS permit
                        WHERE permit.phone_digest = one
                            AND (permit.phone_digest, permit.granted_at) > (one, at - interval '24 hours')
                            AND (permit.id > floor OR permit.id = floor)
                            AND (permit.id < ceiling OR permit.id = ceiling)
                            AND permit.unused_at IS NULL AND permit.message IS NULL
                        OFFSET 0
                    ) AS permit
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
            -- A request's permit while it lives; and those whose message went out, for as long as a permit counts.
            IF cardinality(requests) > 0 THEN
                RETURN QUERY
                    SELECT 'live', json_agg(json_build_array(
                        permit.request_id, permit.id, encode(permit.phone_digest, 'hex'), permit.loan, permit.channel,
                        permit.category, permit.sending_rule, permit.expires_at, permit.message IS NOT NULL)
                        ORDER BY permit.granted_at)::text
                    FROM unnest(requests) AS one CROSS JOIN LATERAL (
                        SELECT * FROM disputes_permit AS permit
                        WHERE permit.caller = asker AND permit.request_id = one
                            AND (permit.id > floor OR permit.id = floor)
                            AND (permit.id < ceiling OR permit.id = ceiling)
                            AND CASE WHEN permit.message IS NULL
                                THEN permit.expires_at > at AND permit.unused_at IS NULL
                                ELSE permit.granted_at > at - interval '24 hours' END
                        OFFSET 0
                    ) AS permit;
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
    """,
    reverse_sql="""
        DROP FUNCTION disputes_gate_facts(
            int[], int[], text[], bytea[], text[], text, text[], interval, uuid, uuid);
    """,
)

# As `disputes_gate_reading_item` (0010), with permits read in the same way.
FACTS_OF_ITEM = migrations.RunSQL(
    sql="""
        CREATE FUNCTION disputes_gate_facts_of_item(
            lanes int[], stripe int, asked_loan text, asked_phone bytea, asked_rule text, asker text,
            asked_request text, look_back interval, floor uuid, ceiling uuid
        ) RETURNS TABLE (kind text, body text)
        LANGUAGE plpgsql VOLATILE
        SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
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
                RETURN QUERY SELECT * FROM disputes_gate_facts(
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
                    WHERE permit.customer = who
                        AND (permit.customer, permit.granted_at) > (who, at - interval '24 hours')
                        AND (permit.id > floor OR permit.id = floor)
                        AND (permit.id < ceiling OR permit.id = ceiling)
                        AND permit.unused_at IS NULL AND permit.message IS NULL
                    UNION
                    SELECT permit.id, permit.granted_at, permit.customer, permit.loan, permit.phone_digest,
                           permit.channel, permit.category
                    FROM disputes_permit AS permit
                    WHERE permit.loan = asked_loan
                        AND (permit.loan, permit.granted_at) > (asked_loan, at - interval '24 hours')
                        AND (permit.id > floor OR permit.id = floor)
                        AND (permit.id < ceiling OR permit.id = ceiling)
                        AND permit.unused_at IS NULL AND permit.message IS NULL
                    UNION
                    SELECT permit.id, permit.granted_at, permit.customer, permit.loan, permit.phone_digest,
                           permit.channel, permit.category
                    FROM disputes_permit AS permit
                    WHERE permit.phone_digest = asked_phone
                        AND (permit.phone_digest, permit.granted_at) > (asked_phone, at - interval '24 hours')
                        AND (permit.id > floor OR permit.id = floor)
                        AND (permit.id < ceiling OR permit.id = ceiling)
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
                    AND (permit.id > floor OR permit.id = floor)
                    AND (permit.id < ceiling OR permit.id = ceiling)
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
        DROP FUNCTION disputes_gate_facts_of_item(
            int[], int, text, bytea, text, text, text, interval, uuid, uuid);
    """,
)

# For a single item: looks its owners up, takes their lanes and reads the facts, in one call. The lanes are those of
# `disputes.lanes.locking`, the first 18 bits of a SHA-256; the caller works them out too, and decides nothing under
# others. Each statement, also of the function that is called last, sees what was committed before it began.
OF_OWN = migrations.RunSQL(
    sql="""
        CREATE FUNCTION disputes_gate_facts_of_own(
            stripe int, asked_loan text, asked_phone bytea, asked_rule text, asker text, asked_request text,
            look_back interval, floor uuid, ceiling uuid
        ) RETURNS TABLE (kind text, body text)
        LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
        #variable_conflict use_column
        DECLARE
            owner text;
            own text[] := '{}';
            keys text[];
            one text;
            hash bytea;
            lanes int[] := '{}';
        BEGIN
            IF asked_loan IS NULL THEN
                own := ARRAY(
                    SELECT phone.customer FROM disputes_customerphone AS phone
                    WHERE phone.digest = asked_phone AND phone.role = 'own');
                keys := ARRAY(SELECT 'c:' || customer FROM unnest(own) AS customer);
            ELSE
                owner := (SELECT loan.customer FROM disputes_loan AS loan WHERE loan.external_id = asked_loan);
                keys := ARRAY[coalesce('c:' || owner, 'l:' || asked_loan)];
            END IF;
            FOREACH one IN ARRAY keys || ('p:' || encode(asked_phone, 'hex')) LOOP
                hash := sha256(convert_to(one, 'UTF8'));
                lanes := lanes || get_byte(hash, 0) * 1024 + get_byte(hash, 1) * 4 + get_byte(hash, 2) / 64;
            END LOOP;
            kind := 'before';
            body := json_build_array(owner, own);
            RETURN NEXT;
            RETURN QUERY SELECT * FROM disputes_gate_facts_of_item(
                lanes, stripe, asked_loan, asked_phone, asked_rule, asker, asked_request, look_back, floor, ceiling);
        END $$;
    """,
    reverse_sql="""
        DROP FUNCTION disputes_gate_facts_of_own(int, text, bytea, text, text, text, interval, uuid, uuid);
    """,
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("disputes", "0010_single_decisions")]

    operations: ClassVar = [FACTS, FACTS_OF_ITEM, OF_OWN]
