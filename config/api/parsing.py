"""Reading and writing JSON strictly: what cannot be stored or is ambiguous is refused where it comes in."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework import renderers
from rest_framework.exceptions import NotAcceptable, ParseError, ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

MAX_DEPTH = 32
"""How deep a body may nest: no call needs more than a few."""


class _Refused(ValueError):
    pass


def _no_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not a JSON number.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Refused("A number is too large.")
    return value


def _integer(text: str) -> int:
    if len(text) > 40:
        raise _Refused("A number is too large.")
    return int(text)


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        double = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _Refused(f"The name {double[:60]!r} comes twice in one object.")
    return found


def read_json(body: bytes) -> Any:
    """The value that a body holds.

    Raises ParseError (400) for what is not JSON in UTF-8, for NaN and infinities, doubled names, or nesting deeper than
    MAX_DEPTH; ValidationError naming the field for a text with a null character or half a surrogate pair, neither of
    which the database can hold.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_no_doubles,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_integer,
        )
    except _Refused as error:
        raise ParseError(str(error)) from error
    except UnicodeDecodeError as error:
        raise ParseError(f"The body is not UTF-8 (byte {error.start}).") from error
    except json.JSONDecodeError as error:
        raise ParseError(f"The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from error
    except RecursionError as error:
        raise ParseError("The body nests too deeply.") from error
    _check(value, path="", depth=0)
    return value


def _check(value: Any, *, path: str, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, (dict, list)):
        if depth >= MAX_DEPTH:
            raise ParseError("The body nests too deeply.")
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for name, entry in entries:
            if isinstance(name, str):
                _check_text(name, path)
            if isinstance(entry, (str, dict, list)):
                _check(entry, path=f"{path}.{name}" if path else str(name), depth=depth + 1)


def _check_text(text: str, path: str) -> None:
    if "\0" in text:
        raise ValidationError({path or "non_field_errors": ["Null characters are not allowed."]}, "null_characters")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            message = "Half a surrogate pair is not a character."
            raise ValidationError({path or "non_field_errors": [message]}, "invalid_characters") from error


class StrictJSONParser(BaseParser):
    """Bodies of ``application/json``, at most DATA_UPLOAD_MAX_MEMORY_SIZE bytes (else 413)."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        # Django looks at the length of a body only where the whole of it is asked for (`request.body`).
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise RequestDataTooBig
        return read_json(body)


class JSONRenderer(renderers.JSONRenderer):
    """UTF-8, compact, strict: a NaN in an answer is our defect and must not leave as one."""

    strict = True


class Negotiation(DefaultContentNegotiation):
    """A client that asks for something else is given JSON, unless the view has other forms to choose from."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            if len(renderers) == 1:
                return renderers[0], renderers[0].media_type
            raise
