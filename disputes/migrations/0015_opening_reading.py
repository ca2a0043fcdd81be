"""What opening a dispute reads is read by functions that keep their plans.

Before the deploy: new functions beside the tables that were there, and one that answers as it did.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

_SHOWN = """permit.id, permit.request_id::text, permit.loan::text, permit.channel::text,
                    permit.category::text, permit.vendor::text, permit.granted_at, permit.expires_at,
                    permit.customer::text, permit.phone_digest, permit.sending_rule::text, permit.reply_to::text,
                    (SELECT owned.customer::text FROM disputes_loan AS owned WHERE owned.external_id = permit.loan)"""

# As in 0012, and with a ceiling: each partition that lies ahead costs as much to leave out as the present one to read.
# No web process's clock is an hour ahead of the database's (CLOCKS_DIFFER, `disputes.holds.permits`).
_PERMITS_OUT = f"""
        CREATE OR REPLACE FUNCTION disputes_permits_out(
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
            ceiling uuid := disputes_floor_of(at + interval '1 hour');
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
                    AND (permit.id < ceiling OR permit.id = ceiling)
                    AND permit.expires_at + interval '0' > at AND permit.unused_at IS NULL;
            END LOOP;
            FOREACH key IN ARRAY whose LOOP
                RETURN QUERY SELECT {_SHOWN}
                FROM disputes_permit AS permit
                WHERE permit.customer = key AND (permit.customer, permit.granted_at) > (key, at - look_back)
                    AND (permit.id > floor OR permit.id = floor)
                    AND (permit.id < ceiling OR permit.id = ceiling)
                    AND permit.expires_at + interval '0' > at AND permit.unused_at IS NULL;
            END LOOP;
            FOREACH digest IN ARRAY phones LOOP
                RETURN QUERY SELECT {_SHOWN}
                FROM disputes_permit AS permit
                WHERE permit.phone_digest = digest
                    AND (permit.phone_digest, permit.granted_at) > (digest, at - look_back)
                    AND (permit.id > floor OR permit.id = floor)
                    AND (permit.id < ceiling OR permit.id = ceiling)
                    AND permit.expires_at + interval '0' > at AND permit.unused_at IS NULL;
            END LOOP;
            FOREACH key IN ARRAY rules LOOP
                RETURN QUERY SELECT {_SHOWN}
                FROM disputes_permit AS permit
                WHERE permit.sending_rule = key AND (permit.sending_rule, permit.expires_at) > (key, at)
                    AND (permit.id > floor OR permit.id = floor)
                    AND (permit.id < ceiling OR permit.id = ceiling) AND permit.unused_at IS NULL;
            END LOOP;
        END $$;
"""
_PERMITS_OUT_OF_BEFORE = f"""
        CREATE OR REPLACE FUNCTION disputes_permits_out(
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
"""
PERMITS_OUT = migrations.RunSQL(sql=_PERMITS_OUT, reverse_sql=_PERMITS_OUT_OF_BEFORE)

# Two statements, each with a snapshot of its own: `disputes.holds.owners` says why none is lost between them.
OWNED = migrations.RunSQL(
    sql="""
        CREATE FUNCTION disputes_owned(loans text[], whose text[])
        RETURNS TABLE (loan text, owner text, digest bytea)
        LANGUAGE plpgsql VOLATILE
        SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
        BEGIN
            RETURN QUERY SELECT owned.external_id::text, owned.customer::text, NULL::bytea
                FROM disputes_loan AS owned WHERE owned.external_id = ANY (loans);
            RETURN QUERY SELECT NULL::text, phone.customer::text, phone.digest
                FROM disputes_customerphone AS phone
                WHERE phone.role = 'own' AND phone.customer = ANY (
                    ARRAY(SELECT owned.customer FROM disputes_loan AS owned WHERE owned.external_id = ANY (loans))
                    || whose::varchar[]);
        END $$;
    """,
    reverse_sql="DROP FUNCTION disputes_owned(text[], text[]);",
)

_FOUND = """SELECT message, loan.customer::text, loan.product::text, ARRAY(
                    SELECT phone.digest FROM disputes_customerphone AS phone
                    WHERE phone.customer = loan.customer AND phone.role = 'own')
                FROM disputes_message AS message
                LEFT JOIN disputes_loan AS loan ON loan.external_id = message.loan
                WHERE NOT message.voided"""

# One way of naming a message is not null: a plan for each, of which those that are asked for are made.
FOUND = migrations.RunSQL(
    sql=f"""
        CREATE FUNCTION disputes_messages_found(
            asked_id uuid, asked_external_id text, asked_short_ref text, asked_phone bytea,
            sent_from timestamptz, sent_until timestamptz
        ) RETURNS TABLE (message disputes_message, owner text, product text, phones bytea[])
        LANGUAGE plpgsql STABLE
        SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
        #variable_conflict use_column
        BEGIN
            IF asked_id IS NOT NULL THEN
                RETURN QUERY {_FOUND} AND message.id = asked_id;
            ELSIF asked_external_id IS NOT NULL THEN
                RETURN QUERY {_FOUND} AND message.external_id = asked_external_id;
            ELSIF asked_short_ref IS NOT NULL THEN
                RETURN QUERY {_FOUND} AND message.short_ref = asked_short_ref
                    ORDER BY message.sent_at DESC LIMIT 20;
            ELSIF asked_phone IS NOT NULL THEN
                RETURN QUERY {_FOUND} AND message.phone_digest = asked_phone
                    AND message.sent_at BETWEEN sent_from AND sent_until
                    ORDER BY message.sent_at DESC, message.external_id LIMIT 200;
            END IF;
        END $$;
    """,
    reverse_sql="""
        DROP FUNCTION disputes_messages_found(uuid, text, text, bytea, timestamptz, timestamptz);
    """,
)

# One row, always. What a room reads with others in another shape than its own is JSON.
FACTS = migrations.RunSQL(
    sql="""
        CREATE FUNCTION disputes_opening_facts(
            asked_person text, asked_message text, asked_ground text, asked_customer text, asked_version uuid
        ) RETURNS TABLE (
            standing uuid, language text, version uuid, sealed bytea, phones text, queues text, calendars text,
            listeners text, texted bytea
        )
        LANGUAGE plpgsql VOLATILE
        SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
        #variable_conflict use_column
        BEGIN
            RETURN QUERY SELECT
                (SELECT other.id FROM disputes_dispute AS other
                 WHERE other.person = asked_person AND other.message_key = asked_message
                     AND other.ground = asked_ground AND NOT other.status = 'closed'),
                customer.language::text, customer.version_id, personal.sealed,
                (SELECT json_agg(json_build_array(encode(phone.digest, 'hex'), phone.first, phone.until))::text
                 FROM disputes_customerphone AS phone
                 WHERE phone.customer = asked_customer AND phone.role = 'own'),
                (SELECT json_agg(json_build_array(queue.languages, queue.grounds, queue.products, queue.calendar_id)
                                 ORDER BY queue.place, queue.name)::text
                 FROM disputes_queue AS queue),
                (SELECT json_agg(to_json(calendar) ORDER BY calendar.id)::text FROM disputes_calendar AS calendar
                 WHERE calendar.id = (SELECT min(id) FROM disputes_calendar)
                     OR calendar.id IN (SELECT calendar_id FROM disputes_queue)),
                (SELECT json_agg(json_build_array(endpoint.id, endpoint.events) ORDER BY endpoint.id)::text
                 FROM disputes_webhookendpoint AS endpoint WHERE endpoint.enabled),
                (SELECT told.sealed FROM disputes_messagepersonal AS told WHERE told.version_id = asked_version)
            FROM (SELECT) AS one
            LEFT JOIN disputes_customer AS customer
                ON customer.external_id = asked_customer AND customer.version_id IS NOT NULL
            LEFT JOIN disputes_customerpersonal AS personal ON personal.version_id = customer.version_id;
        END $$;
    """,
    reverse_sql="DROP FUNCTION disputes_opening_facts(text, text, text, text, uuid);",
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("disputes", "0014_functions_dropped")]

    operations: ClassVar = [PERMITS_OUT, OWNED, FOUND, FACTS]
