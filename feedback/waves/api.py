"""Waves over HTTP."""

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
from feedback.surveys.api import found_survey
from feedback.waves.models import Audience, Channel, Wave, WaveState
from feedback.waves.opening import LONGEST_OPEN, LONGEST_QUIET, Asked, open_wave

MOST_ASKED = 1_000_000


class WaveInSerializer(StrictSerializer):
    audience = serializers.ChoiceField(choices=[(one, one) for one in Audience.values])
    period_from = AwareDateTimeField(help_text="The audience's period begins here.")
    period_until = AwareDateTimeField(help_text="And ends before this instant, which may not be in the future.")
    sample_size = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=MOST_ASKED, help_text="None: everyone eligible."
    )
    quiet_days = serializers.IntegerField(
        required=False, min_value=0, max_value=LONGEST_QUIET, help_text="Nobody is asked twice within so many days."
    )
    open_days = serializers.IntegerField(
        required=False, min_value=1, max_value=LONGEST_OPEN, help_text="For how long answers are taken."
    )
    channel = serializers.ChoiceField(choices=[(one, one) for one in Channel.values], required=False)

    def validate_period_until(self, value: Any) -> Any:
        if value > self.context["now"]:
            raise serializers.ValidationError("This lies in the future.", "in_the_future")
        return value

    def validate(self, attrs: Any) -> Any:
        if attrs["period_from"] >= attrs["period_until"]:
            raise serializers.ValidationError({"period_until": ["After period_from."]}, "invalid")
        return attrs


class WaveSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    survey = serializers.UUIDField()
    version = serializers.IntegerField(help_text="The number of the version that is asked.")
    schedule = serializers.UUIDField(allow_null=True, help_text="None: opened by hand.")
    state = serializers.ChoiceField(choices=[(one, one) for one in WaveState.values])
    audience = serializers.ChoiceField(choices=[(one, one) for one in Audience.values])
    period_from = AwareDateTimeField()
    period_until = AwareDateTimeField()
    sample_size = serializers.IntegerField(allow_null=True)
    quiet_days = serializers.IntegerField()
    channel = serializers.CharField()
    opened_at = AwareDateTimeField()
    ends_at = AwareDateTimeField()
    closed_at = AwareDateTimeField(allow_null=True)
    audience_count = serializers.IntegerField(allow_null=True, help_text="None until the sample is drawn.")
    eligible_count = serializers.IntegerField(allow_null=True)
    taken_count = serializers.IntegerField(allow_null=True)
    left_out = serializers.DictField(child=serializers.IntegerField(), help_text="Reason → how many of the audience.")
    seed = serializers.CharField(allow_null=True, help_text="Of the sample's order; shown once the wave is closed.")


def found_wave(wave_id: uuid.UUID) -> Wave:
    """Raises NotFound."""
    try:
        return Wave.objects.select_related("version").get(pk=wave_id)
    except Wave.DoesNotExist as error:
        raise NotFound() from error


def render_wave(wave: Wave) -> dict[str, Any]:
    return {
        "id": str(wave.pk),
        "survey": str(wave.survey_id),
        "version": wave.version.number,
        "schedule": None if wave.schedule_id is None else str(wave.schedule_id),
        "state": wave.state,
        "audience": wave.audience,
        "period_from": render_instant(wave.period.lower),
        "period_until": render_instant(wave.period.upper),
        "sample_size": wave.sample_size,
        "quiet_days": wave.quiet_days,
        "channel": wave.channel,
        "opened_at": render_instant(wave.opened_at),
        "ends_at": render_instant(wave.ends_at),
        "closed_at": None if wave.closed_at is None else render_instant(wave.closed_at),
        "audience_count": wave.audience_count,
        "eligible_count": wave.eligible_count,
        "taken_count": wave.taken_count,
        "left_out": wave.left_out,
        "seed": bytes(wave.seed).hex() if wave.state == WaveState.CLOSED else None,
    }


class SurveyWaves(ServiceView):
    """Waves that are opened by hand."""

    required_scopes: ClassVar[dict[str, str | None]] = {"GET": "surveys:read", "POST": "surveys:write"}

    @extend_schema(operation_id="survey_waves", summary="A survey's waves", responses=WaveSerializer(many=True))
    def get(self, request: Request, survey: uuid.UUID) -> Response:
        """Newest first, in pages."""
        waves = Wave.objects.filter(survey=found_survey(survey)).select_related("version")
        return self.answer_page(request, waves, lambda page: [render_wave(one) for one in page])

    @extend_schema(
        operation_id="open_wave", summary="Open a wave", request=WaveInSerializer, responses={201: WaveSerializer}
    )
    @idempotent()
    def post(self, request: Request, survey: uuid.UUID) -> Response:
        """Its sample is drawn and invited by a worker. Only the `Idempotency-Key` keeps a second click from opening a
        second wave."""
        now = timezone.now()
        asked = WaveInSerializer(data=request.data, context={"now": now})
        asked.is_valid(raise_exception=True)
        given = dict(asked.validated_data)
        start, end = given.pop("period_from"), given.pop("period_until")
        wave = open_wave(
            survey_id=found_survey(survey).pk,
            asked=Asked(**given),
            start=start,
            end=end,
            opened_by=caller_of(request).key,
            now=now,
        )
        return Response(render_wave(wave), status=201)


class OneWave(ServiceView):
    required_scopes: ClassVar[dict[str, str | None]] = {"GET": "surveys:read"}

    @extend_schema(operation_id="get_wave", summary="One wave", responses=WaveSerializer)
    def get(self, request: Request, wave: uuid.UUID) -> Response:
        """Whom it asks, how many, and why others were left out."""
        return Response(render_wave(found_wave(wave)))


routes = [
    path("surveys/<uuid:survey>/waves", SurveyWaves.as_view(), name="survey-waves"),
    path("waves/<uuid:wave>", OneWave.as_view(), name="wave"),
]
