"""The values that a pack may state: what each must be, and what it is where an older pack does not know it yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import time
from reprlib import repr as shown
from types import MappingProxyType
from typing import Any

from disputes.policy.contact_hours import read_time
from disputes.policy.packs import LocalInterval, Span, Way

CATEGORIES = ("reminder", "urge", "warning", "statutory", "service", "survey")
PARTS = ("customer", "loan", "phone")
FEEDS = ("repayments", "schedule", "messages")

_SPAN = re.compile(r"(?P<count>[0-9]{1,4}) (?P<unit>day|month|year)s?", re.ASCII)
_CODE = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
_LONGEST = {"day": 36_600, "month": 1_200, "year": 100}


def channel(raw: object) -> str | None:
    """The name of a channel, or None for all of them."""
    if raw is None or (isinstance(raw, str) and 0 < len(raw) <= 40 and raw.isprintable()):
        return raw
    raise ValueError("channel: not a name")


def whole(least: int, most: int) -> Callable[[Any], int]:
    """Whole numbers from `least` to `most`; neither a truth value nor a fraction is one."""

    def parse(raw: object) -> int:
        if not isinstance(raw, int) or isinstance(raw, bool) or not least <= raw <= most:
            raise ValueError(f"not a whole number from {least} to {most}: {shown(raw)}")
        return raw

    return parse


def _clock(raw: object) -> str:
    if raw not in ("business", "calendar"):
        raise ValueError('"business" or "calendar"')
    return str(raw)


def _flag(raw: object) -> bool:
    if not isinstance(raw, bool):
        raise ValueError(f"neither true nor false: {shown(raw)}")
    return raw


def names(known: tuple[str, ...], least: int = 0) -> Callable[[Any], frozenset[str]]:
    """Lists of at least so many of the `known` names."""

    def parse(raw: object) -> frozenset[str]:
        if not isinstance(raw, list) or len(raw) < least or not all(one in known for one in raw):
            raise ValueError(f"not a list of {', '.join(known)}: {shown(raw)}")
        return frozenset(raw)

    return parse


def _hours(raw: object) -> tuple[LocalInterval, ...] | None:
    """``"any"``, or a list of ``["08:00", "22:00"]``."""
    if raw == "any":
        return None
    if not isinstance(raw, list) or not raw:
        raise ValueError('neither "any" nor a list of ["HH:MM", "HH:MM"]')
    intervals = []
    for row in raw:
        if not isinstance(row, list) or len(row) != 2:
            raise ValueError(f'not ["HH:MM", "HH:MM"]: {shown(row)}')
        first, until = read_time(row[0], "from"), read_time(row[1], "until")
        if first == until and (first, row[1]) != (time(0), "24:00"):
            raise ValueError(f"an interval without length: {shown(row)}")
        intervals.append(LocalInterval(first=first, until=until))
    return tuple(intervals)


def _ways(raw: object) -> tuple[Way, ...]:
    """A list of ``{zh-hans = "…", en = "…"}``, each of one line, with or without a `code`."""
    if not isinstance(raw, list) or len(raw) > 20:
        raise ValueError("not a list of ways on, at most 20")
    ways = []
    for row in raw:
        if not isinstance(row, dict) or set(row) - {"code"} != {"zh-hans", "en"}:
            raise ValueError(f"a way on is a table with zh-hans and en, and perhaps a code: {shown(row)}")
        if not all(_is_line(row[language], 300) for language in ("zh-hans", "en")):
            raise ValueError(f"each language's text is one line of at most 300 letters: {shown(row)}")
        [code] = _codes([row["code"]]) if "code" in row else [""]
        ways.append(Way(zh_hans=row["zh-hans"], en=row["en"], code=code))
    return tuple(ways)


def _codes(raw: object) -> tuple[str, ...]:
    if not isinstance(raw, list) or len(raw) > 20:
        raise ValueError("not a list of codes, at most 20")
    if not all(isinstance(one, str) and _CODE.fullmatch(one) for one in raw):
        raise ValueError(f"a code is made of small letters, digits and hyphens: {shown(raw)}")
    return tuple(raw)


def _is_line(raw: object, longest: int) -> bool:
    return isinstance(raw, str) and bool(raw.strip()) and len(raw) <= longest and raw.isprintable()


def _note(raw: object) -> str:
    if raw == "" or _is_line(raw, 400):
        return str(raw)
    raise ValueError(f"not one line of at most 400 letters: {shown(raw)}")


def _words(raw: object) -> tuple[str, ...]:
    if not isinstance(raw, list) or len(raw) > 40 or not all(_is_line(word, 20) for word in raw):
        raise ValueError(f"not a list of words of at most 20 letters, at most 40 of them: {shown(raw)}")
    return tuple(word.strip().lower() for word in raw)


def _span(raw: object) -> Span:
    """``"6 months"``, ``"60 days"``, ``"5 years"``; a hundred years at most."""
    found = _SPAN.fullmatch(raw) if isinstance(raw, str) else None
    if found is None or not 0 < int(found["count"]) <= _LONGEST[found["unit"]]:
        raise ValueError(f'neither days, months nor years, such as "6 months": {shown(raw)}')
    return Span(count=int(found["count"]), unit=found["unit"])


def _span_or_none(raw: object) -> Span | None:
    return None if raw == "none" else _span(raw)


KEYS: Mapping[str, Callable[[Any], Any]] = {
    "contact_hours": _hours,
    "contact_hours_categories": names(CATEGORIES),
    "agreed_hours": _flag,
    "reply_free": _flag,
    "opt_out_passes": names(CATEGORIES),
    "always_pass": names(CATEGORIES),
    "contact_categories": names(CATEGORIES),
    "same_message_hours": whole(0, 24 * 31),
    "acknowledge_days": whole(0, 366),
    "first_answer_days": whole(0, 366),
    "first_answer_clock": _clock,
    "first_answer_hours": whole(1, 24 * 366),
    "decide_days": whole(0, 366),
    "decide_clock": _clock,
    "decide_hours": whole(1, 24 * 366),
    "decide_complex_days": whole(0, 366),
    "decide_extended_days": whole(0, 366),
    "auto_close_customer_right": _flag,
    "watermarks": _flag,
    "max_lag_hours": whole(0, 24 * 366),
    "watermark_feeds": names(FEEDS, least=1),
    "resume_after_hours": whole(0, 24 * 366),
    "delivery_presumed_hours": whole(1, 24 * 366),
    "duplicative_days": whole(0, 3660),
    "waiting_customer_days": whole(1, 366),
    "letter_ways": _ways,
    "hours_end_free": _flag,
    "opt_out_words": _words,
    "opt_out_reply_free": _flag,
    "dispute_notices_pass_opt_out": _flag,
    "disputed_mark": _flag,
    "hold_note": _note,
    "letter_ways_required": _codes,
    "outside_body_term": _span_or_none,
    "validation_days": whole(0, 366),
    "validation_receipt_days": whole(0, 60),
    "text_number_days": whole(0, 3660),
    "retention": _span,
    "recording_retention": _span,
}
"""Key → what reads its value, raising ValueError."""

ADDED: Mapping[str, Any] = MappingProxyType(
    {
        "hours_end_free": False,
        "opt_out_words": (),
        "opt_out_reply_free": False,
        "dispute_notices_pass_opt_out": True,
        "disputed_mark": False,
        "hold_note": "",
        "letter_ways_required": (),
        "outside_body_term": None,
        "validation_days": 0,
        "validation_receipt_days": 0,
        "text_number_days": 0,
        "retention": Span(count=5, unit="year"),
        "recording_retention": Span(count=5, unit="year"),
    }
)
"""Keys that came after the first release: what a pack means that was written before them and does not rest on `house`.
Every other key must be stated."""
