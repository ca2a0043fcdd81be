"""Rows of versions, from lines, by COPY: straight into the tables, with no staging and no upsert."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
import psycopg
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models

from config.fields import AmountField, DigestField, IdField, keyring, phone_digest, place_of
from config.values.ciphertext import seal
from config.values.ids import new_id
from disputes.records.models import (
    VERSIONS,
    CustomerPersonal,
    CustomerPhoneVersion,
    CustomerVersion,
    MessagePersonal,
    MessageVersion,
    Reference,
)
from disputes.records.reading import Line

PERSONAL: dict[str, tuple[type[models.Model], tuple[str, ...]]] = {
    "customer": (CustomerPersonal, ("name", "email", "phones")),
    "message": (MessagePersonal, ("phone", "body")),
}
"""The side table of a type's personal fields, and which they are: one sealed blob a version, bound to its id."""


class Sealed:
    """What is made of a line before any lock: the id of its version, and its personal fields sealed under that id."""

    __slots__ = ("id", "phones", "sealed")

    def __init__(self, line: Line) -> None:
        self.id: uuid.UUID = new_id()
        model, names = PERSONAL[line.type]
        personal = {name: line.fields.pop(name) for name in names}
        self.phones = [
            (phone_digest(number), role, first, until) for number, role, first, until in personal.get("phones", ())
        ]
        if "phones" in personal:
            personal["phones"] = [number for number, *_ in personal["phones"]]
        place = place_of(model._meta.db_table, "sealed", self.id)
        self.sealed = seal(keyring(), msgspec.json.encode(personal), place=place)


def seal_personal(line: Line) -> Sealed:
    """Takes the personal fields out of a line of a type that has some. The numbers stand in the blob in the order of
    the phones' rows."""
    return Sealed(line)


def write_versions(*, type_: str, rows: Sequence[tuple[Line, datetime, Sealed | None]], received_at: datetime) -> None:
    """Adds versions of one type, with their `posted_at` as decided. Needs the import's transaction and lock."""
    model = VERSIONS[type_]
    lines = [line for line, _, _ in rows]
    fields = [line.fields for line in lines]
    sealed = [one for _, _, one in rows if one is not None]
    head: dict[str, list[Any]] = {
        "external_id": [line.external_id for line in lines],
        "version": [line.version for line in lines],
        "posted_at": [posted_at for _, posted_at, _ in rows],
        "stated": [line.posted_at is not None for line in lines],
        "effective_at": [line.effective_at for line in lines],
        "content": [line.content for line in lines],
        "received_at": [received_at] * len(lines),
        "id": [one.id for one in sealed],
    }
    names = _columns(model)
    copy_columns(model=model, columns={name: head.get(name) or [one[name] for one in fields] for name in names})
    if type_ in PERSONAL:
        side = PERSONAL[type_][0]
        copy_columns(model=side, columns={"version_id": head["id"], "sealed": [one.sealed for one in sealed]})
        phones = [(one.id, place, *phone) for one in sealed for place, phone in enumerate(one.phones)]
        if phones:
            named = ("version_id", "place", "digest", "role", "first", "until")
            copy_columns(model=CustomerPhoneVersion, columns=dict(zip(named, zip(*phones, strict=True), strict=True)))


def _columns(model: type[models.Model]) -> list[str]:
    """Every column that the database does not fill by itself."""
    own_id = model in (CustomerVersion, MessageVersion)
    return [str(one.column) for one in model._meta.concrete_fields if own_id or not one.primary_key]


def copy_rows(*, model: type[models.Model], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """COPY into a model's table, all rows in one command, of any columns: psycopg turns each value into text."""
    with _copy(model, columns) as copy:
        for row in rows:
            copy.write_row(row)


def copy_columns(*, model: type[models.Model], columns: Mapping[str, Sequence[Any]]) -> None:
    """COPY into a table of the records, all rows in one command, from the values of each column, all equally many.

    Text is made a column at a time: a value at a time cost as much as PostgreSQL's own work on the row.
    """
    texts = [_TEXTS[type(_field(model, name))](values) for name, values in columns.items()]
    rows = "\n".join(map("\t".join, zip(*texts, strict=True)))
    with _copy(model, columns) as copy:
        copy.write(f"{rows}\n")


@contextmanager
def _copy(model: type[models.Model], columns: Iterable[str]) -> Iterator[psycopg.Copy]:
    names = ", ".join(f'"{name}"' for name in columns)
    with (
        connection.wrap_database_errors,  # Django does so by itself for all but COPY
        connection.cursor() as cursor,
        cursor.copy(f'COPY "{model._meta.db_table}" ({names}) FROM STDIN') as copy,
    ):
        yield copy


@cache
def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    return next(one for one in model._meta.concrete_fields if one.column == name)


_NULL = "\\N"
_SPECIAL = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_is_special = re.compile(r"[\\\t\n\r]").search


def _plain(values: Sequence[Any]) -> list[str]:
    """Numbers, booleans, days and instants: nothing in their JSON needs an escape or has a comma."""
    text = msgspec.json.encode(values).decode()[1:-1]
    return text.replace('"', "").replace("null", _NULL).split(",")


def _texts(values: Sequence[str | None]) -> list[str]:
    found = ["" if value is None else value for value in values]
    if _is_special("\0".join(found)):
        found = [value.translate(_SPECIAL) for value in found]
    return [_NULL if value is None else text for value, text in zip(values, found, strict=True)]


def _bytes(values: Sequence[bytes | None]) -> list[str]:
    return [_NULL if value is None else f"\\\\x{value.hex()}" for value in values]


def _uuids(values: Sequence[uuid.UUID | None]) -> list[str]:
    return [_NULL if value is None else str(value) for value in values]


def _jsons(values: Sequence[Any]) -> list[str]:
    return _texts([msgspec.json.encode(value).decode() for value in values])


def _arrays(values: Sequence[Sequence[Any]]) -> list[str]:
    """Arrays of text, days or amounts."""
    quoted = ("".join(f'"{str(one).translate(_QUOTED)}",' for one in value) for value in values)
    return _texts([f"{{{one[:-1]}}}" for one in quoted])


_QUOTED = str.maketrans({"\\": r"\\", '"': r"\""})
_TEXTS: Mapping[type[models.Field[Any, Any]], Callable[[Sequence[Any]], list[str]]] = {
    models.BigIntegerField: _plain,
    models.IntegerField: _plain,
    models.BooleanField: _plain,
    models.DateField: _plain,
    models.DateTimeField: _plain,
    AmountField: _plain,
    models.CharField: _texts,
    Reference: _texts,
    models.BinaryField: _bytes,
    DigestField: _bytes,
    models.UUIDField: _uuids,
    IdField: _uuids,
    models.JSONField: _jsons,
    ArrayField: _arrays,
}
"""How a column's values become the text of COPY, by its field."""
