"""A sender's process, run by itself: threads that send as fast as they can, and a log of everything in its order.

Reads one JSON object on its first line: ``base_url`` ``client_id`` ``client_secret`` ``people`` [[customer, loan,
phone]] ``log`` (a file) ``copy`` (a file) ``follows`` ``fails_open`` ``threads`` (of each kind) ``seed``. Then a line
``{"recall": [id, …]}`` for each dispute, until the end of its input ends it. Instants are of the machine's steady
clock, the same in every process.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

from recourse_client import Clock, Decision, Feed, Item, LocalCopy, Permit, Reason, Sender

CLOCK = Clock()
BROKEN = frozenset(set(Reason) - {Reason.DENIED, Reason.ALREADY_HANDED_OVER, Reason.NOT_HANDED_OVER})


class Log:
    def __init__(self, path: str) -> None:
        self._file = Path(path).open("w")  # noqa: SIM115 - open as long as the process lives
        self._lock = threading.Lock()

    def write(self, **row: Any) -> None:
        with self._lock:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()


class Campaign:
    """`fails_open`: takes every failure for leave, as a sender that wraps the question in a try does."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.log = Log(told["log"])
        self.people = told["people"]
        self.fails_open = told["fails_open"]
        self.stop = threading.Event()
        named = (told["base_url"], told["client_id"], told["client_secret"])
        copy = LocalCopy(told["copy"], stale_seconds=2)
        self.feed = Feed(*named, copy=copy, poll_seconds=0.3) if told["follows"] else None
        self.sender = Sender(*named, copy=copy, answer_seconds=5)
        self.threads = [
            threading.Thread(target=way, args=(random.Random(told["seed"] * 100 + n),))
            for n, way in enumerate([self._send_at_once, self._send_from_a_queue] * told["threads"])
        ]

    def run(self) -> None:
        if self.feed is not None:
            self.feed.start()
        for thread in self.threads:
            thread.start()
        for line in sys.stdin:
            permits = json.loads(line)["recall"]
            late = self.sender.recall(permits)
            self.log.write(kind="recalled", permits=permits, late=sorted(late), at=CLOCK.steady())
        self.stop.set()
        for thread in self.threads:
            thread.join()
        if self.feed is not None:
            self.feed.stop()

    def _send_at_once(self, chance: random.Random) -> None:
        """One by one, as fast as it goes."""
        while not self.stop.is_set():
            self._ask(chance, number=1, queued=0.0)

    def _send_from_a_queue(self, chance: random.Random) -> None:
        """Many at a time, which then lie in a queue for a while, now and then longer than their permits live."""
        while not self.stop.is_set():
            self._ask(chance, number=25, queued=chance.uniform(0.3, 3))

    def _ask(self, chance: random.Random, *, number: int, queued: float) -> None:
        items = [self._item(person, chance) for person in chance.sample(self.people, k=number)]
        asked_at = CLOCK.steady()
        decisions = self.sender.ask(items, permit_seconds=chance.choice((4, 10, 60)))
        time.sleep(queued)
        for decision in decisions:
            self._hand_over(decision, asked_at)
        if any(decision.failure for decision in decisions):
            # Leaves the machine some time to start what was killed.
            time.sleep(0.1)

    def _item(self, person: tuple[str, str, str], chance: random.Random) -> Item:
        _, loan, phone = person
        if chance.random() < 0.2:
            return Item(phone=phone, loan=loan, category="urge", sending_rule="R1", vendor="V1")
        return Item(phone=phone, loan=loan, category="survey", vendor="V1")

    def _hand_over(self, decision: Decision, asked_at: float) -> None:
        began = CLOCK.steady()

        def carrier(permit: Permit | None) -> None:
            self.log.write(
                kind="taken",
                permit=None if permit is None else permit.id,
                loan=decision.item.loan,
                asked_at=asked_at if permit is None else permit.asked_at,
                began=began,
                wall=CLOCK.wall(),
                at=CLOCK.steady(),
            )

        outcome = self.sender.hand_over(decision, carrier)
        if not outcome.sent:
            self.log.write(kind="unsent", reason=outcome.reason, reasons=decision.reasons, at=CLOCK.steady())
            if self.fails_open and outcome.reason in BROKEN:
                began = CLOCK.steady()
                carrier(decision.permit)


if __name__ == "__main__":
    Campaign(json.loads(sys.stdin.readline())).run()
