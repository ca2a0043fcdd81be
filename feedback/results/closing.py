"""Closing a wave, and freezing what it said."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from config.api.locks import wave_lock
from disputes.journal.recording import SERVICE, Actor, record_event
from disputes.notices.webhooks import announce
from feedback.results.figures import by_everybody, question_figures, segment_table
from feedback.results.models import WaveSummary
from feedback.results.tallying import funnel_of, tallies_by, tallies_of
from feedback.surveys.publishing import questions_of
from feedback.waves.models import Invitation, InvitationState, Wave, WaveState
from feedback.waves.opening import announced


def close_wave(*, wave_id: uuid.UUID, now: datetime, actor: Actor = SERVICE, alone: bool = True) -> WaveSummary:
    """Ends a wave and freezes its figures; closed already, it answers with those. Opens its transaction (an inner one
    where the caller has one). Webhook ``wave.closed``.

    1. takes the wave's lock alone, which waits for answers that are being taken; 2. in the next statements closes it,
    ends what still waits to be sent, 3. counts and freezes. `alone` False leaves the lock out, for the test that shows
    why it is there. Raises Wave.DoesNotExist.
    """
    with transaction.atomic():
        if alone:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [wave_lock(wave=wave_id)])
        wave = Wave.objects.select_for_update(no_key=True, of=("self",)).select_related("version").get(pk=wave_id)
        if wave.state == WaveState.CLOSED:
            return WaveSummary.objects.select_related("wave__version").get(pk=wave_id)
        wave.state, wave.closed_at = WaveState.CLOSED, now
        wave.save(update_fields=["state", "closed_at"])
        never_sent = Invitation.objects.filter(wave=wave, state=InvitationState.QUEUED)
        never_sent.update(state=InvitationState.NOT_SENT, asked_at=None)
        summary = WaveSummary.objects.create(wave=wave, frozen_at=now, **_figures(wave))
        record_event(subject_type="wave", subject_id=wave.pk, kind="wave.closed", actor=actor, at=now)
        announce(event="wave.closed", key=str(wave.pk), data=announced(wave), at=now)
    return summary


def _figures(wave: Wave) -> dict[str, Any]:
    questions = questions_of(wave.version)
    tallies = tallies_of(wave_id=wave.pk)
    former = former_tallies(wave)
    common = by_everybody(questions)
    segments = []
    for dimension in wave.version.dimensions:
        groups = tallies_by(wave_id=wave.pk, dimension=dimension, questions=[one.key for one in common])
        table = segment_table(dimension=dimension, questions=common, groups=groups)
        segments += [table] if table else []
    return {
        "funnel": funnel_of(wave_id=wave.pk),
        "tallies": tallies,
        "questions": [
            question_figures(
                question=question, tally=tallies.get(question.key, {}), former=former.get((question.key, question.kind))
            )
            for question in questions
        ],
        "segments": segments,
    }


def former_tallies(wave: Wave) -> dict[tuple[str, str], dict[str, int]]:
    """(question, kind) → tally, of the same survey's wave that was opened last before this one and is closed."""
    before = WaveSummary.objects.filter(wave__survey=wave.survey_id, wave__opened_at__lt=wave.opened_at)
    summary = before.select_related("wave__version").order_by("-wave__opened_at", "-wave").first()
    if summary is None:
        return {}
    kinds = {question.key: question.kind for question in questions_of(summary.wave.version)}
    return {(key, kinds[key]): tally for key, tally in summary.tallies.items()}


def close_ended_waves(*, now: datetime) -> int:
    """Closes the waves whose time is over. Returns how many. Opens their transactions."""
    ended = Wave.objects.filter(ends_at__lte=now).exclude(state=WaveState.CLOSED)
    ids = list(ended.order_by("ends_at").values_list("pk", flat=True)[:100])
    for wave_id in ids:
        close_wave(wave_id=wave_id, now=now)
    return len(ids)
