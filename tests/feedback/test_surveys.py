"""What a survey asks, and what answers it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from feedback.surveys.answers import BadAnswers, missing, only_shown, read_answers
from feedback.surveys.models import SurveyVersion
from feedback.surveys.publishing import newest_version, publish_version
from feedback.surveys.questions import BadSurvey, read_questions
from tests.callers import system
from tests.feedback.scene import CONTENT, EASE, NOW, NPS, WAYS, WHY, survey, text

QUESTIONS = read_questions(CONTENT["questions"])


@pytest.mark.parametrize(
    ("questions", "where"),
    [
        ([], "questions"),
        ("nps", "questions"),
        ([NPS, NPS], "questions.1.key"),
        ([NPS | {"kind": "stars"}], "questions.0.kind"),
        ([NPS | {"text": {"en": "x"}}], "questions.0.text"),
        ([NPS | {"text": {"en": " ", "zh-hans": "x"}}], "questions.0.text.en"),
        ([NPS | {"colour": 1}], "questions.0.colour"),
        ([NPS | {"required": "yes"}], "questions.0.required"),
        ([NPS | {"options": WAYS["options"]}], "questions.0.options"),
        ([WAYS | {"options": []}], "questions.0.options"),
        ([WAYS | {"options": [WAYS["options"][0]] * 2}], "questions.0.options.1.key"),
        ([WAYS | {"low": text("x")}], "questions.0.low"),
        ([WHY], "questions.0.shown_if.question"),
        ([NPS, WHY | {"shown_if": {"question": "recommend", "in": [11]}}], "questions.1.shown_if.in"),
        ([NPS, WHY | {"shown_if": {"question": "recommend", "in": [True]}}], "questions.1.shown_if.in"),
        ([NPS, WHY | {"shown_if": {"question": "recommend"}}], "questions.1.shown_if"),
        ([NPS, WHY, EASE | {"shown_if": {"question": "why", "in": ["x"]}}], "questions.2.shown_if.question"),
        ([NPS | {"key": "Recommend!"}], "questions.0.key"),
        ([None], "questions.0"),
    ],
)
def test_a_survey_that_is_wrong_names_the_field(questions: Any, where: str) -> None:
    with pytest.raises(BadSurvey) as refused:
        read_questions(questions)
    assert refused.value.where == where


@pytest.mark.parametrize(
    "raw",
    [
        {"recommend": 11},
        {"recommend": "9"},
        {"recommend": True},
        {"recommend": 9.0},
        {"ease": 0},
        {"ways": "app"},
        {"ways": ["fax"]},
        {"ways": ["app", "app"]},
        {"why": 3},
        {"why": "x" * 2001},
        {"why": "a\0b"},
        {"why": "\ud800"},
        {"other": 1},
        [],
    ],
)
def test_an_answer_that_is_wrong_is_refused_by_its_question(raw: Any) -> None:
    with pytest.raises(BadAnswers) as refused:
        read_answers(questions=QUESTIONS, raw=raw)
    assert list(refused.value.faults) == (list(raw) or ["answers"])


def test_answers_to_hidden_questions_are_dropped_and_only_shown_ones_are_needed() -> None:
    glad = read_answers(questions=QUESTIONS, raw={"recommend": 9, "why": "changed my mind", "ease": 5})
    assert only_shown(questions=QUESTIONS, answers=glad) == {"recommend": 9, "ease": 5}
    assert missing(questions=QUESTIONS, answers={"recommend": 9, "ease": 5}) == []
    assert missing(questions=QUESTIONS, answers={"recommend": 6}) == ["why", "ease"]


def test_options_are_kept_in_the_surveys_order() -> None:
    assert read_answers(questions=QUESTIONS, raw={"ways": ["phone", "app"]}) == {"ways": ["app", "phone"]}


@pytest.mark.django_db
def test_a_version_follows_the_one_before_and_is_never_changed() -> None:
    first = survey()
    with transaction.atomic():
        second = publish_version(survey_id=first.survey_id, content=CONTENT, created_by="test", now=NOW)
    assert (first.number, second.number) == (1, 2)
    assert newest_version(survey_id=first.survey_id) == second
    with pytest.raises(DatabaseError, match="only ever added to"), transaction.atomic():
        SurveyVersion.objects.filter(pk=first.pk).update(number=9)


@pytest.mark.django_db
def test_surveys_over_http() -> None:
    api = system("surveys:read", "surveys:write")
    created = api.post("/api/v1/surveys", CONTENT | {"name": "Disputes"}, Idempotency_Key="s1")
    assert created.status_code == 201, created.content
    place = created.json()["id"]
    assert api.post("/api/v1/surveys", CONTENT | {"name": "Disputes"}, Idempotency_Key="s1").content == created.content
    assert api.get(f"/api/v1/surveys/{place}").json() == created.json()
    assert api.post(f"/api/v1/surveys/{place}/versions", CONTENT).json()["number"] == 2
    listed = api.get(f"/api/v1/surveys/{place}/versions").json()["results"]
    assert [row["number"] for row in listed] == [2, 1]
    assert api.get("/api/v1/surveys").json()["results"][0]["version"]["number"] == 2


@pytest.mark.django_db
def test_what_a_question_leaves_out_by_null_is_left_out() -> None:
    bare = {"options": None, "low": None, "high": None, "shown_if": None}
    body = CONTENT | {"name": "A", "questions": [NPS | bare, EASE | {"options": []}]}
    created = system("surveys:write").post("/api/v1/surveys", body)
    assert (created.status_code, created.json()["version"]["questions"]) == (201, [NPS, EASE])


@pytest.mark.django_db
def test_a_version_as_it_was_answered_can_be_published_again() -> None:
    api = system("surveys:write")
    bare = {name: CONTENT[name] for name in ("title", "questions")} | {"name": "A"}
    created = api.post("/api/v1/surveys", bare).json()
    again = {name: created["version"][name] for name in ("title", "intro", "thanks", "questions", "dimensions")}
    published = api.post(f"/api/v1/surveys/{created['id']}/versions", again)
    assert (published.status_code, published.json()["number"], published.json()["intro"]) == (201, 2, {})


@pytest.mark.django_db
def test_a_wrong_survey_is_answered_with_the_field_at_fault() -> None:
    api = system("surveys:write")
    survey(name="Disputes")
    taken = api.post("/api/v1/surveys", CONTENT | {"name": "Disputes"})
    assert (taken.status_code, taken.json()["errors"][0]["attr"]) == (400, "name")
    wrong = api.post("/api/v1/surveys", CONTENT | {"name": "B", "questions": [NPS, WHY | {"kind": "stars"}]})
    assert (wrong.status_code, wrong.json()["errors"][0]["attr"]) == (400, "questions.1.kind")
    assert connection.in_atomic_block
