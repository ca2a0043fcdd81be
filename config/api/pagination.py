"""Pages by cursor: stable while rows come and go, and as fast on the last page as on the first."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.core.signing import BadSignature, Signer
from django.db.models import Q, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

DEFAULT_LIMIT = 25
MAX_LIMIT = 100


class CursorPages(BasePagination):
    """``{"next", "previous", "results"}``; the query takes `limit` (1 to 100, else 25) and `cursor`.

    `ordering` names columns without nulls, the last one unique; a subclass sets it, or the caller hands it over. A
    cursor holds the values of the row beside the page, and is signed for its ordering: an invented one, or one of
    another list, is a named error and never reaches the database.
    """

    ordering: Sequence[str] = ("-id",)

    def __init__(self, *, ordering: str | Sequence[str] | None = None) -> None:
        if ordering is not None:
            self.ordering = (ordering,) if isinstance(ordering, str) else tuple(ordering)

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """The rows of the page asked for. Raises ValidationError for a bad `limit` or `cursor`."""
        self._url = request.build_absolute_uri()
        limit = read_limit(request)
        backward, position = self._read_cursor(request)
        rows: QuerySet[Any] = queryset.order_by(*(_turned(self.ordering) if backward else self.ordering))
        if position is not None:
            rows = rows.filter(_beyond(_turned(self.ordering) if backward else self.ordering, position))
        found = list(rows[: limit + 1])
        more, page = len(found) > limit, found[:limit]
        if backward:
            page.reverse()
        self._has_next = bool(page) and (backward or more)
        self._has_previous = bool(page) and (more if backward else position is not None)
        self._page = page
        return page

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "next": self._link(self._page[-1], backward=False) if self._has_next else None,
                "previous": self._link(self._page[0], backward=True) if self._has_previous else None,
                "results": data,
            }
        )

    def _signer(self) -> Signer:
        return Signer(salt=f"cursor:{','.join(self.ordering)}")

    def _read_cursor(self, request: Request) -> tuple[bool, list[Any] | None]:
        asked = request.query_params.get("cursor")
        if asked is None:
            return False, None
        try:
            backward, position = self._signer().unsign_object(asked)
        except (BadSignature, ValueError) as error:
            raise ValidationError({"cursor": ["Not a cursor of this list."]}) from error
        return bool(backward), list(position)

    def _link(self, row: Any, *, backward: bool) -> str:
        position = [_plain(_column(row, name.lstrip("-"))) for name in self.ordering]
        link: str = replace_query_param(self._url, "cursor", self._signer().sign_object([backward, position]))
        return link

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "Where the page begins: taken from `next` or `previous`, never made up.",
                "schema": {"type": "string"},
            },
            {
                "name": "limit",
                "in": "query",
                "required": False,
                "description": "How many a page.",
                "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
            },
        ]


def read_limit(request: Request) -> int:
    """The query's `limit`. Raises ValidationError."""
    asked = request.query_params.get("limit")
    if asked is None:
        return DEFAULT_LIMIT
    if not (asked.isascii() and asked.isdigit() and len(asked) <= 4 and 1 <= int(asked) <= MAX_LIMIT):
        raise ValidationError({"limit": [f"A whole number from 1 to {MAX_LIMIT}."]})
    return int(asked)


def _turned(ordering: Iterable[str]) -> tuple[str, ...]:
    return tuple(name[1:] if name.startswith("-") else f"-{name}" for name in ordering)


def _beyond(ordering: Sequence[str], position: Sequence[Any]) -> Q:
    """The rows after `position`: past the first column, or level there and past the next, and so on."""
    level, beyond = Q(), Q()
    for name, value in zip(ordering, position, strict=True):
        column, compare = (name[1:], "lt") if name.startswith("-") else (name, "gt")
        beyond |= level & Q(**{f"{column}__{compare}": value})
        level &= Q(**{column: value})
    first, value = ordering[0], position[0]
    # Says again of the first column alone what follows from the rest, so that its index bounds the scan.
    bound = {f"{first[1:]}__lte": value} if first.startswith("-") else {f"{first}__gte": value}
    return Q(**bound) & beyond


def _column(row: Any, name: str) -> Any:
    return row[name] if isinstance(row, dict) else getattr(row, name)


def _plain(value: Any) -> Any:
    """As it stands in a cursor; instants keep their microseconds."""
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, uuid.UUID) else value
