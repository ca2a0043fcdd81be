"""Reading packs from TOML: every key known, every value of its type, every source named."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

from disputes.policy.building import Book, Layer, Values, put_together
from disputes.policy.packs import Cap, Pack, PackError, Source
from disputes.policy.values import CATEGORIES, KEYS, PARTS, channel, names, whole

FORCES = ("law", "rule", "std", "code", "guide", "own")
READ = ("yes", "part")
LARGEST = 1024 * 1024
"""Bytes of a file; a pack is a few kilobytes."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
"""Of a version and of a cap: what can stand in a key, an answer and a table."""


def read_packs(directory: Path) -> dict[str, tuple[Pack, ...]]:
    """Every pack of the directory, put together, oldest version first. Raises PackError."""
    if not directory.is_dir():
        raise PackError(str(directory), "", "no such directory")
    try:
        paths = sorted(directory.glob("*.toml"))
    except OSError as error:
        raise PackError(str(directory), "", f"cannot be read: {error.strerror}") from error
    books = {book.name: book for book in map(_read_book, paths)}
    if not books:
        raise PackError(str(directory), "", "holds no pack (*.toml)")
    return {name: put_together(book, books) for name, book in books.items()}


def _read_book(path: Path) -> Book:
    file = path.name
    raw = _read_toml(path)
    for key in raw:
        if key not in ("name", "title", "note", "extends", "version"):
            raise PackError(file, key, "unknown key")
    for key in ("title", "note"):
        if not isinstance(raw.get(key, ""), str):
            raise PackError(file, key, "not a text")
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


def _read_toml(path: Path) -> dict[str, Any]:
    """The file as TOML has it. Raises PackError for whatever is wrong with it."""
    try:
        with path.open("rb") as source:
            raw = source.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise PackError(path.name, "", f"larger than {LARGEST} bytes: that is no pack")
        return tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise PackError(path.name, "", f"cannot be read: {error.strerror}") from error
    except PackError:
        raise
    except ValueError as error:
        # TOML's own errors, a text that is not UTF-8, and a number of thousands of digits are all of them.
        raise PackError(path.name, "", f"not TOML: {error}") from error
    except RecursionError as error:
        raise PackError(path.name, "", "not TOML: nested too deep") from error


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
    if not isinstance(version, str) or len(version) > 16 or not _NAME.fullmatch(version):
        raise PackError(file, f"{place}.version", "a name of 1 to 16 letters, digits, dots and hyphens is needed")
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
        if len(name) > 40 or not _NAME.fullmatch(name):
            raise PackError(file, where, "a cap's name is made of at most 40 letters, digits, dots and hyphens")
        source = _read_source(file, where, row, fields)
        if "none" in row:
            if row["none"] is not True or row.keys() & (fields - {"none"}):
                raise PackError(file, f"{where}.none", "takes a cap away: it is true, and stands alone")
            values[f"cap.{name}"] = (None, source)
            continue
        try:
            cap = Cap(
                name=name,
                count=whole(1, 10_000)(row.get("count")),
                rolling_hours=None if row.get("rolling_hours") is None else whole(1, 24 * 366)(row["rolling_hours"]),
                per=tuple(sorted(names(PARTS, least=1)(row.get("per")))),
                channel=channel(row.get("channel")),
                categories=names(CATEGORIES, least=1)(row.get("categories")),
                legal=source.force != "own",
            )
        except ValueError as error:
            raise PackError(file, where, str(error)) from error
        values[f"cap.{name}"] = (cap, source)
    return values
