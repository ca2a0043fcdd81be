"""Reading one line of an import: from bytes to typed fields with their digest, or to the reasons why it is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import msgspec

from config.fields import keyring, phone_digest
from disputes.check.facts import CATEGORIES, NO_VERSION
from disputes.records import fields as f
from disputes.records.models import AIMS, CHANNELS, FEEDS, RECORD_TYPES

MAX_LINE = 64 * 1024
"""Bytes."""
MAX_ERRORS = 20
"""How many errors of one line are told."""
_FURTHEST_EAST = timezone(timedelta(hours=14))

Errors = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Field:
    """How a field is read; what stands for it where the line has none or null (`required`: nothing may)."""

    read: f.Reader
    required: bool = False
    default: Any = None


_TEXT, _LONG = Field(f.text(200), default=""), Field(f.text(500), default="")
_AMOUNT, _DAY, _KEY = Field(f.amount), Field(f.day), Field(f.key)

FIELDS: Mapping[str, Mapping[str, Field]] = {
    "customer": {
        "name": _TEXT,
        "phones": Field(f.phones, default=[]),
        "language": Field(f.language, default=""),
        "time_zones": Field(f.unordered(f.time_zone), default=[]),
        "contact_preferences": Field(f.preferences, default={}),
        "segment": _TEXT,
        "email": Field(f.text(254), default=""),
    },
    "loan": {
        "customer": Field(f.key, required=True),
        "product": _TEXT,
        "currency": Field(f.currency, required=True),
        "principal": _AMOUNT,
        "opened_on": _DAY,
        "time_zone": Field(f.time_zone, default=""),
        "grace_days": Field(f.whole(0, 3650), default=0),
        "tolerance": Field(f.amount, default=f.amount("0")),
        "allocation": Field(f.parts_in_order, default=[]),
        "settled_on": _DAY,
        "written_off_on": _DAY,
        "pauses": Field(f.periods(), default=[]),
        "arrangements": Field(f.periods("kept_until"), default=[]),
    },
    "instalment": {
        "loan": Field(f.key, required=True),
        "number": Field(f.whole(0, 1_000_000), required=True),
        "due_on": Field(f.day, required=True),
        "amount": Field(f.amount, required=True),
        "principal": _AMOUNT,
        "interest": _AMOUNT,
        "fees": _AMOUNT,
        "penalties": _AMOUNT,
    },
    "repayment": {
        "loan": Field(f.key, required=True),
        "amount": Field(f.amount, required=True),
        "paid_at": Field(f.instant_or_day, required=True),
        "method": _TEXT,
        "reference": _TEXT,
    },
    "reversal": {
        "repayment": Field(f.key, required=True),
        "reversed_at": Field(f.instant, required=True),
        "reason": _LONG,
    },
    "sending_rule": {
        "name": _TEXT,
        "aim": Field(f.one_of(*AIMS), required=True),
        "min_dpd": Field(f.whole(-3650, 36500)),
        "owner": _TEXT,
    },
    "message": {
        "loan": _KEY,
        "phone": Field(f.phone, required=True),
        "channel": Field(f.one_of(*CHANNELS), required=True),
        "category": Field(f.one_of(*CATEGORIES), required=True),
        "sent_at": Field(f.instant, required=True),
        "list_built_at": Field(f.instant),
        "sending_rule": _KEY,
        "campaign": _TEXT,
        "vendor": _TEXT,
        "body": Field(f.text(4000), default=""),
        "short_ref": Field(f.text(40), default=""),
        "claimed_amount": _AMOUNT,
        "claimed_days_past_due": Field(f.whole(0, 36500)),
        "permit": Field(f.text(80)),
        "delivery_status": Field(f.text(40), default=""),
    },
    "void": {
        "target_type": Field(f.one_of(*RECORD_TYPES), required=True),
        "target": Field(f.key, required=True),
    },
    "watermark": {
        "feed": Field(f.one_of(*FEEDS), required=True),
        "complete_until": Field(f.instant, required=True),
    },
}
"""Every field of every type, but those that each line has."""

DATED_TYPES = frozenset({"customer", "loan", "instalment", "sending_rule"})
"""Types whose lines may say since when they are true."""
NOT_AHEAD = ("paid_at", "reversed_at")
WITHOUT_LOAN = ("service", "survey")
"""Categories of messages that need not be about a loan."""

_EVERY: Mapping[str, Field] = {
    "external_id": Field(f.key, required=True),
    "version": Field(f.whole(0, 2**53 - 1), default=NO_VERSION),
    "posted_at": Field(f.instant),
}
_EFFECTIVE: Mapping[str, Field] = {"effective_at": Field(f.instant)}
_KNOWN: Mapping[str, Mapping[str, Field]] = {
    type_: {**_EVERY, **(_EFFECTIVE if type_ in DATED_TYPES else {}), **fields} for type_, fields in FIELDS.items()
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What reading a line of one type needs, made once. `blank`: what stands for each field where the line has none;
    `said`: those of them that the digest counts nevertheless, since they say something; `ahead`: fields that may not
    lie in the future; `purpose`: what the digest is of."""

    readers: Mapping[str, f.Reader]
    blank: Mapping[str, Any]
    said: Mapping[str, Any]
    required: tuple[str, ...]
    ahead: tuple[str, ...]
    purpose: bytes


def _says(value: Any) -> bool:
    """Nothing, no text and no entries say nothing; a 0 does."""
    return bool(value) or value == 0


def _shape(type_: str) -> Shape:
    blank = {name: one.default for name, one in _KNOWN[type_].items() if name not in _EVERY}
    return Shape(
        readers={name: one.read for name, one in _KNOWN[type_].items()},
        blank=blank,
        said={name: value for name, value in blank.items() if _says(value)},
        required=tuple(name for name, one in _KNOWN[type_].items() if one.required),
        ahead=tuple(name for name in ("posted_at", "effective_at", *NOT_AHEAD) if name in _KNOWN[type_]),
        purpose=f"record:{type_}".encode(),
    )


_SHAPES: Mapping[str, Shape] = {type_: _shape(type_) for type_ in FIELDS}


class Line(msgspec.Struct, gc=False):
    """A line that can be stored. `posted_at` None: it did not say. `content`: the keyed digest of all but `version` and
    `posted_at`. (A struct without the collector's bookkeeping: an import makes one a line.)"""

    number: int
    type: str
    external_id: str
    version: int
    posted_at: datetime | None
    effective_at: datetime | None
    fields: dict[str, Any]
    content: bytes


@dataclass(slots=True)
class Refused:
    """A line that cannot be stored, and why. `type` and `external_id` as far as they could be read."""

    number: int
    type: str | None = None
    external_id: str | None = None
    errors: Errors = field(default_factory=list)


def read_line(raw: bytes, *, number: int, now: datetime) -> Line | Refused | None:
    """One line, read strictly; None where it is blank. Every field at fault is named, with a code and a sentence."""
    if number == 1:
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    if not raw.strip():
        return None
    if len(raw) > MAX_LINE:
        return Refused(number, errors=[_error("line_too_long", f"A line has at most {MAX_LINE} bytes.")])
    return _read_usual(raw, number=number, now=now) or _read_carefully(raw, number=number, now=now)


def _read_usual(raw: bytes, *, number: int, now: datetime) -> Line | None:
    """A line with nothing wrong about it, by the same readers as `_read_carefully`; None: that one must look.

    Every name and every text of what was read has its two quotes in the bytes. Where the bytes have no more of them, no
    name came twice: what JSON's reader drops of such a one has quotes too.
    """
    try:
        given = _decode_any(raw)
        type_ = given.pop("type")
        shape = _SHAPES[type_]
        read, words = shape.readers, 2 + len(given)
        values = dict(shape.said)
        for name, value in given.items():
            reads = read[name]
            if value.__class__ is str:
                words += 1
            elif value is None:
                continue
            elif value.__class__ is not int:
                words += _count_words(value)
            values[name] = reads(value)
    except (msgspec.MsgspecError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if raw.count(b'"') != 2 * words:
        return None
    for name in shape.required:
        if name not in values:
            return None
    for name in shape.ahead:
        if name in values and earliest_start(values[name]) > now:
            return None
    if type_ == "message" and "loan" not in values and _needs_loan(values):
        return None
    return _line(number, type_, values)


_decode_any = msgspec.json.Decoder().decode


def _count_words(value: Any) -> int:
    """How many names and texts there are in it."""
    if value.__class__ is str:
        return 1
    if value.__class__ is dict:
        return len(value) + sum(map(_count_words, value.values()))
    return sum(map(_count_words, value)) if value.__class__ is list else 0


def _read_carefully(raw: bytes, *, number: int, now: datetime) -> Line | Refused:
    given, errors = _decode(raw)
    if given is None:
        return Refused(number, errors=errors)
    type_, external_id = given.get("type"), given.get("external_id")
    refused = Refused(
        number,
        type=type_[:40] if isinstance(type_, str) else None,
        external_id=external_id[:120] if isinstance(external_id, str) else None,
        errors=errors,
    )
    if errors:
        return refused
    if not isinstance(type_, str) or type_ not in FIELDS:
        code = "required" if type_ is None else "unknown_type"
        errors.append(_error(code, f"One of {', '.join(FIELDS)}.", "type"))
        return refused
    values = _read_fields(type_, given, errors)
    if not errors:
        _check_together(type_, values, errors, now=now)
    if errors:
        del errors[MAX_ERRORS:]
        return refused
    return _line(number, type_, values)


def _decode(raw: bytes) -> tuple[dict[str, Any] | None, Errors]:
    try:
        given = msgspec.json.decode(raw)
    except UnicodeDecodeError:
        return None, [_error("not_utf8", "The line is not UTF-8.")]
    except RecursionError:
        return None, [_error("not_json", "The line nests too deeply.")]
    except (msgspec.MsgspecError, ValueError) as error:
        return None, [_error("not_json", f"Not JSON: {error}"[:200])]
    if not isinstance(given, dict):
        return None, [_error("not_an_object", "A line is a JSON object.")]
    double = _doubled(raw, given)
    return given, [] if double is None else [_error("doubled_field", "The field comes twice.", double[:80])]


_NAME = re.compile(rb'"\s*:')


def _doubled(raw: bytes, given: dict[str, Any]) -> str | None:
    """A name that comes twice in one object, of which a reader of JSON keeps the last without a word.

    Counting what looks like a name in the bytes finds at least every name; only where there are more than were read is
    the line read again with care.
    """
    if len(_NAME.findall(raw)) == _count_names(given):
        return None
    doubled: list[str] = []

    def pairs(found: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in found:
            if name in seen:
                doubled.append(name)
            seen.add(name)

    json.loads(raw, object_pairs_hook=pairs)
    return doubled[0] if doubled else None


def _count_names(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(_count_names(inner) for inner in value.values() if isinstance(inner, dict | list))
    return sum(_count_names(inner) for inner in value if isinstance(inner, dict | list))


def _read_fields(type_: str, given: dict[str, Any], errors: Errors) -> dict[str, Any]:
    known = _KNOWN[type_]
    for name in given:
        if name not in known and name != "type":
            errors.append(_error("unknown_field", f"A {type_} has no such field.", name[:80]))
    values = dict(_SHAPES[type_].said)
    for name, one in known.items():
        value = given.get(name)
        if value is None:
            if one.required:
                errors.append(_error("required", "This field is required.", name))
            continue
        try:
            values[name] = one.read(value)
        except f.FieldRefused as refused:
            errors.append(_error(refused.code, refused.detail, f"{name}.{refused.place}".rstrip(".")))
    return values


def _check_together(type_: str, values: dict[str, Any], errors: Errors, *, now: datetime) -> None:
    for name in _SHAPES[type_].ahead:
        if name in values and earliest_start(values[name]) > now:
            errors.append(_error("in_the_future", "This lies in the future.", name))
    if type_ == "message" and "loan" not in values and _needs_loan(values):
        errors.append(_error("required", f"A message of this category is about a loan ({values['category']}).", "loan"))


def _needs_loan(message: Mapping[str, Any]) -> bool:
    return message["category"] not in WITHOUT_LOAN


def earliest_start(at: datetime | date) -> datetime:
    """An instant as it is; a day's start where it starts first, since the loan with its zone may not have come yet."""
    return at if isinstance(at, datetime) else datetime.combine(at, time(0), tzinfo=_FURTHEST_EAST)


def _line(number: int, type_: str, values: dict[str, Any]) -> Line:
    """`values`: of each field that the line has, or that says something by itself."""
    shape = _SHAPES[type_]
    external_id, version = values.pop("external_id"), values.pop("version", NO_VERSION)
    posted_at = values.pop("posted_at", None)
    said = {name: value for name, value in values.items() if value or value == 0}
    content = keyring().digest(shape.purpose, _encode(said))
    fields = {**shape.blank, **values}
    if type_ == "message":
        fields["phone_digest"] = phone_digest(fields["phone"])
    elif type_ == "repayment":
        at = fields["paid_at"]
        day = at.__class__ is date
        fields["paid_at"], fields["paid_on"] = (None, at) if day else (at, None)
    effective_at = fields.pop("effective_at", None)
    return Line(number, type_, external_id, version, posted_at, effective_at, fields, content)


_encode = msgspec.json.Encoder(order="sorted").encode


def _error(code: str, detail: str, attr: str | None = None) -> dict[str, Any]:
    return {"code": code, "detail": detail, "attr": attr}
