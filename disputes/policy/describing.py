"""Packs for people to read: every value in words, where it comes from, and what differs between two packs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import time
from typing import Any

from disputes.policy.packs import Cap, LocalInterval, Pack, Packs, Source, Span, Way

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Contact hours": {
        "contact_hours": "Hours",
        "hours_end_free": "The last second is free",
        "contact_hours_categories": "Messages that keep them",
        "agreed_hours": "Agreed hours open them",
        "reply_free": "An answer is free of them",
    },
    "How often": {"same_message_hours": "The same message again within"},
    "Who is written to": {
        "always_pass": "Passes every hold of a dispute",
        "contact_categories": "May go to a contact's number",
        "text_number_days": "A number is safe to text for",
    },
    "Opt-outs": {
        "opt_out_words": "Words",
        "opt_out_passes": "Reaches an opted-out number",
        "opt_out_reply_free": "One answer reaches it",
        "dispute_notices_pass_opt_out": "Notices of one's own dispute reach it",
    },
    "Terms of a dispute": {
        "acknowledge_days": "Acknowledge within",
        "first_answer_clock": "First answer runs on",
        "first_answer_hours": "First answer, business hours",
        "first_answer_days": "First answer, calendar days",
        "decide_clock": "Decision runs on",
        "decide_hours": "Decision, business hours",
        "decide_days": "Decision, calendar days",
        "decide_complex_days": "Complex case",
        "decide_extended_days": "Extended, once told",
        "waiting_customer_days": "Waits for the customer",
        "duplicative_days": "A repetition within",
        "auto_close_customer_right": "The check alone may uphold",
        "validation_days": "Validation period",
        "validation_receipt_days": "Its notice counts as received after",
    },
    "After the decision": {
        "resume_after_hours": "Messages may go on after",
        "delivery_presumed_hours": "Counts as delivered after",
        "letter_ways": "Ways on that a letter names",
        "letter_ways_required": "Ways that it must name",
        "outside_body_term": "Time to go to an outside body",
    },
    "Records": {
        "watermarks": "Feeds say how far they reach",
        "watermark_feeds": "Feeds that must be recent",
        "max_lag_hours": "A feed may be behind by",
        "disputed_mark": "Disputed data leave only marked",
        "hold_note": "Note on a held dispute",
        "retention": "Kept after the last activity",
        "recording_retention": "Recordings kept",
    },
}
"""Heading → key → what it is called. Caps stand under `CAPS`, by their names."""

CAPS = "How often"

_UNITS = {"_hours": "hour", "_days": "day"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Stated:
    """One value of a pack. `value`: as JSON has it; `words`: as people read it."""

    key: str
    value: Any
    words: str
    source: Source


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What differs under a key between two packs; None where one of them has nothing there (a cap)."""

    key: str
    before: Stated | None
    after: Stated | None


def stated_in(pack: Pack) -> tuple[Stated, ...]:
    """Every value of the pack in the order of `SECTIONS`, caps among them."""
    return tuple(stated for _, rows in by_section(pack) for stated in rows)


def by_section(pack: Pack) -> Iterator[tuple[str, tuple[Stated, ...]]]:
    """Each heading with its values."""
    for heading, keys in SECTIONS.items():
        rows = [_stated(pack, key, _value_of(pack, key)) for key in keys]
        if heading == CAPS:
            rows[:0] = [_stated(pack, f"cap.{cap.name}", cap) for cap in pack.caps]
        yield heading, tuple(rows)


def title_of(key: str) -> str:
    """What a key is called."""
    if key.startswith("cap."):
        return f"Cap {key.removeprefix('cap.')}"
    return next(keys[key] for keys in SECTIONS.values() if key in keys)


def changes_between(before: Pack, after: Pack) -> tuple[Change, ...]:
    """What differs, in value or in where it comes from."""
    old = {stated.key: stated for stated in stated_in(before)}
    new = {stated.key: stated for stated in stated_in(after)}
    keys = [*new, *(key for key in old if key not in new)]
    return tuple(
        Change(key=key, before=old.get(key), after=new.get(key)) for key in keys if old.get(key) != new.get(key)
    )


def find_version(packs: Packs, name: str, version: str) -> Pack:
    """A version by its whole name or by the pack's own part of it, of which the newest is meant. Raises KeyError."""
    rows = packs.by_name[name]
    for pack in reversed(rows):
        if version in (pack.version, pack.version.split("+")[0]):
            return pack
    raise KeyError(version)


def _stated(pack: Pack, key: str, value: Any) -> Stated:
    return Stated(key=key, value=_as_json(value), words=_in_words(key, value), source=pack.sources[key])


def _value_of(pack: Pack, key: str) -> Any:
    hours, records = pack.contact_hours, pack.records
    renamed = {
        "contact_hours": hours.allowed,
        "contact_hours_categories": hours.categories,
        "agreed_hours": hours.agreed,
        "reply_free": hours.reply_free,
        "hours_end_free": hours.end_free,
        "watermarks": records.watermarks,
        "watermark_feeds": records.feeds,
        "max_lag_hours": records.max_lag_hours,
    }
    if key in renamed:
        return renamed[key]
    return getattr(pack.terms if hasattr(pack.terms, key) else pack, key)


def _as_json(value: Any) -> Any:
    match value:
        case LocalInterval():
            return [_clock(value.first), "24:00" if value.until == time(0) else _clock(value.until)]
        case Way():
            code = {"code": value.code} if value.code else {}
            return {**code, "zh-hans": value.zh_hans, "en": value.en}
        case Cap():
            fields = asdict(value)
            return {**fields, "per": list(value.per), "categories": sorted(value.categories)}
        case Span():
            return str(value)
        case frozenset():
            return sorted(value)
        case tuple():
            return [_as_json(one) for one in value]
    return value


def _in_words(key: str, value: Any) -> str:
    match value:
        case None:
            return "any hour" if key == "contact_hours" else "none"
        case bool():
            return "yes" if value else "no"
        case int():
            return str(Span(count=value, unit=next(unit for end, unit in _UNITS.items() if key.endswith(end))))
        case Cap():
            return _cap_in_words(value)
        case frozenset() | tuple():
            return _list_in_words(value) or "none"
    return str(value) or "none"


def _list_in_words(values: frozenset[str] | tuple[Any, ...]) -> str:
    if isinstance(values, frozenset):
        return ", ".join(sorted(values))
    return ("; " if any(isinstance(one, Way) for one in values) else ", ").join(_one_in_words(one) for one in values)


def _one_in_words(value: Any) -> str:
    match value:
        case LocalInterval():
            first, until = _as_json(value)
            return f"{first} to {until}"
        case Way():
            return value.en
    return str(value)


def _cap_in_words(cap: Cap) -> str:
    window = "a local day" if cap.rolling_hours is None else f"{cap.rolling_hours} hours"
    channel = "on any channel" if cap.channel is None else f"by {cap.channel.replace('_', ' ')}"
    return f"{cap.count} in {window} {channel}, each {' and '.join(cap.per)}: {', '.join(sorted(cap.categories))}"


def _clock(at: time) -> str:
    return at.strftime("%H:%M:%S" if at.second else "%H:%M")
