-- What the specs share: a schema of their own in the test's database, made before a walk and dropped after it.
-- `spec.clear()` takes away what an interleaving wrote; the guards' triggers are off for the length of a walk.
CREATE SCHEMA spec;

-- A lane's number, as disputes.lanes.locking finds it (a test compares the two).
CREATE FUNCTION spec.lane(key text) RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT (('x' || encode(substr(sha256(convert_to(key, 'UTF8')), 1, 4), 'hex'))::bit(32)::bigint >> 14)::int;
$$;

-- The lock of a sending rule.
CREATE FUNCTION spec.stripe(key text) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT spec.lane(key) >> 12; $$;

-- A contact's phone: nobody's own, so that a loan's hold shares no lane with a gate but the owner's.
CREATE FUNCTION spec.phone() RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT '\x0101010101010101010101010101010101'::bytea; $$;

-- The lanes of a decision about a customer's loan and that phone.
CREATE FUNCTION spec.lanes(customer text) RETURNS int[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY[spec.lane('c:' || customer), spec.lane('p:' || encode(spec.phone(), 'hex'))];
$$;

CREATE FUNCTION spec.id(n int) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT overlay(disputes_floor_of(clock_timestamp())::text PLACING lpad(n::text, 12, '0') FROM 25)::uuid;
$$;

-- The gate's own reading: the lanes (NULL: none) and the locks of sending rules, without waiting, and in later statements
-- the facts. GATE_READING is the call that the service makes, as the runner has overheard it.
CREATE FUNCTION spec.reading(lanes int[], stripes int[], loans text[]) RETURNS TABLE (kind text, body text) LANGUAGE sql VOLATILE AS $$
    SELECT kind, coalesce(body, '[]') FROM GATE_READING;
$$;
CREATE FUNCTION spec.reading(lanes int[], loans text[]) RETURNS TABLE (kind text, body text) LANGUAGE sql VOLATILE AS $$
    SELECT kind, body FROM spec.reading(lanes, ARRAY[]::int[], loans);
$$;

CREATE FUNCTION spec.grant(n int, loan text, customer text, rule text DEFAULT NULL) RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO disputes_permit (id, caller, request_id, granted_at, expires_at, phone_digest, loan, customer, channel,
                                 category, sending_rule, vendor)
    VALUES (spec.id(n), 'c', '', clock_timestamp(), clock_timestamp() + interval '60 seconds', spec.phone(), loan,
            customer, 'sms', 'urge', rule, '');
$$;

-- A hold of a loan (`l:L1`) or a rule (`r:R1`), and its row of the feed with the permits that the hold's session found
-- out.
CREATE FUNCTION spec.hold(n int, key text, permits_out jsonb) RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO disputes_hold (id, source, scope, reason, why, placed_at, placed_by, released_by, release_reason)
    VALUES (spec.id(n), 'dispute', 'loan', 'dispute_pending', '', clock_timestamp(), 'x', '', '');
    INSERT INTO disputes_holdcover (hold_id, key, since)
    SELECT id, key, placed_at FROM disputes_hold WHERE id::text LIKE '%' || lpad(n::text, 12, '0');
    INSERT INTO disputes_suppressionchange (number, kind, hold_id, scope, reason, keys, permits_out)
    SELECT nextval('disputes_suppression_number'), 'placed', id, scope, reason, ARRAY[key], permits_out
    FROM disputes_hold WHERE id::text LIKE '%' || lpad(n::text, 12, '0');
$$;

-- Permits of a held loan or rule that no hold of it lists: what the guarantee says there never is.
CREATE VIEW spec.lost AS
    SELECT permit.id FROM disputes_permit AS permit
    WHERE EXISTS (SELECT FROM disputes_holdcover AS cover WHERE cover.key IN ('l:' || permit.loan, 'r:' || permit.sending_rule))
        AND NOT EXISTS (SELECT FROM disputes_suppressionchange AS change
                        WHERE change.permits_out @> jsonb_build_array(jsonb_build_object('id', permit.id)));

CREATE FUNCTION spec.lender() RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO disputes_loan (external_id, revision, customer, product, currency, time_zone, grace_days, tolerance,
                               pauses, arrangements, due_on, amount, paid)
    SELECT 'L' || n, 0, 'C' || n, '', 'CNY', 'UTC', 0, 0, '[]', '[]', ARRAY[]::date[], ARRAY[]::numeric[], 0
    FROM generate_series(1, 2) AS n;
$$;

CREATE FUNCTION spec.clear() RETURNS void LANGUAGE sql VOLATILE AS $$
    DELETE FROM disputes_permit;
    DELETE FROM disputes_suppressionchange;
    DELETE FROM disputes_holdcover;
    DELETE FROM disputes_hold;
    DELETE FROM disputes_loan;
$$;
