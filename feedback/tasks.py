"""What workers do for surveys: which topics are heard, and what beat starts."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from celery import shared_task
from django.utils import timezone

from disputes.outbox.queue import Subscriber
from feedback.results.closing import close_ended_waves
from feedback.waves.inviting import note_carrier, send_due_invitations
from feedback.waves.sampling import draw_samples
from feedback.waves.scheduling import open_due_waves


def begin_wave(payload: Mapping[str, Any]) -> None:
    """Draws what waits to be drawn and begins to invite; beat goes on where a worker ends here."""
    now = timezone.now()
    draw_samples(now=now)
    send_due_invitations(now=now)


def note_survey_notice(payload: Mapping[str, Any]) -> None:
    if payload["kind"] == "survey":
        invitation, notice = uuid.UUID(payload["subject"]), uuid.UUID(payload["notice"])
        note_carrier(invitation_id=invitation, notice_id=notice, now=timezone.now())


SUBSCRIBERS: Sequence[tuple[str, str, Subscriber]] = (
    ("wave.opened", "begin_wave", begin_wave),
    ("notice.delivered", "note_survey_notice", note_survey_notice),
    ("notice.failed", "note_survey_notice", note_survey_notice),
)
"""Topic, name and function."""


@shared_task(name="feedback.tasks.keep_waves", ignore_result=True)
def keep_waves() -> None:
    """Opens the waves that are due, draws their samples, sends what may be sent, closes those whose time is over."""
    now = timezone.now()
    close_ended_waves(now=now)
    open_due_waves(now=now)
    draw_samples(now=now)
    send_due_invitations(now=now)
