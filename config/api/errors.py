"""Errors in one shape, wherever they arise: ``{"type": …, "errors": [{"code", "detail", "attr"}]}``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import structlog
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation, TooManyFieldsSent, TooManyFilesSent
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.views import defaults
from drf_standardized_errors.formatter import ExceptionFormatter
from drf_standardized_errors.handler import ExceptionHandler
from rest_framework import exceptions, status
from rest_framework.response import Response

log = structlog.get_logger(__name__)

JSON_PATHS = ("/api/", "/oauth/")
"""Below these an answer is JSON even where no view was found."""


class ClientError(exceptions.APIException):
    """A refused request with a status of its own.

    Unlike a plain APIException it may name the field or header at fault (`attr`), and `headers` go with the answer.
    """

    status_code: int = status.HTTP_400_BAD_REQUEST
    default_code = "bad_request"

    def __init__(
        self,
        detail: str | None = None,
        code: str | None = None,
        *,
        attr: str | None = None,
        wait: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail, code)
        self.attr = attr
        self.wait = wait
        self.headers = dict(headers or {})


class Conflict(ClientError):
    """409: the request does not fit the state that the object is in."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "The request conflicts with the present state."
    default_code = "conflict"


class Unprocessable(ClientError):
    """422: well-formed, but it contradicts something said before."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "The request contradicts an earlier one."
    default_code = "unprocessable"


class TooLarge(ClientError):
    """413: more than is read in one request."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The body is larger than this endpoint reads."
    default_code = "too_large"


class TooMany(ClientError):
    """429 with Retry-After: `wait` seconds."""

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_detail = "Too many calls at once. Try again later."
    default_code = "throttled"


class Unavailable(exceptions.APIException):
    """503 with Retry-After: the database cannot be reached. Nothing was done that an answer has not told of, or the
    answer was lost on its way: the same request again, with the same key, is safe."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The service cannot reach its records just now. Send the same request again."
    default_code = "unavailable"
    wait = 5


_AWAY = ("08", "57P", "53300")
"""Connection lost or refused; the server shuts down, starts or was ended; no connection is free."""


def is_database_away(error: BaseException | None) -> bool:
    """Whether the database could not be reached, or went away in the middle. A statement that it refused or gave up is
    another matter."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state.startswith(_AWAY)


class Formatter(ExceptionFormatter):
    """Adds the field to errors that are not about validation but know their field."""

    def get_errors(self) -> list[Any]:
        errors = super().get_errors()
        attr = getattr(self.exc, "attr", None)
        if attr is not None:
            for error in errors:
                error.attr = error.attr or attr
        return errors


class Handler(ExceptionHandler):
    """Turns what Django raises while it reads a body into client errors."""

    def convert_known_exceptions(self, exc: Exception) -> Exception:
        if isinstance(exc, RequestDataTooBig):
            return TooLarge()
        if isinstance(exc, TooManyFieldsSent | TooManyFilesSent | SuspiciousOperation):
            return ClientError("The request could not be read.", "bad_request")
        if isinstance(exc, UnreadablePostError):
            return ClientError("The body ended before it was complete.", "incomplete_body")
        if is_database_away(exc):
            return Unavailable()
        return super().convert_known_exceptions(exc)

    def get_headers(self, exc: exceptions.APIException) -> dict[str, str]:
        headers: dict[str, str] = super().get_headers(exc)
        headers.update(getattr(exc, "headers", {}))
        return headers

    def get_response(self, exc: exceptions.APIException, data: dict[str, Any]) -> Response:
        response = super().get_response(exc, data)
        # An error is never in a negotiated form: the client may have asked for one that we do not have.
        response.content_type = "application/json"
        return response


def error_body(*, kind: str, code: str, detail: str, attr: str | None = None) -> dict[str, Any]:
    """The shape for one error. `kind`: ``validation_error``, ``client_error`` or ``server_error``."""
    return {"type": kind, "errors": [{"code": code, "detail": detail, "attr": attr}]}


def plain_answer(exc: Exception) -> HttpResponse:
    """What a plain Django view answers for an exception of REST framework's, in the same shape and with its headers."""
    handler = Handler(exc, {"request": None, "view": None, "args": (), "kwargs": {}})  # type: ignore[typeddict-item]
    known = handler.convert_known_exceptions(exc)
    if not isinstance(known, exceptions.APIException):
        raise exc
    return JsonResponse(
        Formatter(known, handler.context, exc).run(), status=known.status_code, headers=handler.get_headers(known)
    )


def _wants_json(request: HttpRequest) -> bool:
    return request.path_info.startswith(JSON_PATHS)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: JSON below the API's paths."""
    if _wants_json(request):
        if isinstance(exception, RequestDataTooBig):
            return plain_answer(TooLarge())
        body = error_body(kind="client_error", code="bad_request", detail="The request could not be read.")
        return JsonResponse(body, status=400)
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403: JSON below the API's paths."""
    if _wants_json(request):
        return plain_answer(exceptions.PermissionDenied())
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404: JSON below the API's paths."""
    if _wants_json(request):
        return plain_answer(exceptions.NotFound())
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: JSON below the API's paths, and nothing of what went wrong. Called while the exception is
    handled."""
    if _wants_json(request):
        if is_database_away(sys.exc_info()[1]):
            return plain_answer(Unavailable())
        body = error_body(kind="server_error", code="error", detail="Server Error (500)")
        return JsonResponse(body, status=500)
    return defaults.server_error(request)
