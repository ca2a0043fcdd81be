"""An id for every request, in its answer and in every line that is logged for it; bodies sent in chunks; and addresses
that no page has."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponseBadRequest, HttpResponseBase

from config.api.errors import TooLarge, plain_answer
from config.values.ids import new_id

HEADER = "X-Request-Id"
_OURS_TO_TAKE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class RequestIdMiddleware:
    """Takes the caller's X-Request-Id where it is plain (1 to 64 letters, digits, dots, dashes), else makes one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        asked = request.headers.get(HEADER, "")
        request_id = asked if _OURS_TO_TAKE.fullmatch(asked) else str(new_id())
        request.request_id = request_id  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self.get_response(request)
        response[HEADER] = request_id
        return response


STREAMED = ("/api/v1/records/import", "/api/v1/gate/screenings")
"""Calls that read their body themselves, as it comes."""


class ChunkedBodyMiddleware:
    """Reads a body that was sent in chunks, so without its length: WSGI would show it as an empty one.

    At most DATA_UPLOAD_MAX_MEMORY_SIZE bytes, else 413. What a streamed call sends is left to it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        chunked = "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower()
        if chunked and not request.META.get("CONTENT_LENGTH") and request.path_info not in STREAMED:
            limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
            body = _read(request, limit + 1)
            if len(body) > limit:
                return plain_answer(TooLarge())
            request.META["CONTENT_LENGTH"] = str(len(body))
            request._stream = BytesIO(body)  # type: ignore[attr-defined]
        return self.get_response(request)


def _read(request: HttpRequest, most: int) -> bytes:
    source, body = request.META["wsgi.input"], b""
    while len(body) < most and (part := source.read(most - len(body))):
        body += part
    return body


class NullCharacterMiddleware:
    """Refuses an address of the admin with a null character in it: no text of the database may hold one, and a list's
    filters would ask for it all the same."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        named = "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", "")
        if named and request.path_info.startswith("/admin/"):
            return HttpResponseBadRequest("There is no such page.", content_type="text/plain")
        return self.get_response(request)
