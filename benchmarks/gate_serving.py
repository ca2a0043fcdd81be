"""A service of one's own for a benchmark: PostgreSQL, Valkey, a lender of so many customers, two web processes."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from config.embedded import Home, in_use
from config.environment import ROOT
from tests.stack import free_port

CONNECTIONS = 16
PACK = """
name = "open"
extends = "house"
[[version]]
version = "1"
contact_hours = { value = "any", clause = "the benchmark", force = "own", read = "yes" }
"""
"""The house's, at any hour, so that what is asked is allowed whenever the benchmark runs."""


@dataclass(kw_only=True)
class Service:
    """A service that runs. `bearer`: a token with every scope; `database`: as the owner of the server."""

    port: int
    bearer: str
    database: psycopg.Connection[Any]
    latencies: dict[str, list[float]] = field(default_factory=dict)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def post(
        self, connection: http.client.HTTPConnection, address: str, body: bytes, *, key: str = "", form: str = ""
    ) -> bytes:
        headers = {"Authorization": f"Bearer {self.bearer}", "Content-Type": form or "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        connection.request("POST", address, body, headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{address}: {answer.status} {said[:300]!r}")
        return said

    def rate(self, side: str, ask: Callable[[http.client.HTTPConnection], None], *, seconds: float) -> float:
        """Calls a second of so many keep-alive connections; their latencies are kept under the side's name."""
        until = time.monotonic() + seconds
        taken: list[list[float]] = [[] for _ in range(CONNECTIONS)]

        def run(place: int) -> None:
            connection = self.connect()
            while (began := time.perf_counter()) < until + _OFFSET:
                ask(connection)
                taken[place].append(time.perf_counter() - began)
            connection.close()

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(run, range(CONNECTIONS)))
        self.latencies.setdefault(side, []).extend(one for row in taken for one in row)
        return sum(map(len, taken)) / seconds

    def tell_latencies(self) -> None:
        for side, taken in self.latencies.items():
            cuts = statistics.quantiles(taken, n=100)
            print(f"  {side}: p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms", flush=True)


_OFFSET = time.perf_counter() - time.monotonic()


@contextmanager
def serving(fill: Callable[[psycopg.Connection[Any]], None]) -> Iterator[Service]:
    """The service, with what `fill` wrote, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="recourse-bench-", ignore_cleanup_errors=True) as directory:
        home = Home(directory=Path(directory) / "r")
        home.directory.mkdir()
        Path(directory).chmod(0o711)
        packs = Path(directory) / "packs"
        packs.mkdir()
        shutil.copy(ROOT / "disputes/policy/packs/house.toml", packs)
        (packs / "open.toml").write_text(PACK)
        environ = {
            **os.environ,
            "RECOURSE_ENV": "embedded",
            "RECOURSE_HOME": str(home.directory),
            "LOG_LEVEL": "ERROR",
            "POLICY_DIRECTORY": str(packs),
            "POLICY_PACK": "open",
        }
        with in_use(home):
            yield from _served(home, environ, fill)


def _served(home: Home, environ: dict[str, str], fill: Callable[[psycopg.Connection[Any]], None]) -> Iterator[Service]:
    words = [sys.executable, "manage.py", "set_up_embedded", "--no-demo", "--verbosity", "0"]
    subprocess.run(words, cwd=ROOT, env=environ, check=True, timeout=180)
    os.environ.update(environ)
    import django

    django.setup()
    database = home.postgres.connect(database="recourse")
    fill(database)
    port = free_port()
    words = [sys.executable, "-m", "granian", "config.wsgi:application", "--interface", "wsgi", "--no-ws"]
    words += ["--host", "127.0.0.1", "--port", str(port), "--workers", "2", "--blocking-threads", "1"]
    environ = {**environ, "DJANGO_SETTINGS_MODULE": "benchmarks.gate_settings"}
    server = subprocess.Popen(words, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        _wait_until_ready(port)
        credentials = json.loads((home.directory / "credentials.json").read_text())
        yield Service(port=port, bearer=_token(port, credentials), database=database)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=20)
        database.close()


def _token(port: int, credentials: dict[str, Any]) -> str:
    client = next(row for row in credentials["clients"] if row["name"] == "all")
    given = {name: client[name] for name in ("client_id", "client_secret")}
    form = urllib.parse.urlencode({"grant_type": "client_credentials", **given}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/oauth/token", form, timeout=10) as answer:
        return str(json.load(answer)["access_token"])


def _wait_until_ready(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the web server did not become ready")
