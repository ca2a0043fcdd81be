"""Telling what was: acts of the last weeks, done in their order by the product's own functions, each at its instant.

What an act writes into the outbox is delivered before the next one, at that act's instant too: the functions are those
of `disputes.tasks`, with a told instant for `now`. Two things keep the database's clock, because their order is a
promise: holds and permits. While an act is told, holds bear its instant.
"""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from demo.carrier import QuietCarrier
from disputes import tasks
from disputes.cases import checking, following, joining, releasing, talking
from disputes.cases.transactions import in_transaction
from disputes.holds import placing
from disputes.notices import sending
from disputes.outbox import queue
from disputes.outbox.models import OutboxTopic
from disputes.routing import assigning, deadlines

Act = Callable[[datetime], None]
Told = Callable[[Mapping[str, Any], datetime], None]
"""Hears a topic's payload, at an instant."""

EACH = timedelta(hours=1)
"""How often beat is told to have come by, where anything happened."""
ROUNDS = 20
"""How often topics may cause topics before an act is done."""


class Agenda:
    """Acts in the order of their instants. An act may add others, later than itself."""

    def __init__(self, *, until: datetime) -> None:
        self.until = until
        self.also: dict[str, Told] = {}
        """Functions of apps above `disputes` that hear topics and read the clock, by name."""
        self._acts: list[tuple[datetime, int, Act]] = []
        self._places = count()
        self._newest_topic = 0

    def add(self, at: datetime, act: Act) -> None:
        """At `at` (aware). What would come after `until` is left to the day on which it comes."""
        if at <= self.until:
            heapq.heappush(self._acts, (at, next(self._places), act))

    def run(self, *, tell: Callable[[int, int], None] = lambda done, left: None) -> int:
        """Does all acts; `tell` hears how many are done and left. Returns how many. Opens its transactions."""
        done, beaten = 0, datetime.min.replace(tzinfo=UTC)
        self._newest_topic = OutboxTopic.objects.order_by("-id").values_list("id", flat=True).first() or 0
        while self._acts:
            at, _, act = heapq.heappop(self._acts)
            with holds_dated(at):
                if at - beaten >= EACH:
                    _beat(at)
                    self._deliver(at)
                    beaten = at
                act(at)
                self._deliver(at)
            done += 1
            tell(done, len(self._acts))
        _beat(self.until)
        self._deliver(self.until)
        return done

    def _deliver(self, now: datetime) -> None:
        """What the acts wrote and somebody hears; what was there before, and what nobody hears, is the workers'."""
        heard = {topic: functions for topic, functions in told_subscribers(now, self.also).items() if functions}
        for _ in range(ROUNDS):
            waiting = OutboxTopic.objects.filter(id__gt=self._newest_topic, done_at__isnull=True, topic__in=list(heard))
            ids = list(waiting.order_by("id").values_list("id", flat=True))
            if not ids:
                return
            for topic_id in ids:
                queue.deliver(topic_id=topic_id, subscribers=heard)


def _beat(now: datetime) -> None:
    """What beat would have started by then."""
    deadlines.raise_alarms(now=now)
    talking.return_silent(now=now)
    releasing.presume_delivered(now=now)
    releasing.resume_due(now=now)
    assigning.assign_waiting(now=now)


def told_subscribers(now: datetime, also: Mapping[str, Told]) -> Mapping[str, Sequence[tuple[str, queue.Subscriber]]]:
    """Who hears which topic, as in `disputes.tasks.SUBSCRIBERS`, with `now` for the clock where one is read."""
    told = {**_TOLD, **also}

    def hearing(name: str, function: queue.Subscriber) -> queue.Subscriber:
        act = told.get(name)
        return function if act is None else lambda payload: act(payload, now)

    return {
        topic: [(name, hearing(name, function)) for name, function in heard]
        for topic, heard in tasks.SUBSCRIBERS.items()
    }


def _check(payload: Mapping[str, Any], now: datetime) -> None:
    checking.run_check(dispute_id=uuid.UUID(payload["dispute"]), now=now)


def _seek(payload: Mapping[str, Any], now: datetime) -> None:
    joining.seek_messages(message_id=uuid.UUID(payload["message"]), now=now)


def _settle(payload: Mapping[str, Any], now: datetime) -> None:
    dispute_id = uuid.UUID(payload["dispute"])
    in_transaction(lambda: releasing.settle_holds(dispute_id=dispute_id, now=now))


def _send(payload: Mapping[str, Any], now: datetime) -> None:
    sending.send_notice(notice_id=uuid.UUID(payload["notice"]), now=now, port=QuietCarrier())


def _assign(payload: Mapping[str, Any], now: datetime) -> None:
    assigning.assign_waiting(now=now)


def _announce_assigned(payload: Mapping[str, Any], now: datetime) -> None:
    dispute_id = uuid.UUID(payload["dispute"])
    in_transaction(lambda: following.announce_assigned(dispute_id=dispute_id, now=now))


_TOLD: Mapping[str, Told] = {
    "check_dispute": _check,
    "seek_messages": _seek,
    "release_hold": _settle,
    "send_notice": _send,
    "assign_waiting": _assign,
    "announce_assigned": _announce_assigned,
}
"""The functions of `disputes.tasks` that read the clock, by name."""


@contextmanager
def holds_dated(now: datetime) -> Iterator[None]:
    """Inside it, what is placed, widened and released bears `now`, not the database's later clock: the database keeps a
    hold as it was placed, so that it cannot be dated afterwards."""
    clock = placing.database_clock
    placing.database_clock = lambda read=None: min(clock(read), now)
    try:
        yield
    finally:
        placing.database_clock = clock
