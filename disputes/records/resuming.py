"""How far an import of a file has come, in a small file beside it, so that another run can go on from there.

It is written after each batch that is committed: whoever is killed in between imports that one batch again, which
changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

BLOCK = 64 * 1024
"""Bytes of the file's beginning, and of what was read last, by which it is known again."""
_FORM = 1


class CannotResume(Exception):
    """Why the import cannot go on where it stopped; the message says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """`size`: of the file, in bytes; `first`, `last`: digests of its first block, and of the block up to `end`;
    `end`, `line`: bytes and lines that are done; `counts`: how many lines had which result; `changed`: how many stored
    records were changed, by type; `began_at`: the first run's instant; `read_as`: format and type of record."""

    size: int
    first: str
    last: str
    end: int
    line: int
    began_at: datetime
    read_as: list[str | None]
    counts: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)


class ProgressFile:
    """The file `path`, about the open file `source`."""

    def __init__(self, *, path: Path, source: BinaryIO, read_as: list[str | None]) -> None:
        self.path = path
        self._source = source
        self._read_as = read_as
        self._size = os.fstat(source.fileno()).st_size
        self._first = self._digest(0, min(BLOCK, self._size))

    def read(self) -> Progress | None:
        """How far an earlier run came; None where none left anything. Raises CannotResume where what it left cannot be
        read, or is about another file or another way of reading it."""
        try:
            found = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise CannotResume(f"{self.path} cannot be read ({type(error).__name__}). {_ANEW}") from error
        progress = _progress(found)
        if progress is None:
            raise CannotResume(f"{self.path} does not say how far an import came. {_ANEW}")
        if progress.read_as != self._read_as:
            raise CannotResume(f"The earlier run read the file as {_words(progress.read_as)}. {_ANEW}")
        same = (
            progress.size == self._size
            and progress.first == self._first
            and progress.last == self._digest_before(progress.end)
        )
        if not same:
            raise CannotResume(f"The file is not the one that the earlier run read. {_ANEW}")
        return progress

    def write(
        self, *, end: int, line: int, began_at: datetime, counts: dict[str, int], changed: dict[str, int]
    ) -> None:
        """Says how far it came, at once or not at all: a reader finds the old state or the new one."""
        progress = Progress(
            size=self._size,
            first=self._first,
            last=self._digest_before(end),
            end=end,
            line=line,
            began_at=began_at,
            read_as=self._read_as,
            counts=counts,
            changed=changed,
        )
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            fresh.write_text(json.dumps({"form": _FORM, **asdict(progress), "began_at": began_at.isoformat()}))
            fresh.replace(self.path)
        except BaseException:
            with suppress(OSError):
                fresh.unlink()
            raise

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def _digest_before(self, end: int) -> str:
        start = max(0, end - BLOCK)
        return self._digest(start, end - start)

    def _digest(self, start: int, length: int) -> str:
        return hashlib.sha256(os.pread(self._source.fileno(), length, start)).hexdigest()


_ANEW = "Import it from the beginning, without --resume: what is known already changes nothing."


def _progress(found: Any) -> Progress | None:
    if not isinstance(found, dict) or found.pop("form", None) != _FORM:
        return None
    try:
        progress = Progress(**found | {"began_at": datetime.fromisoformat(found["began_at"])})
    except (KeyError, TypeError, ValueError):
        return None
    whole = isinstance(progress.end, int) and isinstance(progress.line, int)
    return progress if whole and 0 <= progress.end <= progress.size and progress.began_at.tzinfo else None


def _words(read_as: list[str | None]) -> str:
    return " of ".join(word for word in read_as if word)


def chunks_from(source: BinaryIO, *, end: int, size: int) -> Iterator[bytes]:
    """The file from a place on, in chunks."""
    source.seek(end)
    while chunk := source.read(size):
        yield chunk
