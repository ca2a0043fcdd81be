"""Reading the rows of a campaign: CSV or NDJSON, a block of whole lines at a time, as the gate reads its items."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Literal

import msgspec

from config.fields import keyring
from config.values.phone import is_plain
from disputes.holds.asking import read_item, read_line
from disputes.holds.rows import PEOPLE, Rows

Form = Literal["csv", "ndjson"]

COLUMNS = ("request_id", "phone", "loan", "channel", "category", "sending_rule", "vendor", "reply_to")
REQUIRED = ("phone", "channel", "category")
LONGEST_LINE = 64 * 1024
"""Bytes. A longer line is malformed."""
SHORT = 200
"""Characters: within a line as short as that no field is too long but the phone, which its form limits."""
PIECE = 1024 * 1024
"""Bytes that are taken apart at a time."""


BOM = b"\xef\xbb\xbf"


class BadHeader(ValueError):
    """By its beginning this is no campaign: compressed, or a CSV whose first line does not name what it needs."""


@dataclass(slots=True)
class Asked:
    """The rows of a block; `heads`: of each row the beginning of its answer's line, joined by line ends."""

    rows: Rows = field(default_factory=Rows)
    heads: list[str] = field(default_factory=list)


Reader = Callable[[bytes, int], Asked]
"""From whole lines and the number of their first."""


def reader_of(form: Form, header: bytes) -> Reader:
    """`header`: the first line of a CSV. Raises BadHeader. Reads no database: it may be called in any thread."""
    return _CsvReader(header).read if form == "csv" else _read_ndjson


def _pieces(raw: bytes) -> Iterator[bytes]:
    """Whole lines, some at a time, without the last one's end."""
    begin = 0
    while begin < len(raw):
        end = raw.find(b"\n", begin + PIECE)
        end = len(raw) - raw.endswith(b"\n") if end < 0 else end
        yield raw[begin:end]
        begin = end + 1


class _CsvReader:
    """Rows from the lines of a CSV, by the columns that its first line names; further columns are passed over."""

    def __init__(self, header: bytes) -> None:
        """Raises BadHeader."""
        try:
            names = _fields(header.decode().rstrip("\r"))
        except (UnicodeDecodeError, csv.Error) as error:
            raise BadHeader("The first line is no header of a CSV in UTF-8.") from error
        missing = [name for name in REQUIRED if name not in names]
        if missing:
            raise BadHeader(
                f"The first line must name the columns {', '.join(REQUIRED)}; it lacks {', '.join(missing)}."
            )
        twice = [name for name in COLUMNS if names.count(name) > 1]
        if twice:
            raise BadHeader(f"The first line names a column twice: {', '.join(twice)}.")
        self._width = len(names)
        self._at = {name: names.index(name) if name in names else self._width for name in COLUMNS}

    def read(self, raw: bytes, first: int) -> Asked:
        asked, known = Asked(), dict[tuple[str, ...], int]()
        for piece in _pieces(raw):
            heads: list[str] = []
            try:
                text = piece.decode()
            except UnicodeDecodeError:
                for number, line in enumerate(piece.split(b"\n"), first):
                    self._slowly(asked.rows, heads, number, line)
            else:
                lines = text.replace("\r\n", "\n").removesuffix("\r").split("\n")
                self._fast(asked.rows, heads, first, lines, known)
            first += piece.count(b"\n") + 1
            if heads:
                asked.heads.append("\n".join(heads))
        return asked

    def _fast(
        self, rows: Rows, heads: list[str], first: int, lines: list[str], known: dict[tuple[str, ...], int]
    ) -> None:
        """Short lines without quotes, of known kinds and with plain phones, are read by what the slow way found of
        their like. `known`: kinds by channel, category, rule and no message that is answered."""
        at, width = self._at, self._width
        request_at, phone_at, loan_at = at["request_id"], at["phone"], at["loan"]
        kind_of = itemgetter(at["channel"], at["category"], at["sending_rule"], at["reply_to"])
        odd, digest, head, add = _ODD.search, keyring().digest, heads.append, rows.add_plain
        for number, line in enumerate(lines, first):
            fields = line.split(",")
            if len(fields) == width and len(line) <= SHORT and not odd(line):
                fields.append("")
                key, loan, phone = kind_of(fields), fields[loan_at], fields[phone_at]
                kind = known.get(key)
                if kind is not None and loan and is_plain(phone):
                    request = fields[request_at]
                    head(f"{number},{request},")
                    add(request, digest(b"phone", phone.encode()), loan, kind)
                    continue
                if self._slowly(rows, heads, number, line.encode()) and key[1] not in PEOPLE and not key[3] and loan:
                    known[key] = rows.kind_of(key[0], key[1], key[2] or None)
                continue
            self._slowly(rows, heads, number, line.encode())

    def _slowly(self, rows: Rows, heads: list[str], number: int, line: bytes) -> bool:
        """One row by the gate's own reading, none where the line is empty. Whether it could be read."""
        if line in (b"", b"\r"):
            return False
        try:
            fields = _fields(line.decode().rstrip("\r")) if len(line) <= LONGEST_LINE else []
        except (UnicodeDecodeError, csv.Error):
            fields = []
        named: dict[str, str] = {}
        if len(fields) == self._width:
            fields.append("")
            named = {name: fields[place] for name, place in self._at.items() if fields[place]}
        item = read_item(msgspec.json.encode(named))
        rows.add(item)
        heads.append(f"{number},{_quoted(named.get('request_id', ''))},")
        return item is not None


_ODD = re.compile(r'[\0\t\r\\"]')
"""What a CSV quotes by, and what COPY would have escaped."""


def _fields(line: str) -> list[str]:
    """The fields of one line. Raises csv.Error, also for a quote that the line leaves open."""
    return next(iter(csv.reader([line], strict=True)), [])


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text


_SPECIAL = re.compile(r'[",\r\n]')


class _Named(msgspec.Struct):
    request_id: str | None = None


_read_name = msgspec.json.Decoder(_Named)


def _read_ndjson(raw: bytes, first: int) -> Asked:
    asked = Asked()
    number = first - 1
    if first == 1:
        raw = raw.removeprefix(BOM)
    for piece in _pieces(raw):
        heads: list[str] = []
        for line in piece.split(b"\n"):
            number += 1
            if line in (b"", b"\r"):
                continue
            item = read_line(line) if len(line) <= LONGEST_LINE else None
            asked.rows.add(item)
            # A bad line keeps its request id where that much can be read.
            name = _name_of(line) if item is None else item.request_id
            heads.append(f'{{"line":{number},"request_id":{msgspec.json.encode(name or None).decode()},')
        if heads:
            asked.heads.append("\n".join(heads))
    return asked


def _name_of(raw: bytes) -> str:
    try:
        return _read_name.decode(raw[:LONGEST_LINE]).request_id or ""
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
