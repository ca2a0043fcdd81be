"""Delivery receipts and webhook endpoints over HTTP."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, ClassVar

from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.callers import caller_of
from config.api.errors import Conflict
from config.api.fields import AwareDateTimeField, PlainTextField, StrictSerializer, render_instant
from config.api.idempotency import idempotent
from config.api.views import ServiceView
from disputes.notices import receipts, webhooks
from disputes.notices.addresses import LONGEST, BadAddress
from disputes.notices.models import Notice, NoticeState, WebhookEndpoint

CLOCKS_DIFFER = timedelta(seconds=30)
"""How far ahead of ours a carrier's clock may be."""


class ReceiptInSerializer(StrictSerializer):
    id = PlainTextField(max_length=200, help_text="The notice's id, or the carrier's own reference for it.")
    status = serializers.ChoiceField(choices=[receipts.DELIVERED, receipts.FAILED])
    at = AwareDateTimeField(help_text="When it was delivered, or failed.")

    def validate_at(self, value: Any) -> Any:
        if value > self.context["now"] + CLOCKS_DIFFER:
            raise serializers.ValidationError("This lies in the future.", "in_the_future")
        return value


class ReceiptSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="The notice's id.")
    status = serializers.CharField(help_text="What holds now: `delivered` or `failed`.")
    at = AwareDateTimeField(help_text="Since when.")


class DeliveryReceipts(ServiceView):
    """What the carrier says became of an SMS or an e-mail."""

    required_scopes: ClassVar[dict[str, str | None]] = {"POST": "inbound:write"}
    body_names = frozenset({"POST"})

    @extend_schema(
        operation_id="delivery_receipt",
        summary="Report what became of a notice",
        request=ReceiptInSerializer,
        responses={200: ReceiptSerializer},
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """`delivered` is the last word: it overrules a failure, and a failure after it is ignored; the answer says what
        holds. The same receipt again changes nothing. 409 for a notice that nobody has tried to send yet."""
        now = timezone.now()
        said = ReceiptInSerializer(data=request.data, context={"now": now})
        said.is_valid(raise_exception=True)
        try:
            notice = receipts.note_receipt(
                notice_id=receipts.find_notice(key=said.validated_data["id"]).pk,
                status=said.validated_data["status"],
                at=said.validated_data["at"],
                now=now,
            )
        except Notice.DoesNotExist as error:
            raise NotFound() from error
        except receipts.NotSentYet as error:
            raise Conflict("This notice has not been sent yet.", "not_sent_yet") from error
        at = notice.delivered_at if notice.state == NoticeState.DELIVERED else notice.failed_at
        return Response({"id": str(notice.pk), "status": notice.state, "at": render_instant(at or now)})


class EventsField(serializers.ListField):
    """Names of events, each once; none means all, also those of releases to come."""

    child = serializers.ChoiceField(choices=[(event, event) for event in webhooks.EVENTS])

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=len(webhooks.EVENTS), **kwargs)


class EndpointInSerializer(StrictSerializer):
    url = PlainTextField(max_length=LONGEST, help_text="`https://…`, on the internet; no user, password or fragment.")
    events = EventsField(required=False, help_text="Which events; none: all.")


class EndpointChangeSerializer(StrictSerializer):
    url = PlainTextField(max_length=LONGEST, required=False)
    events = EventsField(required=False)
    enabled = serializers.BooleanField(required=False)


class EndpointSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    url = serializers.CharField()
    events = EventsField(help_text="None: all.")
    enabled = serializers.BooleanField()
    disabled_because = serializers.CharField(help_text="Why it is off; empty while it is on.")
    created_at = AwareDateTimeField()


class EndpointWithSecretSerializer(EndpointSerializer):
    secret = serializers.CharField(help_text="`whsec_` and base64: shown here and never again.")


KEY = OpenApiParameter("key", OpenApiTypes.UUID, OpenApiParameter.PATH)


class WebhookEndpoints(ServiceView):
    """Addresses of the lender's that hear of events."""

    required_scopes: ClassVar[dict[str, str | None]] = {"GET": "webhooks:write", "POST": "webhooks:write"}

    @extend_schema(operation_id="webhook_endpoints", summary="The endpoints", responses=EndpointSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Newest first, in pages."""
        return self.answer_page(
            request, webhooks.endpoints(), lambda page: [dict(EndpointSerializer(one).data) for one in page]
        )

    @extend_schema(
        operation_id="register_webhook_endpoint",
        summary="Register an endpoint",
        request=EndpointInSerializer,
        responses={201: EndpointWithSecretSerializer},
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """The answer has the secret that signs, once. The address must be on the internet: one that leads into a
        private network is refused, now and at each delivery."""
        asked = EndpointInSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            endpoint = webhooks.register_endpoint(
                url=asked.validated_data["url"],
                events=asked.validated_data.get("events", []),
                created_by=caller_of(request).id,
                now=timezone.now(),
            )
        except BadAddress as error:
            raise ValidationError({"url": [error.detail]}, error.code) from error
        except webhooks.TooManyEndpoints as error:
            raise Conflict(f"There are {webhooks.MOST_ENDPOINTS} endpoints already.", "too_many_endpoints") from error
        return Response(EndpointWithSecretSerializer(endpoint).data, status=status.HTTP_201_CREATED)


@extend_schema_view(
    get=extend_schema(parameters=[KEY]), patch=extend_schema(parameters=[KEY]), delete=extend_schema(parameters=[KEY])
)
class OneWebhookEndpoint(ServiceView):
    required_scopes: ClassVar[dict[str, str | None]] = dict.fromkeys(("GET", "PATCH", "DELETE"), "webhooks:write")

    @extend_schema(operation_id="webhook_endpoint", summary="One endpoint", responses=EndpointSerializer)
    def get(self, request: Request, key: str) -> Response:
        try:
            endpoint = webhooks.endpoints().get(pk=_id(key))
        except WebhookEndpoint.DoesNotExist as error:
            raise NotFound() from error
        return Response(EndpointSerializer(endpoint).data)

    @extend_schema(
        operation_id="change_webhook_endpoint",
        summary="Change an endpoint",
        request=EndpointChangeSerializer,
        responses=EndpointSerializer,
    )
    def patch(self, request: Request, key: str) -> Response:
        """Changes what is named. Off, nothing is written for it; what was written before waits until it is on again."""
        asked = EndpointChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            endpoint = webhooks.change_endpoint(endpoint_id=_id(key), **asked.validated_data)
        except WebhookEndpoint.DoesNotExist as error:
            raise NotFound() from error
        except BadAddress as error:
            raise ValidationError({"url": [error.detail]}, error.code) from error
        return Response(EndpointSerializer(endpoint).data)

    @extend_schema(operation_id="remove_webhook_endpoint", summary="Remove an endpoint", responses={204: None})
    def delete(self, request: Request, key: str) -> Response:
        """Nothing more goes there, also of what is waiting."""
        try:
            webhooks.remove_endpoint(endpoint_id=_id(key), now=timezone.now())
        except WebhookEndpoint.DoesNotExist as error:
            raise NotFound() from error
        return Response(status=status.HTTP_204_NO_CONTENT)


class WebhookEndpointSecret(ServiceView):
    required_scopes: ClassVar[dict[str, str | None]] = {"POST": "webhooks:write"}

    @extend_schema(
        operation_id="change_webhook_secret",
        summary="Change an endpoint's secret",
        request=None,
        responses={201: EndpointWithSecretSerializer},
        parameters=[KEY],
    )
    @idempotent()
    def post(self, request: Request, key: str) -> Response:
        """The answer has the new secret, once. For 24 hours deliveries are signed with the old one too."""
        try:
            endpoint = webhooks.change_secret(endpoint_id=_id(key), now=timezone.now())
        except WebhookEndpoint.DoesNotExist as error:
            raise NotFound() from error
        return Response(EndpointWithSecretSerializer(endpoint).data, status=status.HTTP_201_CREATED)


def _id(key: str) -> uuid.UUID:
    try:
        return uuid.UUID(key)
    except ValueError as error:
        raise NotFound() from error


routes = [
    path("delivery-receipts", DeliveryReceipts.as_view(), name="delivery-receipts"),
    path("webhook-endpoints", WebhookEndpoints.as_view(), name="webhook-endpoints"),
    path("webhook-endpoints/<str:key>", OneWebhookEndpoint.as_view(), name="webhook-endpoint"),
    path("webhook-endpoints/<str:key>/secret", WebhookEndpointSecret.as_view(), name="webhook-endpoint-secret"),
]
