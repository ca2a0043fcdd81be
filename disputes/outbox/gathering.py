"""Handing over to the broker what a process's transactions have committed, by a thread beside them.

A task costs whoever sends it as much as several statements, and a request would wait for it. What is committed within
GATHERED_FOR is sent together instead. Nothing rests on the thread: the topics' rows are committed, and what a process
that is killed has not sent is sent by the sweeper.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import structlog

log = structlog.get_logger(__name__)

GATHERED_FOR = 0.1
"""Seconds. Far below what a check takes, and several transactions of a busy process."""
MOST = 10_000
"""How many topics may wait while a broker is slow; those beyond are left to the sweeper."""


class Gathering:
    """Gathers topics and gives them to `send`, which must not raise, in a thread of its own.

    A process that ends in order sends what is left first: the interpreter waits for the executor's thread. A fork
    begins anew: what its parent had gathered is its parent's to send.
    """

    def __init__(self, send: Callable[[list[int]], object]) -> None:
        self._send = send
        self._begin()
        gatherings.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[int] = []
        self._is_due = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")

    def add(self, topic_ids: Iterable[int]) -> None:
        """Takes topics that are committed; sent after GATHERED_FOR at the latest, unless the broker is slow."""
        with self._lock:
            self._waiting += topic_ids
            if len(self._waiting) > MOST:
                log.warning("topics_left_to_the_sweeper", topics=len(self._waiting) - MOST)
                del self._waiting[MOST:]
            if self._is_due:
                return
            self._is_due = True
        try:
            self._thread.submit(self._send_later)
        except RuntimeError:  # the interpreter is ending, and starts no threads any more
            self._send_all()

    def _send_later(self) -> None:
        time.sleep(GATHERED_FOR)
        self._send_all()

    def _send_all(self) -> None:
        with self._lock:
            taken, self._waiting, self._is_due = self._waiting, [], False
        self._send(taken)


gatherings: weakref.WeakSet[Gathering] = weakref.WeakSet()


def _begin_anew() -> None:
    for one in list(gatherings):
        one._begin()


os.register_at_fork(after_in_child=_begin_anew)
