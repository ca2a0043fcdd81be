"""The port through which a text reaches a person, and its adapters.

A port's `send` returns once the carrier has taken the notice, or raises: Refused where no other try can help,
Unavailable where one may. `Unavailable.in_doubt`: the carrier may have taken it all the same. No port is called inside
a transaction. Which one serves a channel is a setting (NOTICE_PORTS).
"""

from __future__ import annotations

import json
import smtplib
from dataclasses import dataclass
from typing import Protocol

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend

from config.values.phone import mask_phone
from disputes.notices.models import Notice, NoticeChannel
from disputes.notices.posting import NoAnswer, post

WAIT = 10.0
"""Seconds that a mail server has for each of its answers."""
MOST_READ = 64 * 1024
"""Bytes read of a gateway's answer."""
TRY_AGAIN = frozenset({401, 407, 408, 409, 425, 429})
"""Statuses below 500 that say nothing of the notice: our token, the gateway's load, the first try still running."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Handed:
    """The carrier has it; `reference` is its name for it, by which its receipts may speak."""

    reference: str


class Refused(Exception):
    """The carrier will never take this notice. `code` has no personal data."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Unavailable(Exception):
    """No carrier for now. `in_doubt`: it may have the notice, but no answer came."""

    def __init__(self, code: str, *, in_doubt: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.in_doubt = in_doubt


class Port(Protocol):
    def send(self, notice: Notice) -> Handed:
        """Raises Refused or Unavailable."""


def port_of(channel: str) -> Port:
    """The port that the settings name for a channel."""
    named = settings.NOTICE_PORTS[channel]
    if named == "console":
        return ConsolePort()
    if named == "http" and channel == NoticeChannel.SMS:
        return HttpPort(url=settings.SMS_GATEWAY_URL, token=settings.SMS_GATEWAY_TOKEN)
    if named == "smtp" and channel == NoticeChannel.EMAIL:
        return SmtpPort()
    return NoPort()


class NoPort:
    """Stands where a deployment has no carrier for a channel: each notice fails at once and is seen."""

    def send(self, notice: Notice) -> Handed:
        raise Refused("no_carrier")


class ConsolePort:
    """Prints the text, with the address masked, where the worker's output goes. For the embedded set-up; a production
    start refuses it. The text counts as handed over; that it was delivered only a receipt says."""

    def send(self, notice: Notice) -> Handed:
        line = f"{notice.subject_line}: " if notice.subject_line else ""
        print(f"{notice.channel} to {masked(notice)} ({notice.kind}, {notice.pk}): {line}{notice.text}", flush=True)
        return Handed(reference=f"console-{notice.pk}")


def masked(notice: Notice) -> str:
    """What may be shown of the address."""
    if notice.channel == NoticeChannel.SMS:
        return mask_phone(notice.address)
    local, _, domain = notice.address.partition("@")
    return f"{local[:1]}****@{domain}"


class HttpPort:
    """A gateway that takes ``POST {"id", "to", "text", "language", "kind"}`` with a bearer token.

    The header ``Idempotency-Key`` and `id` are the notice's id, the same at every try. 2xx: taken; its reference is the
    answer's `id`, `message_id` or `reference`, else the notice's id. 408, 409, 425, 429, 5xx, an answer that does not
    come, and what is wrong with our token (401, 407): Unavailable. Any other answer: Refused.
    """

    def __init__(self, *, url: str, token: str) -> None:
        self.url = url
        self.token = token

    def send(self, notice: Notice) -> Handed:
        body = {
            "id": str(notice.pk),
            "to": notice.address,
            "text": notice.text,
            "language": notice.language,
            "kind": notice.kind,
        }
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(notice.pk), "User-Agent": "Recourse"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            answer = post(url=self.url, headers=headers, content=json.dumps(body).encode(), most=MOST_READ)
        except NoAnswer as error:
            raise Unavailable(error.code, in_doubt=error.sent) from error
        status = answer.status
        if status in TRY_AGAIN or status >= 500:
            raise Unavailable(f"http_{status}", in_doubt=status >= 500 or status in (408, 409))
        if not 200 <= status < 300:
            raise Refused(f"http_{status}")
        return Handed(reference=_reference(answer.body) or str(notice.pk))


def _reference(body: bytes) -> str | None:
    """The gateway's own name for the notice, where its answer has one."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    for name in ("id", "message_id", "reference"):
        found = said.get(name)
        text = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
        if 0 < len(text) <= 200 and text.isprintable():
            return text
    return None


class SmtpPort:
    """E-mail by Django's SMTP back end (EMAIL_URL). The Message-ID is made of the notice's id and is its reference."""

    def send(self, notice: Notice) -> Handed:
        domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].rstrip("> ") or "localhost"
        reference = f"<{notice.pk}@{domain}>"
        message = EmailMessage(
            subject=" ".join(notice.subject_line.split()),
            body=notice.text,
            to=[notice.address],
            headers={"Message-ID": reference, "Auto-Submitted": "auto-generated"},
        )
        backend = EmailBackend(timeout=WAIT)
        try:
            backend.open()
        except smtplib.SMTPException as error:  # its greeting, TLS or our password: nothing of the notice was said
            raise Unavailable(type(error).__name__) from error
        except OSError as error:
            raise Unavailable(type(error).__name__) from error
        try:
            backend.send_messages([message])
        # Without their cause: a mail server's words quote the address, and a traceback would log them.
        except smtplib.SMTPRecipientsRefused as error:
            raise _of_code(min(code for code, _ in error.recipients.values())) from None
        except smtplib.SMTPResponseException as error:
            raise _of_code(error.smtp_code) from None
        except (smtplib.SMTPException, OSError) as error:
            # The line fell silent: whether before or after the text was taken, nobody can say.
            raise Unavailable(type(error).__name__, in_doubt=True) from None
        finally:
            _close(backend)
        return Handed(reference=reference)


def _of_code(code: int) -> Exception:
    """RFC 5321, section 4.2.1: 5yz is for good, 4yz for now."""
    return Refused(f"smtp_{code}") if 500 <= code < 600 else Unavailable(f"smtp_{code}")


def _close(backend: EmailBackend) -> None:
    """The text has been answered for by then; how the line is closed changes nothing."""
    try:
        backend.close()
    except (smtplib.SMTPException, OSError):
        return
