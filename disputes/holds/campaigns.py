"""Campaign files: what is to be sent, a message a line, as CSV or NDJSON; and the answers, in the same form and order.

One line is one row, also in CSV: no field of a row has a line break in it. A line that cannot be read is a row that is
denied as `malformed`; an empty line is no row, but is counted. While the database answers two parts, each on a
connection of its own, another thread reads the next one's rows.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import msgspec
from django.db import connection

from config.api.fields import render_instant
from disputes.holds.campaign_rows import BOM, LONGEST_LINE, Asked, BadHeader, Form, reader_of
from disputes.holds.gate import Answer
from disputes.holds.rows import Rows
from disputes.holds.screening import screen_rows

GZIP = b"\x1f\x8b"
ANSWER_COLUMNS = ("line", "request_id", "outcome", "reasons", "next_allowed_at", "decided_at")
ROWS = 500_000
"""Lines of one part at most: enough for the database to join rather than to look up."""
SIZE = 32 * 1024 * 1024
"""Bytes of a campaign from which on a part is full, so that memory stays flat."""
AT_ONCE = 2
"""Parts that are answered at the same time."""


@dataclass(kw_only=True, slots=True)
class Part:
    """One part of a campaign, answered. `answers`: the lines to write, some at a time; `rows`, `allowed`, `malformed`:
    counts; `header`: of a CSV; `read`, `lines`: bytes and lines of the campaign up to the end of the part; `last`:
    nothing follows."""

    answers: Sequence[bytes]
    rows: int
    allowed: int
    malformed: int
    decided_at: datetime
    header: str
    read: int
    lines: int
    last: bool = False


@dataclass(kw_only=True, slots=True)
class _Block:
    """Whole lines of a campaign (`raw`; the last may lack its end), and where they stand: `first`: the number of their
    first; `read`, `lines`: bytes and lines of the campaign up to their end."""

    raw: bytes
    first: int
    read: int
    lines: int


def screen_campaign(
    *,
    chunks: Iterable[bytes],
    form: Form,
    caller: str,
    rows_at_once: int = ROWS,
    read: int = 0,
    lines: int = 0,
    header: bytes | None = None,
) -> Iterator[Part]:
    """Answers a campaign part by part, in its order; memory does not grow with its length.

    `chunks`: its bytes, in pieces of any size, read by the calling thread, some parts ahead. `rows_at_once`: lines of a
    part at most. `read`, `lines`, `header`: where an interrupted screening goes on: how much `chunks` leaves out, in
    bytes and lines, and the first line of the CSV. The header of the answers is `answer_header`. A campaign of one part
    is answered on the caller's connection, and so is any inside a transaction, whose snapshot no other connection has;
    one of more parts on `AT_ONCE` others. Raises BadHeader, before anything is answered.
    """
    source = _Source(chunks if read else _unpacked(chunks), read=read, lines=lines)
    if form == "csv" and header is None:
        header = source.first()
    reader = reader_of(form, header or b"")
    following = source.take(rows_at_once)
    waiting: deque[Callable[[], Part]] = deque()
    with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(AT_ONCE) as answering:
        at_once = 1
        try:
            while following is not None or waiting:
                while following is not None and len(waiting) <= at_once:
                    block, following = following, source.take(rows_at_once)
                    if following is not None and not connection.in_atomic_block:
                        at_once = AT_ONCE
                    asked = reading.submit(reader, block.raw, block.first)
                    block.raw = b""  # the reader has it
                    work = partial(_answered, asked, form=form, caller=caller, header=header or b"", block=block)
                    if at_once > 1:
                        waiting.append(answering.submit(copy_context().run, _on_own_connection, work).result)
                    else:
                        waiting.append(work)
                    del asked, work
                part = waiting.popleft()()
                part.last = following is None and not waiting
                yield part
                del part
        finally:
            # Whoever stops, or fails, waits for what has begun alone.
            reading.shutdown(wait=False, cancel_futures=True)
            answering.shutdown(wait=False, cancel_futures=True)


def _on_own_connection(work: Callable[[], Part]) -> Part:
    """In a thread of its own, whose connection nobody else closes."""
    try:
        return work()
    finally:
        connection.close()


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for place, chunk in enumerate(chunks):
        if place == 0 and chunk.startswith(GZIP):
            raise BadHeader("The file is compressed: unpack it first.")
        yield chunk


def answer_header(form: Form) -> bytes:
    """The line that stands before the answers."""
    return (",".join(ANSWER_COLUMNS) + "\n").encode() if form == "csv" else b""


class _Source:
    """The lines of a stream, whole, counted, with the bytes read so far. Of a line that is too long, its beginning is
    enough to refuse it by."""

    def __init__(self, chunks: Iterable[bytes], *, read: int, lines: int) -> None:
        self._chunks = iter(chunks)
        self._read = read
        self._lines = lines
        self._ready: list[bytes] = []
        """Whole lines that no block has yet."""
        self._rest = b""
        """The beginning of a line, cut where it is too long, with how much was cut off (`_cut`)."""
        self._cut = 0
        self._ended = False

    def first(self) -> bytes:
        """The first line that is not empty, without its byte order mark. b"" where there is none."""
        while (block := self.take(1)) is not None:
            if block.raw not in (b"\n", b"\r\n", b"\r"):
                return block.raw.removesuffix(b"\n").removeprefix(BOM)
        return b""

    def take(self, count: int) -> _Block | None:
        """Up to so many lines; None at the end."""
        first, pieces, size = self._lines + 1, [], 0
        while count > 0 and size < SIZE and (self._ready or self._refill()):
            piece = self._ready.pop()
            lines = piece.count(b"\n") or 1
            if lines > count:
                end = _end_of_line(piece, count)
                self._ready.append(piece[end:])
                piece, lines = piece[:end], count
            pieces.append(piece)
            count, size = count - lines, size + len(piece)
            self._lines += lines
            self._read += len(piece)
        if not pieces:
            return None
        return _Block(raw=b"".join(pieces), first=first, read=self._read, lines=self._lines)

    def _refill(self) -> bool:
        """More whole lines from the stream; False at its end."""
        while not self._ended:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
                self._take_rest(b"")
                break
            end = chunk.rfind(b"\n") + 1
            if end:
                begun = chunk.index(b"\n") + 1
                if end > begun:
                    self._ready.append(chunk[begun:end])
                self._take_rest(chunk[:begun])
            self._begin(chunk[end:])
            if self._ready:
                break
        return bool(self._ready)

    def _begin(self, more: bytes) -> None:
        self._rest += more
        if len(self._rest) > LONGEST_LINE:
            self._cut += len(self._rest) - LONGEST_LINE - 1
            self._rest = self._rest[: LONGEST_LINE + 1]

    def _take_rest(self, end: bytes) -> None:
        """The line that was begun, with its end; it comes before what is ready."""
        self._begin(end.removesuffix(b"\n"))
        line = self._rest + end[-1:]
        if line:
            self._ready.append(line)
        self._read += self._cut
        self._rest, self._cut = b"", 0


def _end_of_line(piece: bytes, count: int) -> int:
    """Where the `count`-th line ends."""
    end = 0
    for _ in range(count):
        end = piece.index(b"\n", end) + 1
    return end


def _answered(reading: Future[Asked], *, form: Form, caller: str, header: bytes, block: _Block) -> Part:
    """The part, but for whether it is the last."""
    asked = reading.result()
    rows = asked.rows
    screened, malformed = screen_rows(rows, caller=caller), len(rows.malformed)
    # What the answers do not need makes room for them.
    del rows
    asked.rows = Rows()
    at = render_instant(screened.at)
    tails = [_tail(answer, form=form, decided_at=at) for answer in screened.given]
    chosen = map(tails.__getitem__, screened.chosen)
    written = [heads.answered(chosen).encode() for heads in asked.heads]
    often = Counter(screened.chosen)
    return Part(
        answers=written,
        rows=len(screened.chosen),
        allowed=sum(often[number] for number, answer in enumerate(screened.given) if not answer.reasons),
        malformed=malformed,
        decided_at=screened.at,
        header=header.decode(),
        read=block.read,
        lines=block.lines,
    )


def _tail(answer: Answer, *, form: Form, decided_at: str) -> str:
    """The rest of an answer's line, after its line number and request id."""
    outcome = "deny" if answer.reasons else "allow"
    then = None if answer.next_allowed_at is None else render_instant(answer.next_allowed_at)
    if form == "csv":
        return f"{outcome},{' '.join(answer.reasons)},{then or ''},{decided_at}\n"
    fields = {"outcome": outcome, "reasons": answer.reasons, "next_allowed_at": then, "decided_at": decided_at}
    return msgspec.json.encode(fields).decode()[1:] + "\n"
