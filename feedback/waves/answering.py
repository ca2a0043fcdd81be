"""Answering: what a private link shows, keeps and takes.

Answers are taken while the wave is not closed, once. Whoever answers shares the wave's lock, and whoever closes the
wave has it alone: an answer that was taken is always in the frozen figures.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from config.api.locks import wave_lock
from feedback.surveys import answers as reading
from feedback.surveys.answers import BadAnswers, Value
from feedback.surveys.publishing import questions_of
from feedback.surveys.questions import Question
from feedback.waves.models import Answer, Invitation, InvitationState, Wave, WaveState

ANSWERABLE = (InvitationState.SENT, InvitationState.PARTIAL)


class WaveEnded(Exception):
    """The wave takes no more answers."""


class AlreadyAnswered(Exception):
    """These invitation's answers are final."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What is stored after an answer. `complete`: final."""

    complete: bool
    answers: Mapping[str, Value]


def has_ended(wave: Wave, *, now: datetime) -> bool:
    return wave.state == WaveState.CLOSED or now >= wave.ends_at


def note_opened(*, invitation_id: uuid.UUID, now: datetime) -> None:
    """Remembers when the link was first opened: all that a GET changes."""
    Invitation.objects.filter(pk=invitation_id, opened_at__isnull=True).update(opened_at=now)


def stored_answers(*, invitation: Invitation) -> dict[str, Value]:
    """What is kept of an invitation's answers, by question."""
    kinds = {question.key: question.kind for question in questions_of(invitation.wave.version)}
    rows = Answer.objects.filter(invitation=invitation.pk)
    return {row.question: _value(row, kinds[row.question]) for row in rows}


def take_answers(
    *, invitation: Invitation, raw: Any, language: str, complete: bool, now: datetime, share: bool = True
) -> Taken:
    """Stores answers: kept for later (`complete` False), or final. Opens its transaction.

    1. reads them by the questions of the wave's version; 2. shares the wave's lock; 3. in the next statement moves the
    invitation on by one conditional UPDATE, so that of two at once one is taken; 4. replaces its answers. Answers to
    questions that others hide are dropped. The same final answers again are taken for the same (a reload).

    `share` False leaves the lock out, for the test that shows why it is there. Raises BadAnswers, WaveEnded,
    AlreadyAnswered.
    """
    questions = questions_of(invitation.wave.version)
    given = reading.read_answers(questions=questions, raw=raw)
    if complete:
        given = reading.only_shown(questions=questions, answers=given)
        lacking = reading.missing(questions=questions, answers=given)
        if lacking:
            raise BadAnswers(dict.fromkeys(lacking, ("required", "This question needs an answer.")))
    with transaction.atomic():
        if share:
            _share(invitation.wave_id)
        moved = _move_on(invitation=invitation, language=language, complete=complete, now=now)
        if not moved:
            return _why_not(invitation=invitation, given=given, complete=complete)
        Answer.objects.filter(invitation=invitation.pk).delete()
        asked = {question.key: question for question in questions}
        Answer.objects.bulk_create([_row(invitation, asked[key], value) for key, value in given.items()])
    return Taken(complete=complete, answers=given)


def _share(wave_id: uuid.UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [wave_lock(wave=wave_id)])


def _move_on(*, invitation: Invitation, language: str, complete: bool, now: datetime) -> bool:
    running = Wave.objects.filter(pk=invitation.wave_id, ends_at__gt=now).exclude(state=WaveState.CLOSED)
    ours = Invitation.objects.filter(pk=invitation.pk, state__in=ANSWERABLE, wave__in=running)
    if complete:
        return bool(ours.update(state=InvitationState.ANSWERED, answered_at=now, answer_language=language))
    return bool(ours.update(state=InvitationState.PARTIAL, answer_language=language))


def _why_not(*, invitation: Invitation, given: Mapping[str, Value], complete: bool) -> Taken:
    there = Invitation.objects.get(pk=invitation.pk)
    if there.state == InvitationState.ANSWERED:
        stored = stored_answers(invitation=invitation)
        if complete and stored == given:
            return Taken(complete=True, answers=stored)
        raise AlreadyAnswered
    raise WaveEnded


def _row(invitation: Invitation, question: Question, value: Value) -> Answer:
    answer = Answer(wave_id=invitation.wave_id, invitation_id=invitation.pk, question=question.key)
    if question.kind == "text":
        answer.text = str(value)
    elif isinstance(value, int):
        answer.number = value
    else:
        answer.chosen = value if isinstance(value, list) else [value]
    return answer


def _value(row: Answer, kind: str) -> Value:
    if row.number is not None:
        return row.number
    if kind == "text":
        return str(row.text or "")
    chosen = list(row.chosen or [])
    return chosen[0] if kind == "choice" else chosen
