"""Topics that a thread sends: together, after the commit, and none lost for longer than the sweeper takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.db import transaction
from django.db.models.functions import Now

from disputes.outbox import gathering, queue
from disputes.outbox.gathering import GATHERED_FOR, Gathering
from disputes.outbox.models import OutboxTopic
from tests.races import PATIENCE, until

ROOT = Path(__file__).resolve().parents[3]


class Moment:
    """The time for which topics are gathered: over when the test says so. `asked`: how long each was to take."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._over = threading.Semaphore(0)

    def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        assert self._over.acquire(timeout=PATIENCE)

    def is_over(self) -> None:
        self._over.release()


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Moment:
    made = Moment()
    monkeypatch.setattr(gathering, "time", made)
    return made


class TestWhatIsCommittedWithinAMoment:
    def test_is_sent_in_one_go_in_its_order_and_what_comes_later_by_itself(self, moment: Moment):
        sent: list[list[int]] = []
        gathers = Gathering(sent.append)
        gathers.add([1, 2])
        gathers.add([3])
        moment.is_over()
        until(lambda: sent)
        gathers.add([4])
        moment.is_over()
        until(lambda: len(sent) > 1)
        assert sent == [[1, 2, 3], [4]]
        assert moment.asked == [GATHERED_FOR] * 2

    def test_of_many_threads_is_sent_once_each(self):
        sent: list[list[int]] = []
        gathers = Gathering(sent.append)

        def add(start: int) -> None:
            for topic in range(start, start + 50):
                gathers.add([topic])
                time.sleep(0.002)

        began = time.monotonic()
        threads = [threading.Thread(target=add, args=(start,)) for start in (0, 50, 100)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        until(lambda: sum(map(len, sent)) == 150)
        took = time.monotonic() - began
        time.sleep(2 * GATHERED_FOR)
        assert sorted(topic for few in sent for topic in few) == list(range(150))
        assert len(sent) <= took / GATHERED_FOR, "once in a moment at the most"

    def test_holds_up_nobody_while_the_broker_is_slow_and_is_bounded(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(gathering, "MOST", 3)
        sent, at_it, goes_on = list[list[int]](), threading.Event(), threading.Event()

        def slow(ids: list[int]) -> None:
            at_it.set()
            goes_on.wait(PATIENCE)
            sent.append(ids)

        gathers = Gathering(slow)
        gathers.add([1])
        assert at_it.wait(PATIENCE)
        gathers.add([2, 3, 4, 5])
        assert sent == [], "the broker is still at the first"
        goes_on.set()
        until(lambda: len(sent) == 2)
        assert sent == [[1], [2, 3, 4]]


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """As in a web process. What the broker was given, a task an entry."""
    tasks: list[list[int]] = []
    monkeypatch.setattr(queue, "_gathering", None)
    monkeypatch.setattr(current_app, "send_task", lambda name, args, **_: tasks.append(list(args)))
    queue.gather()
    return tasks


def put(key: str) -> int:
    with transaction.atomic():
        queue.put(topic="probe", key=key)
    return OutboxTopic.objects.get(key=key).pk


@pytest.mark.django_db(transaction=True)
class TestAWebProcess:
    def test_sends_the_topics_of_several_transactions_as_one_task(self, moment: Moment, web: list[list[int]]):
        ids = [put(key) for key in "abc"]
        moment.is_over()
        until(lambda: web)
        assert web == [ids]

    def test_names_so_many_topics_a_task_at_the_most(self, web: list[list[int]]):
        ids = [put(f"k{n}") for n in range(queue.TOGETHER + 1)]
        until(lambda: sum(map(len, web)) == len(ids))
        assert max(map(len, web)) <= queue.TOGETHER
        assert [one for few in web for one in few] == ids

    def test_sends_nothing_of_a_transaction_that_was_rolled_back(self, web: list[list[int]]):
        with transaction.atomic():
            queue.put(topic="probe", key="gone")
            transaction.set_rollback(True)
        kept = put("kept")
        until(lambda: web)
        time.sleep(2 * GATHERED_FOR)
        assert web == [[kept]]

    def test_goes_on_after_a_broker_that_was_away_and_the_sweeper_has_the_rest(
        self, web: list[list[int]], monkeypatch: pytest.MonkeyPatch
    ):
        tried = threading.Event()

        def away(*_: Any, **__: Any) -> None:
            tried.set()
            raise ConnectionError("nobody there")

        with monkeypatch.context() as patched:
            patched.setattr(current_app, "send_task", away)
            lost = put("lost")
            assert tried.wait(PATIENCE)
        later = put("later")
        until(lambda: web)
        assert web == [[later]]
        OutboxTopic.objects.filter(pk=lost).update(due_at=Now() - timedelta(seconds=1))
        assert queue.sweep() == 1
        assert web[-1] == [lost]


def run_python(program: str, **environ: str) -> str:
    words = [sys.executable, "-c", program]
    environ = {**os.environ, **environ}
    done = subprocess.run(
        words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=10 * PATIENCE, check=True
    )
    return done.stdout


GATHERS = (
    "import os; from disputes.outbox.gathering import Gathering;"
    " one = Gathering(lambda ids: os.write(1, f'{ids}\\n'.encode()));"
)
"""A line is one write: of two processes that end at once, neither's comes into the other's."""


class TestAProcessThatEnds:
    def test_in_order_sends_what_is_left_first(self):
        assert run_python(f"{GATHERS} one.add([1, 2])") == "[1, 2]\n"

    def test_as_a_child_of_multiprocessing_does_so_too(self):
        program = (
            f"{GATHERS} import multiprocessing as m; p = m.get_context('fork').Process(target=one.add, args=([7],))"
        )
        assert run_python(f"{program}; p.start(); p.join()") == "[7]\n"

    def test_killed_at_once_sends_nothing(self):
        long = "import os; from disputes.outbox import gathering; gathering.GATHERED_FOR = 600"
        assert run_python(f"{long}; {GATHERS} one.add([1]); os._exit(0)") == ""

    def test_after_a_fork_sends_its_own_alone(self):
        program = f"import os; {GATHERS} one.add([1]); child = os.fork(); one.add([2] if child else [3])"
        sent = [json.loads(line) for line in run_python(f"{program}\nif child: os.waitpid(child, 0)").splitlines()]
        assert sorted(topic for few in sent for topic in few) == [1, 2, 3]
        assert [3] in sent, "the child's own alone"


def test_the_web_servers_application_gathers_and_a_task_does_not():
    program = "import {0}; import django; django.setup(); from disputes.outbox import queue; print(queue._gathering)"
    assert "Gathering" in run_python(program.format("config.wsgi"))
    assert run_python(program.format("config.celery")) == "None\n"
