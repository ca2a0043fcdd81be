"""Surveys and their versions over HTTP."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.fields import empty
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.callers import caller_of
from config.api.fields import AwareDateTimeField, PlainTextField, StrictSerializer, render_instant
from config.api.idempotency import idempotent
from config.api.pagination import CursorPages
from config.api.views import ServiceView
from feedback.surveys.models import Survey, SurveyVersion
from feedback.surveys.publishing import LONGEST_NAME, create_survey, newest_version, publish_version
from feedback.surveys.questions import DIMENSIONS, KINDS, LONGEST_TEXT, MOST_QUESTIONS, BadSurvey

_KEY = r"^[a-z][a-z0-9_]{0,39}$"


class TextSerializer(StrictSerializer):
    """A text in both languages."""

    def get_fields(self) -> dict[str, Any]:
        # A name with a dash cannot be an attribute.
        return {language: PlainTextField(max_length=LONGEST_TEXT) for language in ("zh-hans", "en")}


class OptionalTextSerializer(TextSerializer):
    """A text in both languages, or as an answer shows none: ``{}``."""

    def run_validation(self, data: Any = empty) -> Any:
        return {} if data == {} else super().run_validation(data)


class OptionSerializer(StrictSerializer):
    key = serializers.RegexField(_KEY)
    text = TextSerializer()


class ConditionSerializer(StrictSerializer):
    """Shown where an earlier question was answered with one of these."""

    def get_fields(self) -> dict[str, Any]:
        return {
            "question": serializers.RegexField(_KEY),
            "in": serializers.ListField(child=serializers.JSONField(), min_length=1, max_length=20),
        }


class QuestionSerializer(StrictSerializer):
    key = serializers.RegexField(_KEY)
    kind = serializers.ChoiceField(choices=[(kind, kind) for kind in KINDS])
    text = TextSerializer()
    required = serializers.BooleanField(required=False)  # type: ignore[assignment]
    options = OptionSerializer(many=True, required=False, help_text="Of `choice` and `choices`: 2 to 20.")
    low = TextSerializer(required=False, help_text="What the least of a scale means.")
    high = TextSerializer(required=False, help_text="What the most of a scale means.")
    shown_if = ConditionSerializer(required=False)


@extend_schema_field(QuestionSerializer(many=True))
class QuestionsField(serializers.ListField):
    """Read by `feedback.surveys.questions`, which knows what hangs together; the schema shows their shape."""

    child = serializers.JSONField()


class VersionInSerializer(StrictSerializer):
    title = TextSerializer()
    intro = OptionalTextSerializer(required=False)
    thanks = OptionalTextSerializer(required=False)
    questions = QuestionsField(min_length=1, max_length=MOST_QUESTIONS)
    dimensions = serializers.ListField(
        child=serializers.ChoiceField(choices=[(one, one) for one in DIMENSIONS]),
        required=False,
        max_length=len(DIMENSIONS),
        help_text="By what the figures are split.",
    )


class SurveyInSerializer(VersionInSerializer):
    name = PlainTextField(max_length=LONGEST_NAME)


class VersionSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    number = serializers.IntegerField()
    title = TextSerializer()
    intro = serializers.DictField(child=serializers.CharField())
    thanks = serializers.DictField(child=serializers.CharField())
    questions = QuestionSerializer(many=True)
    dimensions = serializers.ListField(child=serializers.CharField())
    created_at = AwareDateTimeField()


class SurveySerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    created_at = AwareDateTimeField()
    version = VersionSerializer(help_text="The newest: what the next wave asks.")


def found_survey(survey_id: uuid.UUID) -> Survey:
    """Raises NotFound."""
    try:
        return Survey.objects.get(pk=survey_id)
    except Survey.DoesNotExist as error:
        raise NotFound() from error


def refused(error: BadSurvey) -> ValidationError:
    """The field at fault, named as drf-standardized-errors names nested ones."""
    detail: Any = [error.detail]
    for part in reversed(error.where.split(".")):
        detail = {part: detail}
    return ValidationError(detail, error.code)


def render_version(version: SurveyVersion) -> dict[str, Any]:
    return {
        "id": str(version.pk),
        "number": version.number,
        "title": version.title,
        "intro": version.intro,
        "thanks": version.thanks,
        "questions": version.questions,
        "dimensions": version.dimensions,
        "created_at": render_instant(version.created_at),
    }


def render_survey(survey: Survey, version: SurveyVersion) -> dict[str, Any]:
    return {
        "id": str(survey.pk),
        "name": survey.name,
        "created_at": render_instant(survey.created_at),
        "version": render_version(version),
    }


class Surveys(ServiceView):
    required_scopes: ClassVar[dict[str, str | None]] = {"GET": "surveys:read", "POST": "surveys:write"}

    @extend_schema(operation_id="surveys", summary="The surveys", responses=SurveySerializer(many=True))
    def get(self, request: Request) -> Response:
        """Newest first, in pages, each with its newest version."""

        def render(page: Any) -> list[Any]:
            newest: dict[Any, SurveyVersion] = {}
            for version in SurveyVersion.objects.filter(survey__in=[one.pk for one in page]).order_by("number"):
                newest[version.survey_id] = version
            return [render_survey(one, newest[one.pk]) for one in page]

        return self.answer_page(request, Survey.objects.all(), render)

    @extend_schema(
        operation_id="create_survey",
        summary="Create a survey",
        request=SurveyInSerializer,
        responses={201: SurveySerializer},
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """A survey with its first version."""
        asked = SurveyInSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        content = dict(asked.validated_data)
        try:
            version = create_survey(
                name=content.pop("name"), content=content, created_by=caller_of(request).key, now=timezone.now()
            )
        except BadSurvey as error:
            raise refused(error) from error
        return Response(render_survey(version.survey, version), status=201)


class OneSurvey(ServiceView):
    required_scopes: ClassVar[dict[str, str | None]] = {"GET": "surveys:read"}

    @extend_schema(operation_id="get_survey", summary="One survey", responses=SurveySerializer)
    def get(self, request: Request, survey: uuid.UUID) -> Response:
        """With its newest version."""
        found = found_survey(survey)
        return Response(render_survey(found, newest_version(survey_id=found.pk)))


class VersionPages(CursorPages):
    ordering = ("-number",)


class SurveyVersions(ServiceView):
    required_scopes: ClassVar[dict[str, str | None]] = {"GET": "surveys:read", "POST": "surveys:write"}
    pagination_class = VersionPages

    @extend_schema(
        operation_id="survey_versions", summary="A survey's versions", responses=VersionSerializer(many=True)
    )
    def get(self, request: Request, survey: uuid.UUID) -> Response:
        """Newest first, in pages."""
        versions = SurveyVersion.objects.filter(survey=found_survey(survey))
        return self.answer_page(request, versions, lambda page: [render_version(one) for one in page])

    @extend_schema(
        operation_id="publish_survey_version",
        summary="Publish a new version",
        request=VersionInSerializer,
        responses={201: VersionSerializer},
    )
    @idempotent()
    def post(self, request: Request, survey: uuid.UUID) -> Response:
        """Waves that open from now on ask it; those that are open keep theirs."""
        asked = VersionInSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            version = publish_version(
                survey_id=found_survey(survey).pk,
                content=asked.validated_data,
                created_by=caller_of(request).key,
                now=timezone.now(),
            )
        except BadSurvey as error:
            raise refused(error) from error
        return Response(render_version(version), status=201)


routes = [
    path("surveys", Surveys.as_view(), name="surveys"),
    path("surveys/<uuid:survey>", OneSurvey.as_view(), name="survey"),
    path("surveys/<uuid:survey>/versions", SurveyVersions.as_view(), name="survey-versions"),
]
