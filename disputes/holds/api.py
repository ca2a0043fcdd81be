"""The gate, permits and opt-outs over HTTP."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, ClassVar, Literal

import msgspec
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound, ParseError, UnsupportedMediaType, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.callers import Caller, caller_of
from config.api.errors import ClientError, Conflict, TooLarge
from config.api.fields import PhoneField, PlainTextField, StrictSerializer, render_instant
from config.api.idempotency import idempotent
from config.api.views import ServiceView, plain_view
from config.fields import phone_digest
from disputes.holds import examples, gate, screening_api, suppressions_api
from disputes.holds.asking import BadCall, read_call
from disputes.holds.models import Permit
from disputes.holds.opting_out import opt_in, opt_out
from disputes.holds.permits import PermitUsed, hand_back
from disputes.holds.suppressions_api import PermitOutSerializer
from disputes.holds.walking import REASONS
from disputes.journal.recording import Actor

CATEGORIES = ("reminder", "urge", "warning", "statutory", "service", "survey")
OUTCOMES = ("allow", "deny")


class GateItemSerializer(serializers.Serializer[Any]):
    """One message that is to be sent. `loan` may be left out for `survey` and `service`."""

    request_id = serializers.CharField(
        required=False,
        max_length=200,
        help_text="Again while its permit lives: the same permit; once its message went out: denied.",
    )
    phone = serializers.CharField(max_length=40, help_text="E.164, or as it is dialled in the lender's region.")
    loan = serializers.CharField(required=False, allow_null=True, max_length=200)
    channel = serializers.ChoiceField(choices=["sms"])
    category = serializers.ChoiceField(choices=CATEGORIES)
    sending_rule = serializers.CharField(required=False, allow_null=True, max_length=200)
    vendor = serializers.CharField(required=False, allow_null=True, max_length=200)
    reply_to = serializers.CharField(
        required=False, allow_null=True, max_length=200, help_text="Your id of the person's own text that this answers."
    )


class GateCallSerializer(serializers.Serializer[Any]):
    items = serializers.ListField(child=GateItemSerializer(), max_length=10_000)
    permit_seconds = serializers.IntegerField(required=False, min_value=1, max_value=600, default=60)


class PermitSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    expires_at = serializers.DateTimeField()


class GateDecisionSerializer(serializers.Serializer[Any]):
    outcome = serializers.ChoiceField(choices=OUTCOMES)
    reasons = serializers.ListField(
        child=serializers.ChoiceField(choices=REASONS), help_text="The weightiest first; none where it is allowed."
    )
    next_allowed_at = serializers.DateTimeField(
        allow_null=True, help_text="Where time alone stands in the way: asked again then, it is allowed."
    )
    permit = PermitSerializer(allow_null=True)


class GateAnswerSerializer(serializers.Serializer[Any]):
    decided_at = serializers.DateTimeField()
    decisions = GateDecisionSerializer(many=True)


class GateDocumented(ServiceView):
    """Stands for the plain view below in the schema."""

    required_scopes: ClassVar[Any] = {"POST": "gate"}

    @extend_schema(
        operation_id="gate_decisions",
        summary="May these messages go out?",
        request=GateCallSerializer,
        responses={200: GateAnswerSerializer},
        parameters=[
            OpenApiParameter("dry_run", OpenApiTypes.BOOL, description="Grants nothing, and shows every reason.")
        ],
        examples=[examples.CALL, examples.ANSWER],
    )
    def post(self, request: Request) -> Response:
        """Decides up to 10,000 messages, in the order asked. What is allowed has a permit, good for `permit_seconds`;
        hand the message over before it expires. What cannot be decided is denied, item by item."""
        raise NotImplementedError


@plain_view(scope="gate", documented_by=GateDocumented)
def gate_decisions(request: HttpRequest, caller: Caller) -> HttpResponse:
    """A plain view with msgspec: REST framework's serializers would cost the gate more than its decisions."""
    dry_run = _read_flag(request, "dry_run")
    if (request.content_type or "").lower() not in ("application/json", ""):
        raise UnsupportedMediaType(request.content_type or "")
    if (coding := request.headers.get("Content-Encoding", "identity")).lower() not in ("identity", ""):
        raise UnsupportedMediaType(coding, "This call reads no compressed body.")
    try:
        call = read_call(request.body)
    except RequestDataTooBig as error:
        raise TooLarge() from error
    except UnreadablePostError as error:
        raise ClientError("The body ended before it was complete.", "incomplete_body") from error
    except BadCall as error:
        if error.attr is None:
            raise ParseError(error.detail, error.code) from error
        raise ValidationError({error.attr: [error.detail]}, error.code) from error
    decided = gate.decide(items=call.items, caller=caller.key, permit_seconds=call.permit_seconds, dry_run=dry_run)
    decisions = [
        ShownDecision("deny" if one.reasons else "allow", one.reasons, one.next_allowed_at, one.permit)
        for one in decided.answers
    ]
    answer = {"decided_at": render_instant(decided.decided_at), "decisions": decisions}
    return HttpResponse(msgspec.json.encode(answer), content_type="application/json")


class ShownDecision(msgspec.Struct, gc=False):
    """A decision as it is shown; its instants are in UTC. Never a dictionary each: there may be ten thousand."""

    outcome: Literal["allow", "deny"]
    reasons: tuple[str, ...]
    next_allowed_at: datetime | None
    permit: gate.Permitted | None


def _read_flag(request: HttpRequest, name: str) -> bool:
    # A misspelt name must not grant what was only to be looked at.
    other = sorted(set(request.GET) - {name})
    if other:
        raise ValidationError({other[0][:100]: ["There is no such parameter."]}, "unknown_field")
    text = request.GET.get(name, "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise ValidationError({name: ["true or false."]}, "invalid")
    return text in ("true", "1")


class UnusedSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    unused_at = serializers.DateTimeField()


class PermitUnused(ServiceView):
    """A permit whose message will not be sent."""

    required_scopes: ClassVar[Any] = {"POST": "gate"}

    @extend_schema(
        operation_id="permit_unused",
        summary="Hand a permit back",
        request=None,
        responses={200: UnusedSerializer},
        parameters=[OpenApiParameter("key", OpenApiTypes.UUID, OpenApiParameter.PATH)],
    )
    @idempotent()
    def post(self, request: Request, key: str) -> Response:
        """Its slot under the frequency cap is free again. 404 where it was granted to another system; 409 where a
        message was recorded on it."""
        try:
            permit = uuid.UUID(key)
            unused_at = hand_back(permit=permit, caller=caller_of(request).key)
        except (ValueError, Permit.DoesNotExist) as error:
            raise NotFound() from error
        except PermitUsed as error:
            raise Conflict("A message was recorded on this permit.", "permit_used") from error
        return Response({"id": str(permit), "unused_at": render_instant(unused_at)})


class OptOutInSerializer(StrictSerializer):
    phone = PhoneField()
    source = PlainTextField(  # type: ignore[assignment]  # a field of the body, not of the serializer's own
        max_length=150, help_text="Where it was said: a keyword, a call, a form."
    )


class OptOutSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    phone = serializers.CharField()
    opted_out_at = serializers.DateTimeField()
    permits_out = PermitOutSerializer(many=True, help_text="Granted before the opt-out and still alive: recall them.")


class OptInSerializer(serializers.Serializer[Any]):
    phone = serializers.CharField()
    released = serializers.IntegerField(help_text="How many opt-outs of the number stood.")


class OptOuts(ServiceView):
    """Numbers whose holders want no messages."""

    required_scopes: ClassVar[Any] = {"POST": "optouts:write"}

    @extend_schema(
        operation_id="opt_out",
        summary="Record an opt-out",
        request=OptOutInSerializer,
        responses={200: OptOutSerializer, 201: OptOutSerializer},
        examples=[examples.OPT_OUT],
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """Ends everything to the number, for every loan, but what the policy lets through. 200 where it stands
        already, with the permits that are still out."""
        asked = OptOutInSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        number, source = asked.validated_data["phone"], asked.validated_data["source"]
        out = opt_out(phone=phone_digest(number), source=source, actor=_actor(request), now=timezone.now())
        shown = {
            "id": str(out.hold.pk),
            "phone": number,
            "opted_out_at": render_instant(out.hold.placed_at),
            "permits_out": [permit.render() for permit in out.permits_out],
        }
        return Response(shown, status=status.HTTP_201_CREATED if out.new else status.HTTP_200_OK)


class OptIns(ServiceView):
    """Numbers whose holders want messages again."""

    required_scopes: ClassVar[Any] = {"POST": "optouts:write"}

    @extend_schema(
        operation_id="opt_in",
        summary="Record that a number opts in again",
        request=OptOutInSerializer,
        responses={201: OptInSerializer},
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """Takes the number's opt-outs back. Other holds of the number stand on."""
        asked = OptOutInSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        number, source = asked.validated_data["phone"], asked.validated_data["source"]
        taken = opt_in(phone=phone_digest(number), source=source, actor=_actor(request), now=timezone.now())
        return Response({"phone": number, "released": len(taken)}, status=status.HTTP_201_CREATED)


def _actor(request: Request) -> Actor:
    caller: Any = request.auth
    return Actor(type=caller.kind, id=caller.id)


routes = [
    path("gate/decisions", gate_decisions, name="gate-decisions"),
    *screening_api.routes,
    path("gate/permits/<str:key>/unused", PermitUnused.as_view(), name="permit-unused"),
    path("opt-outs", OptOuts.as_view(), name="opt-outs"),
    path("opt-ins", OptIns.as_view(), name="opt-ins"),
    *suppressions_api.routes,
]
