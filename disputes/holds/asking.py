"""Reading what the gate is asked: strictly as a whole, leniently item by item."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from django.conf import settings

from config.fields import keyring
from config.values.phone import parse_phone
from disputes.holds.permits import LONGEST
from disputes.holds.walking import GateItem

MOST_ITEMS = 10_000
DEFAULT_SECONDS = 60
WITHOUT_LOAN = frozenset({"survey", "service"})
"""Categories that may name no loan."""

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class _Item(msgspec.Struct, frozen=True, gc=False):
    """What an item may say. A name that is not here is passed over: a sender's own notes do no harm."""

    phone: Annotated[str, msgspec.Meta(max_length=40)]
    channel: Literal["sms"]
    category: Literal["reminder", "urge", "warning", "statutory", "service", "survey"]
    request_id: Key | None = None
    loan: Key | None = None
    sending_rule: Key | None = None
    vendor: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    reply_to: Key | None = None


class _UsualCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    items: list[_Item]
    permit_seconds: Annotated[int, msgspec.Meta(ge=1, le=LONGEST)] = DEFAULT_SECONDS


_HALF = re.compile("[\ud800-\udfff]")
"""A surrogate that stands alone: Python joins those that come in pairs."""
_SPOILING = (b"\\ud", b"\\uD", b"NaN", b"Infinity")
_read_usual = msgspec.json.Decoder(_UsualCall)
_read_call = msgspec.json.Decoder(dict[str, msgspec.Raw])
_read_items = msgspec.json.Decoder(list[msgspec.Raw])
_read_seconds = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=1, le=LONGEST)])
_read_item = msgspec.json.Decoder(_Item)


class BadCall(ValueError):
    """A call that cannot be read as a whole. `attr`: the field at fault, None where it is the body itself."""

    def __init__(self, detail: str, code: str, attr: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.attr = attr


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """`items`: None where one could not be read."""

    items: tuple[GateItem | None, ...]
    permit_seconds: int


def read_call(body: bytes) -> Call:
    """The items of a call. Raises BadCall for what spoils the whole; an item that cannot be read is None in its
    place."""
    try:
        usual = _read_usual.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return _read_carefully(body)
    items = _known_items(usual.items)
    names = 2 if b'"permit_seconds"' in body else 1
    if len(items) > MOST_ITEMS or _may_be_doubled(body, items, names=names):
        return _read_carefully(body)
    return Call(items=items, permit_seconds=usual.permit_seconds)


def _read_carefully(body: bytes) -> Call:
    """As `read_call`: field by field, to say which is at fault, and item by item, so that one spoils itself alone."""
    try:
        fields = _read_fields(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        # A ValidationError is JSON of another shape; anything else is no JSON.
        if isinstance(error, msgspec.ValidationError):
            raise BadCall("The body is a JSON object with the field items.", "invalid") from error
        raise BadCall("The body is not JSON.", "parse_error") from error
    for name in fields:
        if name not in ("items", "permit_seconds"):
            raise BadCall("There is no such field.", "unknown_field", name[:100])
        if body.count(f'"{name}"'.encode()) > 1 and _is_doubled(body, itself=True):
            raise BadCall("The field comes twice.", "doubled_field", name)
    if "items" not in fields:
        raise BadCall("This field is required.", "required", "items")
    try:
        raw = _read_items.decode(fields["items"])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadCall("A list of items.", "not_a_list", "items") from error
    if len(raw) > MOST_ITEMS:
        raise BadCall(f"At most {MOST_ITEMS} items in one call.", "max_length", "items")
    seconds = DEFAULT_SECONDS
    if "permit_seconds" in fields:
        try:
            seconds = _read_seconds.decode(fields["permit_seconds"])
        except (msgspec.MsgspecError, RecursionError) as error:
            raise BadCall(f"A whole number from 1 to {LONGEST}.", "invalid", "permit_seconds") from error
    items = tuple(read_item(one) for one in raw)
    if _may_be_doubled(body, items, names=len(fields)):
        items = tuple(None if item is None or _is_doubled(one) else item for item, one in zip(items, raw))
    return Call(items=items, permit_seconds=seconds)


def _read_fields(body: bytes) -> dict[str, msgspec.Raw]:
    """The fields of the body. Half a character (``"\\ud800"``, which is JSON all the same) and the NaN and Infinity
    that many libraries write spoil the item alone that has them: where there is one, the body is spelt anew, with null
    for such items."""
    try:
        return _read_call.decode(body)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        if not any(sign in body for sign in _SPOILING):
            raise
        try:
            return _read_call.decode(msgspec.json.encode(_without_spoilt(json.loads(body))))
        except ValueError as error:
            raise msgspec.DecodeError(str(error)) from error


def _without_spoilt(value: Any) -> Any:
    """The same, with null for every item that has half a character or no number somewhere."""
    if not isinstance(value, dict) or not isinstance(value.get("items"), list):
        return value
    return {**value, "items": [None if _is_spoilt(one) else one for one in value["items"]]}


def _is_spoilt(item: Any) -> bool:
    try:
        return _HALF.search(json.dumps(item, ensure_ascii=False, allow_nan=False)) is not None
    except ValueError:
        return True


def _may_be_doubled(body: bytes, items: Sequence[GateItem | None], *, names: int) -> bool:
    """Whether some item may have a name twice, of which a reader of JSON keeps the last without a word: whether the
    body looks as if it had other than the `names` of its own and those that were read. An item that could not be read
    and a sender's own note look so too."""
    names += body.count(b":null") + body.count(b": null")
    for item in items:
        if item is not None:
            # Added up by hand: of ten thousand items this is what takes the time.
            names += (
                3
                + (item.loan is not None)
                + (item.sending_rule is not None)
                + (item.reply_to is not None)
                + (item.request_id != "")
                + (item.vendor != "")
            )
    return body.count(b'":') != names


def read_line(raw: bytes) -> GateItem | None:
    """One item that stands by itself, or None where it cannot be read or has a name twice."""
    item = read_item(raw)
    return None if item is not None and _may_be_doubled(raw, [item], names=0) and _is_doubled(raw) else item


def _is_doubled(raw: bytes | msgspec.Raw, *, itself: bool = False) -> bool:
    """Whether the object, or one in it unless `itself`, has a name twice; what nests too deeply to tell does."""
    doubled: list[bool] = []
    try:
        json.loads(bytes(raw), object_pairs_hook=lambda pairs: doubled.append(len(dict(pairs)) != len(pairs)))
    except RecursionError:
        return True
    except ValueError:  # msgspec passes over what this refuses, such as a text in another encoding
        return False
    return doubled[-1] if itself else any(doubled)


def read_item(raw: bytes | msgspec.Raw) -> GateItem | None:
    """One item from its JSON, or None where it cannot be read: a type, a length, a phone, a category, a missing
    loan."""
    try:
        item = _read_item.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return _known_items((item,))[0]


def _known_items(items: Sequence[_Item]) -> tuple[GateItem | None, ...]:
    """The items with their phones' digests; None for one whose phone cannot be read, whose loan is missing or of which
    a text has a NUL."""
    region = settings.DEFAULT_REGION
    numbers = [_number(item, region=region) for item in items]
    digests = iter(keyring().digests(b"phone", [number.encode() for number in numbers if number is not None]))
    return tuple(
        [
            None
            if number is None
            else GateItem(
                request_id=item.request_id or "",
                phone=next(digests),
                loan=item.loan,
                channel=item.channel,
                category=item.category,
                sending_rule=item.sending_rule,
                vendor=item.vendor or "",
                reply_to=item.reply_to,
            )
            for item, number in zip(items, numbers)
        ]
    )


def _number(item: _Item, *, region: str) -> str | None:
    """The phone of an item that can be read."""
    if item.loan is None and item.category not in WITHOUT_LOAN:
        return None
    for text in (item.request_id, item.loan, item.sending_rule, item.vendor, item.reply_to):
        if text is not None and "\0" in text:
            return None
    try:
        return parse_phone(item.phone, region=region)
    except ValueError:
        return None
