"""`make run`: the whole service on the embedded servers, under one supervisor.

Steps: 1. what an earlier run left is ended; 2. PostgreSQL and Valkey live; 3. the set-up is brought up to date; 4. web,
worker and beat run until one of them ends or somebody says stop; 5. all of it ends.

Every child is the leader of a process group of its own, and gets SIGTERM from the kernel when this process dies
without a word.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import IO

from config import embedded, environment

_GRACE = 12.0
"""Seconds that a child has between SIGTERM and SIGKILL."""


class Stopped(Exception):
    """Somebody asked us to stop."""


def commands(*, values: Mapping[str, object], beat_pid: Path) -> dict[str, list[str]]:
    """What runs: one web server, one worker, one beat."""
    python = sys.executable
    celery = [python, "-m", "celery", "--app", "config.celery:app", "--quiet"]
    web = [python, "-m", "granian", "config.wsgi:application", "--interface", "wsgi", "--no-ws", "--http", "1"]
    listens = f"--host {values['HOST']} --port {values['PORT']} --workers {values['WEB_WORKERS']}"
    # The server hands a connection to a process without asking whether it is busy. With one thread, whatever came to
    # the process that reads an import, or a body from a slow client, would wait until its end.
    works = "--blocking-threads 4 --backlog 1024 --respawn-failed-workers --workers-kill-timeout 5"
    return {
        "web": [*web, *listens.split(), *works.split(), "--no-access-log", "--log-level", "warning"],
        "worker": [*celery, "worker", *f"--loglevel WARNING --concurrency {values['TASK_WORKERS']}".split()],
        "beat": [*celery, "beat", "--loglevel", "WARNING", "--pidfile", str(beat_pid)],
    }


_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Runs in the child before exec. Linux alone knows it; elsewhere the next start ends what was left."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A process of the service, with its output's lines passed on under its name."""

    def __init__(self, *, name: str, command: list[str], environ: Mapping[str, str], say: Callable[[str, str], None]):
        self.name = name
        self.process = subprocess.Popen(
            command,
            cwd=environment.ROOT,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        self._reader = threading.Thread(target=self._pass_on, args=(self.process.stdout, say), daemon=True)
        self._reader.start()

    def _pass_on(self, stream: IO[bytes], say: Callable[[str, str], None]) -> None:
        for line in stream:
            say(self.name, line.decode(errors="replace").rstrip("\n"))

    def signal_group(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            return


def started_at(pid: int) -> str | None:
    """When a process began, in the kernel's ticks: with the pid it names one process for good. None: it is gone."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if after_name[0] == "Z" else after_name[19]


class Supervisor:
    """Runs the children of one home."""

    def __init__(self, *, home: embedded.Home, values: Mapping[str, object]) -> None:
        self.home = home
        self.values = values
        self.record = home.directory / "running.json"
        self.children: list[Child] = []
        self._speaking = threading.Lock()

    def say(self, name: str, line: str) -> None:
        with self._speaking:
            print(f"{name:<6} | {line}", flush=True)

    def end_leftovers(self) -> None:
        """Ends the process groups that an earlier run of ours left behind."""
        try:
            left = json.loads(self.record.read_text())
        except (OSError, ValueError):
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            for group in (group for group in left if _is_ours(group)):
                try:
                    os.killpg(int(group["pid"]), number)
                except (ProcessLookupError, PermissionError):
                    continue
            until = time.monotonic() + 5
            while any(_is_ours(group) for group in left) and time.monotonic() < until:
                time.sleep(0.1)

    def start_children(self, environ: Mapping[str, str]) -> None:
        beat_pid = self.home.directory / "beat.pid"
        beat_pid.unlink(missing_ok=True)
        for name, command in commands(values=self.values, beat_pid=beat_pid).items():
            self.children.append(Child(name=name, command=command, environ=environ, say=self.say))
            rows = [{"pid": child.process.pid, "at": started_at(child.process.pid)} for child in self.children]
            self.record.write_text(json.dumps(rows))

    def first_to_end(self) -> Child | None:
        return next((child for child in self.children if child.process.poll() is not None), None)

    def stop(self) -> None:
        for child in reversed(self.children):
            child.signal_group(signal.SIGTERM)
        until = time.monotonic() + _GRACE
        while any(child.process.poll() is None for child in self.children) and time.monotonic() < until:
            time.sleep(0.05)
        for child in self.children:
            child.signal_group(signal.SIGKILL)
            child.process.wait()
        self.record.unlink(missing_ok=True)


def _is_ours(group: Mapping[str, object]) -> bool:
    """Whether a recorded group still has a member: its leader, or those that outlived it in the leader's session."""
    try:
        pid, at = int(str(group["pid"])), group["at"]
    except (KeyError, ValueError, TypeError):
        return False
    now = started_at(pid)
    if now is not None:
        return now == at
    return any(_session_of(entry.name) == pid for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _session_of(pid: str) -> int | None:
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if after_name[0] == "Z" else int(after_name[3])


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _child_environment(home: embedded.Home) -> dict[str, str]:
    metrics = home.directory / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(mode=0o700)
    return {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        # As root the worker warns at each start; what it is given is JSON from our own broker.
        "PYTHONWARNINGS": "ignore:You're running the worker with superuser",
        # One figure for all web processes: they write here, and /metrics adds up.
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }


def _mark() -> str:
    """A digest of what a set-up depends on: the migrations, the callers, the demo lender."""
    digest = hashlib.sha256((environment.ROOT / "requirements.txt").read_bytes())
    sources = ["config/credentials.py", "config/roles.py"]
    sources += [str(path.relative_to(environment.ROOT)) for path in sorted(environment.ROOT.glob("demo/**/*.py"))]
    migrations = sorted(environment.ROOT.glob("*/migrations/*.py")) + sorted(
        environment.ROOT.glob("*/*/migrations/*.py")
    )
    for path in [*(environment.ROOT / source for source in sources), *migrations]:
        digest.update(str(path.relative_to(environment.ROOT)).encode() + b"\0")
        digest.update(path.read_bytes() if path.exists() else b"")
    return f"set up {digest.hexdigest()[:32]}"


def _bring_up_to_date(home: embedded.Home, base_url: str) -> None:
    """Sets up what is not set up yet. The database itself says what it was set up with, as its comment."""
    mark = _mark()
    credentials = home.directory / "credentials.json"
    with home.postgres.connect(database=embedded.DATABASE) as connection:
        found = connection.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
        ).fetchone()
        if found == (mark,) and _tells(credentials, base_url):
            return
        done = subprocess.run(
            [sys.executable, "manage.py", "set_up_embedded", "--base-url", base_url, "--verbosity", "0"],
            cwd=environment.ROOT,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise embedded.CannotStart("the set-up failed, see above")
        connection.execute(f"COMMENT ON DATABASE {embedded.DATABASE} IS '{mark}'")  # type: ignore[call-overload]


def _tells(credentials: Path, base_url: str) -> bool:
    """Whether the file is there and, after this, tells this address."""
    try:
        known = json.loads(credentials.read_text())
        complete = bool(known["clients"] and known["users"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if complete and known.get("base_url") != base_url:
        environment.write_private(credentials, {**known, "base_url": base_url})
    return complete


def _wait_until_ready(supervisor: Supervisor, base_url: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if (ended := supervisor.first_to_end()) is not None:
            raise embedded.CannotStart(f"{ended.name} ended with {ended.process.returncode}, see above")
        try:
            with urllib.request.urlopen(f"{base_url}/readyz", timeout=5) as answer:  # noqa: S310 - our own server
                if answer.status == 200:
                    return
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    raise embedded.CannotStart("the web server did not become ready within a minute")


def greeting(*, base_url: str, credentials: Path) -> str:
    """What is printed when everything runs: addresses, the admin's login, a first call that works as pasted."""
    known = json.loads(credentials.read_text())
    admin = next(user for user in known["users"] if user["role"] == "admin")
    try:
        shown = credentials.relative_to(Path.cwd())
    except ValueError:
        shown = credentials
    pick = f"import json; print('{{client_id}}:{{client_secret}}'.format(**json.load(open('{shown}'))['clients'][0]))"
    reading = "import json, sys; print(json.load(sys.stdin)['access_token'])"
    return f"""
Recourse runs at  {base_url}
API docs          {base_url}/api/docs/
Admin             {base_url}/admin/   {admin["username"]} / {admin["password"]}
Credentials       {shown}

A first call:
  TOKEN=$(curl -s -u "$(python3 -c "{pick}")" \\
    -d grant_type=client_credentials {base_url}/oauth/token | python3 -c "{reading}")
  curl -s -H "Authorization: Bearer $TOKEN" {base_url}/api/v1/records/loan/L-1001

Ctrl-C ends everything.
"""


class Make:
    """The `make` that started us, if it is one. Who stops it alone means us.

    A make that is killed is followed by the kernel's SIGTERM. One that gets SIGINT by itself waits for us and tells us
    nothing, but stops catching the signal; that can be seen.
    """

    def __init__(self) -> None:
        self.pid = os.getppid()
        is_make = _status_of(self.pid).get("Name") in ("make", "gmake")
        if is_make and sys.platform == "linux":
            _die_with_parent()
        self.hears = is_make and self._catches_interrupts()

    def _catches_interrupts(self) -> bool:
        caught = int(_status_of(self.pid).get("SigCgt", "0"), 16)
        return bool(caught >> (signal.SIGINT - 1) & 1)

    def was_interrupted(self) -> bool:
        return self.hears and not self._catches_interrupts()


def _status_of(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


def _alone(home: embedded.Home) -> int:
    """One supervisor a home: the lock's descriptor, held until the process ends."""
    home.directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home.directory / "running.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise embedded.CannotStart("it runs already from this directory") from None
    return descriptor


def run(values: Mapping[str, object]) -> None:
    """Runs the service until it is stopped. Raises CannotStart."""
    home: embedded.Home = environment.home(os.environ)
    lock, make = _alone(home), Make()
    host, port = str(values["HOST"]), int(str(values["PORT"]))
    base_url = f"http://{'localhost' if host in ('127.0.0.1', '0.0.0.0', '::1', '::') else host}:{port}"  # noqa: S104
    supervisor = Supervisor(home=home, values=values)
    supervisor.end_leftovers()
    if not port_is_free(host, port):
        raise embedded.CannotStart(f"port {port} is taken by another program; choose one: PORT={port + 1} make run")
    with embedded.in_use(home):
        try:
            _bring_up_to_date(home, base_url)
            supervisor.start_children(_child_environment(home))
            _wait_until_ready(supervisor, base_url)
            print(greeting(base_url=base_url, credentials=home.directory / "credentials.json"), flush=True)
            while (ended := supervisor.first_to_end()) is None:
                if make.was_interrupted():
                    raise Stopped
                time.sleep(0.3)
            raise embedded.CannotStart(f"{ended.name} ended with {ended.process.returncode}")
        finally:
            # A second Ctrl-C must not leave half of it running.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            supervisor.stop()
    os.close(lock)


def main() -> None:
    values, problems = environment.read(os.environ)
    if not environment.is_embedded(os.environ):
        problems.append("`make run` is the embedded set-up; with DATABASE_URL run web, worker and beat by themselves")
    if problems:
        raise SystemExit("\n".join(f"recourse will not start: {line}" for line in problems))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        run(values)
    except Stopped:
        print("Stopped.", flush=True)
    except embedded.CannotStart as error:
        raise SystemExit(f"recourse: {error}") from None


if __name__ == "__main__":
    main()
