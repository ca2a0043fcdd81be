"""The canonical input of a check: what it read, as bytes that are the same for the same facts.

JSON with sorted keys and no spaces; versions in the order of their text; times in UTC; amounts without trailing zeros.
The order in which facts arrived leaves no trace. A row is written from a template of its kind, made once from the
kind's own fields: checking many disputes again writes as many inputs.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache, lru_cache
from hashlib import sha256
from json.encoder import encode_basestring
from operator import attrgetter, call
from typing import Any

from disputes.check.facts import Claim, CollectionMessage, History
from disputes.check.rendering import render_instant

FORMAT = 2
READABLE = (1, 2)
"""Checks stored before are read as ever: 1 has neither recipients nor other messages, permits or holds, and leaves out
what is not stated."""

Write = Callable[[Any], str]
Read = Callable[[Any], Any]


class UnreadableInput(ValueError):
    """Bytes that no check has written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckInput:
    history: History
    message: CollectionMessage
    claim: Claim
    pack_name: str
    pack_version: str


def dump_input(
    *, history: History, message: CollectionMessage, claim: Claim, pack_name: str, pack_version: str
) -> bytes:
    """The canonical bytes."""
    return (
        f'{{"claim":{_writer(Claim)(claim)},"format":{FORMAT},"history":{_written_history(history)},'
        f'"message":{_writer(CollectionMessage)(message)},'
        f'"pack":{{"name":{encode_basestring(pack_name)},"version":{encode_basestring(pack_version)}}}}}'
    ).encode()


def load_input(text: bytes) -> CheckInput:
    """The facts again, equal but for the order of versions. Raises UnreadableInput."""
    try:
        document = json.loads(bytes(text))
        if document["format"] not in READABLE:
            raise UnreadableInput(f"format {document['format']!r}, not one of {READABLE}")
        return CheckInput(
            history=_reader(History)(document["history"]),
            message=_reader(CollectionMessage)(document["message"]),
            claim=_reader(Claim)(document["claim"]),
            pack_name=document["pack"]["name"],
            pack_version=document["pack"]["version"],
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise UnreadableInput(str(error)) from error


def input_digest(text: bytes) -> str:
    """SHA-256 of the canonical bytes, in hex."""
    return sha256(bytes(text)).hexdigest()


def _written_history(history: History) -> str:
    """Whole rows are their own sort key: ties cannot be told apart, so their order cannot matter. A repeated row is
    one."""
    parts = []
    for key, name, write, rows in _history_fields():
        value = getattr(history, name)
        if not rows:
            parts.append(key + write(value))
        elif value:
            texts = [write(row) for row in value]
            texts.sort()
            parts.append(f"{key}[{','.join(dict.fromkeys(texts))}]")
        else:
            parts.append(f"{key}[]")
    return "{" + ",".join(parts) + "}"


@cache
def _history_fields() -> tuple[tuple[str, str, Write, bool], ...]:
    """(key as text, name, how to write it, whether it is many rows), by key."""
    found = []
    for name, hint in sorted(_hints(History).items()):
        rows = typing.get_origin(hint) is tuple
        found.append((f'"{name}":', name, _writer(typing.get_args(hint)[0] if rows else hint), rows))
    return tuple(found)


@cache
def _writer(hint: Any) -> Write:
    """How a value of this type is written."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return _or_null(_writer(next(one for one in typing.get_args(hint) if one is not type(None))))
    if origin is tuple:
        return _list_of(_writer(typing.get_args(hint)[0]))
    if isinstance(hint, type) and is_dataclass(hint):
        return _row_of(hint)
    return _PLAIN[hint]


def _or_null(write: Write) -> Write:
    return lambda value: "null" if value is None else write(value)


def _list_of(write: Write) -> Write:
    return lambda values: f"[{','.join([write(value) for value in values])}]" if values else "[]"


def _row_of(kind: type) -> Write:
    names = sorted(one.name for one in fields(kind))
    hints = _hints(kind)
    writers = tuple([_writer(hints[name]) for name in names])
    template = "{" + ",".join([f'"{name}":%s' for name in names]) + "}"
    values = attrgetter(*names)
    return lambda row: template % tuple(map(call, writers, values(row)))


@lru_cache(maxsize=16_384)
def _amount(amount: Decimal) -> str:
    return f'"{amount.normalize():f}"' if amount else '"0"'


@lru_cache(maxsize=16_384)
def _day(day: date) -> str:
    return f'"{day.isoformat()}"'


def _instant(at: datetime) -> str:
    return f'"{render_instant(at)}"'


def _hex(content: bytes) -> str:
    return f'"{bytes(content).hex()}"'


_PLAIN: dict[type, Write] = {
    str: encode_basestring,
    int: str,
    Decimal: _amount,
    date: _day,
    datetime: _instant,
    bytes: _hex,
}


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


@cache
def _reader(hint: Any) -> Read:
    """How a value of this type is read again. Readers raise ValueError, TypeError, KeyError or ArithmeticError."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return _none_or(_reader(next(one for one in typing.get_args(hint) if one is not type(None))))
    if origin is tuple:
        return _tuple_of(_reader(typing.get_args(hint)[0]))
    if isinstance(hint, type) and is_dataclass(hint):
        return _facts_of(hint)
    return _READ.get(hint) or _exactly(hint)


def _none_or(read: Read) -> Read:
    return lambda raw: None if raw is None else read(raw)


def _tuple_of(read: Read) -> Read:
    def rows(raw: Any) -> tuple[Any, ...]:
        if not isinstance(raw, list):
            raise UnreadableInput(f"{raw!r} is no list")
        return tuple([read(item) for item in raw])

    return rows


def _facts_of(kind: type) -> Read:
    readers = {name: _reader(hint) for name, hint in _hints(kind).items()}

    def facts(raw: Any) -> Any:
        if not isinstance(raw, dict):
            raise UnreadableInput(f"{raw!r} is no object")
        return kind(**{name: readers[name](value) for name, value in raw.items()})

    return facts


def _exactly(kind: type) -> Read:
    def value(raw: Any) -> Any:
        if type(raw) is not kind:
            raise UnreadableInput(f"{raw!r} is no {kind.__name__}")
        return raw

    return value


_READ: dict[type, Read] = {
    Decimal: Decimal,
    date: date.fromisoformat,
    datetime: datetime.fromisoformat,
    bytes: bytes.fromhex,
}
