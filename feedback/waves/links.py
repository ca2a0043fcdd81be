"""Private links to a survey: a path that looks random, short enough for an SMS, and stored as a digest alone.

The token is made from the invitation with a key, so that a retry or a reminder makes the same link again; whoever reads
the database cannot make one, and a key that is changed leaves old links good.
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Iterable
from hashlib import sha256

from config.fields import keyring
from feedback.waves.models import Invitation, InvitationLink

LENGTH = 12
"""Of a token: 71 bits, so that guessing a live one among a million, at a hundred tries a second, takes longer than the
links live."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def make_links(*, invitations: Iterable[uuid.UUID], ordinal: int) -> dict[uuid.UUID, str]:
    """Invitation → the path of its link, ``/s/<token>``. Needs the transaction that sends them; called again it makes
    the same ones."""
    key_id = keyring().digest_id
    tokens = {invitation: _token(invitation, ordinal) for invitation in invitations}
    InvitationLink.objects.bulk_create(
        [
            InvitationLink(digest=_digest(token), invitation_id=invitation, ordinal=ordinal, key_id=key_id)
            for invitation, token in tokens.items()
        ],
        ignore_conflicts=True,
    )
    return {invitation: f"/s/{token}" for invitation, token in tokens.items()}


def invitation_of(*, token: str) -> Invitation | None:
    """The invitation that a token leads to, with its wave and version; None where nobody made it."""
    if len(token) != LENGTH or any(letter not in _ALPHABET for letter in token):
        return None
    found = InvitationLink.objects.filter(digest=_digest(token))
    link = found.select_related("invitation__wave__version").first()
    return None if link is None else link.invitation


def _token(invitation: uuid.UUID, ordinal: int) -> str:
    said = f"survey\0{invitation}\0{ordinal}".encode()
    number = int.from_bytes(hmac.digest(keyring().digest_key(), said, "sha256"), "big")
    letters = []
    for _ in range(LENGTH):
        number, place = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[place])
    return "".join(letters)


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
