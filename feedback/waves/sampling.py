"""Drawing a wave's sample: one statement, under one advisory lock.

Without the lock two waves that are sampled at once ask the same people: neither sees the other's invitations. The lock
is a statement of its own, so that the next one's snapshot is newer than the wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from config.api.locks import NAMESPACE, SURVEY_SAMPLE
from disputes.cases.queries import customers_disputing, disputes_closed
from disputes.check.standing import local_day
from disputes.records.queries import customers_messaged
from feedback.waves.models import Audience, Wave, WaveState

REASONS = ("dispute_pending", "held", "opted_out", "asked_lately", "no_phone")
"""Why somebody of the audience is not eligible, the first that holds."""

# A UUIDv7 made by the database, which has no function for it before version 18: milliseconds, then random bits.
_NEW_ID = """
    encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
        substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
        52, 1), 53, 1), 'hex')::uuid
"""

_SAMPLE = """
WITH audience AS (
    -- One row a customer: what of theirs is the newest in the period.
    SELECT DISTINCT ON (met.customer) met.customer, met.dispute, met.outcome, coalesce(loan.product, '') AS product,
        customer.language, customer.version_id
    FROM ({audience}) AS met
    LEFT JOIN disputes_loan AS loan ON loan.external_id = met.loan
    LEFT JOIN disputes_customer AS customer ON customer.external_id = met.customer
    ORDER BY met.customer, met.at DESC, met.dispute
),
tired AS MATERIALIZED (
    SELECT customer FROM feedback_invitation WHERE asked_at > %(quiet_since)s
    UNION
    -- Taken into a sample long ago, and to be asked any day now.
    SELECT customer FROM feedback_invitation WHERE state = 'queued' AND %(quiet_since)s < %(now)s
),
disputing AS MATERIALIZED ({disputing}),
cover AS MATERIALIZED (
    SELECT cover.key, hold.reason = 'opted_out' AS opted_out
    FROM disputes_holdcover AS cover JOIN disputes_hold AS hold ON hold.id = cover.hold_id
    LEFT JOIN disputes_dispute AS dispute ON dispute.id = hold.dispute
    -- What is left of a closed dispute's hold ends soon; left out for it, those who were rejected would never be asked.
    -- Their invitation waits until the gate lets it through.
    WHERE cover.released_at IS NULL AND NOT (
        coalesce(dispute.status = 'closed', false)
        AND hold.reason IN ('dispute_pending', 'outcome_not_delivered', 'records_not_corrected')
    ) AND (cover.key LIKE 'c:%%' OR cover.key LIKE 'sc:%%' OR cover.key LIKE 'p:%%'
        OR cover.key LIKE 'sp:%%')
),
phone AS MATERIALIZED (
    SELECT customer, digest, (first IS NULL OR first <= %(day)s) AND (until IS NULL OR until >= %(day)s) AS theirs
    FROM disputes_customerphone WHERE role = 'own' AND customer IN (SELECT customer FROM audience)
),
stopped AS MATERIALIZED (
    SELECT customer, bool_or(NOT opted_out) AS held, bool_or(opted_out) AS opted_out
    FROM (
        SELECT substr(key, strpos(key, ':') + 1) AS customer, opted_out
        FROM cover WHERE key LIKE 'c:%%' OR key LIKE 'sc:%%'
        UNION ALL
        SELECT phone.customer, cover.opted_out FROM phone
        JOIN cover ON cover.key IN ('p:' || encode(phone.digest, 'hex'), 'sp:' || encode(phone.digest, 'hex'))
    ) AS each GROUP BY customer
),
judged AS MATERIALIZED (
    SELECT audience.*, CASE
        WHEN EXISTS (SELECT FROM disputing WHERE disputing.customer = audience.customer) THEN 'dispute_pending'
        WHEN stopped.held THEN 'held'
        WHEN stopped.opted_out THEN 'opted_out'
        WHEN EXISTS (SELECT FROM tired WHERE tired.customer = audience.customer) THEN 'asked_lately'
        WHEN audience.version_id IS NULL
            OR NOT EXISTS (SELECT FROM phone WHERE phone.customer = audience.customer AND phone.theirs) THEN 'no_phone'
        END AS reason
    FROM audience LEFT JOIN stopped ON stopped.customer = audience.customer
),
taken AS (
    INSERT INTO feedback_invitation (id, wave_id, customer, dispute, language, product, outcome, state, asked_at,
        not_before, denied, answer_language)
    SELECT {new_id}, %(wave)s, customer, dispute, language, product, coalesce(outcome, ''), 'queued', %(now)s,
        %(now)s, '{{}}', ''
    FROM (
        SELECT customer, dispute, product, outcome, CASE
            WHEN language = 'zh' OR language LIKE 'zh-%%' THEN 'zh-hans'
            WHEN language = 'en' OR language LIKE 'en-%%' THEN 'en'
            ELSE '' END AS language
        FROM judged WHERE reason IS NULL
        ORDER BY sha256(%(seed)s || convert_to(customer, 'UTF8')), customer
        LIMIT %(size)s
    ) AS sample
    RETURNING 1
)
SELECT coalesce(reason, ''), count(*), (SELECT count(*) FROM taken) FROM judged GROUP BY reason
"""


def draw_samples(*, now: datetime) -> int:
    """Draws the sample of every wave that waits for it. Returns how many. Opens its transactions, one a wave."""
    drawn = 0
    while True:
        with transaction.atomic(durable=True):
            claimed = Wave.objects.select_for_update(skip_locked=True, no_key=True)
            wave = claimed.filter(state=WaveState.SAMPLING, opened_at__lte=now).order_by("opened_at").first()
            if wave is None:
                break
            draw_sample(wave=wave, now=now)
        drawn += 1
    return drawn


def draw_sample(*, wave: Wave, now: datetime) -> None:
    """Writes the invitations of a wave in state ``sampling`` and moves it to ``inviting``. Needs the transaction that
    locked its row; takes the one lock of all samples, then the sample in the next statement.

    The order is sha256 of seed and customer: the same seed and audience give the same sample on every PostgreSQL.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [NAMESPACE, SURVEY_SAMPLE])
        counts, taken = _insert_sample(cursor, wave=wave, now=now)
    wave.left_out = {reason: counts[reason] for reason in REASONS if reason in counts}
    wave.audience_count, wave.eligible_count, wave.taken_count = sum(counts.values()), counts.get("", 0), taken
    wave.state = WaveState.INVITING
    wave.save(update_fields=["left_out", "audience_count", "eligible_count", "taken_count", "state"])


def _insert_sample(cursor: Any, *, wave: Wave, now: datetime) -> tuple[Mapping[str, int], int]:
    """The one statement. Returns how many of the audience by reason (empty: eligible), and how many were taken."""
    audience, audience_values = _audience(wave)
    disputing, disputing_values = customers_disputing().query.sql_with_params()
    values = {
        "wave": wave.pk,
        "now": now,
        "day": local_day(now, settings.LENDER_TIME_ZONE),
        "quiet_since": now - timedelta(days=wave.quiet_days),
        "seed": bytes(wave.seed),
        "size": wave.sample_size,
        **_named("a", audience_values),
        **_named("d", disputing_values),
    }
    cursor.execute(
        _SAMPLE.format(
            audience=audience % tuple(f"%(a{place})s" for place in range(len(audience_values))),
            disputing=disputing % tuple(f"%(d{place})s" for place in range(len(disputing_values))),
            new_id=_NEW_ID,
        ),
        values,
    )
    rows = cursor.fetchall()
    return {reason: count for reason, count, _ in rows}, rows[0][2] if rows else 0


def _audience(wave: Wave) -> tuple[str, tuple[Any, ...]]:
    """The statement for (customer, dispute, loan, outcome, at) of a wave's period."""
    start, end = wave.period.lower, wave.period.upper
    if wave.audience == Audience.DISPUTE_CLOSED:
        rows, values = disputes_closed(start=start, end=end).query.sql_with_params()
        return f"SELECT customer, dispute, loan, outcome, at FROM ({rows}) AS closed", values
    rows, values = customers_messaged(start=start, end=end).query.sql_with_params()
    return (
        f"SELECT customer, NULL::uuid AS dispute, loan, NULL::text AS outcome, at FROM ({rows}) AS messaged",
        values,
    )


def _named(letter: str, values: tuple[Any, ...]) -> dict[str, Any]:
    return {f"{letter}{place}": value for place, value in enumerate(values)}
