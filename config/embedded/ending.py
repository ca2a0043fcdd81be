"""How a process ends that has servers to stop: in order, whatever signal asks it to."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

ASK_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_Handler = Callable[[int, FrameType | None], Any]


@dataclass(kw_only=True)
class Ending:
    """What a signal does meanwhile. `kept`: by what it did before; None: it ended the process on the spot."""

    pid: int = field(default_factory=os.getpid)
    kept: dict[int, _Handler | None] = field(default_factory=dict)
    _later: bool = False
    _came: list[int] = field(default_factory=list)

    def hear(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.pid:
            # A child by fork has no servers to stop.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif self._later:
            self._came.append(number)
        else:
            self._answer(number, frame)

    def _answer(self, number: int, frame: FrameType | None) -> None:
        before = self.kept[number]
        if before is None:
            raise SystemExit(128 + number)
        before(number, frame)

    @contextlib.contextmanager
    def later(self) -> Iterator[None]:
        """A block that no signal interrupts: the first that comes is answered when it is left, in place of whatever
        went wrong in it (a terminal's Ctrl-C is heard by the programs that we run, too)."""
        self._later = True
        try:
            yield
        finally:
            self._later = False
            if self._came:
                number = self._came[0]
                self._came.clear()
                self._answer(number, None)


@contextlib.contextmanager
def in_order() -> Iterator[Ending]:
    """A block in which Ctrl-C, SIGTERM and SIGHUP raise, so that every block is left in order, and none ends the
    process on the spot. What somebody else has set is asked as before, and what is ignored stays so.

    In any thread but the first nothing changes: Python hears signals there alone.
    """
    ending = Ending()
    if threading.current_thread() is threading.main_thread():
        for number in ASK_TO_END:
            before = signal.getsignal(number)
            if before is signal.SIG_DFL or callable(before):
                ending.kept[number] = before if callable(before) else None
                signal.signal(number, ending.hear)
    try:
        yield ending
    finally:
        for heard, handler in ending.kept.items():
            # Whoever has changed it since has a reason.
            if signal.getsignal(heard) == ending.hear:
                signal.signal(heard, handler or signal.SIG_DFL)
