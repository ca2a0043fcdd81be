"""Answering an invitation over HTTP: whoever has the link may."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api.callers import Caller
from config.api.errors import Conflict, TooMany
from config.api.fields import AwareDateTimeField, StrictSerializer, render_instant
from config.api.idempotency import idempotent
from config.api.schema import ErrorAnswer
from feedback.pages.misses import opened_invitation, seconds_to_wait
from feedback.surveys.answers import BadAnswers
from feedback.surveys.api import QuestionSerializer, TextSerializer
from feedback.surveys.questions import LANGUAGES
from feedback.waves.answering import AlreadyAnswered, WaveEnded, has_ended, stored_answers, take_answers
from feedback.waves.inviting import DEFAULT_LANGUAGE
from feedback.waves.models import Invitation, InvitationState

TOKEN = OpenApiParameter("token", OpenApiTypes.STR, OpenApiParameter.PATH, description="From the private link.")


class InvitationSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(
        choices=[(one, one) for one in ("open", "answered", "ended")],
        help_text="`answered` is final; `ended`: the wave takes no more.",
    )
    language = serializers.ChoiceField(choices=[(one, one) for one in LANGUAGES])
    ends_at = AwareDateTimeField()
    title = TextSerializer()
    intro = serializers.DictField(child=serializers.CharField())
    thanks = serializers.DictField(child=serializers.CharField())
    questions = QuestionSerializer(many=True)
    answers = serializers.DictField(child=serializers.JSONField(), help_text="What is kept so far; none once final.")


class AnswersInSerializer(StrictSerializer):
    answers = serializers.DictField(
        child=serializers.JSONField(allow_null=True),
        help_text="By question: a number, an option, options or words.",
    )
    complete = serializers.BooleanField(required=False, default=True, help_text="False: kept for later.")
    language = serializers.ChoiceField(choices=[(one, one) for one in LANGUAGES], required=False)


class AnsweredSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=[("open", "open"), ("answered", "answered")])
    answers = serializers.DictField(child=serializers.JSONField())
    thanks = serializers.DictField(child=serializers.CharField())


def render_invitation(invitation: Invitation, *, now: Any) -> dict[str, Any]:
    wave, version = invitation.wave, invitation.wave.version
    state = "answered" if invitation.state == InvitationState.ANSWERED else "open"
    if state == "open" and has_ended(wave, now=now):
        state = "ended"
    return {
        "state": state,
        "language": invitation.answer_language or invitation.language or DEFAULT_LANGUAGE,
        "ends_at": render_instant(wave.ends_at),
        "title": version.title,
        "intro": version.intro,
        "thanks": version.thanks,
        "questions": version.questions,
        "answers": stored_answers(invitation=invitation) if state == "open" else {},
    }


class ByLink(BaseAuthentication):
    """Whoever has the link is its caller, under whose name idempotency keys are kept. Proves nothing: the view looks
    for the invitation."""

    def authenticate(self, request: Request) -> tuple[Caller, Caller]:
        token: str = request.parser_context["kwargs"]["token"]
        caller = Caller(kind="link", id=sha256(token.encode("utf-8", "surrogatepass")).hexdigest())
        return caller, caller


class OneInvitation(APIView):
    """The token in the address is all the proof that there is: no cookie and no header adds to it."""

    authentication_classes = (ByLink,)
    permission_classes = ()
    metadata_class = None

    @property
    def allowed_methods(self) -> list[str]:
        return [method for method in super().allowed_methods if method != "OPTIONS"]

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        finished = super().finalize_response(request, response, *args, **kwargs)
        finished["Cache-Control"], finished["Referrer-Policy"] = "no-store", "no-referrer"
        return finished

    def _found(self, request: Request, token: str) -> Invitation:
        """Raises NotFound, and TooMany for whoever tries too many."""
        invitation = opened_invitation(token, reading=request.method == "GET")
        if invitation is None:
            wait = seconds_to_wait(request)
            if wait is not None:
                raise TooMany(wait=wait)
            raise NotFound()
        return invitation

    @extend_schema(
        operation_id="get_invitation",
        summary="What a private link asks",
        auth=[],
        parameters=[TOKEN],
        responses={200: InvitationSerializer, 429: OpenApiResponse(ErrorAnswer, description="Too many wrong links.")},
    )
    def get(self, request: Request, token: str) -> Response:
        """Changes nothing but when it was first opened. An unknown link is 404; one that is used or over says so."""
        return Response(render_invitation(self._found(request, token), now=timezone.now()))

    @extend_schema(
        operation_id="answer_invitation",
        summary="Answer",
        auth=[],
        parameters=[TOKEN],
        request=AnswersInSerializer,
        responses={
            200: AnsweredSerializer,
            409: OpenApiResponse(ErrorAnswer, description="`already_answered`, or `ended`."),
            429: OpenApiResponse(ErrorAnswer, description="Too many wrong links."),
        },
    )
    @idempotent()
    def post(self, request: Request, token: str) -> Response:
        """Final, unless `complete` is false. Answers to questions that others hide are dropped. The same final answers
        again are answered the same; others are 409."""
        invitation = self._found(request, token)
        asked = AnswersInSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        language = given.get("language") or invitation.language or DEFAULT_LANGUAGE
        try:
            taken = take_answers(
                invitation=invitation,
                raw=given["answers"],
                language=language,
                complete=given["complete"],
                now=timezone.now(),
            )
        except BadAnswers as error:
            faults = {key: serializers.ErrorDetail(detail, code) for key, (code, detail) in error.faults.items()}
            raise ValidationError({"answers": {key: [fault] for key, fault in faults.items()}}) from error
        except AlreadyAnswered as error:
            raise Conflict("This invitation has been answered.", "already_answered") from error
        except WaveEnded as error:
            raise Conflict("This survey has ended.", "ended") from error
        state = "answered" if taken.complete else "open"
        return Response({"state": state, "answers": taken.answers, "thanks": invitation.wave.version.thanks})


routes = [path("invitations/<str:token>", OneInvitation.as_view(), name="invitation")]
