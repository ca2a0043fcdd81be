"""What may be asked of disputes: the bodies of requests, and the filters of the list."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, ClassVar

from django import forms
from django.db.models import QuerySet
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from config.api.callers import Caller
from config.api.fields import (
    AwareDateTimeField,
    Day,
    ExternalId,
    MoneyField,
    PhoneField,
    PlainTextField,
    StrictSerializer,
)
from disputes.cases import queries
from disputes.cases.finding import Selector
from disputes.cases.models import Channel, Dispute, Ground, Language, Outcome, Status
from disputes.cases.opening import Opening
from disputes.check.facts import ClaimedPayment
from disputes.journal.recording import Actor

FURTHEST_ZONE = timedelta(hours=14)
"""How far a local date may be ahead of UTC."""


class MessageSelectorSerializer(StrictSerializer):
    """Names a message by exactly one of: `id`; `external_id`; `short_ref`; `phone` with `received_at`."""

    id = serializers.UUIDField(required=False)
    external_id = ExternalId(required=False, max_length=120)
    short_ref = ExternalId(required=False, max_length=40)
    phone = PhoneField(required=False)
    received_at = AwareDateTimeField(required=False)
    text = PlainTextField(required=False, max_length=2000, allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        named = [name for name in ("id", "external_id", "short_ref", "phone") if attrs.get(name)]
        if len(named) != 1:
            raise ValidationError("Name the message by exactly one of id, external_id, short_ref or phone.", "one_of")
        if named == ["phone"] and "received_at" not in attrs:
            raise ValidationError({"received_at": ["Say when the message was received."]}, "required")
        if named != ["phone"] and ("received_at" in attrs or attrs.get("text")):
            raise ValidationError("received_at and text go with phone alone.", "one_of")
        return attrs


class ClaimedPaymentSerializer(StrictSerializer):
    """A payment that the customer says they made."""

    amount = MoneyField()
    paid_on = Day()
    reference = PlainTextField(required=False, max_length=120, allow_blank=True, default="")

    def validate_paid_on(self, value: date) -> date:
        if value > (timezone.now() + FURTHEST_ZONE).date():
            raise ValidationError("This day has not come yet.", "in_the_future")
        return value


class NewDisputeSerializer(StrictSerializer):
    message = MessageSelectorSerializer()
    ground = serializers.ChoiceField(choices=Ground.choices)
    statement = PlainTextField(required=False, max_length=5000, allow_blank=True, allow_null=True, default=None)
    claimed_payments = serializers.ListField(child=ClaimedPaymentSerializer(), required=False, max_length=20)
    language = serializers.ChoiceField(choices=Language.choices, required=False)
    channel = serializers.ChoiceField(choices=Channel.choices, required=False)
    customer = ExternalId(required=False, max_length=120)


_NEW = NewDisputeSerializer()
"""Made once: to copy its fields for each call would cost more than to ask them."""


def actor_of(caller: Caller) -> Actor:
    return Actor(type=caller.kind, id=caller.id)


def read_opening(caller: Caller, body: Any) -> Opening:
    """What a body asks for, in the caller's name. Raises ValidationError."""
    data = _NEW.run_validation(body)
    customer = data.get("customer")
    if caller.kind != "client" and customer is not None:
        raise ValidationError({"customer": ["Only the lender's systems act for a customer."]}, "not_allowed")
    return Opening(
        actor=actor_of(caller),
        customer=customer if caller.kind == "client" else caller.customer,
        phone=caller.phone_digest,
        selector=Selector(**data["message"]),
        ground=data["ground"],
        statement=data["statement"],
        claimed_payments=[
            ClaimedPayment(
                amount=row["amount"].amount,
                currency=row["amount"].currency,
                paid_on=row["paid_on"],
                reference=row["reference"],
            )
            for row in data.get("claimed_payments", ())
        ],
        language=data.get("language"),
        channel=data.get("channel") or (Channel.AGENT if caller.kind == "client" else Channel.APP),
    )


class InstantField(forms.Field):
    """A query's instant, read as a body's is."""

    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values:
            return None
        try:
            return AwareDateTimeField().to_internal_value(value)
        except ValidationError as error:
            raise forms.ValidationError([str(told) for told in error.detail]) from None


class InstantFilter(filters.Filter):
    field_class = InstantField


class DisputeFilter(filters.FilterSet):
    """What a list is narrowed by. What a caller may not see of a dispute, they cannot ask for either."""

    def __init__(self, data: Any, queryset: QuerySet[Dispute], *, caller: Caller) -> None:
        super().__init__(data, queryset)
        self.caller = caller

    status = filters.ChoiceFilter(choices=Status.choices)
    outcome = filters.ChoiceFilter(choices=Outcome.choices)
    ground = filters.ChoiceFilter(choices=Ground.choices)
    cause = filters.CharFilter(method="by_cause", max_length=30)
    opened_after = InstantFilter(field_name="opened_at", lookup_expr="gt")
    loan = filters.CharFilter(method="by_loan", max_length=120)

    class Meta:
        model = Dispute
        fields: ClassVar[list[str]] = []

    def by_cause(self, disputes: QuerySet[Dispute], name: str, value: str) -> QuerySet[Dispute]:
        return disputes.filter(queries.shows_check(self.caller), last_check__cause=value)

    def by_loan(self, disputes: QuerySet[Dispute], name: str, value: str) -> QuerySet[Dispute]:
        return disputes.filter(queries.speaks_of_debt(self.caller), loan=value)


FILTERS = [
    OpenApiParameter("status", enum=Status.values),
    OpenApiParameter("outcome", enum=Outcome.values),
    OpenApiParameter("ground", enum=Ground.values),
    OpenApiParameter("cause", description="Of the newest check."),
    OpenApiParameter("opened_after", OpenApiTypes.DATETIME),
    OpenApiParameter("loan", description="The lender's id of the loan."),
]
"""`DisputeFilter`, as the schema shows it."""
