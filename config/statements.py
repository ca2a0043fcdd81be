"""Several statements in one call of the database.

The way to the server and back, and what is built around each call, cost more than most statements do. PostgreSQL runs
the statements of one call one after the other; in read committed each has a snapshot of its own, newer than the locks
that those before it took, just as if they had been sent one by one. The first that fails ends the call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models.base import ModelState
from django.db.models.expressions import DatabaseDefault

_KEPT = 50
"""Up to so many parameters psycopg keeps what it has read of a text."""


@dataclass(slots=True)
class Statement:
    """One statement of SQL with its parameters. `rows`: its answer, once it was run."""

    sql: str
    parameters: Sequence[Any] = ()
    rows: list[tuple[Any, ...]] = field(default_factory=list)


def run(*statements: Statement) -> None:
    """Runs statements in their order, in one call, and fills in their rows. Needs the caller's transaction where there
    are several: without one PostgreSQL makes them a transaction of their own. Raises what the first bad one raises."""
    if not statements:
        return
    with connections[DEFAULT_DB_ALIAS].cursor() as wrapped:
        cursor = wrapped.cursor  # psycopg's own: the answers all lie here once it has executed
        parts = _parts(statements)
        if len(parts) == 1:
            wrapped.execute(*parts[0])
        else:
            wrapped.execute(";\n".join([cursor.mogrify(*part) for part in parts]))
        for place, one in enumerate(statements):
            if place:
                cursor.nextset()
            one.rows = [] if cursor.rownumber is None else cursor.fetchall()


def _parts(statements: Sequence[Statement]) -> list[tuple[str, list[Any]]]:
    """Texts of few enough parameters, with them; a statement is never cut."""
    if sum([len(one.parameters) for one in statements]) <= _KEPT:
        return [(";\n".join([one.sql for one in statements]), [said for one in statements for said in one.parameters])]
    parts: list[tuple[list[str], list[Any]]] = []
    for one in statements:
        if not parts or len(parts[-1][1]) + len(one.parameters) > _KEPT:
            parts.append(([], []))
        parts[-1][0].append(one.sql)
        parts[-1][1].extend(one.parameters)
    return [(";\n".join(texts), values) for texts, values in parts]


def insert(*rows: models.Model, ending: str = "") -> Statement:
    """The INSERT of new rows of one table, their values as `save(force_insert=True)` would write them.

    What is left to the database (its defaults, a number that it draws) and what is null in all of them stays out, and
    nothing is read back. `ending`: what follows the values, such as ``RETURNING id``.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    names: list[str] = []
    columns: list[list[Any]] = []
    for one, name, column, plain, left_out in _columns(type(rows[0])):
        if plain:
            values = [row.__dict__[name] for row in rows]
        else:
            values = [one.get_db_prep_save(one.pre_save(row, True), connection) for row in rows]
        if isinstance(values[0], left_out) and all(isinstance(value, left_out) for value in values):
            continue
        names.append(column)
        columns.append(values)
    told = [value for row in zip(*columns, strict=True) for value in row]
    return Statement(_insert_into(rows[0]._meta.db_table, tuple(names), len(rows), ending), told)


Row = dict[str, Any]
"""Columns of one row by name, as JSON tells them to a function of the database."""


def as_row(one: models.Model) -> Row:
    """A new object's row: what `insert` would write of it. What is left to the database, and null, stays out."""
    values = one.__dict__
    plain, others = _told(type(one))
    row: Row = {column: value for name, column in plain if (value := values[name]) is not None}
    for made, name, column in others:
        value = values[name]
        if value is not None and not isinstance(value, DatabaseDefault):
            value = made.pre_save(one, True)
            row[column] = f"\\x{value.hex()}" if isinstance(value, bytes) else value
    return row


@lru_cache
def _told(model: type[models.Model]) -> tuple[list[tuple[str, str]], list[tuple[Any, str, str]]]:
    """The names of attribute and column of what JSON tells as it is; the other fields, with theirs."""
    columns = _columns(model)
    plain = [(name, column) for _, name, column, plain, left_out in columns if plain and left_out is type(None)]
    told = {column for _, column in plain}
    return plain, [(made, name, column) for made, name, column, _, _ in columns if column not in told]


Made = TypeVar("Made", bound=models.Model)


def make(model: type[Made], **values: Any) -> Made:
    """A new object, as ``model(**values)`` makes it, in a third of the time: no signal is sent, and the values, by the
    names of the attributes (``message_id``), are taken as they are."""
    plain, made = _defaults(model)
    if values.keys() - plain.keys():
        raise TypeError(f"{model.__name__} has no such fields: {sorted(values.keys() - plain.keys())}")
    one = model.__new__(model)
    one._state = ModelState()
    one.__dict__.update(plain)
    one.__dict__.update(values)
    for name, default in made:
        if name not in values:
            one.__dict__[name] = default()
    return one


@lru_cache
def _defaults(model: type[models.Model]) -> tuple[dict[str, Any], list[tuple[str, Callable[[], Any]]]]:
    """What a field is that was not given: by name, and what makes those that are made anew each time."""
    fields = model._meta.concrete_fields
    made = [(one.attname, one.default) for one in fields if one.has_default() and callable(one.default)]
    return {one.attname: one.get_default() for one in fields}, made


def as_json(told: object) -> str:
    """Rows as the text of a JSON parameter: instants in UTC, ids as text."""
    return msgspec.json.encode(told).decode()


_PLAIN = (models.CharField, models.TextField, models.BooleanField, models.IntegerField, models.UUIDField)
_Column = tuple[Any, str, str, bool, type]


@lru_cache
def _columns(model: type[models.Model]) -> list[_Column]:
    """The fields of a model, the names of attribute and column, whether the value goes to the driver as it is, and
    what need not be written at all: null where the column has no default."""
    return [
        (
            one,
            one.attname,
            str(one.column),
            isinstance(one, _PLAIN) or type(one) is models.DateTimeField,
            DatabaseDefault if one.has_db_default() else type(None),
        )
        for one in model._meta.concrete_fields
    ]


@lru_cache(maxsize=256)
def _insert_into(table: str, names: tuple[str, ...], rows: int, ending: str) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    values = ", ".join([f"({', '.join(['%s'] * len(names))})"] * rows)
    return f"INSERT INTO {table} ({quoted}) VALUES {values} {ending}".rstrip()
