"""A real mail server on this machine, of the few commands that a client needs."""

from __future__ import annotations

import email
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from typing import Any


class MailServer:
    """`messages`: what was taken. `says`: what answers a command in place of the usual (``{"RCPT": "550 no"}``); an
    empty answer cuts the line. ``DATA.`` stands for the end of a text."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.says: dict[str, str] = {}
        self._server = _Server(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


_USUAL = {"EHLO": "250 here", "HELO": "250 here", "MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go on"}
_USUAL |= {"DATA.": "250 taken", "QUIT": "221 bye", "RSET": "250 ok"}


def _handler_of(server: MailServer) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        def say(self, command: str) -> bool:
            answer = server.says.get(command, _USUAL.get(command, "502 what?"))
            if answer:
                self.wfile.write(answer.encode() + b"\r\n")
            return bool(answer)

        def handle(self) -> None:
            self.wfile.write(server.says.get("CONNECT", "220 here").encode() + b"\r\n")
            for line in self.rfile:
                command = line[:4].decode().upper().strip()
                if not self.say(command) or command == "QUIT":
                    return
                if command == "DATA" and "DATA" not in server.says:
                    text = b""
                    for part in iter(self.rfile.readline, b".\r\n"):
                        text += part[1:] if part.startswith(b"..") else part
                    if server.says.get("DATA.", "2").startswith("2"):
                        server.messages.append(email.message_from_bytes(text))
                    if not self.say("DATA."):
                        return

        def finish(self) -> None:
            try:
                super().finish()
            except OSError:
                return

    return Handler


@contextmanager
def mail_server(settings: Any) -> Iterator[MailServer]:
    """A server that Django's settings point to."""
    server = MailServer()
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.DEFAULT_FROM_EMAIL = "Lender <disputes@lender.example>"
    try:
        yield server
    finally:
        server.stop()
