"""Counting what a wave's people did and said, straight from their rows: no counter is kept anywhere."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

from feedback.surveys.questions import DIMENSIONS

Tally = dict[str, int]
"""Value (a number, or an option's key) → how many; `""`: how many answered the question at all."""

# Handed over: a carrier took it, or may have (`unknown`), or it was opened, so that it must have arrived.
_FUNNEL = """
SELECT count(*) AS invited,
    count(*) FILTER (WHERE handed) AS handed_over,
    count(*) FILTER (WHERE delivered) AS delivered,
    count(*) FILTER (WHERE opened_at IS NOT NULL OR state IN ('partial', 'answered')) AS opened,
    count(*) FILTER (WHERE state = 'partial') AS partial,
    count(*) FILTER (WHERE state = 'answered') AS answered
FROM (
    SELECT invitation.state, invitation.opened_at,
        coalesce(bool_or(notice.handed_over_at IS NOT NULL OR notice.state IN ('delivered', 'unknown')), false)
            OR invitation.opened_at IS NOT NULL OR invitation.state IN ('partial', 'answered') AS handed,
        invitation.delivered_at IS NOT NULL OR coalesce(bool_or(notice.state = 'delivered'), false) AS delivered
    FROM feedback_invitation AS invitation
    LEFT JOIN disputes_notice AS notice ON notice.kind = 'survey' AND notice.subject = invitation.id
    WHERE invitation.wave_id = %s
    GROUP BY invitation.id
) AS each
"""

_ANSWERED = """
FROM feedback_answer AS answer
JOIN feedback_invitation AS invitation ON invitation.id = answer.invitation_id AND invitation.state = 'answered'
"""


def funnel_of(*, wave_id: uuid.UUID) -> dict[str, int]:
    """`invited`, `handed_over`, `delivered`, `opened`, `partial`, `answered`, as they are now."""
    with connection.cursor() as cursor:
        cursor.execute(_FUNNEL, [wave_id])
        names = [column.name for column in cursor.description or ()]
        return dict(zip(names, cursor.fetchone()))


def tallies_of(*, wave_id: uuid.UUID) -> dict[str, Tally]:
    """Question → tally, of the final answers."""
    tallies: dict[str, Tally] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT answer.question, value, count(*) {_ANSWERED}
            CROSS JOIN LATERAL (
                SELECT answer.number::text AS value WHERE answer.number IS NOT NULL
                UNION ALL SELECT unnest(answer.chosen)
                UNION ALL SELECT ''
            ) AS given
            WHERE answer.wave_id = %s GROUP BY answer.question, value
            """,
            [wave_id],
        )
        for question, value, count in cursor.fetchall():
            tallies.setdefault(question, {})[value] = count
    return tallies


def tallies_by(*, wave_id: uuid.UUID, dimension: str, questions: Sequence[str]) -> dict[str, dict[str, Tally]]:
    """Group → question → tally, of the final answers to scales. `dimension`: one of DIMENSIONS."""
    if dimension not in DIMENSIONS:
        raise ValueError(f"no such dimension: {dimension}")
    groups: dict[str, dict[str, Tally]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT invitation.{dimension}, answer.question, answer.number::text, count(*) {_ANSWERED}
            WHERE answer.wave_id = %s AND answer.question = ANY (%s) AND answer.number IS NOT NULL
            GROUP BY 1, 2, 3
            """,
            [wave_id, list(questions)],
        )
        for group, question, value, count in cursor.fetchall():
            groups.setdefault(group or "unknown", {}).setdefault(question, {})[value] = count
    return groups


def numbers(tally: Mapping[str, int]) -> dict[int, int]:
    """A scale's tally by number."""
    return {int(value): count for value, count in tally.items() if value}


def total(tally: Mapping[str, Any]) -> int:
    """How many answered a scale, from its tally."""
    return sum(numbers(tally).values())
