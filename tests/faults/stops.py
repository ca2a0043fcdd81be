"""Places at which a process of the service waits until a test lets it go on.

A stop is a file: armed by the test, taken by the first process that comes (a rename, which one alone can do), let go by
the test.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

LONGEST = 60.0
"""Seconds after which a process goes on by itself: a test that failed must not leave it waiting."""


def stop_at(place: Path, name: str) -> None:
    """Waits where the stop is armed and nobody has taken it."""
    try:
        (place / f"{name}.armed").rename(place / f"{name}.taken")
    except FileNotFoundError:
        return
    until = time.monotonic() + LONGEST
    while not (place / f"{name}.go").exists() and time.monotonic() < until:
        time.sleep(0.005)


@dataclass(frozen=True, kw_only=True)
class Stops:
    """The test's side. `place`: an empty directory."""

    place: Path

    def arm(self, name: str) -> None:
        for old in ("taken", "go"):
            (self.place / f"{name}.{old}").unlink(missing_ok=True)
        (self.place / f"{name}.armed").touch()

    def wait_taken(self, name: str) -> None:
        """Until a process stands there."""
        until = time.monotonic() + LONGEST
        while not (self.place / f"{name}.taken").exists():
            assert time.monotonic() < until, f"nobody came to {name}"
            time.sleep(0.005)

    def let_go(self, name: str) -> None:
        (self.place / f"{name}.armed").unlink(missing_ok=True)
        (self.place / f"{name}.go").touch()
