"""The running service as the demo calls it: found where one runs, started where none does, called over HTTP."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx

from config import environment
from config.api.customer_tokens import issue_customer_token

T = TypeVar("T")

START_WITHIN = 180.0
"""Seconds for a first start: servers, tables and the demo lender."""
STOP_WITHIN = 20.0
READY_WITHIN = 20.0
"""Seconds that a service may take to be ready where one listens: a second one is not started beside it."""


class CannotTell(Exception):
    """The demo cannot go on; the message says why, and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """`credentials`: what credentials.json holds; `patience`: seconds to wait for what workers do;
    `for_now`: it ends with the demo that started it."""

    base_url: str
    credentials: Mapping[str, Any]
    patience: float = 45.0
    for_now: bool = False

    def client(self, name: str = "all") -> httpx.Client:
        """Calls as one of the lender's systems."""
        known = next(row for row in self.credentials["clients"] if row["name"] == name)
        answer = httpx.post(
            f"{self.base_url}/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=(known["client_id"], known["client_secret"]),
            timeout=30,
        )
        if answer.status_code != 200:
            raise CannotTell(f"POST /oauth/token answered {answer.status_code}: {answer.text[:200]}")
        return self._caller(answer.json()["access_token"])

    def customer(self, external_id: str) -> httpx.Client:
        """Calls as a customer who is logged in to the lender's app: on the embedded set-up we are its provider."""
        now = datetime.now(tz=UTC)
        return self._caller(issue_customer_token(external_id=external_id, good_for=timedelta(hours=1), now=now))

    def _caller(self, token: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=f"{self.base_url}/api/v1", headers=headers, timeout=30)

    def until(self, found: Callable[[], T | Literal[False] | None], *, what: str) -> T:
        """Asks until the answer is true, and returns it. Raises CannotTell."""
        end = time.monotonic() + self.patience
        while time.monotonic() < end:
            if answer := found():
                return answer
            time.sleep(0.2)
        raise CannotTell(f"{what}: not within {self.patience:.0f} s. Is a worker running?")

    def user(self, role: str) -> Mapping[str, str]:
        """Login of a user of the back office."""
        found: Mapping[str, str] = next(row for row in self.credentials["users"] if row["role"] == role)
        return found


def ask(caller: httpx.Client, method: str, address: str, *, expect: int | None = None, **more: Any) -> Any:
    """The JSON (or text) of an answer. Raises CannotTell for one that was not expected (`expect` None: any 2xx)."""
    answer = caller.request(method, address, **more)
    if answer.status_code != expect and (expect is not None or not answer.is_success):
        raise CannotTell(f"{method} {address} answered {answer.status_code}: {answer.text[:300]}")
    return answer.json() if answer.headers.get("content-type", "").startswith("application/json") else answer.text


def once() -> dict[str, str]:
    """The header that makes a POST safe to repeat."""
    return {"Idempotency-Key": uuid.uuid4().hex}


@contextmanager
def running_service(*, credentials: Path, say: Callable[[str], None], patience: float) -> Iterator[Service]:
    """The service that runs from this set-up, or one that is started for as long as it is needed. Raises CannotTell."""
    found = _found(credentials, patience)
    if found is not None:
        yield found
        return
    say("No service runs: starting one (the first start takes about a minute).")
    child = subprocess.Popen(
        [sys.executable, "-m", "config.running"],
        cwd=environment.ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _wait_for_start(child)
        started = _found(credentials, patience)
        if started is None:
            raise CannotTell("the service that was started does not answer")
        yield replace(started, for_now=True)
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            child.kill()


def _found(credentials: Path, patience: float) -> Service | None:
    try:
        known = json.loads(credentials.read_text())
        base_url = str(known["base_url"])
    except (OSError, ValueError, KeyError):
        return None
    return Service(base_url=base_url, credentials=known, patience=patience) if _is_ready(base_url) else None


def _is_ready(base_url: str) -> bool:
    end = time.monotonic() + READY_WITHIN
    while time.monotonic() < end:
        try:
            ready = httpx.get(f"{base_url}/readyz", timeout=READY_WITHIN).status_code == 200
        except httpx.ConnectError:
            return False
        except httpx.HTTPError:
            ready = False
        if ready:
            return True
        time.sleep(0.1)
    return False


def _wait_for_start(child: subprocess.Popen[str]) -> None:
    """Reads what the service prints until it says that it runs; its later lines are read on in the background."""
    import threading

    lines: list[str] = []
    started = threading.Event()

    def read() -> None:
        for line in child.stdout or ():
            lines.append(line.rstrip())
            if "Recourse runs at" in line:
                started.set()
        started.set()

    threading.Thread(target=read, daemon=True).start()
    if not started.wait(START_WITHIN) or child.poll() is not None or not _says(lines):
        last = "\n".join(lines[-8:])
        raise CannotTell(f"the service did not start:\n{last}")


def _says(lines: list[str]) -> bool:
    return any("Recourse runs at" in line for line in lines)
