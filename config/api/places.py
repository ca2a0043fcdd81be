"""Places for calls that take long: imports, screenings, exports.

A web process that answers one call at a time is taken for as long as a bulk call lasts. So each machine has a few
places for such calls, fewer than its web processes, and one too many is told to come again. A place is a lock on a
file, which the system frees however its holder ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from pathlib import Path
from types import TracebackType

from django.conf import settings

from config.api.errors import TooMany

WAIT = 5
"""Seconds after which a call that found no place is asked to come again."""


class Place:
    """One place, held until `leave` or the end of the process. Leaving twice does no harm."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def leave(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


def take_place() -> Place:
    """A place for one bulk call on this machine. Raises TooMany (429 with Retry-After) where all are taken.

    How many there are is the setting BULK_CALLS.
    """
    directory = _directory()
    for number in range(settings.BULK_CALLS):
        descriptor = os.open(directory / f"place-{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        return Place(descriptor)
    raise TooMany("Too many bulk calls at once. Try again later.", wait=WAIT)


def _directory() -> Path:
    """One a deployment, machine and user: two services on one machine do not take each other's places."""
    name = hashlib.sha256(settings.SECRET_KEY.encode()).hexdigest()[:16]
    directory = Path(tempfile.gettempdir()) / f"recourse-{os.getuid()}-{name}"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory
