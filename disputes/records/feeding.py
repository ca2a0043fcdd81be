"""Records with their place in a file: what the import is given, and its results with the place put back.

The import itself numbers what it is given. Here blank lines are left out, a record of CSV is written as the line of
NDJSON that says the same, and each result is told with the line of the file on which its record begins, and with the
bytes up to its end, from which an import can go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from disputes.records.importing import BatchWatch, Result, import_lines
from disputes.records.reading import MAX_LINE, Refused

BOM = b"\xef\xbb\xbf"
_NO_RECORD = b"!"
"""Stands in the import for a record that could not be read from its file: it takes its turn, and is refused."""


class Piece(msgspec.Struct, frozen=True, gc=False):
    """One record's text as a line of NDJSON. `number`: the line of the file on which it begins, from 1; `last`: the one
    on which it ends; `end`: the bytes of the file up to its end, line end included; `refused`: why it could not be read
    (`raw` then says nothing)."""

    number: int
    last: int
    end: int
    raw: bytes
    refused: Refused | None = None


class Told(msgspec.Struct, frozen=True, gc=False):
    """A result with its place. `last`, `end` as in Piece; `settled`: nothing that was read waits behind it, so that an
    import may stop here."""

    result: Result
    last: int
    end: int
    settled: bool


def split_lines(chunks: Iterable[bytes], *, number: int = 0, end: int = 0) -> Iterator[Piece]:
    """The lines of a file that comes in chunks of any size, blank ones too, without their line ends.

    `number` and `end`: the place at which the chunks begin. Of a line beyond MAX_LINE only the beginning is kept, so
    that memory does not grow with it: it is still too long, and is refused as such. A byte order mark at the beginning
    of the file is left out.
    """
    rest, lost = b"", 0
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for raw in whole:
            end += len(raw) + 1 + lost
            number, lost = number + 1, 0
            yield Piece(number, number, end, raw.removeprefix(BOM) if number == 1 else raw)
        if len(rest) > MAX_LINE + 1:
            lost += len(rest) - MAX_LINE - 1
            rest = rest[: MAX_LINE + 1]
    if rest:
        number += 1
        yield Piece(number, number, end + len(rest) + lost, rest.removeprefix(BOM) if number == 1 else rest)


def ndjson_pieces(lines: Iterable[Piece]) -> Iterator[Piece]:
    """Each line is a record, but for blank ones."""
    for line in lines:
        if line.raw.strip():
            yield line


class Feed:
    """Pieces on their way through the import."""

    def __init__(self, pieces: Iterator[Piece]) -> None:
        self._pieces = pieces
        self._waiting: deque[Piece] = deque()

    def import_all(self, *, dry_run: bool = False, watch: BatchWatch | None = None, now: datetime) -> Iterator[Told]:
        """Imports the pieces as `import_lines` does, which owns the transactions; yields a result a piece, in order.

        What `watch` raises comes through; `rest` then yields what was not told.
        """
        waiting = self._waiting
        for result in import_lines(lines=self._raw(), dry_run=dry_run, watch=watch, now=now):
            piece = waiting.popleft()
            if piece.refused is not None or result.line != piece.number:
                result = _placed(result, piece)
            yield Told(result, piece.last, piece.end, not waiting)

    def rest(self) -> Iterator[Piece]:
        """The pieces whose results were not told: those of the batch that was stopped, and what comes after it."""
        while self._waiting:
            yield self._waiting.popleft()
        yield from self._pieces

    def _raw(self) -> Iterator[bytes]:
        wait = self._waiting.append
        for piece in self._pieces:
            wait(piece)
            yield piece.raw if piece.refused is None else _NO_RECORD


def _placed(result: Result, piece: Piece) -> Result:
    if piece.refused is not None:
        return refusal(piece.refused)
    return Result(
        line=piece.number,
        type=result.type,
        external_id=result.external_id,
        result=result.result,
        errors=result.errors,
    )


def refusal(refused: Refused) -> Result:
    """The result of a record that is refused."""
    return Result(
        line=refused.number,
        type=refused.type,
        external_id=refused.external_id,
        result="error",
        errors=refused.errors,
    )


def refuse_piece(piece: Piece, *, code: str, detail: str) -> Result:
    """The result of a piece that was not imported, for a reason that does not lie in it."""
    try:
        named = msgspec.json.decode(piece.raw, type=_Named)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        named = _Named()
    error = {"code": code, "detail": detail, "attr": None}
    return refusal(Refused(piece.number, named.type, named.external_id, [error]))


class _Named(msgspec.Struct):
    type: str | None = None
    external_id: str | None = None
