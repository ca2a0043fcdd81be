"""What people text back, over HTTP."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, ClassVar

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.callers import caller_of
from config.api.errors import Unprocessable
from config.api.fields import AwareDateTimeField, PhoneField, PlainTextField, StrictSerializer, render_instant
from config.api.idempotency import REPLAYED, idempotent
from config.api.views import ServiceView
from disputes.cases.api import HoldSerializer
from disputes.cases.inbound import Came, answer_text
from disputes.holds.suppressions_api import PermitOutSerializer
from disputes.inbound.keeping import OtherText, keep
from disputes.inbound.models import InboundKind

CLOCKS_DIFFER = timedelta(seconds=30)
"""How far ahead of ours a carrier's clock may be."""
LONGEST = 5000


class InboundInSerializer(StrictSerializer):
    id = PlainTextField(max_length=200, help_text="Your id of it: the same again is the same answer.")
    phone = PhoneField(help_text="Who texted.")
    text = PlainTextField(max_length=LONGEST, allow_blank=True, trim_whitespace=False)
    received_at = AwareDateTimeField(help_text="When the carrier had it.")
    to = PlainTextField(max_length=40, required=False, allow_blank=True, default="", help_text="The number texted to.")
    vendor = PlainTextField(max_length=200, required=False, allow_blank=True, default="")

    def validate_received_at(self, value: Any) -> Any:
        if value > self.context["now"] + CLOCKS_DIFFER:
            raise serializers.ValidationError("This lies in the future.", "in_the_future")
        return value


class InboundDisputeSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    reference = serializers.CharField()


class InboundSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    kind = serializers.ChoiceField(choices=InboundKind.choices)
    dispute = InboundDisputeSerializer(allow_null=True, help_text="That it opened, or joined as a comment.")
    hold = HoldSerializer(allow_null=True, help_text="That it placed, confirmed or took back.")
    permits_out = PermitOutSerializer(many=True, help_text="Granted before the hold and still alive: recall them.")


class InboundMessages(ServiceView):
    """What people text back."""

    required_scopes: ClassVar[dict[str, str | None]] = {"POST": "inbound:write"}

    @extend_schema(
        operation_id="inbound_message",
        summary="Deliver what somebody texted back",
        request=InboundInSerializer,
        responses={201: InboundSerializer},
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """`STOP` or `退订` is an opt-out, `START` or `恢复` an opt-in, `DISPUTE` or `异议` a dispute about the last
        message to the number; all else joins the number's open dispute, or is kept for a person to read."""
        now = timezone.now()
        asked = InboundInSerializer(data=request.data, context={"now": now})
        asked.is_valid(raise_exception=True)
        named = dict(asked.validated_data)
        try:
            said, new = keep(caller=caller_of(request).key, external_id=named.pop("id"), now=now, **named)
        except OtherText:
            raise Unprocessable("This id was used before, for another text.", "id_reused", attr="id") from None
        if new:
            said.answer = json.dumps(_render(said.external_id, answer_text(said=said, now=now)))
            said.save(update_fields=["kind", "dispute", "hold", "answer"])
        headers = {} if new else {REPLAYED: "true"}
        return Response(json.loads(said.answer), status=status.HTTP_201_CREATED, headers=headers)


def _render(external_id: str, came: Came) -> dict[str, Any]:
    dispute, hold = came.dispute, came.hold
    return {
        "id": external_id,
        "kind": str(came.kind),
        "dispute": None if dispute is None else {"id": str(dispute.pk), "reference": dispute.reference},
        "hold": None
        if hold is None
        else {
            "id": str(hold.pk),
            "scope": hold.scope,
            "placed_at": render_instant(hold.placed_at),
            "released_at": None if hold.released_at is None else render_instant(hold.released_at),
        },
        "permits_out": [permit.render() for permit in came.permits_out],
    }


routes = [path("inbound-messages", InboundMessages.as_view(), name="inbound-messages")]
