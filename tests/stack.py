"""The whole service as it runs for real: web server, worker and beat as processes, on a database of their own.

The fixture `stack` starts it once a run; the tests that ask for it stand together (tests/conftest.py), so that one
process of a parallel run has it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest

from config import environment, running
from config.api.customer_tokens import issue_customer_token
from config.embedded import SERVICE_ROLE, Valkey

T = TypeVar("T")


def free_port() -> int:
    """A port that nobody listens on, below those that outgoing connections are given: while the server of such a one is
    down, a connection of anybody's may take it, or one that is tried over and over meet itself."""
    for _ in range(1000):
        port = random.randrange(12_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class Stack:
    """The running service. `base_url`; `credentials`: what credentials.json holds; `log`: (process, line) so far."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.base_url = f"http://localhost:{self.port}"
        self.name = f"stack_{os.getpid()}"
        self.owner_url = _with_database(os.environ["DATABASE_URL"], self.name)
        self.valkey = Valkey(data=directory / f"valkey-{os.getpid()}", socket=directory / f"valkey-{os.getpid()}.sock")
        self.beat_pid = directory / f"beat-{os.getpid()}.pid"
        self.own_broker = "RECOURSE_TEST_VALKEY" in os.environ
        self.children: dict[str, running.Child] = {}
        self.log: list[tuple[str, str]] = []
        self.credentials: dict[str, Any] = {}
        self._tokens: dict[str, str] = {}

    # --- processes ---

    def environ(self) -> dict[str, str]:
        found = {
            **os.environ,
            "DATABASE_URL": self._service_url(),
            "MIGRATE_DATABASE_URL": self.owner_url,
            "PORT": str(self.port),
            "PYTHONWARNINGS": "ignore",
            "PYTHONUNBUFFERED": "1",
            # By it places for bulk calls are found: another process of the run has a service of its own.
            "SECRET_KEY": f"{os.environ['SECRET_KEY']}-{self.name}",
        }
        if self.own_broker:
            found["BROKER_URL"] = f"redis+socket://{self.valkey.socket}?virtual_host=1"
            found["CACHE_URL"] = f"unix://{self.valkey.socket}?db=2"
        return found

    def _service_url(self) -> str:
        """As the service's own role where the server has it."""
        with self._admin() as connection:
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [SERVICE_ROLE]).fetchone()
        parts = urlsplit(self.owner_url)
        if not known or parts.password:
            return self.owner_url
        return urlunsplit(parts._replace(netloc=f"{SERVICE_ROLE}@{parts.netloc.rpartition('@')[2]}"))

    @contextmanager
    def _admin(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(_with_database(self.owner_url, "postgres"), autocommit=True) as connection:
            yield connection

    def database(self) -> psycopg.Connection[Any]:
        """A connection of the owner's to the service's database, in autocommit."""
        return psycopg.connect(self.owner_url, autocommit=True)

    def start(self) -> None:
        self.start_broker()
        with self._admin() as connection:
            connection.execute(f"CREATE DATABASE {self.name}")  # type: ignore[call-overload]
        self.manage("set_up_embedded", "--no-demo", "--base-url", self.base_url, "--verbosity", "0")
        self.credentials = json.loads((Path(os.environ["RECOURSE_HOME"]) / "credentials.json").read_text())
        for name in ("web", "worker", "beat"):
            self._start(name)
        self.wait_for(self.ready, seconds=180)

    def manage(self, *words: str) -> str:
        """Runs a management command on the service's database and returns what it printed."""
        done = self.try_to_manage(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def try_to_manage(self, *words: str, seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """The same for a command that may fail."""
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=environment.ROOT,
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def _start(self, name: str) -> None:
        values = {"HOST": "127.0.0.1", "PORT": self.port, "WEB_WORKERS": 2, "TASK_WORKERS": 1}
        command = running.commands(values=values, beat_pid=self.beat_pid)[name]
        if name == "beat":
            self.beat_pid.unlink(missing_ok=True)
        environ = {**self.environ(), "RECOURSE_HOME": os.environ["RECOURSE_HOME"]}
        self.children[name] = running.Child(
            name=name, command=command, environ=environ, say=lambda who, line: self.log.append((who, line))
        )

    def _kill(self, name: str) -> None:
        child = self.children.pop(name, None)
        if child is not None:
            child.signal_group(signal.SIGKILL)
            child.process.wait()
            # What it had started is gone a moment later, and listens on its port until then.
            self.wait_for(lambda: not _lives(session=child.process.pid), seconds=60)

    def start_worker(self) -> None:
        self._start("worker")

    def kill_worker(self) -> None:
        """SIGKILL to the worker and its processes, in the middle of whatever they do."""
        self._kill("worker")

    def start_beat(self) -> None:
        self._start("beat")

    def kill_beat(self) -> None:
        self._kill("beat")

    def start_web(self) -> None:
        self._start("web")
        self.wait_for(self.answers, seconds=180)

    def kill_web(self) -> None:
        self._kill("web")

    def start_broker(self) -> None:
        if self.own_broker:
            self.valkey.start()

    def kill_broker(self) -> None:
        """SIGKILL to the broker. Skips the test where the broker is not ours."""
        pid = self.valkey.pid() if self.own_broker else None
        if pid is None:
            pytest.skip("the broker is not ours to kill")
        os.kill(pid, signal.SIGKILL)
        self.wait_for(lambda: self.valkey.pid() is None, seconds=60)

    def restore(self) -> None:
        """Starts again whatever does not run."""
        self.start_broker()
        for name in ("web", "worker", "beat"):
            child = self.children.get(name)
            if child is None or child.process.poll() is not None:
                self._start(name)
        self.wait_for(self.ready, seconds=180)

    def stop(self) -> None:
        for child in self.children.values():
            child.signal_group(signal.SIGTERM)
        until = time.monotonic() + 8
        while any(child.process.poll() is None for child in self.children.values()) and time.monotonic() < until:
            time.sleep(0.05)
        for name in list(self.children):
            self._kill(name)
        if self.own_broker:
            self.valkey.stop()
        with self._admin() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")  # type: ignore[call-overload]

    # --- calling it ---

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.base_url}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.base_url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def wait_for(self, found: Callable[[], T], *, seconds: float = 120) -> T:
        """Asks until the answer is true, and returns it. Fails with the processes' last lines."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if answer := found():
                return answer
            time.sleep(0.1)
        last = "\n".join(f"{who}: {line}" for who, line in self.log[-30:])
        raise AssertionError(f"not within {seconds} s; the service said last:\n{last}")

    def client(self, name: str = "all") -> httpx.Client:
        """Calls as one of the clients of credentials.json."""
        if name not in self._tokens:
            known = next(row for row in self.credentials["clients"] if row["name"] == name)
            answer = httpx.post(
                f"{self.base_url}/oauth/token",
                data={"grant_type": "client_credentials"},
                auth=(known["client_id"], known["client_secret"]),
                timeout=60,
            )
            assert answer.status_code == 200, answer.text
            self._tokens[name] = answer.json()["access_token"]
        return self._caller(self._tokens[name])

    def customer(self, external_id: str) -> httpx.Client:
        """Calls as a customer who is logged in to the lender's app."""
        return self._caller(
            issue_customer_token(external_id=external_id, good_for=timedelta(hours=1), now=datetime.now(tz=UTC))
        )

    def _caller(self, token: str) -> httpx.Client:
        return httpx.Client(
            base_url=f"{self.base_url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=120
        )


def _lives(*, session: int) -> bool:
    """Whether a process of the session is left; a child is the leader of its own."""
    return any(running._session_of(entry.name) == session for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def running_stack() -> Iterator[Stack]:
    stack = Stack(Path(os.environ["RECOURSE_TEST_DIRECTORY"]))
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
