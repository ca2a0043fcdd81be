"""The gate, opt-outs and suppressions over HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

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

from config.api.callers import Caller
from config.api.errors import ClientError, Conflict, TooLarge
from config.api.fields import (
    AwareDateTimeField,
    ExternalId,
    PhoneField,
    PlainTextField,
    StrictSerializer,
    render_instant,
)
from config.api.idempotency import idempotent
from config.api.views import ServiceView, plain_view
from config.fields import phone_digest
from disputes.holds import gate, queries, screening_api
from disputes.holds.asking import BadCall, read_call
from disputes.holds.models import Hold, Permit, SuppressionChange
from disputes.holds.opting_out import opt_in, opt_out
from disputes.holds.permits import PermitUsed, hand_back
from disputes.holds.walking import REASONS
from disputes.journal.recording import Actor

PAGE = 100
LAST_NUMBER = 2**63 - 1


class GateItemSerializer(serializers.Serializer[Any]):
    """One message that is to be sent. `loan` may be left out for `survey` and `service`."""

    request_id = serializers.CharField(
        required=False,
        max_length=200,
        help_text="Again while its permit lives: the same permit; once its message went out: denied.",
    )
    phone = serializers.CharField(max_length=40)
    loan = serializers.CharField(required=False, allow_null=True, max_length=200)
    channel = serializers.CharField(help_text="`sms`")
    category = serializers.CharField(help_text="`reminder` `urge` `warning` `statutory` `service` `survey`")
    sending_rule = serializers.CharField(required=False, allow_null=True, max_length=200)
    vendor = serializers.CharField(required=False, allow_null=True, max_length=200)
    reply_to = serializers.CharField(required=False, allow_null=True, max_length=200)


class GateCallSerializer(serializers.Serializer[Any]):
    items = serializers.ListField(child=GateItemSerializer(), max_length=10_000)
    permit_seconds = serializers.IntegerField(required=False, min_value=1, max_value=600, default=60)


class PermitSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    expires_at = serializers.DateTimeField()


class GateDecisionSerializer(serializers.Serializer[Any]):
    outcome = serializers.CharField(help_text="`allow` or `deny`")
    reasons = serializers.ListField(
        child=serializers.CharField(), help_text="The weightiest first, of: " + " ".join(f"`{one}`" for one in REASONS)
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
    answer = {
        "decided_at": render_instant(decided.decided_at),
        "decisions": [_render_decision(one) for one in decided.answers],
    }
    return HttpResponse(msgspec.json.encode(answer), content_type="application/json")


def _read_flag(request: HttpRequest, name: str) -> bool:
    text = request.GET.get(name, "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise ValidationError({name: ["true or false."]}, "invalid")
    return text in ("true", "1")


def _render_decision(answer: gate.Answer) -> dict[str, Any]:
    permit = answer.permit
    return {
        "outcome": "deny" if answer.reasons else "allow",
        "reasons": answer.reasons,
        "next_allowed_at": None if answer.next_allowed_at is None else render_instant(answer.next_allowed_at),
        "permit": None if permit is None else {"id": str(permit.id), "expires_at": render_instant(permit.expires_at)},
    }


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
        """Its slot under the frequency cap is free again. 409 where a message was recorded on it."""
        try:
            permit = uuid.UUID(key)
            unused_at = hand_back(permit=permit)
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
    permits_out = serializers.ListField(child=serializers.DictField())


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
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """Ends everything to the number, for every loan, but what the policy lets through. 200 where it stands
        already."""
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


class CoveredSerializer(serializers.Serializer[Any]):
    loans = serializers.ListField(child=serializers.CharField())
    customers = serializers.ListField(child=serializers.CharField())
    phone_digests = serializers.ListField(child=serializers.CharField(), help_text="The service's keyed digests.")
    sending_rules = serializers.ListField(child=serializers.CharField())


class SuppressionSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    scope = serializers.CharField()
    reason = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    dispute = serializers.UUIDField(allow_null=True)
    placed_at = serializers.DateTimeField()
    released_at = serializers.DateTimeField(allow_null=True)
    covers = CoveredSerializer()


class SuppressionFilterSerializer(serializers.Serializer[Any]):
    """What the query names. A number in its international form has a plus sign, which a query must spell %2B."""

    phone = PhoneField(required=False)
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
        instant."""
        asked = SuppressionFilterSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        named = asked.validated_data
        at = named.get("at")
        holds = queries.suppressions(
            phone=phone_digest(named["phone"]) if "phone" in named else None, loan=named.get("loan"), at=at
        )

        def render(page: Sequence[Hold]) -> list[dict[str, Any]]:
            keys = queries.keys_of(page, at=at)
            return [_render_hold(hold, keys[hold.pk]) for hold in page]

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
    kind = serializers.CharField(help_text="`placed` `changed` `released`")
    hold = serializers.UUIDField()
    at = serializers.DateTimeField()
    scope = serializers.CharField()
    reason = serializers.CharField()
    covers = CoveredSerializer()
    permits_out = serializers.ListField(child=serializers.DictField())


class ChangesSerializer(serializers.Serializer[Any]):
    after = serializers.IntegerField(help_text="Ask with this next.")
    more = serializers.BooleanField()
    results = ChangeSerializer(many=True)


class ChangesFilterSerializer(serializers.Serializer[Any]):
    after = serializers.IntegerField(required=False, min_value=0, max_value=LAST_NUMBER, default=0)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=PAGE, default=PAGE)


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
        """Rows after the number `after`, oldest first. Nothing is lost; numbers may skip."""
        asked = ChangesFilterSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        after, limit = asked.validated_data["after"], asked.validated_data["limit"]
        rows = queries.changes_after(number=after, limit=limit + 1)
        page = rows[:limit]
        return Response(
            {
                "after": page[-1].number if page else after,
                "more": len(rows) > limit,
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
    path("gate/decisions", gate_decisions, name="gate-decisions"),
    *screening_api.routes,
    path("gate/permits/<str:key>/unused", PermitUnused.as_view(), name="permit-unused"),
    path("opt-outs", OptOuts.as_view(), name="opt-outs"),
    path("opt-ins", OptIns.as_view(), name="opt-ins"),
    path("suppressions", Suppressions.as_view(), name="suppressions"),
    path("suppressions/changes", SuppressionChanges.as_view(), name="suppression-changes"),
]
