"""One gate decision over HTTP: connections that are kept, against Django's psycopg pool.

Two web servers (two processes of four blocking threads each) on one PostgreSQL, asked in turn by keep-alive connections
of a load generator that is pinned to one core. Prints the ratio of their rates, median and spread of nine rounds; a
spread over 15% is no result. Ends by itself within about two minutes.

    python -m benchmarks.gate_connections
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from config.embedded import Home, in_use
from config.environment import ROOT
from tests.stack import free_port

ROUNDS = 9
SECONDS = 4.0
CONNECTIONS = 8
SIDES = {"kept": "config.settings", "pooled": "benchmarks.pooled_settings"}


def serve(*, settings: str, port: int, environ: dict[str, str]) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "granian", "config.wsgi:application", "--interface", "wsgi", "--no-ws"]
    words += ["--host", "127.0.0.1", "--port", str(port), "--workers", "2", "--blocking-threads", "4"]
    return subprocess.Popen(
        words,
        cwd=ROOT,
        env={**environ, "DJANGO_SETTINGS_MODULE": settings, "LOG_LEVEL": "ERROR"},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def token(*, base_url: str, credentials: dict[str, Any]) -> str:
    client = next(row for row in credentials["clients"] if row["name"] == "sender")
    form = urllib.parse.urlencode(
        {
            "grant_type": "client_credentials",
            "client_id": client["client_id"],
            "client_secret": client["client_secret"],
        }
    )
    with urllib.request.urlopen(f"{base_url}/oauth/token", form.encode(), timeout=10) as answer:
        return str(json.load(answer)["access_token"])


def wait_until_ready(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("a web server did not become ready")


def rate(*, port: int, bearer: str) -> float:
    """Decisions a second, of service messages without a loan: allowed, so each takes lanes and writes a permit."""
    until = time.monotonic() + SECONDS
    done = [0] * CONNECTIONS

    def ask(place: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        while time.monotonic() < until:
            item = {"request_id": uuid.uuid4().hex, "phone": f"+86139{uuid.uuid4().int % 10**8:08d}", "channel": "sms"}
            body = json.dumps({"items": [{**item, "category": "service"}]})
            connection.request("POST", "/api/v1/gate/decisions", body, headers)
            answer = json.loads(connection.getresponse().read())
            if answer["decisions"][0]["outcome"] != "allow":
                raise SystemExit(f"not allowed: {answer}")
            done[place] += 1

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / SECONDS


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="recourse-bench-", ignore_cleanup_errors=True) as directory:
        home = Home(directory=Path(directory) / "r")
        home.directory.mkdir()
        Path(directory).chmod(0o711)
        environ = {**os.environ, "RECOURSE_ENV": "embedded", "RECOURSE_HOME": str(home.directory)}
        with in_use(home):
            compare(home=home, environ=environ)


def compare(*, home: Home, environ: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "manage.py", "set_up_embedded", "--no-demo", "--verbosity", "0"],
        cwd=ROOT,
        env=environ,
        check=True,
        timeout=120,
    )
    credentials = json.loads((home.directory / "credentials.json").read_text())
    ports = {side: free_port() for side in SIDES}
    servers = [serve(settings=SIDES[side], port=ports[side], environ=environ) for side in SIDES]
    try:
        for port in ports.values():
            wait_until_ready(port)
        bearer = token(base_url=f"http://127.0.0.1:{ports['kept']}", credentials=credentials)
        os.sched_setaffinity(0, {0})
        for port in ports.values():
            rate(port=port, bearer=bearer)  # warm
        rounds = []
        for number in range(ROUNDS):
            order = list(SIDES) if number % 2 == 0 else list(reversed(SIDES))
            found = {side: rate(port=ports[side], bearer=bearer) for side in order}
            rounds.append(found)
            print(f"round {number + 1}: " + ", ".join(f"{side} {found[side]:.0f}/s" for side in SIDES), flush=True)
    finally:
        for server in servers:
            os.killpg(server.pid, signal.SIGTERM)
        for server in servers:
            server.wait(timeout=20)
    ratios = sorted(found["kept"] / found["pooled"] for found in rounds)
    median, spread = statistics.median(ratios), (ratios[-2] - ratios[1]) / statistics.median(ratios)
    print(
        f"kept / pooled: {median:.2f} [{ratios[0]:.2f}..{ratios[-1]:.2f}], spread {spread:.0%} (without the extremes)"
    )
    if spread > 0.15:
        print("The spread is over 15%: no result.")


if __name__ == "__main__":
    main()
