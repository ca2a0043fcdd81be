"""Private links to letters: a path that looks random, short enough for an SMS, and stored as a digest alone.

The token is made from the dispute and the instant of its closing with a key, so that a retry makes the same link again;
whoever reads the database cannot make one.
"""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from hashlib import sha256

from config.fields import keyring
from disputes.cases.models import Dispute, LetterLink

GOOD_FOR = timedelta(days=90)
"""From the closing on."""

LENGTH = 12
"""Of a token: 71 bits, so that guessing a live one among a million, at a hundred tries a second, takes longer than the
links live."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def link_for(dispute: Dispute) -> str:
    """The path of a closed dispute's letter, ``/l/<token>``. Needs the transaction that closes it, with the dispute's
    row locked; called again for the same closing it is the same link. Raises ValueError while the dispute is open."""
    if dispute.closed_at is None:
        raise ValueError("an open dispute has no letter")
    key_id = keyring().digest_id
    token = _token(dispute=dispute, closed_at=dispute.closed_at)
    LetterLink.objects.get_or_create(
        digest=_digest(token), defaults={"dispute": dispute, "key_id": key_id, "created_at": dispute.closed_at}
    )
    return f"/l/{token}"


def dispute_of(*, token: str, now: datetime) -> Dispute | None:
    """The dispute that a link leads to; None where nobody made it, its time is over, or the dispute is open again."""
    if len(token) != LENGTH or any(letter not in _ALPHABET for letter in token):
        return None
    link = (
        LetterLink.objects.filter(digest=_digest(token))
        .select_related("dispute", "dispute__message", "dispute__last_check")
        .first()
    )
    if link is None or now - link.created_at >= GOOD_FOR or link.dispute.closed_at != link.created_at:
        return None
    return link.dispute


def _token(*, dispute: Dispute, closed_at: datetime) -> str:
    said = f"letter\0{dispute.pk}\0{closed_at.timestamp():.6f}".encode()
    number = int.from_bytes(hmac.digest(keyring().digest_key(), said, "sha256"), "big")
    letters = []
    for _ in range(LENGTH):
        number, place = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[place])
    return "".join(letters)


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
