"""Which closed disputes a late record bears on: found by one statement, judged by nobody yet."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from django.db import connection

from disputes.cases.models import Ground

_BEARING = f"""
    WITH RECURSIVE d AS MATERIALIZED (
        SELECT one.id, one.loan, one.ground, m.external_id AS message, m.sent_at, m.sending_rule, m.phone_digest
        FROM disputes_dispute one JOIN disputes_message m ON m.id = one.message_id
        WHERE one.loan = ANY(%(loans)s) AND one.watched_until IS NOT NULL AND one.status = 'closed'
    ),
    -- What a void of a loan's account may name, and the voids that ever named any of it, and of those.
    named AS (
        SELECT loan AS under, 'loan' AS type, loan AS external_id FROM d
        UNION SELECT d.loan, 'message', d.message FROM d
        UNION SELECT d.loan, 'sending_rule', d.sending_rule FROM d WHERE d.sending_rule IS NOT NULL
        UNION SELECT v.loan, 'instalment', v.external_id FROM disputes_instalmentversion v JOIN d USING (loan)
        UNION SELECT v.loan, 'repayment', v.external_id FROM disputes_repaymentversion v JOIN d USING (loan)
        UNION SELECT v.external_id, 'customer', v.customer
              FROM disputes_loanversion v JOIN d ON d.loan = v.external_id
        UNION SELECT p.loan, 'reversal', v.external_id FROM disputes_repaymentversion p JOIN d USING (loan)
              JOIN disputes_reversalversion v ON v.repayment = p.external_id
    ),
    voids AS (
        SELECT n.under, v.external_id, v.received_at FROM named n
        JOIN disputes_voidversion v ON v.target_type = n.type AND v.target = n.external_id
        UNION
        SELECT n.under, v.external_id, v.received_at FROM voids n
        JOIN disputes_voidversion v ON v.target_type = 'void' AND v.target = n.external_id
    )
    SELECT d.id FROM d WHERE
        EXISTS (SELECT FROM disputes_loanversion v WHERE v.external_id = d.loan AND v.received_at >= %(since)s)
        -- Of an instalment only the version true at the instant counts, and which of them was posted first.
        OR EXISTS (
            SELECT FROM disputes_instalmentversion v WHERE v.loan = d.loan AND v.received_at >= %(since)s
            AND (coalesce(v.effective_at, v.posted_at) <= d.sent_at OR NOT EXISTS (
                SELECT FROM disputes_instalmentversion o
                WHERE o.external_id = v.external_id AND o.posted_at < v.posted_at AND v.effective_at IS NULL
            ))
        )
        -- A payment after the instant bears on it only where it was said to be earlier before. A bare day begins
        -- somewhere on earth up to 14 hours before it does in UTC.
        OR EXISTS (
            SELECT FROM disputes_repaymentversion v WHERE v.loan = d.loan AND v.received_at >= %(since)s
            AND EXISTS (
                SELECT FROM disputes_repaymentversion o WHERE o.external_id = v.external_id
                AND coalesce(o.paid_at, o.paid_on::timestamp AT TIME ZONE 'UTC' - interval '14 hours') <= d.sent_at
            )
        )
        OR EXISTS (
            SELECT FROM disputes_repaymentversion p JOIN disputes_reversalversion v ON v.repayment = p.external_id
            WHERE p.loan = d.loan AND v.received_at >= %(since)s AND EXISTS (
                SELECT FROM disputes_reversalversion o
                WHERE o.external_id = v.external_id AND o.reversed_at <= d.sent_at
            )
        )
        -- What has moved to another loan, or to another repayment, is found under what it named before.
        OR EXISTS (
            SELECT FROM disputes_moved moved WHERE moved.under = d.loan AND moved.type = 'instalment' AND EXISTS (
                SELECT FROM disputes_instalmentversion v
                WHERE v.external_id = moved.external_id AND v.received_at >= %(since)s
            )
        )
        OR EXISTS (
            SELECT FROM disputes_moved moved WHERE moved.under = d.loan AND moved.type = 'repayment' AND EXISTS (
                SELECT FROM disputes_repaymentversion v
                WHERE v.external_id = moved.external_id AND v.received_at >= %(since)s
            )
        )
        OR EXISTS (
            SELECT FROM disputes_repaymentversion p
            JOIN disputes_moved moved ON moved.under = p.external_id AND moved.type = 'reversal'
            JOIN disputes_reversalversion v ON v.external_id = moved.external_id
            WHERE p.loan = d.loan AND v.received_at >= %(since)s
        )
        OR EXISTS (SELECT FROM disputes_messageversion v WHERE v.external_id = d.message AND v.received_at >= %(since)s)
        OR EXISTS (
            SELECT FROM disputes_sendingruleversion v
            WHERE v.external_id = d.sending_rule AND v.received_at >= %(since)s
        )
        OR EXISTS (
            SELECT FROM disputes_loanversion l JOIN disputes_customerversion v ON v.external_id = l.customer
            WHERE l.external_id = d.loan AND v.received_at >= %(since)s
        )
        OR EXISTS (SELECT FROM voids WHERE voids.under = d.loan AND voids.received_at >= %(since)s)
        -- How often somebody was written to by then.
        OR (d.ground = '{Ground.TOO_FREQUENT}' AND EXISTS (
            SELECT FROM disputes_message o
            WHERE o.loan = d.loan AND o.sent_at <= d.sent_at AND o.first_received_at >= %(since)s
        ))
    ORDER BY d.id
"""


def bearing_disputes(*, loans: Sequence[str], received_at: datetime) -> list[uuid.UUID]:
    """The closed disputes about these loans that are still watched, where a version that was received at `received_at`
    or since may bear on the instant of their message. Rather one too many than one too few; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_BEARING, {"loans": sorted(set(loans)), "since": received_at})
        return [pk for (pk,) in cursor.fetchall()]
