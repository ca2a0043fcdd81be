"""Screening over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path
from drf_spectacular.utils import OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import UnsupportedMediaType, ValidationError
from rest_framework.request import Request

from config.api.bulk import BULK_FROM, SpooledAnswer, body_chunks, body_length
from config.api.places import take_place
from config.api.views import ServiceView
from disputes.holds.campaign_rows import BadHeader, Form
from disputes.holds.campaigns import ANSWER_COLUMNS, answer_header, screen_campaign
from disputes.holds.walking import REASONS

CSV = "text/csv"
NDJSON = "application/x-ndjson"
FORMS: dict[str, Form] = {
    CSV: "csv",
    "application/csv": "csv",
    NDJSON: "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/x-jsonlines": "ndjson",
}
_BODY = {"type": "string", "description": "One message a line: the gate's items, or a CSV whose first line names them."}
_ROW = inline_serializer(
    "ScreenedRow",
    {
        "line": serializers.IntegerField(help_text="Of the body, from 1; a CSV's header is its first."),
        "request_id": serializers.CharField(allow_null=True),
        "outcome": serializers.ChoiceField(choices=["allow", "deny"]),
        "reasons": serializers.ListField(child=serializers.ChoiceField(choices=REASONS)),
        "next_allowed_at": serializers.DateTimeField(allow_null=True),
        "decided_at": serializers.DateTimeField(help_text="The database's clock; no hold placed before it is missed."),
    },
)


class Screenings(ServiceView):
    """A campaign, looked at before it is sent."""

    required_scopes: ClassVar[Any] = {"POST": "gate"}

    @extend_schema(
        operation_id="gate_screenings",
        summary="Screen a campaign",
        request={CSV: _BODY, NDJSON: _BODY},
        responses={
            (200, NDJSON): OpenApiResponse(_ROW, description="One answer a line, in the order asked."),
            (200, CSV): OpenApiResponse(
                {"type": "string"}, description=f"The columns {', '.join(ANSWER_COLUMNS)}; reasons parted by blanks."
            ),
        },
    )
    def post(self, request: Request) -> StreamingHttpResponse:
        """Says what the gate would answer to each message of a file, up to millions of lines. Nothing is granted, and
        no line takes a slot from another: ask the gate before each message all the same. A line that cannot be read is
        denied as `malformed` in its place. A bulk call that finds no place is answered 429."""
        plain: HttpRequest = request._request
        content_type, form = _form(request)
        length = body_length(plain)
        answer = SpooledAnswer(take_place() if length is None or length >= BULK_FROM else None)
        try:
            answer.write(answer_header(form))
            chunks = body_chunks(plain, length=length, lines_end=form == "csv")
            for part in screen_campaign(chunks=chunks, form=form, caller=self.caller.key):
                for some in part.answers:
                    answer.write(some)
        except BadHeader as error:
            answer.close()
            raise ValidationError([str(error)], "bad_header") from error
        except BaseException:
            answer.close()
            raise
        size = answer.rewind()
        return StreamingHttpResponse(
            answer,
            content_type=f"{content_type}; charset=utf-8" if form == "csv" else content_type,
            headers={"Content-Length": str(size)},
        )


def _form(request: Request) -> tuple[str, Form]:
    content_type = (request.content_type or "").partition(";")[0].strip().lower()
    if content_type not in FORMS:
        raise UnsupportedMediaType(content_type, f"This call reads {CSV} and {NDJSON}.")
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMediaType(encoding, "This call reads no compressed body.")
    return content_type, FORMS[content_type]


routes = [path("gate/screenings", Screenings.as_view(), name="gate-screenings")]
