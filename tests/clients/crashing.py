"""The web server on a PostgreSQL of its own, so that both can be killed while other tests go on beside it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from config.embedded import Postgres, Valkey, create_roles
from tests.stack import Stack

# What was acknowledged must outlive a SIGKILL of the server (not of the machine), so commits are waited for.
_OPTIONS = {"fsync": "off", "synchronous_commit": "on", "max_connections": "100", "deadlock_timeout": "200ms"}


class CrashingStack(Stack):
    """Web alone: what a sender and a dispute need answers without worker and beat."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        # Short, for a socket's path; one of each kind may stand in a process at once.
        mine = f"{type(self).__name__[0].lower()}{os.getpid()}"
        self.postgres = Postgres(data=directory / f"postgres-{mine}", sockets=directory / mine, options=_OPTIONS)
        self.owner_url = f"postgresql://recourse_owner@/{self.name}?host={self.postgres.sockets}"
        # By this name the run's watcher ends it, should nobody else.
        self.valkey = Valkey(data=directory / f"valkey-{mine}", socket=directory / f"valkey-{mine}.sock")
        self.own_broker = True
        self.home = directory / f"home-{mine}"

    def environ(self) -> dict[str, str]:
        return super().environ() | {"RECOURSE_HOME": str(self.home)}

    def start(self) -> None:
        self.postgres.start()
        with self.postgres.connect() as connection:
            create_roles(connection, database=None)
            connection.execute(f"CREATE DATABASE {self.name} OWNER recourse_owner")  # type: ignore[call-overload]
        self.start_broker()
        self.manage("set_up_embedded", "--no-demo", "--base-url", self.base_url, "--verbosity", "0")
        self.credentials = json.loads((self.home / "credentials.json").read_text())
        self.start_web()

    def kill_postgres(self) -> None:
        """SIGKILL to PostgreSQL's first process; the others end when they see that it is gone."""
        pid = int((self.postgres.data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)
        self.wait_for(lambda: not self._postgres_answers(), seconds=60)

    def start_postgres(self) -> None:
        self.postgres.start()

    def _postgres_answers(self) -> bool:
        with suppress(psycopg.Error):
            return self.postgres.answers()
        return False

    def stop(self) -> None:
        for name in list(self.children):
            self._kill(name)
        self.postgres.stop(mode="immediate")
        self.valkey.stop()
        for directory in (self.postgres.data, self.postgres.sockets, self.home):
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def crashing_stack() -> Iterator[CrashingStack]:
    stack = CrashingStack(Path(os.environ["RECOURSE_TEST_DIRECTORY"]))
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
