"""The letter over the API, as a page."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import NotAcceptable, ValidationError
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.callers import caller_of
from config.api.errors import Conflict
from config.api.schema import ErrorAnswer
from disputes.cases.api import DisputeView, found
from disputes.cases.letter import NoLetterYet, letter_of
from disputes.cases.models import Language
from disputes.cases.releasing import note_outcome_seen
from disputes.pages.letters import render_letter

HTML = "text/html"


class PageRenderer(BaseRenderer):
    """A page; an error stays JSON, as everywhere."""

    media_type = HTML
    format = "html"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return data.encode() if isinstance(data, str) else json.dumps(data, ensure_ascii=False).encode()


class DisputeLetter(DisputeView):
    required_scopes: ClassVar[dict[str, str | None]] = {"GET": "disputes:read"}
    renderer_classes = (PageRenderer,)

    @extend_schema(
        operation_id="get_dispute_letter",
        parameters=[
            OpenApiParameter("language", enum=Language.values, description="Instead of the dispute's own language.")
        ],
        responses={
            (200, HTML): OpenApiTypes.STR,
            (406, "application/json"): OpenApiResponse(ErrorAnswer, description="`Accept` takes no `text/html`."),
            (409, "application/json"): OpenApiResponse(ErrorAnswer, description="The dispute is not closed yet."),
        },
    )
    def get(self, request: Request, key: str) -> Response:
        """The letter that tells how a dispute was closed. Reading it oneself delivers the outcome."""
        if request._request.get_preferred_type([HTML]) is None:
            raise NotAcceptable("The letter is text/html.")
        language = request.query_params.get("language")
        if language is not None and language not in Language.values:
            raise ValidationError({"language": [f"One of {', '.join(Language.values)}."]}, "invalid_choice")
        dispute = found(caller=caller_of(request), key=key)
        try:
            page = render_letter(letter_of(dispute=dispute, language=language))
        except NoLetterYet:
            raise Conflict("The letter is written when the dispute is closed.", "not_closed") from None
        read = request.method == "GET" and caller_of(request).kind != "client"  # a HEAD brings nobody the outcome
        if read and dispute.outcome_delivered_at is None:
            note_outcome_seen(dispute_id=dispute.pk, now=timezone.now())
        return Response(page)


routes = [path("disputes/<str:key>/letter", DisputeLetter.as_view(), name="dispute-letter")]
