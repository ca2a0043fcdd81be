"""The directory of both servers, and the time for which they live."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from config.embedded.ending import in_order
from config.embedded.machine import CannotStart, locked, may_pass, runs_as
from config.embedded.postgres import DATABASE, Postgres, create_roles
from config.embedded.valkey import Valkey

# A unix socket's path has room for 107 bytes; PostgreSQL adds "/.s.PGSQL.5432.lock".
_LONGEST_SOCKET_DIRECTORY = 80


@dataclass(frozen=True, kw_only=True)
class Home:
    """The directory `.recourse`: data, sockets, secrets of the embedded set-up."""

    directory: Path

    @property
    def sockets(self) -> Path:
        """Short enough for a unix socket: below the home, else a directory of the temporary one named after it."""
        own = self.directory / "run"
        if len(os.fsencode(own)) <= _LONGEST_SOCKET_DIRECTORY and not self._closed:
            return own
        return Path(tempfile.gettempdir()) / f"recourse-{os.geteuid()}-{self._name}"

    @property
    def _name(self) -> str:
        return hashlib.sha256(os.fsencode(self.directory.resolve())).hexdigest()[:12]

    @property
    def _closed(self) -> bool:
        """Whether we are root and the unprivileged user cannot get here (a checkout in a closed home)."""
        if os.geteuid() != 0:
            return False
        uid = runs_as(self.directory / "postgres").uid
        return uid is not None and not may_pass(self.directory, uid)

    @property
    def _postgres_data(self) -> Path:
        return Path("/var/lib/recourse") / self._name / "postgres" if self._closed else self.directory / "postgres"

    @property
    def postgres(self) -> Postgres:
        return Postgres(
            data=self._postgres_data,
            sockets=self.sockets / "pg",
            options={"shared_preload_libraries": "pg_stat_statements", "max_connections": "60"},
        )

    @property
    def valkey(self) -> Valkey:
        return Valkey(data=self.directory / "valkey", socket=self.sockets / "valkey.sock")

    def prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            self.directory.chmod(0o711)
        for directory in {self.sockets, self._postgres_data.parent}:
            directory.mkdir(parents=True, exist_ok=True, mode=0o711)
            if directory.stat().st_uid not in (os.geteuid(), 0):
                raise CannotStart(f"{directory} belongs to somebody else")
            if os.geteuid() == 0:
                directory.chmod(0o711)

    def database_url(self, role: str) -> str:
        return f"postgresql://{role}@/{DATABASE}?host={quote(str(self.sockets / 'pg'), safe='')}"

    @property
    def broker_url(self) -> str:
        return f"redis+socket://{self.sockets / 'valkey.sock'}?virtual_host=1"

    @property
    def cache_url(self) -> str:
        return f"unix://{self.sockets / 'valkey.sock'}?db=2"


def start(home: Home) -> None:
    """Starts what does not live yet: both servers, the roles and the database."""
    home.prepare()
    home.valkey.start()
    postgres = home.postgres
    if postgres.start() or not _has_database(postgres):
        with postgres.connect() as connection:
            create_roles(connection)


def _has_database(postgres: Postgres) -> bool:
    with postgres.connect() as connection:
        return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is not None


@contextlib.contextmanager
def in_use(home: Home) -> Iterator[None]:
    """The servers live inside this block; whoever leaves last stops them, also where a signal ends it (SIGTERM, SIGHUP
    and Ctrl-C are exceptions in here, as `config.embedded.ending` says).

    The shared lock on `in-use` is what keeps them: it is taken while `starting` is held, so that nobody stops what
    somebody else is about to use.
    """
    home.directory.mkdir(parents=True, exist_ok=True)
    users = os.open(home.directory / "in-use.lock", os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(users), in_order() as ending:
        try:
            # A server that was just begun and has said nothing yet could not be stopped.
            with ending.later(), locked(home.directory / "starting.lock"):
                fcntl.flock(users, fcntl.LOCK_SH)
                start(home)
            yield
        finally:
            with (
                ending.later(),
                locked(home.directory / "starting.lock"),
                contextlib.suppress(BlockingIOError),
            ):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                home.postgres.stop()
                home.valkey.stop()
