"""Reads of what waves said."""

from __future__ import annotations

import uuid
from typing import Any

from feedback.results.intervals import pair, rounded, share_interval
from feedback.results.models import WaveSummary
from feedback.results.tallying import funnel_of
from feedback.waves.models import Wave


def summary_of(wave: Wave) -> dict[str, Any]:
    """The summary of a wave: while it is open the funnel alone, once it is closed what was frozen then.

    `response_rate` is AAPOR's RR1, answered / handed over: who was never reached, or did not answer, stays below the
    line; None where nothing was handed over.
    """
    frozen = WaveSummary.objects.filter(pk=wave.pk).first()
    funnel = frozen.funnel if frozen else funnel_of(wave_id=wave.pk)
    handed, answered = funnel["handed_over"], funnel["answered"]
    return {
        "wave": str(wave.pk),
        "state": wave.state,
        **funnel,
        "response_rate": rounded(answered / handed, 4) if handed else None,
        "response_rate_interval": pair(share_interval(count=answered, n=handed), 4) if handed else None,
        "questions": frozen.questions if frozen else [],
        "segments": frozen.segments if frozen else [],
    }


def trend_of(*, survey_id: uuid.UUID, limit: int = 100) -> list[dict[str, Any]]:
    """The frozen figures of a survey's closed waves, oldest first, at most `limit` of the newest."""
    rows = WaveSummary.objects.filter(wave__survey=survey_id).select_related("wave").order_by("-wave__opened_at")
    return [
        {
            "wave": str(row.pk),
            "opened_at": row.wave.opened_at,
            "closed_at": row.wave.closed_at,
            "answered": row.funnel["answered"],
            "response_rate": _rate(row.funnel),
            "questions": row.questions,
        }
        for row in reversed(rows[:limit])
    ]


def _rate(funnel: dict[str, int]) -> float | None:
    return rounded(funnel["answered"] / funnel["handed_over"], 4) if funnel["handed_over"] else None
