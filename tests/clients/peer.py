"""A service that misbehaves: a raw socket that says whatever a test wants, byte for byte."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it came. `headers`: by their names in small letters."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def items(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.body)["items"]
        return found


def http(asked: Asked, body: bytes, *, status: int = 200, **headers: str) -> bytes:
    """A proper answer. Headers are keywords with underscores; "-" leaves one out."""
    told = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "X-Request-Id": asked.headers.get("x-request-id", ""),
        "Date": format_datetime(datetime.now(tz=UTC), usegmt=True),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in told.items() if value != "-")]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def allowed(asked: Asked, *, seconds: float = 60, at: datetime | None = None, **more: Any) -> dict[str, Any]:
    """A gate's answer that allows everything, decided at `at` (now)."""
    at = at or datetime.now(tz=UTC)
    return {
        "decided_at": at.isoformat(),
        "decisions": [
            {
                "outcome": "allow",
                "reasons": [],
                "next_allowed_at": None,
                "permit": {"id": str(uuid.uuid4()), "expires_at": (at + timedelta(seconds=seconds)).isoformat()},
                **more,
            }
            for _ in asked.items
        ],
    }


def as_json(asked: Asked, told: Any, **more: Any) -> bytes:
    return http(asked, json.dumps(told).encode(), **more)


Say = Callable[[Asked, socket.socket], None]


class Peer:
    """`gate`: what answers a question to the gate; `unused`: a hand-back; `token`: the token endpoint; `changes`: the
    feed. Each writes to the socket as it pleases; the connection is kept open after it unless it was shut. `asked`:
    every request so far."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self.token: Say = lambda asked, line: line.sendall(
            as_json(asked, {"access_token": "t0", "token_type": "Bearer", "expires_in": 300})
        )
        self.gate: Say = lambda asked, line: line.sendall(as_json(asked, allowed(asked)))
        self.unused: Say = lambda asked, line: line.sendall(as_json(asked, {"id": "", "unused_at": ""}))
        self.changes: Say = lambda asked, line: line.sendall(http(asked, b"", status=404))
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def paths(self) -> list[str]:
        return [one.path for one in self.asked]

    def handed_back(self) -> list[str]:
        return [path.split("/")[-2] for path in self.paths() if path.endswith("/unused")]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._server.accept()
                self.connections += 1
                self._open.append(line)
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with suppress(OSError, ValueError), line, line.makefile("rb") as reader:
            while head := reader.readline():
                method, path, _ = head.decode().split()
                headers = {}
                while (text := reader.readline().decode().strip()) != "":
                    name, _, value = text.partition(":")
                    headers[name.lower()] = value.strip()
                body = reader.read(int(headers.get("content-length", 0)))
                asked = Asked(method=method, path=path, headers=headers, body=body)
                self.asked.append(asked)
                self._reply(asked)(asked, line)

    def _reply(self, asked: Asked) -> Say:
        if asked.path == "/oauth/token":
            return self.token
        if asked.path.startswith("/api/v1/suppressions/changes"):
            return self.changes
        return self.unused if asked.path.endswith("/unused") else self.gate

    def stop(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for line in self._open:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=10)


def reset(line: socket.socket) -> None:
    """Cuts the line so that the other side sees an error rather than an end."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(line.detach())


def drip(line: socket.socket, data: bytes, *, every: float) -> None:
    """One byte at a time, so that no single read ever waits long."""
    for byte in data:
        line.sendall(bytes([byte]))
        time.sleep(every)


@contextmanager
def misbehaving() -> Iterator[Peer]:
    peer = Peer()
    try:
        yield peer
    finally:
        peer.stop()
