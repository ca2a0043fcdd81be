"""Which of the person's own messages may still be answered, each by one message."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import connection

from config.values.ids import floor_of
from disputes.holds.permits import CLOCKS_DIFFER
from disputes.holds.walking import GateItem

ANSWER_WITHIN = timedelta(days=30)
"""How long after a person's message something is an answer to it. Within it no permit is dropped that could be the
answer (`partitions.drop_old_partitions`)."""

Reply = tuple[str, bytes]
"""A sender's id of a person's message, and the phone (its digest) that it must have come from."""


def read_replies(*, items: Sequence[GateItem], at: datetime, now: datetime) -> Mapping[Reply, uuid.UUID | None]:
    """Of what the items name as answered: the messages that came from the item's own phone, each with the permit of its
    answer; None: nothing has answered it yet. One that nobody delivered, or that another phone sent, is not there.

    Needs the phones' lanes, where a permit is to be granted: whoever grants the answer holds the same. A permit answers
    until it is handed back; one whose message was recorded all the same was the answer. No statement where no item
    names any; `now`: the process's clock, for what only prunes.
    """
    asked = sorted({(item.reply_to, item.phone) for item in items if item.reply_to is not None})
    if not asked:
        return {}
    floor, ceiling = floor_of(now - ANSWER_WITHIN - CLOCKS_DIFFER), floor_of(now + CLOCKS_DIFFER)
    with connection.cursor() as cursor:
        # The ids stand in ORs, as in migration 0011: they prune partitions, and no index is read by them.
        cursor.execute(
            """
            SELECT asked.reply, asked.phone, answer.id
            FROM unnest(%s::text[], %s::bytea[]) AS asked (reply, phone)
            LEFT JOIN LATERAL (
                SELECT permit.id FROM disputes_permit AS permit
                WHERE permit.phone_digest = asked.phone AND permit.reply_to = asked.reply
                    AND (permit.id > %s OR permit.id = %s) AND (permit.id < %s OR permit.id = %s)
                    AND (permit.unused_at IS NULL OR permit.message IS NOT NULL)
                ORDER BY permit.granted_at LIMIT 1
            ) AS answer ON true
            WHERE EXISTS (
                SELECT FROM disputes_inboundmessage AS said
                WHERE said.phone_digest = asked.phone AND said.external_id = asked.reply AND said.received_at > %s)
            """,
            [
                [reply for reply, _ in asked],
                [phone for _, phone in asked],
                floor,
                floor,
                ceiling,
                ceiling,
                at - ANSWER_WITHIN,
            ],
        )
        return {(reply, bytes(phone)): answer for reply, phone, answer in cursor.fetchall()}
