"""What waves said, over HTTP."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.callers import caller_of
from config.api.fields import AwareDateTimeField, StrictSerializer, render_instant
from config.api.idempotency import idempotent
from config.api.views import ServiceView
from disputes.journal.recording import Actor
from feedback.results.closing import close_wave
from feedback.results.queries import summary_of, trend_of
from feedback.surveys.api import found_survey
from feedback.waves.api import WaveSerializer, found_wave, render_wave
from feedback.waves.models import Wave


class IntervalField(serializers.ListField):
    """95 of 100: low, high."""

    child = serializers.FloatField()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_length=2, max_length=2, **kwargs)


class ValueSerializer(serializers.Serializer[Any]):
    value = serializers.JSONField(help_text="A number of the scale, or an option's key.")
    count = serializers.IntegerField()
    share = serializers.FloatField()
    interval = IntervalField(required=False, help_text="Of the share of an option.")


class WaveChangeSerializer(serializers.Serializer[Any]):
    difference = serializers.FloatField(help_text="To the survey's closed wave before.")
    interval = IntervalField()
    beyond_chance = serializers.BooleanField(allow_null=True, help_text="None: too few answers to tell.")
    needed = serializers.IntegerField(
        allow_null=True, help_text="Answers a wave that would tell such a difference four times in five."
    )


class QuestionFigureSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    kind = serializers.CharField()
    n = serializers.IntegerField(allow_null=True, help_text="None: fewer than 5.")
    nps = serializers.FloatField(required=False, allow_null=True)
    mean = serializers.FloatField(required=False, allow_null=True)
    interval = IntervalField(allow_null=True)
    distribution = ValueSerializer(many=True, allow_null=True)
    too_few = serializers.BooleanField(help_text="Fewer than 10: no figure.")
    change = WaveChangeSerializer(allow_null=True)


class GroupFigureSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    kind = serializers.CharField()
    n = serializers.IntegerField()
    nps = serializers.FloatField(required=False, allow_null=True)
    mean = serializers.FloatField(required=False, allow_null=True)
    interval = IntervalField(allow_null=True)
    too_few = serializers.BooleanField()


class GroupSerializer(serializers.Serializer[Any]):
    group = serializers.CharField()
    n = serializers.IntegerField()
    questions = GroupFigureSerializer(many=True)


class SegmentSerializer(serializers.Serializer[Any]):
    dimension = serializers.CharField()
    rows = GroupSerializer(many=True)


class SummarySerializer(serializers.Serializer[Any]):
    wave = serializers.UUIDField()
    state = serializers.CharField()
    invited = serializers.IntegerField()
    handed_over = serializers.IntegerField()
    delivered = serializers.IntegerField()
    opened = serializers.IntegerField()
    partial = serializers.IntegerField()  # type: ignore[assignment]
    answered = serializers.IntegerField()
    response_rate = serializers.FloatField(allow_null=True, help_text="AAPOR RR1: answered / handed over.")
    response_rate_interval = IntervalField(allow_null=True)
    questions = QuestionFigureSerializer(many=True, help_text="Empty until the wave is closed.")
    segments = SegmentSerializer(many=True)


class TrendRowSerializer(serializers.Serializer[Any]):
    wave = serializers.UUIDField()
    opened_at = AwareDateTimeField()
    closed_at = AwareDateTimeField()
    answered = serializers.IntegerField()
    response_rate = serializers.FloatField(allow_null=True)
    questions = QuestionFigureSerializer(many=True)


class TrendSerializer(serializers.Serializer[Any]):
    survey = serializers.UUIDField()
    waves = TrendRowSerializer(many=True)


class WaveSummaryView(ServiceView):
    required_scopes: ClassVar[dict[str, str | None]] = {"GET": "surveys:read"}

    @extend_schema(operation_id="wave_summary", summary="A wave's figures", responses=SummarySerializer)
    def get(self, request: Request, wave: uuid.UUID) -> Response:
        """While the wave is open the funnel alone; once it is closed its figures, frozen then."""
        return Response(summary_of(found_wave(wave)))


class CloseWave(ServiceView):
    required_scopes: ClassVar[dict[str, str | None]] = {"POST": "surveys:write"}

    @extend_schema(
        operation_id="close_wave", summary="Close a wave", request=StrictSerializer, responses={200: WaveSerializer}
    )
    @idempotent()
    def post(self, request: Request, wave: uuid.UUID) -> Response:
        """Ends it before its time: no more answers are taken, and its figures are frozen. Closed already, it stays as
        it is."""
        StrictSerializer(data=request.data or {}).is_valid(raise_exception=True)
        caller = caller_of(request)
        try:
            summary = close_wave(wave_id=wave, now=timezone.now(), actor=Actor(type=caller.kind, id=caller.id))
        except Wave.DoesNotExist as error:
            raise NotFound() from error
        return Response(render_wave(summary.wave))


class SurveyTrend(ServiceView):
    required_scopes: ClassVar[dict[str, str | None]] = {"GET": "surveys:read"}

    @extend_schema(operation_id="survey_trend", summary="A survey's figures over time", responses=TrendSerializer)
    def get(self, request: Request, survey: uuid.UUID) -> Response:
        """The frozen figures of its closed waves, oldest first, at most a hundred."""
        found = found_survey(survey)
        waves = [
            {
                **row,
                "opened_at": render_instant(row["opened_at"]),
                "closed_at": render_instant(row["closed_at"]),
            }
            for row in trend_of(survey_id=found.pk)
        ]
        return Response({"survey": str(found.pk), "waves": waves})


routes = [
    path("waves/<uuid:wave>/summary", WaveSummaryView.as_view(), name="wave-summary"),
    path("waves/<uuid:wave>/close", CloseWave.as_view(), name="close-wave"),
    path("surveys/<uuid:survey>/trend", SurveyTrend.as_view(), name="survey-trend"),
]
