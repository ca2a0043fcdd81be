"""Writing surveys and their versions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from feedback.surveys.models import Survey, SurveyVersion
from feedback.surveys.questions import BadSurvey, Question, read_dimensions, read_questions, read_text

LONGEST_NAME = 120


def create_survey(*, name: str, content: Mapping[str, Any], created_by: str, now: datetime) -> SurveyVersion:
    """Writes a survey with its first version. Needs a transaction.

    `content`: `title`, `intro`, `thanks` (texts in both languages; the last two may be left out), `questions` and
    `dimensions`, as `feedback.surveys.questions` reads them. Raises BadSurvey, also for a name that is taken.
    """
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME or "\0" in name:
        raise BadSurvey("name", f"A text of 1 to {LONGEST_NAME} characters.")
    read = _read(content)
    # ON CONFLICT waits for whoever writes the same name now.
    survey = Survey(name=name.strip(), created_at=now, created_by=created_by)
    Survey.objects.bulk_create([survey], ignore_conflicts=True)
    if not Survey.objects.filter(pk=survey.pk).exists():
        raise BadSurvey("name", "Another survey has this name.", "unique")
    return SurveyVersion.objects.create(survey=survey, number=1, created_at=now, created_by=created_by, **read)


def publish_version(
    *, survey_id: uuid.UUID, content: Mapping[str, Any], created_by: str, now: datetime
) -> SurveyVersion:
    """Writes the next version of a survey; waves that are open keep theirs. Needs a transaction; locks the survey's
    row, so that numbers follow one another. Raises BadSurvey, Survey.DoesNotExist."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("a version is published in a transaction")
    read = _read(content)
    survey = Survey.objects.select_for_update(no_key=True).get(pk=survey_id)
    newest = newest_version(survey_id=survey.pk)
    return SurveyVersion.objects.create(
        survey=survey, number=newest.number + 1, created_at=now, created_by=created_by, **read
    )


def _read(content: Mapping[str, Any]) -> dict[str, Any]:
    read_questions(content.get("questions"))
    return {
        "title": read_text(content.get("title"), "title"),
        "intro": read_text(content.get("intro"), "intro", needed=False),
        "thanks": read_text(content.get("thanks"), "thanks", needed=False),
        "questions": [
            # What is left out by null or an empty list is left out: the API's answers have no nulls here.
            {name: value for name, value in question.items() if value not in (None, [])}
            for question in content["questions"]
        ],
        "dimensions": list(read_dimensions(content.get("dimensions", []))),
    }


def newest_version(*, survey_id: uuid.UUID) -> SurveyVersion:
    """The version that the next wave asks. Raises SurveyVersion.DoesNotExist."""
    return SurveyVersion.objects.filter(survey=survey_id).select_related("survey").latest("number")


def questions_of(version: SurveyVersion) -> tuple[Question, ...]:
    """A stored version's questions."""
    return read_questions(version.questions)
