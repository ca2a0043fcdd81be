"""Campaign files: what is to be sent, a message a line, as CSV or NDJSON; and the answers, in the same form and order.

One line is one row, also in CSV: no field of a row has a line break in it. A line that cannot be read is a row that is
denied as `malformed`; an empty line is no row, but is counted.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

from config.api.fields import render_instant
from config.fields import keyring
from config.values.ciphertext import digest
from config.values.phone import is_plain
from disputes.holds.asking import read_item
from disputes.holds.gate import Answer
from disputes.holds.screening import ROWS, Rows, screen_rows

Format = Literal["csv", "ndjson"]

COLUMNS = ("request_id", "phone", "loan", "channel", "category", "sending_rule", "vendor", "reply_to")
REQUIRED = ("phone", "channel", "category")
ANSWER_COLUMNS = ("line", "request_id", "outcome", "reasons", "next_allowed_at", "decided_at")
LONGEST_LINE = 64 * 1024
"""Bytes. A longer line is malformed."""
SHORT = 200
"""Characters: within a line as short as that no field is too long but the phone, which its form limits."""


class BadHeader(ValueError):
    """The first line of a CSV campaign does not name the columns that it needs."""


@dataclass(kw_only=True, slots=True)
class Part:
    """One chunk of a campaign, answered. `answers`: the lines to write; `header`: of a CSV; `read`, `lines`: bytes and
    lines of the campaign up to the end of the chunk; `rows`, `allowed`, `malformed`: counts."""

    answers: bytes
    header: str
    read: int
    lines: int
    rows: int
    allowed: int
    malformed: int
    decided_at: datetime


def screen_campaign(
    *,
    chunks: Iterable[bytes],
    form: Format,
    caller: str,
    rows_at_once: int = ROWS,
    read: int = 0,
    lines: int = 0,
    header: bytes | None = None,
) -> Iterator[Part]:
    """Answers a campaign part by part, in its order; memory does not grow with its length.

    `chunks`: its bytes, in pieces of any size. `read`, `lines`, `header`: where an interrupted screening goes on: how
    much `chunks` leaves out, in bytes and lines, and the first line of the CSV. The header of the answers is
    `answer_header`. Raises BadHeader, before anything is answered.
    """
    source = _Lines(chunks, read=read, lines=lines)
    reader: Callable[[Rows, Sequence[int], Sequence[bytes]], None] = _read_ndjson
    if form == "csv":
        header = source.first() if header is None else header
        reader = _CsvReader(header).read
    while True:
        numbers, block = source.take(rows_at_once)
        if not block:
            return
        rows = Rows()
        reader(rows, numbers, block)
        yield _answered(rows, form=form, caller=caller, source=source, header=(header or b"").decode())


def answer_header(form: Format) -> bytes:
    """The line that stands before the answers."""
    return (",".join(ANSWER_COLUMNS) + "\n").encode() if form == "csv" else b""


class _Lines:
    """The lines of a stream, counted, with the bytes read so far."""

    def __init__(self, chunks: Iterable[bytes], *, read: int, lines: int) -> None:
        self.read = read
        self.lines = lines
        self._chunks = iter(chunks)
        self._ready: list[bytes] = []
        self._rest = b""
        self._cut = 0

    def first(self) -> bytes:
        """The first line that is not empty, without its byte order mark. b"" where there is none."""
        _, block = self.take(1)
        return block[0].removeprefix(b"\xef\xbb\xbf") if block else b""

    def take(self, count: int) -> tuple[list[int], list[bytes]]:
        """Up to so many lines that are not empty, and their numbers; none at the end."""
        numbers: list[int] = []
        found: list[bytes] = []
        while len(found) < count:
            if not self._ready and not self._refill():
                break
            part, self._ready = self._ready[: count - len(found)], self._ready[count - len(found) :]
            first = self.lines + 1
            self.lines += len(part)
            self.read += sum(map(len, part)) + len(part)
            for number, line in enumerate(part, first):
                if line and line != b"\r":
                    numbers.append(number)
                    found.append(line)
        return numbers, found

    def _refill(self) -> bool:
        """More lines from the stream; False at its end."""
        while not self._ready:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ready, self._rest = [self._rest] if self._rest else [], b""
                self.read, self._cut = self.read + self._cut, 0
                return bool(self._ready)
            self._ready = (self._rest + chunk).split(b"\n")
            self._rest = self._ready.pop()
            if self._ready:
                self.read, self._cut = self.read + self._cut, 0
            if len(self._rest) > LONGEST_LINE:
                # Its beginning is enough to refuse it by.
                self._cut += len(self._rest) - LONGEST_LINE - 1
                self._rest = self._rest[: LONGEST_LINE + 1]
        return True


def _malformed(rows: Rows, number: int, request_id: str = "") -> None:
    rows.add(number=number, request_id=request_id, phone=None, loan=None, kind=0)


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

    def read(self, rows: Rows, numbers: Sequence[int], lines: Sequence[bytes]) -> None:
        try:
            text = b"\n".join(lines).decode()
        except UnicodeDecodeError:
            for number, line in zip(numbers, lines):
                self._slowly(rows, number, line)
            return
        if "\0" in text or "\r" in text:
            for number, line in zip(numbers, lines):
                self._slowly(rows, number, line)
            return
        self._fast(rows, numbers, text.split("\n"))

    def _fast(self, rows: Rows, numbers: Sequence[int], lines: Sequence[str]) -> None:
        """Lines without quotes, of known kinds and plain phones are read by what the slow way found of their like."""
        at, width = self._at, self._width
        request_at, phone_at, loan_at = at["request_id"], at["phone"], at["loan"]
        channel_at, category_at, rule_at = at["channel"], at["category"], at["sending_rule"]
        known: dict[tuple[str, str, str], int] = {}
        ring = keyring()
        add_number, add_request = rows.numbers.append, rows.requests.append
        add_phone, add_loan, add_kind = rows.phones.append, rows.loans.append, rows.kinds.append
        for number, line in zip(numbers, lines):
            if '"' not in line and len(line) <= SHORT:
                fields = line.split(",")
                if len(fields) == width:
                    fields.append("")
                    key = (fields[channel_at], fields[category_at], fields[rule_at])
                    kind, loan, phone = known.get(key), fields[loan_at], fields[phone_at]
                    if kind is not None and loan and is_plain(phone):
                        add_number(number)
                        add_request(fields[request_at])
                        add_phone(digest(ring, "phone", phone))
                        add_loan(loan)
                        add_kind(kind)
                        continue
                    if self._slowly(rows, number, line.encode()):
                        known[key] = rows.kinds[-1]
                    continue
            self._slowly(rows, number, line.encode())

    def _slowly(self, rows: Rows, number: int, line: bytes) -> bool:
        """One row by the gate's own reading. Whether it could be read."""
        try:
            fields = _fields(line.decode().rstrip("\r"))
        except (UnicodeDecodeError, csv.Error):
            _malformed(rows, number)
            return False
        if len(fields) != self._width:
            _malformed(rows, number)
            return False
        fields.append("")
        named = {name: fields[place] for name, place in self._at.items() if fields[place]}
        return _add(rows, number, msgspec.json.encode(named), named.get("request_id", ""))


def _fields(line: str) -> list[str]:
    """The fields of one line. Raises csv.Error, also for a quote that the line leaves open."""
    return next(iter(csv.reader([line], strict=True)), [])


class _Named(msgspec.Struct):
    request_id: str | None = None


_read_name = msgspec.json.Decoder(_Named)


def _read_ndjson(rows: Rows, numbers: Sequence[int], lines: Sequence[bytes]) -> None:
    for number, line in zip(numbers, lines):
        _add(rows, number, line, None)


def _add(rows: Rows, number: int, raw: bytes, request_id: str | None) -> bool:
    """A row from its JSON, read as the gate reads an item. Whether it could be read; if not, it keeps its request id
    where that much can be read. `request_id`: None: look for it."""
    item = read_item(raw) if len(raw) <= LONGEST_LINE else None
    if item is None:
        _malformed(rows, number, _name_of(raw) if request_id is None else request_id)
        return False
    rows.add(
        number=number,
        request_id=item.request_id,
        phone=item.phone,
        loan=item.loan,
        kind=rows.kind_of(item.channel, item.category, item.sending_rule),
    )
    return True


def _name_of(raw: bytes) -> str:
    try:
        return _read_name.decode(raw[:LONGEST_LINE]).request_id or ""
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""


def _answered(rows: Rows, *, form: Format, caller: str, source: _Lines, header: str) -> Part:
    screened = screen_rows(rows, caller=caller)
    at = render_instant(screened.at)
    tails: dict[int, str] = {}
    written: list[str] = []
    for number, request_id, answer in zip(rows.numbers, rows.requests, screened.answers):
        tail = tails.get(id(answer))
        if tail is None:
            tail = tails[id(answer)] = _tail(answer, form=form, decided_at=at)
        if form == "ndjson":
            named = msgspec.json.encode(request_id or None).decode()
            written.append(f'{{"line":{number},"request_id":{named},{tail}')
        else:
            written.append(f"{number},{_quoted(request_id)},{tail}")
    return Part(
        answers="".join(written).encode(),
        header=header,
        read=source.read,
        lines=source.lines,
        rows=len(rows.numbers),
        allowed=sum(not answer.reasons for answer in screened.answers),
        malformed=sum(phone is None for phone in rows.phones),
        decided_at=screened.at,
    )


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text


_SPECIAL = re.compile(r'[",\r\n]')


def _tail(answer: Answer, *, form: Format, decided_at: str) -> str:
    """The rest of an answer's line, after its line number and request id."""
    outcome = "deny" if answer.reasons else "allow"
    then = None if answer.next_allowed_at is None else render_instant(answer.next_allowed_at)
    if form == "csv":
        return f"{outcome},{' '.join(answer.reasons)},{then or ''},{decided_at}\n"
    fields = {"outcome": outcome, "reasons": answer.reasons, "next_allowed_at": then, "decided_at": decided_at}
    return msgspec.json.encode(fields).decode()[1:] + "\n"
