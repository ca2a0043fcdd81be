"""Ciphertext and digests of personal data.

A ciphertext is AES-256-GCM: one byte key id, 12 bytes nonce, the rest. It is bound to its place (table, column, row) by
its associated data, so that a blob moved to another row does not open. A digest is a keyed hash (HMAC-SHA-256, 16
bytes) with its key's id in front: 17 bytes that joins and indexes use instead of the value.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class CannotOpen(ValueError):
    """A ciphertext whose key is missing, or that is not what was written at this place."""


@dataclass(frozen=True, kw_only=True)
class Keyring:
    """The data keys of a deployment, by id (1 to 255).

    `keys`: 32 secret bytes each; `current`: the id that new ciphertexts use; `digest_id`: the id that digests use. The
    digest's key stays when the encryption key is changed: lanes and look-ups hang on it.
    """

    keys: Mapping[int, bytes]
    current: int
    digest_id: int
    _ciphers: dict[int, AESGCM] = field(default_factory=dict, repr=False, compare=False)
    _digest_key: list[bytes] = field(default_factory=list, repr=False, compare=False)
    _digests: dict[bytes, tuple[Any, Any]] = field(default_factory=dict, repr=False, compare=False)

    def cipher(self, key_id: int) -> AESGCM:
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            if key_id not in self.keys:
                raise CannotOpen(f"data key {key_id} is not in DATA_KEYS")
            cipher = self._ciphers[key_id] = AESGCM(_derive(self.keys[key_id], b"encrypt"))
        return cipher

    def digest_key(self) -> bytes:
        if not self._digest_key:
            self._digest_key.append(_derive(self.keys[self.digest_id], b"digest"))
        return self._digest_key[0]

    def digest(self, purpose: bytes, data: bytes) -> bytes:
        """As the function `digest`."""
        return self.digests(purpose, (data,))[0]

    def digests(self, purpose: bytes, data: Iterable[bytes]) -> list[bytes]:
        """The digest of each. What is the same for all data is hashed once a purpose: copies of those two states cost
        half of what an HMAC made anew does, and an import makes one a line."""
        states = self._digests.get(purpose)
        if states is None:
            key = self.digest_key().ljust(64, b"\0")
            states = sha256(key.translate(_INNER) + purpose + b"\0"), sha256(key.translate(_OUTER))
            self._digests[purpose] = states
        begin, end, prefix = states[0].copy, states[1].copy, self._digest_prefix
        found = []
        for one in data:
            inner, outer = begin(), end()
            inner.update(one)
            outer.update(inner.digest())
            found.append(prefix + outer.digest()[:16])
        return found

    @cached_property
    def _digest_prefix(self) -> bytes:
        return bytes((self.digest_id,))


_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


def _derive(secret: bytes, purpose: bytes) -> bytes:
    """One key a purpose, so that a digest's key never encrypts."""
    return hmac.digest(secret, b"recourse/" + purpose, "sha256")


def seal(keyring: Keyring, text: bytes, *, place: bytes) -> bytes:
    """The ciphertext of `text`, bound to `place` (its table, column and row id)."""
    nonce = os.urandom(12)
    sealed = keyring.cipher(keyring.current).encrypt(nonce, text, place)
    return bytes((keyring.current,)) + nonce + sealed


def unseal(keyring: Keyring, blob: bytes, *, place: bytes) -> bytes:
    """The text of a ciphertext. Raises CannotOpen."""
    if len(blob) < 29:
        raise CannotOpen("too short for a ciphertext")
    try:
        return keyring.cipher(blob[0]).decrypt(blob[1:13], blob[13:], place)
    except InvalidTag as error:
        raise CannotOpen("the ciphertext was not written at this place with this key") from error


def digest(keyring: Keyring, purpose: str, value: str | bytes) -> bytes:
    """17 bytes: the digest key's id and 16 bytes of HMAC over purpose and value."""
    data = value.encode() if isinstance(value, str) else value
    return keyring.digest(purpose.encode(), data)


def stripe(key: str, *, bits: int) -> int:
    """The leading bits, at most 32, of a digest that no process, version or machine changes."""
    return stripes((key,), bits=bits)[0]


def stripes(keys: Iterable[str], *, bits: int) -> list[int]:
    """The `stripe` of each."""
    shift = 32 - bits
    return [_first_number(sha256(key.encode()).digest())[0] >> shift for key in keys]


_first_number = struct.Struct(">I").unpack_from
