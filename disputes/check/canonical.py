"""The canonical input of a check: what it read, as bytes that are the same for the same facts.

JSON with sorted keys and no spaces; versions in the order of their record and rank; times in UTC to the microsecond;
amounts without trailing zeros. The order in which facts arrived leaves no trace.
"""

from __future__ import annotations

import json
import types
import typing
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from hashlib import sha256
from typing import Any

from disputes.check.facts import Claim, CollectionMessage, History

FORMAT = 1


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
    document = {
        "format": FORMAT,
        "history": _sorted_history(_plain(history)),
        "message": _plain(message),
        "claim": _plain(claim),
        "pack": {"name": pack_name, "version": pack_version},
    }
    return _encode(document).encode()


def load_input(text: bytes) -> CheckInput:
    """The facts again, equal but for the order of versions. Raises UnreadableInput."""
    try:
        document = json.loads(bytes(text))
        if document["format"] != FORMAT:
            raise UnreadableInput(f"format {document['format']!r}, not {FORMAT}")
        return CheckInput(
            history=_value(History, document["history"]),
            message=_value(CollectionMessage, document["message"]),
            claim=_value(Claim, document["claim"]),
            pack_name=document["pack"]["name"],
            pack_version=document["pack"]["version"],
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise UnreadableInput(str(error)) from error


def input_digest(text: bytes) -> str:
    """SHA-256 of the canonical bytes, in hex."""
    return sha256(bytes(text)).hexdigest()


def _encode(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _sorted_history(history: dict[str, Any]) -> dict[str, Any]:
    """Whole rows as their sort key: ties cannot be told apart, so their order cannot matter. A repeated row is one."""
    for key, rows in history.items():
        if isinstance(rows, list):
            texts = {_encode(row): row for row in rows}
            history[key] = [texts[text] for text in sorted(texts)]
    return history


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        named = ((one, getattr(value, one.name)) for one in fields(value))
        return {one.name: _plain(item) for one, item in named if item is not None or one.default is not None}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _value(kind: Any, raw: Any) -> Any:
    """The value of type `kind` that was written as `raw`."""
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return None if raw is None else _value(next(one for one in typing.get_args(kind) if one is not type(None)), raw)
    if origin is tuple:
        return tuple(_value(typing.get_args(kind)[0], item) for item in raw)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{name: _value(hints[name], item) for name, item in raw.items()})
    if kind is datetime:
        return datetime.fromisoformat(raw)
    if kind is date:
        return date.fromisoformat(raw)
    if kind is Decimal:
        return Decimal(raw)
    if kind is bytes:
        return bytes.fromhex(raw)
    if (kind is int and isinstance(raw, bool)) or not isinstance(raw, kind):
        raise UnreadableInput(f"{raw!r} is no {kind.__name__}")
    return raw
