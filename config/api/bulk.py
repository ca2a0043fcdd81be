"""Bodies and answers that are too long for memory: a body that is read as it comes, an answer kept in a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from django.http import HttpRequest

from config.api.errors import ClientError
from config.api.places import Place

CHUNK = 64 * 1024
IN_MEMORY = 1024 * 1024
"""Bytes of an answer that are kept in memory before it goes to a temporary file."""
BULK_FROM = 1024 * 1024
"""Bytes of a body from which a call is a bulk call; one of unknown length is."""
_CUT = "The body ended before it was complete."


class SpooledAnswer:
    """An answer that is kept until the whole body has been read, so that a client may send everything before it reads.
    Closing it frees the file and the place."""

    def __init__(self, place: Place | None) -> None:
        self._place = place
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed with the response

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def rewind(self) -> int:
        """Back to the beginning. Returns the length in bytes."""
        length = self._file.tell()
        self._file.seek(0)
        return length

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self._file.read(CHUNK):
            yield chunk

    def close(self) -> None:
        self._file.close()
        if self._place is not None:
            self._place.leave()


def body_length(request: HttpRequest) -> int | None:
    """The body's length in bytes; None where it comes in chunks, and the server marks its end."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.isdigit():
        return int(length)
    return None if request.META.get("wsgi.input_terminated") else 0


def body_chunks(request: HttpRequest, *, length: int | None, lines_end: bool = False) -> Iterator[bytes]:
    """The body as it comes. One of unknown length is read from the server itself: Django takes it for empty.

    Raises ClientError after the last bytes of a body that was cut, so that whoever reads lines never takes half a one
    for whole: ``1280.50`` without its end is ``128``. The web server tells the end of a body and of a connection alike,
    so a body of known length is counted; of one that comes in chunks nothing can be counted. `lines_end`: such a body
    must end with a line end, since its form does not show by itself that a line was cut (CSV; JSON does).
    """
    source = request.META["wsgi.input"] if length is None else request
    read, last = 0, b"\n"
    try:
        while chunk := source.read(CHUNK):
            read, last = read + len(chunk), chunk[-1:]
            yield chunk
    except OSError as error:
        raise ClientError(_CUT, "incomplete_body") from error
    if length is not None and read < length:
        raise ClientError(_CUT, "incomplete_body")
    if length is None and lines_end and last != b"\n":
        raise ClientError(f"{_CUT} One that comes in chunks ends with a line end.", "incomplete_body")
