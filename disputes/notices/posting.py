"""One POST to an address outside: bounded in time whatever the other side does, without redirects or a proxy, and to
the very addresses that the caller has looked at.

httpcore rather than httpx, since its network back end is where an address can be pinned (the name is resolved once, and
no second time by the library) and where one deadline can hold for connection, TLS, and each read and write together.
The certificate is checked against the name all the same.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpcore

TIME_LIMIT = 10.0
"""Seconds for all of it, but the resolving of the name."""

Addresses = Callable[[str, int], Sequence[str]]
"""(host, port) → the IP addresses to connect to, in order. Raises OSError where there are none,
AddressRefused where one may not be gone to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """`headers`: names in lower case; `body`: at most what was asked for, empty where it could not be read."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(Exception):
    """`code`: what happened, without the address; `sent`: the other side may have had the request."""

    def __init__(self, code: str, *, sent: bool) -> None:
        super().__init__(code)
        self.code = code
        self.sent = sent


class AddressRefused(OSError):
    """A name that leads where no connection may be made."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as the machine's resolver orders them. Raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or too long
        raise socket.gaierror("not a name") from error
    return list(dict.fromkeys(str(row[4][0]) for row in found))


def post(
    *,
    url: str,
    headers: Mapping[str, str],
    content: bytes,
    addresses: Addresses = resolve,
    time_limit: float = TIME_LIMIT,
    most: int = 0,
) -> Answer:
    """Posts `content` and reads the status and at most `most` bytes of the answer. Raises NoAnswer."""
    parts = urlsplit(url)
    lines = _Lines(until=time.monotonic() + time_limit, addresses=addresses)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    address = httpcore.URL(scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target=target)
    try:
        with (
            httpcore.ConnectionPool(ssl_context=_trust(), network_backend=lines, retries=0) as pool,
            pool.stream("POST", address, headers=list(headers.items()), content=content) as answer,
        ):
            said = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
            return Answer(status=answer.status, headers=said, body=_body(answer, most) if most else b"")
    except (OSError, httpcore.ConnectError, httpcore.ConnectTimeout, ssl.SSLError) as error:
        raise NoAnswer(_code(error), sent=False) from error
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise NoAnswer(_code(error), sent=lines.sent) from error


def _code(error: Exception) -> str:
    if isinstance(error, AddressRefused):
        return "address refused"
    if isinstance(error, socket.gaierror):
        return "name not resolved"
    # httpcore takes an error's cause off, but wraps the first error itself.
    if any(isinstance(one, ssl.SSLError) for one in (error, *error.args)):
        return "TLS refused"
    if isinstance(error, httpcore.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpcore.ConnectError | OSError):
        return "no connection"
    return "no answer" if isinstance(error, httpcore.NetworkError) else "not an answer of HTTP"


def _body(answer: httpcore.Response, most: int) -> bytes:
    """The status has been said by then: a body that breaks off, or does not end, is no body."""
    content = b""
    try:
        for chunk in answer.iter_stream():
            content += chunk
            if len(content) > most:
                return b""
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        return b""
    return content


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Lines(httpcore.NetworkBackend):
    """Connects to the addresses that `addresses` gives for a host, and to no other; all of it ends at `until`."""

    def __init__(self, *, until: float, addresses: Addresses) -> None:
        self.until = until
        self.addresses = addresses
        self.sent = False

    def left(self) -> float:
        """Seconds left. Raises TimeoutException where there are none."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the time limit is over")
        return left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        started = time.monotonic()
        found = self.addresses(host, port)
        self.until += time.monotonic() - started  # the resolver has its own time limit
        failed: Exception = socket.gaierror("no address")
        for place, address in enumerate(found):
            # The first ones may not use up what the last one needs.
            share = self.left() / (len(found) - place)
            try:
                stream = httpcore.SyncBackend().connect_tcp(address, port, share, socket_options=socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
                continue
            return _Line(stream, self)
        raise failed


class _Line(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, lines: _Lines) -> None:
        self.stream = stream
        self.lines = lines

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.stream.read(max_bytes, self.lines.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = self.lines.left()
        self.lines.sent = True
        self.stream.write(buffer, left)

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Line(self.stream.start_tls(ssl_context, server_hostname, self.lines.left()), self.lines)

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)
