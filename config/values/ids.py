"""Ids: UUIDv7 for what is public, random tokens for what is secret, and a dispute's human reference."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime

from uuid_utils import compat

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = {"O": "0", "I": "1", "L": "1"}


def new_id() -> uuid.UUID:
    """A UUIDv7, made here rather than by the database: PostgreSQL 15 to 17 cannot make one."""
    return compat.uuid7()


def floor_of(instant: datetime) -> uuid.UUID:
    """The lowest UUIDv7 of an instant's millisecond: every id made from then on is not below it."""
    return uuid.UUID(int=max(0, int(instant.timestamp() * 1000)) << 80)


def new_token() -> str:
    """256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)


def _check_character(body: str) -> str:
    """Luhn's algorithm modulo 32: any single wrong character is found, and nearly every swap of two neighbours."""
    total = 0
    for place, character in enumerate(reversed(body)):
        value = _CROCKFORD.index(character) * (2 if place % 2 == 0 else 1)
        total += value // 32 + value % 32
    return _CROCKFORD[-total % 32]


def new_reference() -> str:
    """A dispute's reference, ``D-7K3M-92QF``: seven random characters and a check character."""
    number = secrets.randbits(5 * 7)
    body = "".join([_CROCKFORD[number >> shift & 31] for shift in range(0, 5 * 7, 5)])
    whole = body + _check_character(body)
    return f"D-{whole[:4]}-{whole[4:]}"


def read_reference(text: str) -> str | None:
    """The reference as it is stored, from what a person typed: any case, O for 0, I or L for 1, dashes or none.

    None where it cannot be one (wrong length, alphabet or check character).
    """
    letters = "".join(character for character in text.upper() if character not in "- ")
    if len(letters) == 9:
        letters = letters.removeprefix("D")
    letters = "".join(_READ_AS.get(letter, letter) for letter in letters)
    if len(letters) != 8 or any(letter not in _CROCKFORD for letter in letters):
        return None
    if _check_character(letters[:7]) != letters[7]:
        return None
    return f"D-{letters[:4]}-{letters[4:]}"
