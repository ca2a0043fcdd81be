"""Phone numbers, held as E.164 text."""

from __future__ import annotations

import re
from collections.abc import Sequence

import phonenumbers

_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_LINES = re.compile(rf"(?:{_E164.pattern}\n)*+", re.ASCII)


def parse_phone(text: str, *, region: str) -> str:
    """The number in E.164 (``+8613812345678``), read as somebody in `region` (ISO 3166, two letters) would dial it.

    Plain E.164 passes as it is: parsing is the slowest step of a hot path. Raises ValueError.
    """
    if not isinstance(text, str) or len(text) > 40:
        raise ValueError("not a phone number")
    if is_plain(text):
        return text
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        raise ValueError("not a phone number") from error
    if not phonenumbers.is_possible_number(number):
        raise ValueError("not a possible phone number")
    formatted = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if not _E164.fullmatch(formatted):
        raise ValueError("not a phone number")
    return formatted


def is_plain(text: str) -> bool:
    """Whether the text is E.164 already, which `parse_phone` passes as it is."""
    return _E164.fullmatch(text) is not None


def are_plain(texts: Sequence[str]) -> bool:
    """Whether every one of the texts `is_plain`, at a fraction of the cost."""
    lines = "\n".join(texts) + "\n" if texts else ""
    return _LINES.fullmatch(lines) is not None and lines.count("\n") == len(texts)


def mask_phone(number: str) -> str:
    """What may be shown of a number: its beginning and last four digits, ``+86138****5678``."""
    if len(number) <= 8:
        return "*" * len(number)
    return f"{number[: max(3, len(number) - 8)]}****{number[-4:]}"
