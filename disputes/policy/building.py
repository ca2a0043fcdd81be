"""Putting a pack together from its file and the packs that lie underneath: one Pack for each day of a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from disputes.policy.packs import ContactHours, Pack, PackError, RecordsPolicy, Source, Terms
from disputes.policy.values import ADDED, KEYS

Values = dict[str, tuple[Any, Source]]
"""By key; a cap's key is ``cap.<name>``, its value None where a version takes it away."""

UNSTATED = Source(clause="not stated: what a pack of an earlier release means", force="own", read="yes")
LONGEST_VERSION = 40
"""Letters that a check has room for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One version of one file: what is stated from `valid_from` on."""

    version: str
    valid_from: date | None
    values: Values


@dataclass(frozen=True, kw_only=True, slots=True)
class Book:
    """One file."""

    file: str
    name: str
    extends: str | None
    layers: tuple[Layer, ...]


def put_together(book: Book, books: Mapping[str, Book]) -> tuple[Pack, ...]:
    """One Pack for each day on which the pack, or one that lies underneath, changes."""
    chain = [book]
    while (below := chain[-1].extends) is not None:
        if below not in books:
            raise PackError(chain[-1].file, "extends", f"there is no pack {below!r}")
        if books[below] in chain:
            raise PackError(chain[-1].file, "extends", "goes in a circle")
        chain.append(books[below])
    days = {layer.valid_from for one in chain for layer in one.layers}
    ordered: list[date | None] = [None, *sorted(day for day in days if day is not None)]
    return tuple(_pack_from(chain, day) for day in ordered)


def _pack_from(chain: list[Book], day: date | None) -> Pack:
    values: Values = {}
    versions = []
    for book in reversed(chain):
        in_force = [layer for layer in book.layers if layer.valid_from is None or (day and layer.valid_from <= day)]
        versions.append(in_force[-1].version if book is chain[0] else f"{book.name}.{in_force[-1].version}")
        for layer in in_force:
            values.update(layer.values)
    values = {**{key: (value, UNSTATED) for key, value in ADDED.items()}, **values}
    missing = sorted(KEYS.keys() - values.keys())
    if missing:
        raise PackError(chain[0].file, missing[0], "is stated neither here nor in a pack underneath")
    version = "+".join(reversed(versions))
    if len(version) > LONGEST_VERSION:
        why = f"{version!r} is longer than {LONGEST_VERSION} letters: name the versions shorter"
        raise PackError(chain[0].file, "version", why)
    return _build(chain[0], version, day, values)


def _build(book: Book, version: str, day: date | None, values: Values) -> Pack:
    value = {key: stated for key, (stated, _) in values.items()}
    caps = tuple(value[key] for key in sorted(value) if key.startswith("cap.") and value[key] is not None)
    _check_letter(book, version, value)
    return Pack(
        name=book.name,
        version=version,
        valid_from=day,
        contact_hours=_hours(value),
        caps=caps,
        terms=_terms(book, version, value),
        records=RecordsPolicy(
            watermarks=value["watermarks"],
            max_lag_hours=value["max_lag_hours"],
            feeds=tuple(sorted(value["watermark_feeds"])),
        ),
        sources={key: source for key, (stated, source) in values.items() if stated is not None or key[:4] != "cap."},
        **{key: value[key] for key in AS_THEY_ARE},
    )


AS_THEY_ARE = (
    "opt_out_passes",
    "opt_out_words",
    "opt_out_reply_free",
    "dispute_notices_pass_opt_out",
    "always_pass",
    "contact_categories",
    "same_message_hours",
    "auto_close_customer_right",
    "resume_after_hours",
    "delivery_presumed_hours",
    "duplicative_days",
    "waiting_customer_days",
    "letter_ways",
    "letter_ways_required",
    "outside_body_term",
    "disputed_mark",
    "hold_note",
    "validation_days",
    "validation_receipt_days",
    "text_number_days",
    "retention",
    "recording_retention",
)
"""Keys whose value is the pack's field of that name."""


def _hours(value: Mapping[str, Any]) -> ContactHours:
    return ContactHours(
        allowed=value["contact_hours"],
        categories=value["contact_hours_categories"],
        agreed=value["agreed_hours"],
        reply_free=value["reply_free"],
        end_free=value["hours_end_free"],
    )


def _terms(book: Book, version: str, value: Mapping[str, Any]) -> Terms:
    terms = Terms(
        acknowledge_days=value["acknowledge_days"],
        first_answer_days=value["first_answer_days"],
        decide_days=value["decide_days"],
        decide_complex_days=value["decide_complex_days"],
        decide_extended_days=value["decide_extended_days"],
        first_answer_clock=value["first_answer_clock"],
        first_answer_hours=value["first_answer_hours"],
        decide_clock=value["decide_clock"],
        decide_hours=value["decide_hours"],
    )
    if not terms.decide_days <= terms.decide_complex_days <= terms.decide_extended_days:
        raise PackError(book.file, "decide_days", f"a longer term is shorter than the plain one, in version {version}")
    return terms


def _check_letter(book: Book, version: str, value: Mapping[str, Any]) -> None:
    """A letter that must name a way on names it."""
    named = {way.code for way in value["letter_ways"]}
    lacking = [code for code in value["letter_ways_required"] if code not in named]
    if lacking:
        why = f"names no way on with the code {', '.join(lacking)}, which letter_ways_required asks for"
        raise PackError(book.file, "letter_ways", f"{why}, in version {version}")
