"""What this process knows of its permits: which were recalled, and which message is on its way."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable

from recourse_client.clock import Clock
from recourse_client.messages import Permit, Reason

KEPT_SECONDS = 1800.0
"""Three times as long as a permit can live; then it is forgotten."""
_SWEEP_EVERY = 10_000


class Recalls:
    """One lock decides between a recall and a hand-over: whichever comes first wins, and the other is told."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._recalled: dict[str, float] = {}
        self._begun: dict[str, float] = {}
        self._since_sweep = 0

    def recall(self, permits: Iterable[str]) -> frozenset[str]:
        """From the return on, none of these permits is handed over by this process, but those that are returned: their
        hand-over had begun before. Raises ValueError for what is no permit's id."""
        ids = [str(uuid.UUID(permit)) for permit in permits]
        now = self._clock.steady()
        with self._lock:
            self._recalled.update(dict.fromkeys(ids, now))
            self._sweep(len(ids), now)
            return frozenset(permit for permit in ids if permit in self._begun)

    def why_not(self, permit: Permit) -> Reason | None:
        """What is known against a hand-over that would begin now. None: nothing, and `begin` has the last word."""
        if permit.id in self._begun:
            return Reason.ALREADY_HANDED_OVER
        return Reason.RECALLED if permit.id in self._recalled else None

    def begin(self, permit: Permit) -> Reason | None:
        """The last question before the hand-over. None: it has begun; else why it must not."""
        with self._lock:
            known = self.why_not(permit)
            if known is not None:
                return known
            if permit.seconds_left <= 0:
                return Reason.EXPIRED
            now = self._clock.steady()
            self._begun[permit.id] = now
            self._sweep(1, now)
            return None

    def _sweep(self, added: int, now: float) -> None:
        """Needs the lock."""
        self._since_sweep += added
        if self._since_sweep < _SWEEP_EVERY:
            return
        self._since_sweep = 0
        for known in (self._recalled, self._begun):
            for permit in [permit for permit, at in known.items() if now - at > KEPT_SECONDS]:
                del known[permit]
