"""What is held, and the feed of what changed, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.fields import AwareDateTimeField, ExternalId, PhoneField, StrictSerializer, render_instant
from config.api.views import ServiceView
from config.fields import phone_digest
from disputes.holds import queries
from disputes.holds.models import Change, Hold, Reason, Scope, Source, SuppressionChange

PAGE = 100
LAST_NUMBER = 2**63 - 1
PAGES = ("limit", "cursor")
"""What a query says of pages, which the list itself reads."""


class PermitOutSerializer(serializers.Serializer[Any]):
    """What it was for is shown to the lender's systems alone."""

    id = serializers.UUIDField()
    expires_at = serializers.DateTimeField()
    granted_at = serializers.DateTimeField(required=False)
    request_id = serializers.CharField(required=False)
    loan = serializers.CharField(required=False, allow_null=True)
    channel = serializers.CharField(required=False)
    category = serializers.CharField(required=False)
    vendor = serializers.CharField(required=False)


class CoveredSerializer(serializers.Serializer[Any]):
    loans = serializers.ListField(child=serializers.CharField())
    customers = serializers.ListField(child=serializers.CharField())
    phone_digests = serializers.ListField(child=serializers.CharField(), help_text="The service's keyed digests.")
    sending_rules = serializers.ListField(child=serializers.CharField())


class SuppressionSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    scope = serializers.ChoiceField(choices=Scope.choices)
    reason = serializers.ChoiceField(choices=Reason.choices)
    source = serializers.ChoiceField(choices=Source.choices)  # type: ignore[assignment]
    dispute = serializers.UUIDField(allow_null=True)
    placed_at = serializers.DateTimeField()
    released_at = serializers.DateTimeField(allow_null=True)
    covers = CoveredSerializer()


class AskedPhoneField(PhoneField):
    """A phone in a query, where a plus sign that was not spelt ``%2B`` comes as a blank: read otherwise it would be
    another number, of which nothing is held."""

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(f"+{data[1:]}" if isinstance(data, str) and data[:1] == " " else data)


class SuppressionFilterSerializer(StrictSerializer):
    """What the query names. A name that is not known, or a value that is empty, is refused: taken for no filter, it
    would answer for everybody."""

    phone = AskedPhoneField(required=False, trim_whitespace=False)
    loan = ExternalId(required=False)
    at = AwareDateTimeField(required=False)


class Suppressions(ServiceView):
    """What is held."""

    required_scopes: ClassVar[Any] = {"GET": "suppressions:read"}

    @extend_schema(
        operation_id="suppressions",
        summary="What is held now, or was at an instant",
        parameters=[
            OpenApiParameter("phone", OpenApiTypes.STR),
            OpenApiParameter("loan", OpenApiTypes.STR),
            OpenApiParameter("at", OpenApiTypes.DATETIME),
        ],
        responses=SuppressionSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """Newest first, in pages. `phone` and `loan` ask for what covers them; `at` for what stood at a past
        instant, with the scope, reason and covers that it had then."""
        query = request.query_params.dict()
        asked = SuppressionFilterSerializer(data={name: query[name] for name in query if name not in PAGES})
        asked.is_valid(raise_exception=True)
        named = asked.validated_data
        at = named.get("at")
        holds = queries.suppressions(
            phone=phone_digest(named["phone"]) if "phone" in named else None, loan=named.get("loan"), at=at
        )

        def render(page: Sequence[Hold]) -> list[dict[str, Any]]:
            keys = queries.keys_of(page, at=at)
            stood = page if at is None else queries.as_they_stood(page, at=at)
            return [_render_hold(hold, keys[hold.pk]) for hold in stood]

        return self.answer_page(request, holds, render)


def _render_hold(hold: Hold, keys: Sequence[str]) -> dict[str, Any]:
    return {
        "id": str(hold.pk),
        "scope": hold.scope,
        "reason": hold.reason,
        "source": hold.source,
        "dispute": str(hold.dispute) if hold.dispute else None,
        "placed_at": render_instant(hold.placed_at),
        "released_at": render_instant(hold.released_at) if hold.released_at else None,
        "covers": queries.render_keys(keys),
    }


class ChangeSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Change.choices)
    hold = serializers.UUIDField()
    at = serializers.DateTimeField()
    scope = serializers.ChoiceField(choices=Scope.choices)
    reason = serializers.ChoiceField(choices=Reason.choices)
    covers = CoveredSerializer(help_text="What the hold covers after the change.")
    permits_out = PermitOutSerializer(many=True, help_text="Granted before the hold and still alive: recall them.")


class ChangesSerializer(serializers.Serializer[Any]):
    after = serializers.IntegerField(help_text="Ask with this next.")
    more = serializers.BooleanField()
    results = ChangeSerializer(many=True)


class ChangesFilterSerializer(serializers.Serializer[Any]):
    after = serializers.IntegerField(required=False, min_value=0, max_value=LAST_NUMBER, default=0)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=PAGE, default=PAGE)
    hold = serializers.UUIDField(required=False, help_text="What happened to this hold alone.")


class SuppressionChanges(ServiceView):
    """The feed of what changed."""

    required_scopes: ClassVar[Any] = {"GET": "suppressions:read"}
    pagination_class = None

    @extend_schema(
        operation_id="suppression_changes",
        summary="What was placed, changed and released, in commit order",
        parameters=[ChangesFilterSerializer],
        responses={200: ChangesSerializer},
    )
    def get(self, request: Request) -> Response:
        """Rows after the number `after`, oldest first. Nothing is lost; numbers may skip. Where very many permits are
        recalled at once, further ones follow in rows of kind `changed`. `hold` reads what happened to one alone, such
        as the permits for which its webhook had no room; a copy is kept by a reading without it."""
        # A hold that is named by nothing is refused: as in the list, it would answer for everybody.
        query = {name: said for name, said in request.query_params.items() if said or name == "hold"}
        asked = ChangesFilterSerializer(data=query)
        asked.is_valid(raise_exception=True)
        after, limit = asked.validated_data["after"], asked.validated_data["limit"]
        page, more = queries.page_of_changes(number=after, limit=limit, hold=asked.validated_data.get("hold"))
        return Response(
            {
                "after": page[-1].number if page else after,
                "more": more,
                "results": [_render_change(row) for row in page],
            }
        )


def _render_change(row: SuppressionChange) -> dict[str, Any]:
    return {
        "number": row.number,
        "kind": row.kind,
        "hold": str(row.hold_id),
        "at": render_instant(row.at),
        "scope": row.scope,
        "reason": row.reason,
        "covers": queries.render_keys(row.keys),
        "permits_out": row.permits_out,
    }


routes = [
    path("suppressions", Suppressions.as_view(), name="suppressions"),
    path("suppressions/changes", SuppressionChanges.as_view(), name="suppression-changes"),
]
