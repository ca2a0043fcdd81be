"""Reading packs from TOML: every key known, every value of its type, every source named."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from disputes.policy.contact_hours import read_time
from disputes.policy.packs import Cap, ContactHours, LocalInterval, Pack, PackError, RecordsPolicy, Source, Terms, Way

FORCES = ("law", "rule", "std", "code", "guide", "own")
READ = ("yes", "part")
CATEGORIES = ("reminder", "urge", "warning", "statutory", "service", "survey")
PARTS = ("customer", "loan", "phone")
FEEDS = ("repayments", "schedule", "messages")

Values = dict[str, tuple[Any, Source]]
"""By key; a cap's key is ``cap.<name>``, its value None where a version takes it away."""


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


def read_packs(directory: Path) -> dict[str, tuple[Pack, ...]]:
    """Every pack of the directory, put together, oldest version first. Raises PackError."""
    if not directory.is_dir():
        raise PackError(str(directory), "", "no such directory")
    books = {book.name: book for book in (_read_book(path) for path in sorted(directory.glob("*.toml")))}
    if not books:
        raise PackError(str(directory), "", "holds no pack (*.toml)")
    return {name: _put_together(book, books) for name, book in books.items()}


def _read_book(path: Path) -> Book:
    file = path.name
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PackError(file, "", f"not TOML: {error}") from error
    for key in raw:
        if key not in ("name", "title", "note", "extends", "version"):
            raise PackError(file, key, "unknown key")
    if raw.get("name") != path.stem or len(path.stem) > 20:
        raise PackError(file, "name", f"must be the file's own name, {path.stem!r}, of at most 20 letters")
    extends = raw.get("extends")
    if extends is not None and not isinstance(extends, str):
        raise PackError(file, "extends", "not a pack's name")
    versions = raw.get("version")
    if not isinstance(versions, list) or not versions:
        raise PackError(file, "version", "needs at least one [[version]]")
    layers = tuple(_read_layer(file, number, row) for number, row in enumerate(versions))
    _check_order(file, layers)
    return Book(file=file, name=path.stem, extends=extends, layers=layers)


def _check_order(file: str, layers: tuple[Layer, ...]) -> None:
    if layers[0].valid_from is not None:
        raise PackError(file, "version.0.valid_from", "the first version has none: it always was in force")
    seen: set[str] = set()
    for number, layer in enumerate(layers):
        if layer.version in seen:
            raise PackError(file, f"version.{number}.version", f"{layer.version!r} comes twice")
        seen.add(layer.version)
        if number == 0:
            continue
        before = layers[number - 1].valid_from
        if layer.valid_from is None or (before is not None and layer.valid_from <= before):
            raise PackError(
                file, f"version.{number}.valid_from", "versions stand in order, each later than the one before"
            )


def _read_layer(file: str, number: int, row: object) -> Layer:
    place = f"version.{number}"
    if not isinstance(row, dict):
        raise PackError(file, place, "not a table")
    version = row.get("version")
    if not isinstance(version, str) or not 0 < len(version) <= 16:
        raise PackError(file, f"{place}.version", "a name of 1 to 16 letters is needed")
    valid_from = row.get("valid_from")
    if valid_from is not None and (not isinstance(valid_from, date) or isinstance(valid_from, datetime)):
        raise PackError(file, f"{place}.valid_from", "not a local date")
    values: Values = {}
    for key, stated in row.items():
        if key in ("version", "valid_from", "note"):
            continue
        if key == "cap":
            values.update(_read_caps(file, f"{place}.cap", stated))
            continue
        if key not in KEYS:
            raise PackError(file, f"{place}.{key}", "unknown key")
        values[key] = _read_value(file, f"{place}.{key}", stated, KEYS[key])
    return Layer(version=version, valid_from=valid_from, values=values)


def _read_source(file: str, place: str, stated: object, others: set[str]) -> Source:
    if not isinstance(stated, dict):
        raise PackError(file, place, "not a table with value, clause, force and read")
    for key in stated:
        if key not in {"clause", "force", "read", "note"} | others:
            raise PackError(file, f"{place}.{key}", "unknown key")
    clause, force, read = stated.get("clause"), stated.get("force"), stated.get("read")
    if not isinstance(clause, str) or not clause.strip():
        raise PackError(file, f"{place}.clause", "every value names its source")
    if force not in FORCES:
        raise PackError(file, f"{place}.force", f"one of {', '.join(FORCES)}")
    if read not in READ:
        raise PackError(file, f"{place}.read", "yes or part; what nobody has read stays out of a pack")
    return Source(clause=clause, force=force, read=read)


def _read_value(file: str, place: str, stated: object, parse: Callable[[Any], Any]) -> tuple[Any, Source]:
    source = _read_source(file, place, stated, {"value"})
    assert isinstance(stated, dict)
    if "value" not in stated:
        raise PackError(file, f"{place}.value", "missing")
    try:
        return parse(stated["value"]), source
    except ValueError as error:
        raise PackError(file, f"{place}.value", str(error)) from error


def _read_caps(file: str, place: str, stated: object) -> Values:
    if not isinstance(stated, dict):
        raise PackError(file, place, "not a table of caps by name")
    fields = {"count", "rolling_hours", "per", "channel", "categories", "none"}
    values: Values = {}
    for name, row in stated.items():
        where = f"{place}.{name}"
        source = _read_source(file, where, row, fields)
        if row.get("none") is True:
            values[f"cap.{name}"] = (None, source)
            continue
        try:
            cap = Cap(
                name=name,
                count=_whole(1, 10_000)(row.get("count")),
                rolling_hours=None if row.get("rolling_hours") is None else _whole(1, 24 * 366)(row["rolling_hours"]),
                per=tuple(sorted(_names(PARTS, least=1)(row.get("per")))),
                channel=_channel(row.get("channel")),
                categories=_names(CATEGORIES, least=1)(row.get("categories")),
                legal=source.force != "own",
            )
        except ValueError as error:
            raise PackError(file, where, str(error)) from error
        values[f"cap.{name}"] = (cap, source)
    return values


def _channel(raw: object) -> str | None:
    if raw is None or (isinstance(raw, str) and raw):
        return raw
    raise ValueError("channel: not a name")


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def parse(raw: object) -> int:
        if not isinstance(raw, int) or isinstance(raw, bool) or not least <= raw <= most:
            raise ValueError(f"not a whole number from {least} to {most}: {raw!r}")
        return raw

    return parse


def _clock(raw: object) -> str:
    if raw not in ("business", "calendar"):
        raise ValueError('"business" or "calendar"')
    return str(raw)


def _flag(raw: object) -> bool:
    if not isinstance(raw, bool):
        raise ValueError(f"neither true nor false: {raw!r}")
    return raw


def _names(known: tuple[str, ...], least: int = 0) -> Callable[[Any], frozenset[str]]:
    def parse(raw: object) -> frozenset[str]:
        if not isinstance(raw, list) or len(raw) < least or not all(one in known for one in raw):
            raise ValueError(f"not a list of {', '.join(known)}: {raw!r}")
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
            raise ValueError(f'not ["HH:MM", "HH:MM"]: {row!r}')
        first, until = read_time(row[0], "from"), read_time(row[1], "until")
        if first == until and (first, row[1]) != (time(0), "24:00"):
            raise ValueError(f"an interval without length: {row!r}")
        intervals.append(LocalInterval(first=first, until=until))
    return tuple(intervals)


def _ways(raw: object) -> tuple[Way, ...]:
    """A list of ``{zh-hans = "…", en = "…"}``, each of one line."""
    if not isinstance(raw, list) or len(raw) > 20:
        raise ValueError("not a list of ways on, at most 20")
    ways = []
    for row in raw:
        if not isinstance(row, dict) or set(row) != {"zh-hans", "en"}:
            raise ValueError(f"a way on is a table with zh-hans and en: {row!r}")
        lines = [row["zh-hans"], row["en"]]
        if not all(isinstance(line, str) and line.strip() and len(line) <= 300 and "\n" not in line for line in lines):
            raise ValueError(f"each language's text is one line of at most 300 letters: {row!r}")
        ways.append(Way(zh_hans=row["zh-hans"], en=row["en"]))
    return tuple(ways)


KEYS: Mapping[str, Callable[[Any], Any]] = {
    "contact_hours": _hours,
    "contact_hours_categories": _names(CATEGORIES),
    "agreed_hours": _flag,
    "reply_free": _flag,
    "opt_out_passes": _names(CATEGORIES),
    "always_pass": _names(CATEGORIES),
    "contact_categories": _names(CATEGORIES),
    "same_message_hours": _whole(0, 24 * 31),
    "acknowledge_days": _whole(0, 366),
    "first_answer_days": _whole(0, 366),
    "first_answer_clock": _clock,
    "first_answer_hours": _whole(1, 24 * 366),
    "decide_days": _whole(0, 366),
    "decide_clock": _clock,
    "decide_hours": _whole(1, 24 * 366),
    "decide_complex_days": _whole(0, 366),
    "decide_extended_days": _whole(0, 366),
    "auto_close_customer_right": _flag,
    "watermarks": _flag,
    "max_lag_hours": _whole(0, 24 * 366),
    "watermark_feeds": _names(FEEDS, least=1),
    "resume_after_hours": _whole(0, 24 * 366),
    "delivery_presumed_hours": _whole(1, 24 * 366),
    "duplicative_days": _whole(0, 3660),
    "waiting_customer_days": _whole(1, 366),
    "letter_ways": _ways,
}


def _put_together(book: Book, books: Mapping[str, Book]) -> tuple[Pack, ...]:
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
    missing = sorted(KEYS.keys() - values.keys())
    if missing:
        raise PackError(chain[0].file, missing[0], "is stated neither here nor in a pack underneath")
    version = "+".join(reversed(versions))
    if len(version) > 40:
        raise PackError(chain[0].file, "version", f"{version!r} is longer than 40 letters: name the versions shorter")
    return _build(chain[0], version, day, values)


def _build(book: Book, version: str, day: date | None, values: Values) -> Pack:
    value = {key: stated for key, (stated, _) in values.items()}
    caps = tuple(value[key] for key in sorted(value) if key.startswith("cap.") and value[key] is not None)
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
    return Pack(
        name=book.name,
        version=version,
        valid_from=day,
        contact_hours=ContactHours(
            allowed=value["contact_hours"],
            categories=value["contact_hours_categories"],
            agreed=value["agreed_hours"],
            reply_free=value["reply_free"],
        ),
        caps=caps,
        opt_out_passes=value["opt_out_passes"],
        always_pass=value["always_pass"],
        contact_categories=value["contact_categories"],
        same_message_hours=value["same_message_hours"],
        terms=terms,
        auto_close_customer_right=value["auto_close_customer_right"],
        records=RecordsPolicy(
            watermarks=value["watermarks"],
            max_lag_hours=value["max_lag_hours"],
            feeds=tuple(sorted(value["watermark_feeds"])),
        ),
        resume_after_hours=value["resume_after_hours"],
        delivery_presumed_hours=value["delivery_presumed_hours"],
        duplicative_days=value["duplicative_days"],
        waiting_customer_days=value["waiting_customer_days"],
        letter_ways=value["letter_ways"],
        sources={key: source for key, (stated, source) in values.items() if stated is not None or key[:4] != "cap."},
    )
