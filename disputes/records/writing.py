"""Rows of versions, from lines, by COPY: straight into the tables, with no staging and no upsert."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, models
from psycopg.types.json import Jsonb

from config.fields import keyring, phone_digest, place_of
from config.values.ciphertext import seal
from config.values.ids import new_id
from disputes.records.models import (
    VERSIONS,
    CustomerPersonal,
    CustomerPhoneVersion,
    CustomerVersion,
    MessagePersonal,
    MessageVersion,
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
        text = json.dumps(personal, ensure_ascii=False).encode()
        self.sealed = seal(keyring(), text, place=place_of(model._meta.db_table, "sealed", self.id))


def seal_personal(line: Line) -> Sealed | None:
    """Takes the personal fields out of a line. The numbers stand in the blob in the order of the phones' rows."""
    return Sealed(line) if line.type in PERSONAL else None


def write_versions(*, type_: str, rows: Sequence[tuple[Line, datetime, Sealed | None]], received_at: datetime) -> None:
    """Adds versions of one type, with their `posted_at` as decided. Needs the import's transaction and lock."""
    model = VERSIONS[type_]
    columns = _columns(model)
    jsons = {one.attname for one in model._meta.concrete_fields if isinstance(one, models.JSONField)}

    def values() -> Iterable[Sequence[Any]]:
        for line, posted_at, sealed in rows:
            row = {
                "external_id": line.external_id,
                "version": line.version,
                "posted_at": posted_at,
                "stated": line.posted_at is not None,
                "effective_at": line.effective_at,
                "content": line.content,
                "received_at": received_at,
                **line.fields,
            }
            if sealed is not None:
                row["id"] = sealed.id
            yield [Jsonb(row[name]) if name in jsons else row[name] for name in columns]

    copy_rows(model=model, columns=columns, rows=values())
    if type_ in PERSONAL:
        sealed_rows = [sealed for _, _, sealed in rows if sealed is not None]
        side = PERSONAL[type_][0]
        copy_rows(model=side, columns=("version_id", "sealed"), rows=((one.id, one.sealed) for one in sealed_rows))
        copy_rows(
            model=CustomerPhoneVersion,
            columns=("version_id", "place", "digest", "role", "first", "until"),
            rows=((one.id, place, *phone) for one in sealed_rows for place, phone in enumerate(one.phones)),
        )


def copy_rows(*, model: type[models.Model], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """COPY into a model's table, all rows in one command."""
    names = ", ".join(f'"{name}"' for name in columns)
    with (
        connection.wrap_database_errors,  # Django does so by itself for all but COPY
        connection.cursor() as cursor,
        cursor.copy(f'COPY "{model._meta.db_table}" ({names}) FROM STDIN') as copy,
    ):
        for row in rows:
            copy.write_row(row)


def _columns(model: type[models.Model]) -> list[str]:
    """Every column that the database does not fill by itself."""
    own_id = model in (CustomerVersion, MessageVersion)
    return [str(one.column) for one in model._meta.concrete_fields if own_id or not one.primary_key]
