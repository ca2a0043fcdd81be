"""The rows of one part of a screening: some hundred thousand of them, as text that COPY reads, kept in a file."""

from __future__ import annotations

import re
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from disputes.holds.walking import GateItem

BLOCK = 20_000
"""Rows of one text, or a few more."""
IN_MEMORY = 1024 * 1024
"""Bytes of a part's text that need no file."""
PEOPLE = frozenset({"survey"})
"""Categories whose answer hangs on the persons behind a phone, so that no two rows need be alike."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What rows of a campaign share."""

    channel: str
    category: str
    sending_rule: str | None


class Rows:
    """Rows in their order, each known by its place from 0.

    `kind_list`: the kinds, known by their place; `malformed`: places of those that cannot be read; `apart`: those that
    share an answer with no other by what they ask: without a loan, a survey, an answer to a person's own message;
    `sortable`: how many the rest are.
    """

    def __init__(self) -> None:
        self.count = 0
        self.sortable = 0
        self.kind_list: list[Kind] = []
        self.malformed: list[int] = []
        self.apart: dict[int, GateItem] = {}
        self._kinds: dict[tuple[str, str, str | None], int] = {}
        self._lines: list[str] = []
        # Closed when nobody has the rows any more.
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
        self._firsts: list[int] = []
        """Of each block, the place of its first row."""
        self._ends = [0]
        """Where blocks begin and end in the file."""

    def kind_of(self, channel: str, category: str, sending_rule: str | None) -> int:
        """The place of such a kind, made where there is none yet."""
        key = (channel, category, sending_rule)
        place = self._kinds.get(key)
        if place is None:
            place = self._kinds[key] = len(self.kind_list)
            self.kind_list.append(Kind(channel, category, sending_rule))
        return place

    def add(self, item: GateItem | None) -> None:
        """The next row; None: it cannot be read."""
        if item is None:
            self.malformed.append(self.count)
            self.count += 1
        elif item.loan is None or item.reply_to is not None or item.category in PEOPLE:
            self.apart[self.count] = item
            self.count += 1
        else:
            kind = self.kind_of(item.channel, item.category, item.sending_rule)
            self.add_plain(_escaped(item.request_id), item.phone, _escaped(item.loan), kind)

    def add_plain(self, request: str, phone: bytes, loan: str, kind: int) -> None:
        """The next row, of a kind that `kind_of` gave; its texts without a character that COPY would have escaped."""
        self.add_columns([request], [phone], [loan], [kind])

    def add_columns(
        self, requests: Sequence[str], phones: Iterable[bytes], loans: Iterable[str], kinds: Iterable[int]
    ) -> None:
        """The next rows, as `add_plain` adds one."""
        places = range(self.count, self.count + len(requests))
        self._lines += [
            f"{place}\t{kind}\t{loan}\t\\\\x{phone.hex()}\t{request}\n"
            for place, request, phone, loan, kind in zip(places, requests, phones, loans, kinds)
        ]
        self.count += len(places)
        self.sortable += len(places)
        if len(self._lines) >= BLOCK:
            self._close_block()

    def _close_block(self) -> None:
        if self._lines:
            self._firsts.append(_place(self._lines[0]))
            text = "".join(self._lines).encode()
            self._file.seek(self._ends[-1])
            self._file.write(text)
            self._ends.append(self._ends[-1] + len(text))
            self._lines = []

    def copied(self) -> Iterator[bytes]:
        """The sortable rows as COPY reads them: place, kind, loan, phone, request (empty: none)."""
        self._close_block()
        return (self._block(number) for number in range(len(self._firsts)))

    def _block(self, number: int) -> bytes:
        self._file.seek(self._ends[number])
        return self._file.read(self._ends[number + 1] - self._ends[number])

    def columns(self) -> Iterator[Mapping[str, Any]]:
        """The same as columns of one length, a block at a time."""
        for block in self.copied():
            columns = zip(*map(_fields, block.decode().split("\n")[:-1]))
            yield dict(zip(("n", "kind", "loan", "phone", "request"), map(list, columns)))

    def items(self, places: Iterable[int]) -> Iterator[tuple[int, GateItem]]:
        """The rows at these places, ascending, as the gate is asked them. Not for one that cannot be read."""
        self._close_block()
        lines: dict[int, str] = {}
        held = -1
        for place in places:
            item = self.apart.get(place)
            if item is None:
                block = bisect_right(self._firsts, place) - 1
                if block != held:
                    held = block
                    lines = {_place(line): line for line in self._block(block).decode().split("\n")[:-1]}
                item = self._item(lines[place])
            yield place, item

    def _item(self, line: str) -> GateItem:
        _, kind, loan, phone, request = _fields(line)
        asked = self.kind_list[kind]
        return GateItem(
            request_id=request,
            phone=phone,
            loan=loan,
            channel=asked.channel,
            category=asked.category,
            sending_rule=asked.sending_rule,
        )


def _place(line: str) -> int:
    return int(line[: line.index("\t")])


def _fields(line: str) -> tuple[int, int, str, bytes, str]:
    place, kind, loan, phone, request = line.rstrip("\n").split("\t")
    return int(place), int(kind), _plain(loan), bytes.fromhex(phone[3:]), _plain(request)


_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_ESCAPED = re.compile(r"\\(.)")
_PLAIN = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}


def _escaped(text: str) -> str:
    """As COPY reads it."""
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], text) if _SPECIAL.search(text) else text


def _plain(text: str) -> str:
    """The other way round."""
    return _ESCAPED.sub(lambda found: _PLAIN[found[1]], text) if "\\" in text else text
