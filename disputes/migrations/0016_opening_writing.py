"""What opening a dispute writes, the feed's rows and webhooks are written by functions that keep their plans.

Before the deploy: new functions beside the tables that were there.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

# Rows by table, each with its columns by name, as `config.statements.as_row` tells them. What stands in no list is left
# to the column's default. Answers with the ids of the topics, and with nothing where such a dispute is open already: of
# two at once the unique index lets one be, and the other waits here until it is committed. 30 seconds: RESEND_AFTER of
# `disputes.outbox.queue`.
WRITE = migrations.RunSQL(
    sql="""
        CREATE FUNCTION disputes_write_opening(told jsonb) RETURNS SETOF bigint
        LANGUAGE plpgsql VOLATILE AS $$
        BEGIN
            INSERT INTO disputes_dispute (
                id, reference, status, ground, language, channel, person, customer, phone_digest, opened_by_type,
                opened_by_id, message_id, message_key, selector, watching, loan, owns_loan, statement,
                claimed_payments, policy_name, policy_version, opened_at, acknowledge_by, first_answer_by, decide_by,
                closed_by_person, awaits_correction)
            SELECT
                id, reference, status, ground, language, channel, person, customer, phone_digest, opened_by_type,
                opened_by_id, message_id, message_key, selector, watching, loan, owns_loan, statement,
                claimed_payments, policy_name, policy_version, opened_at, acknowledge_by, first_answer_by, decide_by,
                closed_by_person, awaits_correction
            FROM jsonb_to_record(told -> 'dispute') AS row (
                id uuid, reference text, status text, ground text, language text, channel text, person text,
                customer text, phone_digest bytea, opened_by_type text, opened_by_id text, message_id uuid,
                message_key text, selector bytea, watching jsonb, loan text, owns_loan boolean, statement bytea,
                claimed_payments bytea, policy_name text, policy_version text, opened_at timestamptz,
                acknowledge_by timestamptz, first_answer_by timestamptz, decide_by timestamptz,
                closed_by_person boolean, awaits_correction boolean)
            ON CONFLICT DO NOTHING;
            IF NOT FOUND THEN
                RETURN;
            END IF;
            INSERT INTO disputes_hold (
                id, source, scope, reason, why, dispute, placed_at, placed_by, released_by, release_reason)
            SELECT id, source, scope, reason, why, dispute, placed_at, placed_by, released_by, release_reason
            FROM jsonb_to_record(told -> 'hold') AS row (
                id uuid, source text, scope text, reason text, why text, dispute uuid, placed_at timestamptz,
                placed_by text, released_by text, release_reason text);
            INSERT INTO disputes_holdcover (hold_id, key, since)
            SELECT (told #>> '{hold,id}')::uuid, key, (told #>> '{hold,placed_at}')::timestamptz
            FROM jsonb_array_elements_text(told -> 'keys') AS key;
            INSERT INTO disputes_event (subject_type, subject_id, kind, at, actor_type, actor_id, data)
            SELECT subject_type, subject_id, kind, at, actor_type, actor_id, data
            FROM jsonb_to_recordset(told -> 'events') AS row (
                subject_type text, subject_id uuid, kind text, at timestamptz, actor_type text, actor_id text,
                data jsonb);
            INSERT INTO disputes_clock (
                dispute, kind, business, calendar_id, calendar_revision, budget, used, started_at, running_from,
                due_at, warn_at, next_alarm_at, round, pack)
            SELECT
                dispute, kind, business, calendar_id, calendar_revision, budget, used, started_at, running_from,
                due_at, warn_at, next_alarm_at, round, pack
            FROM jsonb_to_recordset(told -> 'clocks') AS row (
                dispute uuid, kind text, business boolean, calendar_id bigint, calendar_revision int, budget int,
                used int, started_at timestamptz, running_from timestamptz, due_at timestamptz, warn_at timestamptz,
                next_alarm_at timestamptz, round int, pack text);
            INSERT INTO disputes_watch AS known (key, count)
            SELECT key, 1 FROM jsonb_array_elements_text(told #> '{dispute,watching}') AS key
            GROUP BY key ORDER BY key
            ON CONFLICT (key) DO UPDATE SET count = known.count + EXCLUDED.count;
            INSERT INTO disputes_notice (
                id, kind, subject, key, channel, address, address_digest, language, subject_line, text, state,
                attempts, in_doubt, queued_at, failure)
            SELECT
                id, kind, subject, key, channel, address, address_digest, language, subject_line, text, state,
                attempts, in_doubt, queued_at, failure
            FROM jsonb_to_recordset(told -> 'notices') AS row (
                id uuid, kind text, subject uuid, key text, channel text, address bytea, address_digest bytea,
                language text, subject_line bytea, text bytea, state text, attempts int, in_doubt boolean,
                queued_at timestamptz, failure text);
            RETURN QUERY
                INSERT INTO disputes_outboxtopic (topic, key, payload, due_at, attempts, done_by, last_error)
                SELECT topic, key, payload, statement_timestamp() + interval '30 seconds', 0, '{}', ''
                FROM jsonb_to_recordset(told -> 'topics') AS row (topic text, key text, payload jsonb)
                RETURNING id;
        END $$;
    """,
    reverse_sql="DROP FUNCTION disputes_write_opening(jsonb);",
)

# To be called in a statement after the one that takes the lock of the feed's numbers (`disputes.holds.feed`).
NUMBER = migrations.RunSQL(
    sql="""
        CREATE FUNCTION disputes_number_changes(changes jsonb) RETURNS void
        LANGUAGE plpgsql VOLATILE AS $$
        BEGIN
            INSERT INTO disputes_suppressionchange (number, kind, hold_id, at, scope, reason, keys, permits_out)
            SELECT
                nextval('disputes_suppression_number'), kind, hold, clock_timestamp(), scope, reason, keys, permits_out
            FROM jsonb_to_recordset(changes) AS row (
                kind text, hold uuid, scope text, reason text, keys text[], permits_out jsonb);
        END $$;
    """,
    reverse_sql="DROP FUNCTION disputes_number_changes(jsonb);",
)

# One event: its message, a delivery an endpoint, and their topics, whose ids are the answer. 30 seconds as above.
ANNOUNCE = migrations.RunSQL(
    sql="""
        CREATE FUNCTION disputes_announce(told jsonb, retry_for interval) RETURNS SETOF bigint
        LANGUAGE plpgsql VOLATILE AS $$
        DECLARE
            place bigint;
        BEGIN
            INSERT INTO disputes_webhookmessage (webhook_id, event, key, body, created_at)
            VALUES ((told ->> 'webhook_id')::uuid, told ->> 'event', told ->> 'key', told ->> 'body',
                    statement_timestamp())
            RETURNING seq INTO place;
            INSERT INTO disputes_webhookdelivery (
                id, endpoint_id, message_id, key, state, attempts, next_at, retry_until, last_error)
            SELECT
                id, endpoint, place, told ->> 'key', 'pending', 0, (told ->> 'at')::timestamptz,
                statement_timestamp() + retry_for, ''
            FROM jsonb_to_recordset(told -> 'deliveries') AS row (id uuid, endpoint uuid);
            RETURN QUERY
                INSERT INTO disputes_outboxtopic (topic, key, payload, due_at, attempts, done_by, last_error)
                SELECT
                    'webhook.queued', endpoint || ':' || place,
                    jsonb_build_object('endpoint', endpoint, 'key', told ->> 'key'),
                    statement_timestamp() + interval '30 seconds', 0, '{}', ''
                FROM jsonb_to_recordset(told -> 'deliveries') AS row (endpoint uuid)
                RETURNING id;
        END $$;
    """,
    reverse_sql="DROP FUNCTION disputes_announce(jsonb, interval);",
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("disputes", "0015_opening_reading")]

    operations: ClassVar = [WRITE, NUMBER, ANNOUNCE]
