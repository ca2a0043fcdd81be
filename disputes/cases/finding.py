"""Finding the message that a dispute is about, and whose it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from config.fields import keyring, phone_digest
from config.values.ciphertext import digest
from disputes.records import queries as records
from disputes.records.models import Message

RECEIVED_WITHIN = timedelta(hours=48)
"""How far the instant that a person remembers may lie from the one at which the message was sent."""


class MessageNotFound(Exception):
    """No message of the caller's has this id (404)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selector:
    """How the caller names the message: by exactly one of id, external_id, short_ref, or phone with an instant."""

    id: UUID | None = None
    external_id: str | None = None
    short_ref: str | None = None
    phone: str | None = None
    received_at: datetime | None = None
    text: str | None = None

    @classmethod
    def read(cls, stored: dict[str, Any]) -> Selector:
        return cls(**stored)

    def described(self) -> dict[str, Any]:
        """All but the id: what is kept while nobody can find the message."""
        return {
            "external_id": self.external_id,
            "short_ref": self.short_ref,
            "phone": self.phone,
            "received_at": self.received_at,
            "text": self.text,
        }

    def key(self) -> str:
        """A digest of the description, the same for the same words: what makes two disputes one while nothing is
        found."""
        text = "\0".join(f"{name}={value}" for name, value in sorted(self.described().items()) if value)
        return f"?{digest(keyring(), 'selector', text).hex()}"

    def watch_keys(self) -> list[str]:
        """What the import must tell of."""
        keys = [
            (f"message:{self.external_id}", self.external_id),
            (f"short_ref:{self.short_ref}", self.short_ref),
            (f"phone:{phone_digest(self.phone).hex()}" if self.phone else "", self.phone),
        ]
        return [key for key, value in keys if value]


def find_message(*, selector: Selector, customer: str | None, phone: bytes | None) -> Message | None:
    """The message, where it is known and the person's own; None otherwise.

    `customer` None and `phone` None: a system that acts for whoever the message went to. Raises MessageNotFound where
    the message was named by its id, which only a caller who has seen the message can know.
    """
    for message in _candidates(selector):
        if is_own(message=message, customer=customer, phone=phone):
            return message
    if selector.id is not None:
        raise MessageNotFound(str(selector.id))
    return None


def is_own(*, message: Message, customer: str | None, phone: bytes | None) -> bool:
    """Whether it went to the person's phone, or is about the customer's loan."""
    if customer is None and phone is None:
        return True
    if phone is not None and message.phone_digest == phone:
        return True
    return customer is not None and (
        owns(customer=customer, message=message)
        or customer in records.customers_of_phone(digest=message.phone_digest, at=message.sent_at)
    )


def owns(*, customer: str | None, message: Message) -> bool:
    """Whether the loan that the message is about is the customer's, as known now."""
    return customer is not None and records.owner_of_loan(loan=message.loan) == customer


def _candidates(selector: Selector) -> list[Message]:
    if selector.id is not None:
        return list(Message.objects.filter(voided=False, pk=selector.id))
    if selector.external_id is not None:
        return list(Message.objects.filter(voided=False, external_id=selector.external_id))
    if selector.short_ref is not None:
        return list(Message.objects.filter(voided=False, short_ref=selector.short_ref).order_by("-sent_at")[:20])
    if selector.phone is None or selector.received_at is None:
        return []
    near = Message.objects.filter(
        voided=False,
        phone_digest=phone_digest(selector.phone),
        sent_at__gte=selector.received_at - RECEIVED_WITHIN,
        sent_at__lte=selector.received_at + RECEIVED_WITHIN,
    ).order_by("-sent_at", "external_id")[:200]
    received_at = selector.received_at
    return sorted(near, key=lambda message: (abs((message.sent_at or received_at) - received_at), message.external_id))
