"""One question and one answer over HTTP, with an end to waiting, on connections that are kept."""

from __future__ import annotations

import contextlib
import io
import ipaddress
import os
import select
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, RemoteDisconnected
from typing import Any
from urllib.parse import urlsplit

from recourse_client.clock import Clock
from recourse_client.messages import Failed, Reason

IDLE_SECONDS = 20.0
"""A kept connection that rested for longer is not trusted again."""
MOST_IDLE = 32
_PART = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """`headers`: by their names in small letters. `asked_at`, `asked_wall`: both clocks before anything was sent;
    `answered_wall`: the date's clock after the last byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    asked_at: float
    asked_wall: float
    answered_wall: float


class _Raw(io.RawIOBase):
    """What is read from a socket, until an instant and not beyond it."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self.sock = sock
        self.until = 0.0
        self.quiet = False

    def left(self) -> float:
        seconds = self.until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("no whole answer in time")
        return seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.quiet:
            return None
        self.sock.settimeout(self.left())
        return self.sock.recv_into(buffer)


class _Reader(io.BufferedReader):
    """One for a connection's whole life: an answer that ends does not close it, nor lose what was read beyond it."""

    def close(self) -> None:
        return None


class _Line:
    """One connection. `used`: something was asked on it before."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.raw = _Raw(sock)
        self.reader = _Reader(self.raw)
        self.used = False
        self.rested_at = 0.0

    def makefile(self, mode: str) -> io.BufferedReader:
        return self.reader

    def send(self, data: bytes) -> None:
        self.sock.settimeout(self.raw.left())
        self.sock.sendall(data)

    def has_more(self) -> bool:
        """Whether bytes came that nobody asked for, or the other side has hung up."""
        self.raw.quiet = True
        try:
            if self.reader.peek(1):
                return True
        finally:
            self.raw.quiet = False
        pending = self.sock.pending() if isinstance(self.sock, ssl.SSLSocket) else 0
        poller = select.poll()
        poller.register(self.sock, select.POLLIN | select.POLLHUP | select.POLLERR)
        return bool(pending or poller.poll(0))

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()


class _Unheard(Exception):
    """A kept connection that turned out to be closed: no byte of an answer came."""


class Connections:
    """Asks one service. Safe for threads; after a fork the child begins with no connection.

    `connect_seconds`: for a connection and its TLS handshake, for each address that the name has. Redirects are not
    followed and proxies of the environment not used: the token goes to this one place.
    """

    def __init__(
        self,
        *,
        base_url: str,
        connect_seconds: float,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
        plain_http: bool = False,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("base_url is http(s)://host[:port][/path]")
        if parts.username or parts.password:
            raise ValueError("credentials do not stand in base_url")
        if parts.scheme == "http" and not (plain_http or _is_loopback(parts.hostname)):
            raise ValueError("http without TLS shows the token to everybody on the way: https, or plain_http=True")
        self.base_url = base_url.rstrip("/")
        self._host, self._netloc, self._path = parts.hostname, parts.netloc, parts.path.rstrip("/")
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._connect_seconds = connect_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: list[_Line] = []
        self._pid = os.getpid()

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        answer_seconds: float,
        most_bytes: int,
    ) -> Answer:
        """Sends one request and reads its answer, whatever its status. `path` begins with a slash, quoted.

        Repeats it, at once, only where a kept connection turned out to be closed: most likely the other side had let
        it go before. The question may have been heard all the same, so ask nothing here that must not be heard twice.
        `answer_seconds`: from the first byte sent to the last one read. Raises Failed.
        """
        request_id = uuid.uuid4().hex
        head = {
            "Host": self._netloc,
            "Accept": "application/json, application/x-ndjson",
            "Content-Length": str(len(body)),
            "X-Request-Id": request_id,
            **(headers or {}),
        }
        if any(ord(char) < 32 or ord(char) > 126 for text in (path, *head.values()) for char in text):
            raise ValueError("an address and its headers are printable ASCII")
        lines = [f"{method} {self._path}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
        question = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        while True:
            line = self._take()
            try:
                return self._ask_on(line, method, question, request_id, answer_seconds, most_bytes)
            except _Unheard:
                continue

    def _ask_on(
        self, line: _Line, method: str, question: bytes, request_id: str, answer_seconds: float, most_bytes: int
    ) -> Answer:
        asked_at, asked_wall = self._clock.steady(), self._clock.wall()
        line.raw.until = time.monotonic() + answer_seconds
        kept = False
        try:
            response = _put(line, method, question)
            body = _read_body(response, most_bytes)
            answered_wall = self._clock.wall()
            told = {name.lower(): value for name, value in response.getheaders()}
            # The service says the id of the question again: an answer that was left over from another is not ours. An
            # error may come from something in between, which knows no ids.
            ours = told.get("x-request-id") == request_id
            if not ours and 200 <= response.status < 300:
                raise Failed(Reason.BAD_ANSWER, "the answer is not to this question", status=response.status)
            kept = ours and not response.will_close
            return Answer(
                status=response.status,
                headers=told,
                body=body,
                asked_at=asked_at,
                asked_wall=asked_wall,
                answered_wall=answered_wall,
            )
        except TimeoutError as error:
            raise Failed(Reason.TIMEOUT, str(error)) from error
        except OSError as error:
            raise Failed(Reason.UNREACHABLE, str(error)) from error
        except (HTTPException, ValueError) as error:
            raise Failed(Reason.BAD_ANSWER, f"{type(error).__name__}: {error}") from error
        finally:
            if kept:
                self._keep(line)
            else:
                line.hang_up()

    def _take(self) -> _Line:
        """A kept connection that is still quiet, else a new one. Raises Failed."""
        with self._lock:
            if self._pid != os.getpid():
                # Of the process before the fork: its answers must never be read here.
                self._pid, self._idle = os.getpid(), []
            while self._idle:
                line = self._idle.pop()
                if self._clock.steady() - line.rested_at <= IDLE_SECONDS and not line.has_more():
                    return line
                line.hang_up()
        return self._connect()

    def _keep(self, line: _Line) -> None:
        line.used = True
        line.rested_at = self._clock.steady()
        with self._lock:
            if self._pid == os.getpid() and len(self._idle) < MOST_IDLE:
                self._idle.append(line)
                return
        line.hang_up()

    def _connect(self) -> _Line:
        try:
            sock = socket.create_connection((self._host, self._port), timeout=self._connect_seconds)
        except TimeoutError as error:
            raise Failed(Reason.TIMEOUT, "no connection in time") from error
        except (OSError, UnicodeError) as error:
            raise Failed(Reason.UNREACHABLE, str(error)) from error
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_hostname=self._host)
        except TimeoutError as error:
            sock.close()
            raise Failed(Reason.TIMEOUT, "no TLS handshake in time") from error
        except (OSError, ValueError) as error:
            sock.close()
            raise Failed(Reason.UNREACHABLE, str(error)) from error
        return _Line(sock)

    def close(self) -> None:
        """Hangs up what is kept; it may be used again all the same."""
        with self._lock:
            idle, self._idle = self._idle, []
        for line in idle:
            line.hang_up()


def _put(line: _Line, method: str, question: bytes) -> HTTPResponse:
    """Sends the question and reads the answer's head. Raises _Unheard where a kept connection was closed meanwhile."""
    try:
        line.send(question)
        response = HTTPResponse(line, method=method)  # type: ignore[arg-type]  # it asks for makefile alone
        response.begin()
    except TimeoutError:
        raise
    except (BrokenPipeError, ConnectionResetError, RemoteDisconnected) as error:
        if line.used:
            raise _Unheard from error
        raise
    return response


def _read_body(response: HTTPResponse, most_bytes: int) -> bytes:
    if not response.chunked and response.length is None:
        raise Failed(Reason.BAD_ANSWER, "the answer does not say where it ends", status=response.status)
    parts: list[bytes] = []
    size = 0
    while part := response.read(_PART):
        parts.append(part)
        size += len(part)
        if size > most_bytes:
            raise Failed(Reason.BAD_ANSWER, "the answer is too long", status=response.status)
    if not response.chunked and response.length:
        raise Failed(Reason.BAD_ANSWER, "the answer was cut", status=response.status)
    return b"".join(parts)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
