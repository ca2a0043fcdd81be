"""Readers of the fields of an import line: each turns one JSON value into the value that is stored, or says why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

from django.conf import settings

from config.values.money import DECIMALS, decimals_of, parse_amount
from config.values.phone import parse_phone
from disputes.policy.contact_hours import read_preferences
from disputes.records.models import ROLES

FIRST_YEAR, LAST_YEAR = 1900, 2200
"""Years that a date or an instant may name (neither itself): beyond them it is a slip, and arithmetic would overflow.
"""
MAX_ENTRIES = 200
"""How many entries a list may have."""
SOME = 16_384
"""How many amounts and days are kept as read: most lines of a file repeat those of others."""

Reader = Callable[[Any], Any]

_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(\.\d{1,9})?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_NAIVE = re.compile(r"\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_is_key = re.compile(r"[!-~]{1,120}", re.ASCII).fullmatch
# What nearly every line has; datetime.fromisoformat reads all of these as `instant` does.
_is_usual_instant = re.compile(
    r"\d{4}-\d{2}-\d{2}T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
).fullmatch
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}", re.ASCII)


class FieldRefused(ValueError):
    """Why a value is refused: a code for machines, a sentence, and the place below the field (``0.from``)."""

    def __init__(self, code: str, detail: str, *, place: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.place = place


def text(max_length: int) -> Reader:
    """Text without null characters."""

    def read(value: Any) -> str:
        if value.__class__ is str and len(value) <= max_length and "\0" not in value:
            return value  # type: ignore[no-any-return]
        if not isinstance(value, str):
            raise FieldRefused("wrong_type", f"Text was expected, not {_kind(value)}.")
        if "\0" in value:
            raise FieldRefused("null_character", "Null characters are not allowed.")
        if len(value) > max_length:
            raise FieldRefused("too_long", f"At most {max_length} characters.")
        return value

    return read


def key(value: Any) -> str:
    """An id of the lender's: 1 to 120 printable ASCII characters without spaces."""
    if not isinstance(value, str):
        raise FieldRefused("wrong_type", f"An id is text, not {_kind(value)}.")
    if not _is_key(value):
        raise FieldRefused("invalid_id", "An id is 1 to 120 printable ASCII characters without spaces.")
    return value


def one_of(*choices: str) -> Reader:
    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise FieldRefused("wrong_type", f"Text was expected, not {_kind(value)}.")
        if value not in choices:
            raise FieldRefused("unknown_value", f"One of {', '.join(choices)}.")
        return value

    return read


def whole(low: int, high: int) -> Reader:
    """A whole number from `low` to `high`."""

    def read(value: Any) -> int:
        if type(value) is not int:
            raise FieldRefused("wrong_type", f"A whole number was expected, not {_kind(value)}.")
        if not low <= value <= high:
            raise FieldRefused("out_of_range", f"A whole number from {low} to {high}.")
        return value

    return read


def amount(value: Any) -> Decimal:
    """A plain decimal string. More decimals than the loan's currency has are kept: the loan may come later."""
    if not isinstance(value, str):
        code = "float_amount" if isinstance(value, float | int) and not isinstance(value, bool) else "wrong_type"
        raise FieldRefused(code, f'An amount is a decimal string such as "1280.50", not {_kind(value)}.')
    try:
        return _amount_of(value)
    except ValueError as error:
        if re.fullmatch(r"[0-9]{1,15}\.[0-9]{4,}", value, re.ASCII):
            raise FieldRefused("too_many_decimals", "At most three decimals.") from error
        raise FieldRefused("not_an_amount", "A plain decimal amount: at most 15 digits and three decimals.") from error


_THREE_PLACES = Decimal("0.001")


@lru_cache(maxsize=SOME)
def _amount_of(value: str) -> Decimal:
    """In one form for equal amounts, so that "5" and "5.00" are the same line. Raises ValueError."""
    return parse_amount(value).quantize(_THREE_PLACES)


def currency(value: Any) -> str:
    if not isinstance(value, str) or value not in DECIMALS:
        raise FieldRefused("unknown_currency", "Not a currency of ISO 4217.")
    return value


def fits_currency(value: Decimal, code: str) -> bool:
    """Whether the amount has no more decimals than the currency."""
    return decimals_of(value) <= DECIMALS.get(code, 2)


def day(value: Any) -> date:
    """A calendar date."""
    if not isinstance(value, str):
        raise FieldRefused("not_a_date", "A date such as 2026-03-01.")
    return _day_of(value)


@lru_cache(maxsize=SOME)
def _day_of(value: str) -> date:
    if not _DAY.fullmatch(value):
        raise FieldRefused("not_a_date", "A date such as 2026-03-01.")
    try:
        found = date.fromisoformat(value)
    except ValueError as error:
        raise FieldRefused("impossible_date", "There is no such day.") from error
    if not FIRST_YEAR < found.year < LAST_YEAR:
        raise FieldRefused("out_of_range", f"The year must be between {FIRST_YEAR} and {LAST_YEAR}.")
    return found


def instant(value: Any) -> datetime:
    """An RFC 3339 time with an offset, as UTC: the same instant in another offset is the same line."""
    if value.__class__ is str and _is_usual_instant(value):
        return _utc(value)
    found = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        if isinstance(value, str) and _NAIVE.fullmatch(value):
            raise FieldRefused("naive_time", "A time needs its offset, such as 2026-03-01T08:30:00+08:00.")
        raise FieldRefused("not_a_time", "An RFC 3339 time with an offset, such as 2026-03-01T08:30:00+08:00.")
    on, clock, fraction, offset = found.groups()
    return _utc(f"{on}T{clock}{(fraction or '')[:7]}{'+00:00' if offset in 'Zz' else offset}")


def _utc(value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise FieldRefused("impossible_date", "There is no such day.") from error
    if not FIRST_YEAR < moment.year < LAST_YEAR:
        raise FieldRefused("out_of_range", f"The year must be between {FIRST_YEAR} and {LAST_YEAR}.")
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def instant_or_day(value: Any) -> datetime | date:
    """A time with an offset, or a date alone."""
    return day(value) if isinstance(value, str) and len(value) == 10 and _DAY.fullmatch(value) else instant(value)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def time_zone(value: Any) -> str:
    """A zone's IANA name."""
    if not isinstance(value, str) or value not in _zones():
        raise FieldRefused("unknown_time_zone", "Not a time zone of the IANA database, such as Asia/Shanghai.")
    return value


def language(value: Any) -> str:
    """A language tag, in lower case."""
    if not isinstance(value, str) or not _LANGUAGE.fullmatch(value):
        raise FieldRefused("not_a_language", "A language tag such as zh-hans or en.")
    return value.lower()


def phone(value: Any) -> str:
    """A number in E.164, read as it is dialled in the lender's region."""
    try:
        return parse_phone(value, region=settings.DEFAULT_REGION)
    except ValueError as error:
        raise FieldRefused("not_a_phone", "Not a phone number.") from error


def unordered(read: Reader) -> Reader:
    """A list whose order says nothing: sorted, each entry once."""

    def read_all(value: Any) -> list[Any]:
        return sorted(set(_each(value, read)))

    return read_all


def parts_in_order(value: Any) -> list[str]:
    """The order of payment inside an instalment: each component at most once."""
    found = _each(value, one_of("principal", "interest", "fees", "penalties"))
    if len(set(found)) != len(found):
        raise FieldRefused("doubled_entry", "Each component at most once.")
    return found


def periods(*further: str) -> Reader:
    """A list of ``{"from", "until"}`` and further days; the last day is part of the period. Sorted, since order says
    nothing. Kept as JSON: ISO dates, null where there is none."""

    def read(value: Any) -> dict[str, Any]:
        row = _entry(value, {"from": day, "until": day, **dict.fromkeys(further, day)}, required=("from",))
        if row["until"] is not None and row["until"] < row["from"]:
            raise FieldRefused("until_before_from", "A period ends before it begins.", place="until")
        return {name: None if at is None else at.isoformat() for name, at in row.items()}

    def read_all(value: Any) -> list[dict[str, Any]]:
        found = {tuple(row.items()): row for row in _each(value, read)}
        return sorted(found.values(), key=lambda row: tuple(at or "" for at in row.values()))

    return read_all


def phones(value: Any) -> list[tuple[str, str, date | None, date | None]]:
    """(number, role, first day, last day), sorted, each once."""

    def read(entry: Any) -> tuple[str, str, date | None, date | None]:
        fields = {"number": phone, "role": one_of(*ROLES), "from": day, "until": day}
        row = _entry(entry, fields, required=("number",))
        if row["from"] and row["until"] and row["until"] < row["from"]:
            raise FieldRefused("until_before_from", "A period ends before it begins.", place="until")
        return row["number"], row["role"] or "own", row["from"], row["until"]

    return sorted(set(_each(value, read)), key=lambda row: (row[0], row[1], str(row[2]), str(row[3])))


def preferences(value: Any) -> dict[str, Any]:
    """The person's own windows, kept as they were sent; the reader that the gate uses must understand them."""
    if not isinstance(value, Mapping):
        raise FieldRefused("wrong_type", f"An object was expected, not {_kind(value)}.")
    try:
        read_preferences(value)
    except (ValueError, TypeError, AttributeError) as error:
        place, _, why = str(error).partition(": ")
        detail = f"{(why or str(error))[:1].upper()}{(why or str(error))[1:]}."
        raise FieldRefused("invalid", detail, place=place if why else "") from error
    return {name: rows for name, rows in value.items() if rows}


def _each(value: Any, read: Reader) -> list[Any]:
    if not isinstance(value, list):
        raise FieldRefused("wrong_type", f"A list was expected, not {_kind(value)}.")
    if len(value) > MAX_ENTRIES:
        raise FieldRefused("too_long", f"At most {MAX_ENTRIES} entries.")
    found = []
    for place, entry in enumerate(value):
        try:
            found.append(read(entry))
        except FieldRefused as refused:
            refused.place = f"{place}.{refused.place}".rstrip(".")
            raise
    return found


def _entry(value: Any, readers: Mapping[str, Reader], *, required: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise FieldRefused("wrong_type", f"An object was expected, not {_kind(value)}.")
    for name in value:
        if name not in readers:
            raise FieldRefused("unknown_field", "There is no such field.", place=str(name)[:80])
    row: dict[str, Any] = {}
    for name, read in readers.items():
        given = value.get(name)
        if given is None:
            if name in required:
                raise FieldRefused("required", "This field is required.", place=name)
            row[name] = None
            continue
        try:
            row[name] = read(given)
        except FieldRefused as refused:
            refused.place = f"{name}.{refused.place}".rstrip(".")
            raise
    return row


def _kind(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    kinds = {bool: "a boolean", str: "text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), "something else")
