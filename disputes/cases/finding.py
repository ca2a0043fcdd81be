"""Finding the message that a dispute is about, and whose it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from config.fields import keyring, phone_digest
from config.statements import Statement, run
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A message, with what the records say of its loan now. `owner`, `product`: None where they are not known;
    `phones`: the digests of the owner's own."""

    message: Message
    owner: str | None
    product: str | None
    phones: tuple[bytes, ...]


def find_message(*, selector: Selector, customer: str | None, phone: bytes | None) -> Message | None:
    """The message alone, as `find` finds it."""
    found = find(selector=selector, customer=customer, phone=phone)
    return found.message if found else None


def find(
    *, selector: Selector, customer: str | None, phone: bytes | None, search: Search | None = None
) -> Found | None:
    """The message, where it is known and the person's own; None otherwise.

    `customer` None and `phone` None: a system that acts for whoever the message went to. `search`: by the same
    selector, where it was run already. Raises MessageNotFound where the message was named by its id, which only a
    caller who has seen the message can know.
    """
    if search is None:
        search = Search(selector)
        run(*search.asked)
    for found in search.candidates():
        if _is_own(found, customer=customer, phone=phone):
            return found
    if selector.id is not None:
        raise MessageNotFound(str(selector.id))
    return None


def _is_own(found: Found, *, customer: str | None, phone: bytes | None) -> bool:
    """Whether it went to the person's phone, or is about the customer's loan."""
    message = found.message
    if customer is None and phone is None:
        return True
    if phone is not None and message.phone_digest == phone:
        return True
    return customer is not None and (
        found.owner == customer
        or customer in records.customers_of_phone(digest=message.phone_digest, at=message.sent_at)
    )


def owns(*, customer: str | None, message: Message) -> bool:
    """Whether the loan that the message is about is the customer's, as known now."""
    return customer is not None and records.owner_of_loan(loan=message.loan) == customer


_FIELDS = [field.attname for field in Message._meta.concrete_fields]
_FOUND = (
    f"SELECT {', '.join(f'(found.message).{field.column}' for field in Message._meta.concrete_fields)},"
    " found.owner, found.product, found.phones"
    " FROM disputes_messages_found(%s::uuid, %s, %s, %s, %s::timestamptz, %s::timestamptz) AS found"
)


class Search:
    """What is `asked` to find a message, by one function that keeps its plans (migration 0015), to be run in one call
    with others; nothing where the message is not named at all."""

    def __init__(self, selector: Selector) -> None:
        self._near: datetime | None = None
        at = selector.received_at
        named: list[Any] = [selector.id, selector.external_id, selector.short_ref, None, None, None]
        if named == [None] * 6 and selector.phone is not None and at is not None:
            self._near = at
            named[3:] = [phone_digest(selector.phone), at - RECEIVED_WITHIN, at + RECEIVED_WITHIN]
        self.asked = () if named == [None] * 6 else (Statement(_FOUND, named),)

    def candidates(self) -> list[Found]:
        """The messages that were found, but those that are voided, with their loans as known now; the likeliest
        first."""
        found = [
            Found(
                message=Message.from_db("default", _FIELDS, row[:-3]),
                owner=row[-3],
                product=row[-2] or None,
                phones=tuple(bytes(digest) for digest in row[-1]),
            )
            for asked in self.asked
            for row in asked.rows
        ]
        near = self._near
        if near is None:
            return found
        return sorted(found, key=lambda one: (abs((one.message.sent_at or near) - near), one.message.external_id))
