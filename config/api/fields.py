"""Serializer fields of the values that the API speaks in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, ClassVar

from django.conf import settings
from django.utils.dateparse import parse_date
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from config.values.money import AMOUNT_PATTERN, DECIMALS, Money
from config.values.phone import parse_phone

FIRST_YEAR, LAST_YEAR = 1900, 2200
"""Years that a date or an instant may name: beyond them it is a slip, and arithmetic on it would overflow."""

# RFC 3339, section 5.6; a space for the T is allowed there too.
_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ]([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class PlainTextField(serializers.CharField):
    """Text without null characters, of a bounded length; a number or a boolean is not taken for text."""

    default_error_messages: ClassVar = {"not_text": "Not a text."}

    def __init__(self, *, max_length: int, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("not_text")
        return super().to_internal_value(data)


class ExternalId(PlainTextField):
    """An id of the lender's: 1 to 120 characters, taken as it is (no space is trimmed)."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 120)
        super().__init__(trim_whitespace=False, **kwargs)


@extend_schema_field(
    {
        "type": "object",
        "required": ["amount", "currency"],
        "additionalProperties": False,
        "properties": {
            "amount": {"type": "string", "pattern": AMOUNT_PATTERN, "example": "1280.50"},
            "currency": {"type": "string", "pattern": "^[A-Z]{3}$", "example": "CNY"},
        },
    },
    component_name="Money",
)
class MoneyField(serializers.Field[Any, Any, Any, Any]):
    """``{"amount": "1280.50", "currency": "CNY"}`` to and from a `Money`.

    Refused, each by name: a number instead of a string, a sign or an exponent, more decimals than the currency has, an
    unknown currency, another field beside the two.
    """

    default_error_messages: ClassVar = {
        "not_money": 'Money is an object: {{"amount": "1280.50", "currency": "CNY"}}.',
        "not_a_string": "The amount is a decimal string, never a number.",
        "currency": "Not a currency of ISO 4217.",
    }

    def to_internal_value(self, data: Any) -> Money:
        if not isinstance(data, Mapping):
            self.fail("not_money")
        missing = [name for name in ("amount", "currency") if name not in data]
        if missing:
            raise serializers.ValidationError({name: ["This field is required."] for name in missing}, "required")
        unknown = set(data) - {"amount", "currency"}
        if unknown:
            raise serializers.ValidationError({sorted(unknown)[0]: ["Money has no such field."]}, "unknown_field")
        amount, currency = data["amount"], data["currency"]
        if not isinstance(amount, str):
            raise serializers.ValidationError({"amount": [self.error_messages["not_a_string"]]}, "not_a_string")
        if not isinstance(currency, str) or currency not in DECIMALS:
            raise serializers.ValidationError({"currency": [self.error_messages["currency"]]}, "unknown_currency")
        try:
            return Money.parse(amount=amount, currency=currency)
        except ValueError as error:
            text = str(error)
            raise serializers.ValidationError({"amount": [f"{text[0].upper()}{text[1:]}."]}, "invalid") from error

    def to_representation(self, value: Money) -> dict[str, str]:
        return value.as_json()


@extend_schema_field({"type": "string", "example": "+8613812345678"})
class PhoneField(PlainTextField):
    """A phone in any form that somebody in the lender's default region would dial, to and from E.164."""

    default_error_messages: ClassVar = {"not_a_phone": "Not a phone number."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=40, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            return parse_phone(text, region=settings.DEFAULT_REGION)
        except ValueError:
            self.fail("not_a_phone")


@extend_schema_field(OpenApiTypes.DATETIME)
class AwareDateTimeField(serializers.Field[Any, Any, Any, Any]):
    """An RFC 3339 time with an offset, to and from an aware datetime in UTC; one without an offset is refused.

    In UTC, since the database knows no offset of 16 hours or more, which RFC 3339 allows.
    """

    default_error_messages: ClassVar = {
        "naive": "An RFC 3339 time with an offset, such as 2026-03-01T08:30:00+08:00.",
        "impossible": "No such date.",
        "range": f"The year must be between {FIRST_YEAR} and {LAST_YEAR}.",
    }

    def to_internal_value(self, data: Any) -> datetime:
        found = _INSTANT.fullmatch(data) if isinstance(data, str) else None
        if found is None:
            self.fail("naive")
        day, hour, minute, second, fraction, offset, _ = found.groups()
        text = f"{day}T{hour}:{minute}:{second}{(fraction or '')[:7]}{'+00:00' if offset in 'Zz' else offset}"
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            self.fail("impossible")
        if not FIRST_YEAR < value.year < LAST_YEAR:
            self.fail("range")
        return value.astimezone(UTC)

    def to_representation(self, value: datetime) -> str:
        return render_instant(value)


def render_instant(value: datetime) -> str:
    """An aware datetime as answers show it: UTC, ``2026-03-01T00:30:00Z``, with microseconds where it has any."""
    if value.tzinfo is None:
        raise ValueError("an instant has a time zone")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


@extend_schema_field(OpenApiTypes.DATE)
class Day(serializers.Field[Any, Any, Any, Any]):
    """A calendar date, ``2026-03-01``."""

    default_error_messages: ClassVar = {
        "not_a_date": "A date such as 2026-03-01.",
        "range": f"The year must be between {FIRST_YEAR} and {LAST_YEAR}.",
    }

    def to_internal_value(self, data: Any) -> date:
        if not isinstance(data, str) or not _DATE.fullmatch(data):
            self.fail("not_a_date")
        try:
            value = parse_date(data)
        except ValueError:
            value = None
        if value is None:
            self.fail("not_a_date")
        if not FIRST_YEAR < value.year < LAST_YEAR:
            self.fail("range")
        return value

    def to_representation(self, value: date) -> str:
        return value.isoformat()


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that refuses, by name, a field that it does not know: a slip in a name must not pass in silence."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [name for name in data if name not in self.fields]
            if unknown:
                raise serializers.ValidationError(
                    {str(name)[:100]: ["There is no such field."] for name in unknown[:20]}, "unknown_field"
                )
        return super().to_internal_value(data)
