"""Digests of personal data."""

from __future__ import annotations

import hmac

import pytest

from config.values.ciphertext import Keyring, digest

KEYS = {1: bytes(range(32)), 2: bytes(range(32, 64))}


@pytest.mark.parametrize("value", ["", "+8613812340001", "王芳", "x" * 5_000])
def test_a_digest_is_the_standards_hmac_over_purpose_and_value_behind_its_keys_id(value: str) -> None:
    for digest_id in KEYS:
        keyring = Keyring(keys=KEYS, current=1, digest_id=digest_id)
        for purpose in ("phone", "email", "phone"):
            mac = hmac.digest(keyring.digest_key(), f"{purpose}\0{value}".encode(), "sha256")
            assert digest(keyring, purpose, value) == bytes((digest_id,)) + mac[:16]
            assert digest(keyring, purpose, value.encode()) == digest(keyring, purpose, value)
