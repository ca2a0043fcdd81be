"""One POST outside: bounded in time, and by TLS only to whom the name belongs."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from disputes.notices import posting
from disputes.notices.posting import AddressRefused, NoAnswer, post
from tests.races import PATIENCE


@contextmanager
def speaking(*parts: bytes, pause: float = 0.05, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that says these parts with a pause between, whatever it is asked. Yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    over = threading.Event()

    def talk(line: socket.socket) -> None:
        try:
            with context.wrap_socket(line, server_side=True) if context else line as spoken:
                for part in parts:
                    spoken.sendall(part)
                    time.sleep(pause)
                over.wait(PATIENCE)
        except OSError:
            return

    def serve() -> None:
        while not over.is_set():
            try:
                line, _ = listener.accept()
            except TimeoutError:
                continue
            threading.Thread(target=talk, args=(line,), daemon=True).start()

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        server.join(timeout=10)
        listener.close()


def send(port: int, *, limit: float = 2, scheme: str = "http", host: str = "127.0.0.1") -> posting.Answer:
    return post(
        url=f"{scheme}://{host}:{port}/",
        headers={},
        content=b"{}",
        addresses=lambda host, port: ["127.0.0.1"],
        time_limit=limit,
        most=100,
    )


@pytest.fixture
def counted_from(monkeypatch: pytest.MonkeyPatch) -> Callable[[object, str], None]:
    """The time limit begins when a function is first called: what a slow machine takes up to there does not count."""
    began: list[float] = []

    def at_first_call(of: object, name: str) -> None:
        real = getattr(of, name)

        def noted(*args: Any, **named: Any) -> Any:
            began.append(time.monotonic())
            return real(*args, **named)

        monkeypatch.setattr(of, name, noted)

    def elapsed() -> float:
        return time.monotonic() - began[0] if began else 0.0

    monkeypatch.setattr(posting, "time", SimpleNamespace(monotonic=elapsed))
    return at_first_call


@pytest.mark.parametrize(
    "parts",
    [(), (b"H",) * 2_000, (b"HTTP/1.1 200 OK\r\n", *(b"X-A: b\r\n",) * 2_000)],
    ids=["nothing", "a letter at a time", "a header at a time"],
)
def test_whoever_speaks_slowly_is_left_at_the_time_limit(
    parts: tuple[bytes, ...], counted_from: Callable[[object, str], None]
) -> None:
    counted_from(posting._Line, "read")
    with speaking(*parts) as port:
        started = time.monotonic()
        with pytest.raises(NoAnswer) as left:
            send(port)
        assert time.monotonic() - started < 20
    assert (left.value.code, left.value.sent) == ("no answer in time", True)


def test_a_body_that_drips_costs_the_body_and_not_the_status(counted_from: Callable[[object, str], None]) -> None:
    counted_from(posting, "_body")
    head = b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000\r\n\r\n"
    with speaking(head, *(b"x",) * 2_000) as port:
        started = time.monotonic()
        answer = send(port)
        assert time.monotonic() - started < 20
    assert (answer.status, answer.body) == (202, b"")


def test_a_second_address_is_tried_where_the_first_one_is_not_there() -> None:
    with speaking(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as port:
        answer = post(
            url=f"http://two.example:{port}/",
            headers={},
            content=b"",
            addresses=lambda host, port: ["127.0.0.9", "127.0.0.1"],
            most=100,
        )
    assert answer.body == b"ok"


@pytest.mark.parametrize(
    ("error", "code"),
    [(AddressRefused("inside"), "address refused"), (socket.gaierror("unknown"), "name not resolved")],
)
def test_where_the_name_leads_nowhere_nothing_was_sent(error: OSError, code: str) -> None:
    def addresses(host: str, port: int) -> list[str]:
        raise error

    with pytest.raises(NoAnswer) as none:
        post(url="http://x.example/", headers={}, content=b"", addresses=addresses)
    assert (none.value.code, none.value.sent) == (code, False)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example", ".", "nobody.invalid"])
def test_what_is_no_name_resolves_to_nothing(host: str) -> None:
    with pytest.raises(OSError):
        posting.resolve(host, 443)


def certificate(directory: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate for a name, signed by itself: its file, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(tz=datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("192.0.2.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    file, secret = directory / "certificate.pem", directory / "key.pem"
    file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, secret)
    return file, context


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """A server's context for hooks.example, whose certificate this machine trusts for the length of the test."""
    file, context = certificate(tmp_path, "hooks.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    posting._trust.cache_clear()
    yield context
    posting._trust.cache_clear()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def test_the_certificate_is_checked_against_the_name_while_the_address_is_pinned(tls: ssl.SSLContext) -> None:
    with speaking(OK, context=tls) as port:
        assert send(port, scheme="https", host="hooks.example", limit=PATIENCE).status == 200


def test_a_certificate_of_another_name_is_refused_and_nothing_was_sent(tls: ssl.SSLContext) -> None:
    with speaking(OK, context=tls) as port, pytest.raises(NoAnswer) as refused:
        send(port, scheme="https", host="other.example", limit=PATIENCE)
    assert (refused.value.code, refused.value.sent) == ("TLS refused", False)


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    _, context = certificate(tmp_path, "hooks.example")
    with speaking(OK, context=context) as port, pytest.raises(NoAnswer) as refused:
        send(port, scheme="https", host="hooks.example", limit=PATIENCE)
    assert refused.value.code == "TLS refused"
