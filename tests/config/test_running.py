"""`make run`: the whole service from one command, and what happens when it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from config import environment
from tests.stack import free_port

_NOT_OURS = {
    "DATABASE_URL",
    "MIGRATE_DATABASE_URL",
    "BROKER_URL",
    "CACHE_URL",
    "RECOURSE_ENV",
    "SECRET_KEY",
    "DATA_KEYS",
}


class Run:
    """One home, and the supervisors that are started on it one after the other."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.base_url = f"http://localhost:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Starts it and returns what it printed up to its greeting."""
        environ = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
        said = self.home.parent / "said"
        with said.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "config.running"],
                cwd=environment.ROOT,
                env={**environ, "RECOURSE_HOME": str(self.home), "PORT": str(self.port)},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + 600  # the demo's past is told first, on a machine that may be busy
        while time.monotonic() < until and self.process.poll() is None and b"Ctrl-C" not in said.read_bytes():
            time.sleep(0.1)
        return said.read_text()

    def processes(self) -> list[int]:
        """Every living process that has this home among its words, its environment or its directory."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                if words and (str(self.home).encode() in words or (entry / "cwd").resolve().is_relative_to(self.home)):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def gone(self) -> bool:
        """Whether its processes end within a while: a killed one's child may live a little longer."""
        until = time.monotonic() + 60
        while self.processes() and time.monotonic() < until:
            time.sleep(0.05)
        return self.processes() == []

    def kill_all(self) -> None:
        """SIGKILL to every process, and to those that were being born meanwhile."""
        until = time.monotonic() + 60
        while (living := self.processes()) and time.monotonic() < until:
            for pid in living:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self.process is not None:
                self.process.wait()
            time.sleep(0.05)


@pytest.fixture
def run() -> Iterator[Run]:
    with tempfile.TemporaryDirectory(prefix="recourse-run-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o711)
        made = Run(Path(directory) / "r")
        yield made
        made.kill_all()


def test_a_start_after_everything_was_killed_has_every_acknowledged_record_and_sigterm_ends_it_all(run: Run) -> None:
    said = run.start()
    for shown in (run.base_url, "/admin/", "/api/docs/", "curl"):
        assert shown in said
    credentials = json.loads((run.home / "credentials.json").read_text())
    assert (run.home / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert credentials["base_url"] == run.base_url
    assert [row["name"] for row in credentials["clients"]] == ["all", "sender", "core_banking", "survey_tool"]
    assert {row["role"] for row in credentials["users"]} == {"admin", "supervisor", "agent"}

    api = _api(run, credentials)
    line = {"type": "customer", "external_id": "C-kept", "name": "Kept", "phones": [], "time_zones": ["Asia/Shanghai"]}
    answer = api.post("/records/import", content=json.dumps(line), headers={"content-type": "application/x-ndjson"})
    assert answer.json()["result"] == "created", answer.text
    run.kill_all()
    assert run.gone(), run.processes()

    said = run.start()
    assert run.base_url in said, said
    assert json.loads((run.home / "credentials.json").read_text()) == credentials
    assert _api(run, credentials).get("/records/customer/C-kept").status_code == 200

    assert run.process is not None
    run.process.terminate()
    assert run.process.wait(timeout=120) == 0
    assert run.gone(), run.processes()


def _api(run: Run, credentials: dict[str, list[dict[str, str]]]) -> httpx.Client:
    known = credentials["clients"][0]
    answer = httpx.post(
        f"{run.base_url}/oauth/token",
        data={"grant_type": "client_credentials"},
        auth=(known["client_id"], known["client_secret"]),
        timeout=60,
    )
    return httpx.Client(
        base_url=f"{run.base_url}/api/v1",
        headers={"Authorization": f"Bearer {answer.json()['access_token']}"},
        timeout=60,
    )
