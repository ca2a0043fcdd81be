"""Gates, disputes, opt-outs, holds by hand, decisions and imports from several processes, while web, worker and
PostgreSQL are killed: afterwards no forbidden order is found, in what was answered or in what was kept.

Briefly among the other tests; ``make faults`` runs it for longer and by itself. ``FAULTS_SECONDS``: for how long all of
it lives, what is down not counted; ``FAULTS_SEED``: of the schedule of a run that is to be repeated;
``FAULTS_PLANTED``: a fault of `planting`, which the checker must find.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from config import environment
from tests.clients.test_killed import people_of
from tests.faults.checker import breaches, interleavings
from tests.faults.history import History, Read
from tests.faults.reading import history_of, kept_by, rows_of
from tests.faults.service import FaultsStack

SHORT = 12.0
"""Beside other tests."""
SECONDS = float(os.environ.get("FAULTS_SECONDS", SHORT))

ACTS = (["ask", "remind", "ask"], ["ask", "remind", "ask"], ["dispute", "dispute", "opt", "move", "read", "read"])
"""The threads of each process; beside them one of agents."""


def schedule(seed: int) -> Iterator[tuple[float, str, float]]:
    """For how long all live (seconds), which part is killed then, and for how long it is away. The same for a seed."""
    chance = random.Random(seed)
    while True:
        parts = ["postgres", "web", "worker", "both", "postgres"]
        chance.shuffle(parts)
        for part in parts:
            yield round(chance.uniform(2, 5), 2), part, round(chance.uniform(0, 0.8), 2)


class Callers:
    """The processes, their logs, and their end."""

    def __init__(self, service: FaultsStack, directory: Path, told: dict[str, Any]) -> None:
        self.logs: list[Path] = []
        self.processes: list[subprocess.Popen[str]] = []
        modules = [*(("tests.faults.caller", acts) for acts in ACTS), ("tests.faults.agents", [])]
        for number, (module, acts) in enumerate(modules):
            log = directory / f"log-{number}"
            process = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=environment.ROOT,
                env=service.environ(),
                stdin=subprocess.PIPE,
                text=True,
            )
            assert process.stdin is not None
            process.stdin.write(
                json.dumps(told | {"log": str(log), "acts": acts, "seed": told["seed"] + number}) + "\n"
            )
            process.stdin.flush()
            self.logs.append(log)
            self.processes.append(process)

    def stop(self) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self.processes:
            try:
                process.wait(timeout=180)
            finally:
                process.kill()
        assert [process.returncode for process in self.processes] == [0] * len(self.processes)

    def are_at_it(self) -> bool:
        """Each opens its log when it is about to begin."""
        return all(log.exists() for log in self.logs)


def kill(service: FaultsStack, part: str, away: float) -> None:
    if part in ("web", "both"):
        service.kill_web()
    if part in ("postgres", "both"):
        service.kill_postgres()
    if part == "worker":
        service.kill_worker()
    time.sleep(away)
    if part in ("postgres", "both"):
        service.start_postgres()
    if part in ("web", "both"):
        service.start_web()
    if part == "worker":
        service.start_worker()


def told_to(service: FaultsStack, seed: int) -> dict[str, Any]:
    """What the callers know: eight people, three whose reminders are capped, and a loan that moves."""
    people = [vars(one) for one in people_of(service, 14)]
    with service.client() as api:
        token = api.headers["Authorization"].removeprefix("Bearer ")
    first, second = people[11], people[12]
    return {
        "base_url": service.base_url,
        "token": token,
        "people": people[:8],
        "capped": people[8:11],
        "moving": {
            "loan": first["loan"],
            "message": first["message"],
            "phone": people[13]["phone"],
            "stray": first["phone"],
            "owners": [first["customer"], second["customer"]],
        },
        "seed": seed,
    }


def read_to_the_end(service: FaultsStack, read: list[Read]) -> list[Read]:
    """Every reader goes on from where it was, to the feed's end."""
    reached: dict[str, int] = {}
    for page in read:
        reached[page.who] = max(page.reached, reached.get(page.who, 0))
    found = []
    with service.client() as api:
        for who, after in reached.items():
            more = True
            while more:
                invoked = time.monotonic()
                page = api.get("/suppressions/changes", params={"after": after}).json()
                numbers = tuple(row["number"] for row in page["results"])
                times = {"invoked": invoked, "answered": time.monotonic()}
                found.append(Read(who=who, after=after, numbers=numbers, reached=page["after"], **times))
                after, more = page["after"], page["more"]
    return found


@pytest.fixture
def service() -> Iterator[FaultsStack]:
    """One of its own: the checker judges all that its database keeps."""
    with tempfile.TemporaryDirectory(prefix="recourse-faults-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o711)
        stack = FaultsStack(Path(directory))
        try:
            stack.start()
            yield stack
        finally:
            stack.stop()


def called(rows: list[dict[str, Any]]) -> History:
    return history_of([row for row in rows if row["kind"] not in ("failed", "decided")])


def died_in(history: History) -> int:
    """How many calls had no answer."""
    return sum(one.answered is None for one in [*history.asked, *history.held])


def worth_watching(logs: list[Path]) -> bool:
    """Whether enough has happened so far to be judged: on a slow machine that takes longer."""
    history = called(rows_of(logs))
    holds = {one.hold for one in history.held if one.hold is not None}
    return interleavings(history) > 20 and died_in(history) > 0 and len(holds) > 10


def nobody_works(service: FaultsStack) -> bool:
    """Whether every call whose caller is gone has come to its end in the database too."""
    with service.database() as database:
        row = database.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'"
            " AND pid <> pg_backend_pid()"
        ).fetchone()
    return row == (0,)


def test_no_forbidden_order_while_web_worker_and_database_are_killed(
    service: FaultsStack, tmp_path: Path, capsys: Any
) -> None:
    seed = int(os.environ.get("FAULTS_SEED", random.randrange(10**6)))
    service.plant(os.environ.get("FAULTS_PLANTED", ""))
    service.start_worker()
    told = told_to(service, seed)
    killed: Counter[str] = Counter()
    with ExitStack() as ends:
        ends.callback(service.kill_worker)
        callers = Callers(service, tmp_path, told)
        lived = 0.0
        try:
            service.wait_for(callers.are_at_it)
            for lives, part, away in schedule(seed):
                time.sleep(lives)
                lived += lives
                if lived > SECONDS and (worth_watching(callers.logs) or lived > 20 * SECONDS):
                    break
                kill(service, part, away)
                killed[part] += 1
        finally:
            callers.stop()
        service.wait_for(lambda: nobody_works(service))
    rows = rows_of(callers.logs)
    failed = [row for row in rows if row["kind"] == "failed"]
    decided = sum(row["kind"] == "decided" for row in rows)
    denied = Counter(reason for row in rows if row["kind"] == "asked" for reason in row["reasons"])
    history = called(rows)
    history = type(history)(
        **{name: getattr(history, name) for name in ("asked", "handed_back", "held", "released")},
        read=[*history.read, *read_to_the_end(service, list(history.read))],
    )
    with service.database() as database:
        kept = kept_by(database)
    met = interleavings(history)
    died = died_in(history)
    with capsys.disabled():
        print(
            f"\nseed {seed}, killed {dict(killed)}: {len(history.asked)} questions, {len(kept.permits)} permits,"
            f" {len(kept.holds)} holds, {decided} decisions, {died} calls died, {met} interleavings;"
            f" denied: {dict(denied)}; failed: {Counter(row['error'].splitlines()[0][:90] for row in failed)}"
        )
    assert breaches(history=history, kept=kept) == [], f"repeat with FAULTS_SEED={seed}"
    assert [row for row in failed if "AssertionError" in row["error"] or "KeyError" in row["error"]] == []
    # It was worth watching.
    assert sum(killed.values()) > 1
    assert met > 20
    assert died > 0
    assert len(kept.holds) > 10
    if SECONDS > SHORT:
        assert met > 200
        assert died > 5
        assert len(kept.holds) > 50
        assert sum(hold.released_at is not None for hold in kept.holds) > 20
        assert decided > 0
        assert denied["dispute_pending"]
        assert denied["frequency_cap"]
