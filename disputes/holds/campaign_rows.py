"""Reading the rows of a campaign: CSV or NDJSON, a block of whole lines at a time, as the gate reads its items."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Literal, NamedTuple, cast

import msgspec

from config.fields import keyring
from config.values.phone import are_plain
from disputes.holds.asking import read_item, read_line
from disputes.holds.rows import PEOPLE, Rows

Form = Literal["csv", "ndjson"]

COLUMNS = ("request_id", "phone", "loan", "channel", "category", "sending_rule", "vendor", "reply_to")
REQUIRED = ("phone", "channel", "category")
LONGEST_LINE = 64 * 1024
"""Bytes. A longer line is malformed."""
SHORT = 200
"""Characters: within a line as short as that no field is too long but the phone, which its form limits."""
PIECE = 64 * 1024
"""Bytes that are taken apart at a time."""
ALONE = 8
"""Lines that are read one by one where they are not all alike."""


BOM = b"\xef\xbb\xbf"


class BadHeader(ValueError):
    """By its beginning this is no campaign: compressed, or a CSV whose first line does not name what it needs."""


class Heads(NamedTuple):
    """The beginnings of some rows' answers, joined by line ends; or, with `first`, their request ids alone, of a CSV's
    lines that follow on each other from that number."""

    text: str
    first: int | None = None

    def answered(self, tails: Iterator[str]) -> str:
        """The answers' lines. Takes one of `tails` a row."""
        # Split at the line's end alone: a text may have other breaks in it.
        texts = self.text.split("\n")
        if self.first is None:
            return "".join([text + tail for text, tail in zip(texts, tails)])
        numbers = range(self.first, self.first + len(texts))
        return "".join([f"{number},{text},{tail}" for number, text, tail in zip(numbers, texts, tails)])


@dataclass(slots=True)
class Asked:
    """The rows of a block, and how their answers begin."""

    rows: Rows = field(default_factory=Rows)
    heads: list[Heads] = field(default_factory=list)


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
        asked, known = Asked(), dict[_Key, int | None]()
        for piece in _pieces(raw):
            try:
                text = piece.decode()
            except UnicodeDecodeError:
                self._one_by_one(asked, first, piece.split(b"\n"))
            else:
                self._read(asked, first, text.replace("\r\n", "\n").removesuffix("\r").split("\n"), known)
            first += piece.count(b"\n") + 1
        return asked

    def _read(self, asked: Asked, first: int, lines: Sequence[str], known: dict[_Key, int | None]) -> None:
        """Lines that are all alike as columns; else by halves, until so few are left that each is read by itself."""
        if self._read_columns(asked, first, lines, known):
            return
        if len(lines) <= ALONE:
            self._one_by_one(asked, first, [line.encode() for line in lines])
            return
        half = len(lines) // 2
        self._read(asked, first, lines[:half], known)
        self._read(asked, first + half, lines[half:], known)

    def _read_columns(self, asked: Asked, first: int, lines: Sequence[str], known: dict[_Key, int | None]) -> bool:
        """Whether the lines are all alike: short, without quotes, with plain phones and loans, of kinds whose rows may
        share an answer. Then they are rows, read a column at a time, as each would be by itself. `known`: the kinds
        that were met, None for one whose rows share no answer, or cannot be read."""
        text = f",{_END},".join(lines)
        cells = text.split(",")
        step = self._width + 1
        # Every line's end stands where lines of so many fields have it: there are no others.
        ends = cells[self._width :: step]
        if len(cells) != len(lines) * step - 1 or ends.count(_END) != len(ends):
            return False
        if max(map(len, lines)) > SHORT or any(mark in text for mark in _ODD):
            return False
        columns = {name: cells[place::step] for name, place in self._at.items() if place < self._width}
        phones, loans = columns["phone"], columns.get("loan", [""])
        if "" in loans or not are_plain(phones):
            return False
        keys = list(zip(*(columns.get(name) or repeat("") for name in _KIND)))
        for key in set(keys).difference(known):
            known[key] = self._kind(asked.rows, {name: of[keys.index(key)] for name, of in columns.items()})
        kinds = [known[key] for key in keys]
        if None in kinds:
            return False
        requests = columns.get("request_id") or [""] * len(lines)
        digests = keyring().digests(b"phone", "\n".join(phones).encode().split(b"\n"))
        asked.rows.add_columns(requests, digests, loans, cast(list[int], kinds))
        asked.heads.append(Heads("\n".join(requests), first))
        return True

    def _kind(self, rows: Rows, named: Mapping[str, str]) -> int | None:
        """The kind of a row, by the gate's own reading; None where it has none that shares answers."""
        item = read_item(msgspec.json.encode({name: value for name, value in named.items() if value}))
        if item is None or item.loan is None or item.reply_to is not None or item.category in PEOPLE:
            return None
        return rows.kind_of(item.channel, item.category, item.sending_rule)

    def _one_by_one(self, asked: Asked, first: int, lines: Sequence[bytes]) -> None:
        heads: list[str] = []
        for number, line in enumerate(lines, first):
            self._slowly(asked.rows, heads, number, line)
        if heads:
            asked.heads.append(Heads("\n".join(heads)))

    def _slowly(self, rows: Rows, heads: list[str], number: int, line: bytes) -> None:
        """One row by the gate's own reading, none where the line is empty."""
        if line in (b"", b"\r"):
            return
        try:
            fields = _fields(line.decode().rstrip("\r")) if len(line) <= LONGEST_LINE else []
        except (UnicodeDecodeError, csv.Error):
            fields = []
        named: dict[str, str] = {}
        if len(fields) == self._width:
            fields.append("")
            named = {name: fields[place] for name, place in self._at.items() if fields[place]}
        rows.add(read_item(msgspec.json.encode(named)))
        heads.append(f"{number},{_quoted(named.get('request_id', ''))},")


_Key = tuple[str, ...]
_KIND = ("channel", "category", "sending_rule", "reply_to")
"""The columns that tell a row's kind, and that it has one."""
_END = "\n"
_ODD = ("\0", "\t", "\r", "\\", '"')
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
            asked.heads.append(Heads("\n".join(heads)))
    return asked


def _name_of(raw: bytes) -> str:
    try:
        return _read_name.decode(raw[:LONGEST_LINE]).request_id or ""
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
