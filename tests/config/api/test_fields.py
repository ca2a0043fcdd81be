"""Money, phones, times and texts are read once, strictly, at the edge."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from config.api.fields import (
    AwareDateTimeField,
    Day,
    ExternalId,
    MoneyField,
    PhoneField,
    PlainTextField,
    render_instant,
)
from config.values.money import DECIMALS, Money

CHINA = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    ("said", "amount"),
    [
        ({"amount": "1280.50", "currency": "CNY"}, Decimal("1280.5")),
        ({"amount": "0", "currency": "CNY"}, Decimal(0)),
        ({"amount": "1280", "currency": "JPY"}, Decimal(1280)),
        ({"amount": "1.500", "currency": "CNY"}, Decimal("1.5")),
        ({"amount": "1.125", "currency": "KWD"}, Decimal("1.125")),
        ({"amount": "9" * 15 + ".99", "currency": "CNY"}, Decimal("9" * 15 + ".99")),
    ],
)
def test_money_is_a_decimal_string_with_its_currency(said: Any, amount: Decimal) -> None:
    money = MoneyField().to_internal_value(said)
    assert (money.amount, money.currency) == (amount, said["currency"])


@pytest.mark.parametrize(
    ("said", "attr"),
    [
        ({"amount": 1280.5, "currency": "CNY"}, "amount"),
        ({"amount": 1280, "currency": "CNY"}, "amount"),
        ({"amount": True, "currency": "CNY"}, "amount"),
        ({"amount": "1280.505", "currency": "CNY"}, "amount"),
        ({"amount": "1280.5", "currency": "JPY"}, "amount"),
        ({"amount": "1280.5055", "currency": "KWD"}, "amount"),
        ({"amount": "-1", "currency": "CNY"}, "amount"),
        ({"amount": "+1", "currency": "CNY"}, "amount"),
        ({"amount": "1e3", "currency": "CNY"}, "amount"),
        ({"amount": "1,000", "currency": "CNY"}, "amount"),
        ({"amount": " 1", "currency": "CNY"}, "amount"),
        ({"amount": "1\n", "currency": "CNY"}, "amount"),
        ({"amount": "01", "currency": "CNY"}, "amount"),
        ({"amount": "", "currency": "CNY"}, "amount"),
        ({"amount": "NaN", "currency": "CNY"}, "amount"),
        ({"amount": "١", "currency": "CNY"}, "amount"),
        ({"amount": "9" * 16, "currency": "CNY"}, "amount"),
        ({"amount": "1", "currency": "cny"}, "currency"),
        ({"amount": "1", "currency": "RMB"}, "currency"),
        ({"amount": "1", "currency": ["CNY"]}, "currency"),
        ({"amount": "1", "currency": None}, "currency"),
        ({"amount": "1"}, "currency"),
        ({"currency": "CNY"}, "amount"),
        ({"amount": "1", "currency": "CNY", "tax": "0"}, "tax"),
    ],
)
def test_other_money_is_refused_and_the_part_at_fault_named(said: Any, attr: str) -> None:
    with pytest.raises(ValidationError) as refused:
        MoneyField().to_internal_value(said)
    assert list(refused.value.detail) == [attr]


@pytest.mark.parametrize("said", ["1280.50", 1280, None, [], [1], True])
def test_money_without_its_currency_is_refused(said: Any) -> None:
    with pytest.raises(ValidationError):
        MoneyField().to_internal_value(said)


@given(st.integers(0, 10**15 - 1), st.sampled_from(sorted(DECIMALS)), st.data())
def test_money_goes_out_as_it_came_in(whole: int, currency: str, data: st.DataObject) -> None:
    places = DECIMALS[currency]
    part = data.draw(st.integers(0, 10**places - 1)) if places else 0
    text = f"{whole}.{part:0{places}d}" if places else str(whole)
    said = {"amount": text, "currency": currency}
    field = MoneyField()
    assert field.to_representation(field.to_internal_value(said)) == said


def test_money_shows_the_decimals_of_its_currency() -> None:
    shown = MoneyField().to_representation(Money(amount=Decimal("5"), currency="CNY"))
    assert shown == {"amount": "5.00", "currency": "CNY"}


@pytest.mark.parametrize(
    "said", ["+8613812345678", "13812345678", "138 1234 5678", "0086 138-1234-5678", "+86 138 1234 5678"]
)
def test_a_phone_is_read_as_the_lenders_region_would_dial_it(said: str, settings: Any) -> None:
    settings.DEFAULT_REGION = "CN"
    assert PhoneField().to_internal_value(said) == "+8613812345678"


@pytest.mark.parametrize("said", ["", "abc", "1", "+", "+0", "9" * 41, "tel:", "+86138\0", 13812345678, None, [], "☎"])
def test_what_is_not_a_phone_is_refused(said: Any) -> None:
    with pytest.raises(ValidationError):
        PhoneField().run_validation(said)


@pytest.mark.parametrize(
    ("said", "instant"),
    [
        ("2026-03-01T08:30:00+08:00", datetime(2026, 3, 1, 8, 30, tzinfo=CHINA)),
        ("2026-03-01T00:30:00Z", datetime(2026, 3, 1, 0, 30, tzinfo=UTC)),
        ("2026-03-01t00:30:00z", datetime(2026, 3, 1, 0, 30, tzinfo=UTC)),
        ("2026-03-01 00:30:00.5-03:30", datetime(2026, 3, 1, 4, 0, 0, 500000, tzinfo=UTC)),
        ("2026-03-01T00:30:00.123456789Z", datetime(2026, 3, 1, 0, 30, 0, 123456, tzinfo=UTC)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2026-03-01T00:30:00+23:59", datetime(2026, 2, 28, 0, 31, tzinfo=UTC)),
    ],
)
def test_an_instant_is_rfc_3339_with_an_offset(said: str, instant: datetime) -> None:
    read = AwareDateTimeField().to_internal_value(said)
    assert read == instant
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    "said",
    [
        "2026-03-01T08:30:00",
        "2026-03-01",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-03-01T24:00:00Z",
        "2026-03-01T00:60:00Z",
        "2026-03-01T00:00:60Z",
        "2026-03-01T00:00:00+24:00",
        "2026-03-01T00:00:00+0800",
        "2026-03-01T00:00Z",
        "2026-060T00:00:00Z",
        "20260301T000000Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
        "1900-01-01T00:00:00Z",
        "2026-03-01T00:00:00Z\n",
        "٢٠٢٦-03-01T00:00:00Z",
        "now",
        "",
        0,
        1772323200,
        None,
        ["2026-03-01T00:00:00Z"],
    ],
)
def test_another_instant_is_refused(said: Any) -> None:
    with pytest.raises(ValidationError):
        AwareDateTimeField().to_internal_value(said)


def test_an_instant_goes_out_in_utc() -> None:
    assert render_instant(datetime(2026, 3, 1, 8, 30, tzinfo=CHINA)) == "2026-03-01T00:30:00Z"
    assert render_instant(datetime(2026, 3, 1, 8, 30, 0, 5, tzinfo=CHINA)) == "2026-03-01T00:30:00.000005Z"
    with pytest.raises(ValueError, match="zone"):
        render_instant(datetime(2026, 3, 1))  # noqa: DTZ001


def test_a_day_is_a_calendar_date() -> None:
    assert Day().to_internal_value("2024-02-29") == date(2024, 2, 29)
    assert Day().to_representation(date(2024, 2, 29)) == "2024-02-29"


@pytest.mark.parametrize(
    "said", ["2026-02-29", "2026-2-1", "20260201", "2026-W09-1", "0001-01-01", "9999-01-01", "", 1, None]
)
def test_another_day_is_refused(said: Any) -> None:
    with pytest.raises(ValidationError):
        Day().to_internal_value(said)


@pytest.mark.parametrize("said", [1, True, 1.5, [], {}, None, "", "a" * 11, "a\0"])
def test_a_text_is_a_text_of_bounded_length(said: Any) -> None:
    with pytest.raises(ValidationError):
        PlainTextField(max_length=10).run_validation(said)


def test_an_external_id_is_taken_as_it_is() -> None:
    assert ExternalId().run_validation(" L 1 ") == " L 1 "
    with pytest.raises(ValidationError):
        ExternalId().run_validation("L" * 121)
