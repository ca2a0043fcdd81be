"""How far a long command has come, on a terminal or in plain lines; and stopping it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

LINE_EVERY = 5.0
"""Seconds between two plain lines."""
LOOK_EVERY = 0.2
"""Seconds between two looks of the bar."""


class Stopping:
    """Inside it, the first SIGINT or SIGTERM asks to stop (`asked`), and the second interrupts at once.

    Where the signals are not this thread's to take, nothing is changed.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._ask)
            except ValueError:  # not the main thread
                return self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class Show(Protocol):
    def __call__(self, *, end: int, counts: Mapping[str, int]) -> None:
        """`end`: bytes that are done; `counts`: lines that are done, by result."""


@contextmanager
def shown_progress(*, stderr: Any, size: int | None, end: int, done: int, plain: bool) -> Iterator[Show]:
    """Shows how far it is on `stderr`, a command's own: a bar on a terminal, with bytes and the time left where the
    size is known; elsewhere, where `plain` asks for it, a line every few seconds. `end`, `done`: bytes and lines
    of an earlier run."""
    began = time.monotonic()

    def fields(counts: Mapping[str, int]) -> dict[str, Any]:
        lines = sum(counts.values())
        rate = (lines - done) / max(time.monotonic() - began, 0.001)
        return {"lines": f"{lines:,}", "rate": f"{rate:,.0f}", "refused": f"{counts.get('error', 0):,}"}

    def write_line(end: int, counts: Mapping[str, int]) -> None:
        share = f", {end / size:.0%} of the file" if size else ""
        stderr.write("{lines} lines, {rate} a second, {refused} refused".format(**fields(counts)) + share)

    if stderr.isatty():
        with _bar(stderr, size) as bar:
            task = bar.add_task("", total=size, completed=end, **fields({"": done}))
            yield _every(LOOK_EVERY, lambda end, counts: bar.update(task, completed=end, **fields(counts)))
    else:
        yield _every(LINE_EVERY, write_line) if plain else _nothing


def _nothing(*, end: int, counts: Mapping[str, int]) -> None:
    """Shows nothing."""


def _bar(stderr: Any, size: int | None) -> Progress:
    columns: list[ProgressColumn] = [
        TextColumn("{task.fields[lines]} lines"),
        TextColumn("{task.fields[rate]}/s"),
        TextColumn("{task.fields[refused]} refused"),
    ]
    if size is not None:
        columns += [BarColumn(), TextColumn("{task.percentage:>3.0f}%"), DownloadColumn(), TimeRemainingColumn()]
    # A command's own stream ends every write with a line end, which a bar must not.
    return Progress(*columns, console=Console(file=getattr(stderr, "_out", stderr)), transient=True)


def _every(seconds: float, show: Callable[[int, Mapping[str, int]], object]) -> Show:
    """Shows at most so often, since showing costs."""
    last = time.monotonic()

    def looked(*, end: int, counts: Mapping[str, int]) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            show(end, counts)

    return looked
