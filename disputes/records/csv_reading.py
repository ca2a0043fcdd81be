"""CSV with a header, read as the lines of NDJSON that say the same (RFC 4180; UTF-8, with or without its mark).

An empty cell is a field that the line does not have. A list or an object is JSON in its cell; a whole number is plain
digits; all else is text as it stands. Whether a value is in order is not decided here but by `reading`, in the same
words as for NDJSON.

A row ends with the first line up to which the quotes are even in number. Should it then not be one, or should that line
not come within MAX_LINE bytes, the line on which it begins is refused alone, and reading goes on with the line below:
a quote too many neither takes the rest of the file with it nor fills the memory.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from disputes.records.feeding import Piece
from disputes.records.reading import DATED_TYPES, FIELDS, MAX_LINE, Errors, Refused

EVERY = ("external_id", "version", "posted_at")
"""Columns that each type has."""
SINCE = "effective_at"
JSON_CELLS = frozenset({"phones", "time_zones", "contact_preferences", "allocation", "pauses", "arrangements"})
"""Columns whose cells hold a list or an object, as JSON."""
WHOLE_CELLS = frozenset({"version", "number", "grace_days", "min_dpd", "claimed_days_past_due"})
"""Columns whose cells hold a whole number."""
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}", re.ASCII)


class HeaderRefused(ValueError):
    """The file cannot be read at all. `errors`: code, sentence and column of each reason."""

    def __init__(self, errors: Errors) -> None:
        super().__init__(" ".join(_said(error) for error in errors))
        self.errors = errors


def _said(error: dict[str, Any]) -> str:
    return f"{error['attr']}: {error['detail']}" if error["attr"] else str(error["detail"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The columns in their order, and the type of every row (None: a column of its own says it)."""

    columns: tuple[str, ...]
    type: str | None


def columns_of(type_: str) -> frozenset[str]:
    """The columns that rows of a type may have, but `type`."""
    return frozenset((*EVERY, *FIELDS[type_], *((SINCE,) if type_ in DATED_TYPES else ())))


def read_header(lines: Iterator[Piece], *, type_: str | None) -> Header:
    """Takes the header off the lines. `type_`: what every row is, where the file does not say it in a column.

    Raises HeaderRefused, before anything else is read.
    """
    first = next((line for line in lines if line.raw.strip()), None)
    if first is None:
        raise HeaderRefused([_error("no_header", "The file is empty: its first line names the columns.")])
    try:
        columns = tuple(_cells(first.raw))
    except (csv.Error, UnicodeDecodeError) as error:
        raise HeaderRefused([_error("no_header", "The first line names the columns; it is no row of CSV.")]) from error
    errors = _header_errors(columns, type_)
    if errors:
        raise HeaderRefused(errors)
    return Header(columns=columns, type=type_)


def _header_errors(columns: Sequence[str], type_: str | None) -> Errors:
    if type_ is not None and type_ not in FIELDS:
        return [_error("unknown_type", f"One of {', '.join(FIELDS)}.", "type")]
    if type_ is None and "type" not in columns:
        return [_error("required", f"A column, or one type for every row: {', '.join(FIELDS)}.", "type")]
    if type_ is not None and "type" in columns:
        return [_error("doubled_field", "The type is named for every row, and in a column: one of the two.", "type")]
    known = columns_of(type_) if type_ else frozenset({"type"}).union(*(columns_of(one) for one in FIELDS))
    whose = f"A {type_} has no such field." if type_ else "No record has such a field."
    hint = " Cells are parted by commas." if len(columns) == 1 else ""
    errors = [
        _error("unknown_field", whose + hint if name else "A column has no name.", name[:80])
        for name in columns
        if name not in known
    ]
    errors += [
        _error("doubled_field", "The column comes twice.", name)
        for name in dict.fromkeys(columns)
        if name in known and columns.count(name) > 1
    ]
    needed = ["external_id", *(name for name, one in FIELDS[type_].items() if one.required)] if type_ else EVERY[:1]
    return errors + [_error("required", "This column is required.", name) for name in needed if name not in columns]


def csv_pieces(lines: Iterable[Piece], *, header: Header) -> Iterator[Piece]:
    """Each row below the header, as the line of NDJSON that says the same; blank lines are none."""
    line_of = _writer(header)
    for row in whole_rows(lines):
        if row.refused is None:
            yield Piece(row.first.number, row.last.number, row.last.end, *line_of(row.first.number, row.cells))
        else:
            first = row.first
            yield Piece(first.number, first.number, first.end, b"", Refused(first.number, errors=[row.refused]))


class Row(msgspec.Struct, frozen=True, gc=False):
    """The cells of a row, with the lines on which it begins and ends; or why the first of them is none."""

    first: Piece
    last: Piece
    cells: list[str]
    refused: dict[str, Any] | None = None


def whole_rows(lines: Iterable[Piece]) -> Iterator[Row]:
    """The rows of a CSV, blank lines left out. A line that begins no row is refused alone."""
    ahead: deque[Piece] = deque()
    """Lines that were read as part of a row that was none, to be read again as rows of their own."""
    source = iter(lines)
    while (first := ahead.popleft() if ahead else next(source, None)) is not None:
        if not first.raw.strip():
            continue
        row, refused = _whole_row(first, ahead, source)
        if refused is None:
            try:
                cells = _cells(first.raw if len(row) == 1 else b"\n".join(line.raw for line in row))
                yield Row(first, row[-1], cells)
                continue
            except UnicodeDecodeError:
                refused = _error("not_utf8", "The row is not UTF-8.")
            except csv.Error as error:
                refused = _error("not_csv", f"No row of CSV: {error}."[:200])
            ahead.extendleft(reversed(row[1:]))
        yield Row(first, first, [], refused)


def _whole_row(first: Piece, ahead: deque[Piece], source: Iterator[Piece]) -> tuple[list[Piece], dict[str, Any] | None]:
    """The lines of a row, or why it is none; what was read in vain is then put back."""
    if len(first.raw) > MAX_LINE:
        return [first], _error("line_too_long", f"A line has at most {MAX_LINE} bytes.")
    row, size, quotes = [first], len(first.raw), first.raw.count(b'"')
    while quotes % 2:
        line = ahead.popleft() if ahead else next(source, None)
        if line is not None:
            row.append(line)
            size += len(line.raw) + 1
            quotes += line.raw.count(b'"')
        if line is None or size > MAX_LINE:
            ahead.extendleft(reversed(row[1:]))
            return [first], _error("unclosed_quote", f"A quote is not closed within {MAX_LINE} bytes.")
    return row, None


def _cells(raw: bytes) -> list[str]:
    """The cells of a row without its line end. Raises csv.Error or UnicodeDecodeError."""
    text = raw.removesuffix(b"\r").decode()
    if '"' not in text and "\r" not in text:
        return text.split(",")
    # A row that comes as one text may have line ends inside its quotes alone: elsewhere they are an error.
    return next(csv.reader([text], strict=True))


Written = tuple[bytes, Refused | None]


def _writer(header: Header) -> Callable[[int, list[str]], Written]:
    """Writes a row's cells as a line of NDJSON, or says why it cannot."""
    columns, width, every = header.columns, len(header.columns), header.type
    encode, decode = msgspec.json.Encoder().encode, msgspec.json.decode

    def write(number: int, cells: list[str]) -> Written:
        given = dict(zip(columns, cells))
        type_ = every or given.get("type") or None
        if len(cells) != width:
            detail = f"The row has {len(cells)} cells, the header {width}."
            error = _error("wrong_cell_count", detail)
            return b"", _refused(number, type_, given, [error])
        line: dict[str, Any] = {"type": type_} if type_ else {}
        errors: Errors = []
        for name, cell in given.items():
            if not cell:
                continue
            if name in JSON_CELLS:
                try:
                    decode(cell)
                except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                    errors.append(_error("not_json", f"A list or an object, as JSON: {error}"[:200], name))
                else:
                    line[name] = msgspec.Raw(cell.encode())
            elif name in WHOLE_CELLS and _WHOLE.fullmatch(cell):
                line[name] = int(cell)
            else:
                line[name] = cell
        return (b"", _refused(number, type_, given, errors)) if errors else (encode(line), None)

    return write


def _refused(number: int, type_: str | None, given: dict[str, str], errors: Errors) -> Refused:
    external_id = given.get("external_id") or None
    return Refused(number, type_ and type_[:40], external_id and external_id[:120], errors)


def _error(code: str, detail: str, attr: str | None = None) -> dict[str, Any]:
    return {"code": code, "detail": detail, "attr": attr}
