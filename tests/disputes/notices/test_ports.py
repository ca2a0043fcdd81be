"""What every port promises, tried on each adapter against a real carrier on this machine, and what each adds to it."""

from __future__ import annotations

import json
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.header import decode_header, make_header
from typing import Any

import pytest
from django.utils import timezone

from disputes.notices.models import Notice
from disputes.notices.ports import ConsolePort, HttpPort, NoPort, Port, Refused, SmtpPort, Unavailable, port_of
from tests.http_receiver import Receiver, Reply, listening
from tests.smtp_receiver import MailServer, mail_server
from tests.stack import free_port

TEXT = "您的异议已受理。We have your dispute.\n.\nD-7K3M-92QF"


def notice(channel: str = "sms", **changes: Any) -> Notice:
    address = "+8613812345678" if channel == "sms" else "wang@mail.example"
    said = {"kind": "outcome", "subject": uuid.UUID(int=1), "key": "1", "language": "zh-hans", "subject_line": "结果"}
    return Notice(
        **{**said, "channel": channel, "address": address, "text": TEXT, "queued_at": timezone.now()} | changes
    )


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """A port with the carrier behind it, which can be told to behave in each way that carriers do.

    `taken`: the texts that it has, `ids`: the name under which each came, by which it could be known again.
    """

    port: Port
    channel: str
    taken: Callable[[], list[str]]
    ids: Callable[[], list[str]]
    refuse: Callable[[], None]
    overload: Callable[[], None]
    fall_silent: Callable[[], None]


def http_carrier(receiver: Receiver) -> Carrier:
    def answer(reply: Reply) -> Callable[[], None]:
        return lambda: setattr(receiver, "reply", lambda request: reply)

    return Carrier(
        port=HttpPort(url=receiver.url, token="t"),
        channel="sms",
        taken=lambda: [json.loads(request.body)["text"] for request in receiver.received],
        ids=lambda: [request.headers["idempotency-key"] for request in receiver.received],
        refuse=answer(Reply(status=422)),
        overload=answer(Reply(status=429)),
        fall_silent=answer(Reply(hang_up=True)),
    )


def smtp_carrier(server: MailServer) -> Carrier:
    def text(message: Any) -> str:
        return str(message.get_payload(decode=True).decode()).replace("\r\n", "\n").removesuffix("\n")

    return Carrier(
        port=SmtpPort(),
        channel="email",
        taken=lambda: [text(message) for message in server.messages],
        ids=lambda: [message["Message-ID"] for message in server.messages],
        refuse=lambda: server.says.update({"RCPT": "550 wang@mail.example is not here"}),
        overload=lambda: server.says.update({"RCPT": "451 wang@mail.example: later"}),
        fall_silent=lambda: server.says.update({"DATA.": ""}),
    )


@pytest.fixture(params=["http", "smtp"])
def carrier(request: pytest.FixtureRequest, settings: Any) -> Iterator[Carrier]:
    if request.param == "http":
        with listening() as receiver:
            yield http_carrier(receiver)
    else:
        with mail_server(settings) as server:
            yield smtp_carrier(server)


def test_what_is_sent_is_what_the_carrier_has_and_its_reference_comes_back(carrier: Carrier) -> None:
    handed = carrier.port.send(notice(carrier.channel))
    assert carrier.taken() == [TEXT]
    assert handed.reference


def test_a_second_try_comes_under_the_same_name(carrier: Carrier) -> None:
    one = notice(carrier.channel)
    carrier.port.send(one)
    carrier.port.send(one)
    first, second = carrier.ids()
    assert first == second
    assert str(one.pk) in first


def test_a_refusal_is_for_good(carrier: Carrier) -> None:
    carrier.refuse()
    with pytest.raises(Refused):
        carrier.port.send(notice(carrier.channel))


@pytest.mark.parametrize("failing", ["refuse", "overload", "fall_silent"])
def test_no_failure_quotes_the_address_or_the_text_in_its_traceback(carrier: Carrier, failing: str) -> None:
    getattr(carrier, failing)()
    one = notice(carrier.channel)
    with pytest.raises((Refused, Unavailable)) as failed:
        carrier.port.send(one)
    said = "".join(traceback.format_exception(failed.value))
    assert one.address not in said
    assert "D-7K3M" not in said


def test_an_overloaded_carrier_is_unavailable_and_surely_has_nothing(carrier: Carrier) -> None:
    carrier.overload()
    with pytest.raises(Unavailable) as unavailable:
        carrier.port.send(notice(carrier.channel))
    assert not unavailable.value.in_doubt


def test_a_carrier_that_falls_silent_after_the_text_may_have_it(carrier: Carrier) -> None:
    carrier.fall_silent()
    with pytest.raises(Unavailable) as unavailable:
        carrier.port.send(notice(carrier.channel))
    assert unavailable.value.in_doubt


@pytest.mark.parametrize("channel", ["sms", "email"])
def test_a_carrier_that_is_not_there_is_unavailable_and_surely_has_nothing(channel: str, settings: Any) -> None:
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    port: Port = SmtpPort() if channel == "email" else HttpPort(url=f"http://127.0.0.1:{free_port()}/", token="")
    with pytest.raises(Unavailable) as unavailable:
        port.send(notice(channel))
    assert not unavailable.value.in_doubt


def test_the_console_takes_everything_and_shows_no_whole_address(capsys: Any) -> None:
    for channel in ("sms", "email"):
        assert ConsolePort().send(notice(channel)).reference
    said = capsys.readouterr().out
    assert "D-7K3M-92QF" in said
    assert "13812345678" not in said
    assert "wang@" not in said
    assert "+86138****5678" in said
    assert "w****@mail.example" in said


def test_without_a_carrier_a_notice_is_refused() -> None:
    with pytest.raises(Refused):
        NoPort().send(notice())


@pytest.mark.parametrize(
    ("sms", "email", "ports"),
    [
        ("console", "console", (ConsolePort, ConsolePort)),
        ("http", "smtp", (HttpPort, SmtpPort)),
        ("none", "none", (NoPort, NoPort)),
    ],
)
def test_the_settings_name_the_port_of_each_channel(sms: str, email: str, ports: Any, settings: Any) -> None:
    settings.NOTICE_PORTS = {"sms": sms, "email": email}
    assert (type(port_of("sms")), type(port_of("email"))) == ports


# --- the HTTP gateway ---


@pytest.fixture
def gateway() -> Iterator[Receiver]:
    with listening() as receiver:
        yield receiver


def test_the_gateway_gets_the_number_the_text_and_a_bearer_token(gateway: Receiver) -> None:
    one = notice()
    HttpPort(url=gateway.url, token="s3cret").send(one)
    (request,) = gateway.received
    assert json.loads(request.body) == {
        "id": str(one.pk),
        "to": "+8613812345678",
        "text": TEXT,
        "language": "zh-hans",
        "kind": "outcome",
    }
    assert request.headers["authorization"] == "Bearer s3cret"
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("body", "reference"),
    [
        (b'{"id": "g-1"}', "g-1"),
        (b'{"message_id": 77}', "77"),
        (b'{"reference": "r-1", "status": "queued"}', "r-1"),
        (b'{"id": null}', None),
        (b'{"id": true}', None),
        (b'{"id": {"a": 1}}', None),
        (b'{"id": "a\\u0000b"}', None),
        (b'{"id": "' + b"x" * 300 + b'"}', None),
        (b"[]", None),
        (b"OK", None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"[" * 50_000, None),
        (b'{"id": "' + b"x" * 100_000, None),
    ],
)
def test_its_reference_is_what_the_answer_names_else_our_own_id(
    gateway: Receiver, body: bytes, reference: str | None
) -> None:
    gateway.reply = lambda request: Reply(status=202, body=body)
    one = notice()
    assert HttpPort(url=gateway.url, token="").send(one).reference == (reference or str(one.pk))


@pytest.mark.parametrize("status", [400, 403, 404, 410, 422, 301, 307])
def test_these_answers_refuse(gateway: Receiver, status: int) -> None:
    gateway.reply = lambda request: Reply(status=status, headers={"Location": "http://127.0.0.1:9/"})
    with pytest.raises(Refused, match=f"http_{status}"):
        HttpPort(url=gateway.url, token="").send(notice())


@pytest.mark.parametrize(
    ("status", "in_doubt"),
    [(401, False), (408, True), (409, True), (429, False), (500, True), (502, True), (503, True), (504, True)],
)
def test_after_these_answers_another_try_may_help(gateway: Receiver, status: int, in_doubt: bool) -> None:
    gateway.reply = lambda request: Reply(status=status)
    with pytest.raises(Unavailable) as unavailable:
        HttpPort(url=gateway.url, token="").send(notice())
    assert unavailable.value.in_doubt is in_doubt


# --- SMTP ---


def test_an_email_says_who_it_is_from_and_that_a_machine_wrote_it(settings: Any) -> None:
    with mail_server(settings) as server:
        one = notice("email", subject_line="结果\r\nBcc: other@mail.example")
        assert SmtpPort().send(one).reference == f"<{one.pk}@lender.example>"
    (message,) = server.messages
    assert message["From"] == "Lender <disputes@lender.example>"
    assert message["To"] == "wang@mail.example"
    assert message["Bcc"] is None
    assert str(make_header(decode_header(message["Subject"]))) == "结果 Bcc: other@mail.example"
    assert message["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(
    ("says", "raises", "in_doubt"),
    [
        ({"CONNECT": "421 closing"}, Unavailable, False),
        ({"MAIL": "550 not you"}, Refused, None),
        ({"DATA": "554 spam"}, Refused, None),
        ({"DATA.": "554 spam"}, Refused, None),
        ({"DATA.": "451 later"}, Unavailable, False),
        ({"RCPT": ""}, Unavailable, True),
    ],
)
def test_what_a_mail_server_says_decides(settings: Any, says: dict[str, str], raises: Any, in_doubt: Any) -> None:
    with mail_server(settings) as server:
        server.says = says
        with pytest.raises(raises) as raised:
            SmtpPort().send(notice("email"))
    assert getattr(raised.value, "in_doubt", None) is in_doubt


def test_how_the_line_is_closed_changes_nothing(settings: Any) -> None:
    with mail_server(settings) as server:
        server.says = {"QUIT": ""}
        SmtpPort().send(notice("email"))
        server.says = {"QUIT": "500 no"}
        SmtpPort().send(notice("email"))
    assert len(server.messages) == 2
