"""Customers' tokens: JWTs of the lender's own identity provider, checked against its published keys.

On the embedded set-up, where there is no provider, a key of one's own takes its place (`issue_customer_token`).
"""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from rest_framework import status
from rest_framework.exceptions import APIException

from config.api.callers import Caller

log = structlog.get_logger(__name__)

MAX_SUBJECT = 120
"""Characters of an external id."""
LEEWAY = timedelta(seconds=30)
"""How far the provider's clock may be off."""
_FETCH_TIMEOUT = 3.0
_MAX_KEY_SET = 256 * 1024
_FRESH_FOR = 300.0
_ASK_AGAIN_AFTER = 15.0
_LOCAL_KEY_ID = "local"


class IdentityProviderUnreachable(APIException):
    """503: no key of the provider's is known, so nobody's token can be checked."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The identity provider cannot be reached. Try again later."
    default_code = "identity_provider_unreachable"
    wait = int(_ASK_AGAIN_AFTER)


class KeySet:
    """The provider's public keys (JWKS), by their id.

    Kept for five minutes, and beyond them while the provider cannot be reached. An unknown id makes it ask again, but
    at most every 15 seconds, so that invented ids cannot be used to load the provider. One thread asks, the others go
    on with what is known.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = self._asked_at = float("-inf")
        self._lock = threading.Lock()

    def key(self, key_id: str | None) -> jwt.PyJWK | None:
        """The key of that id; without an id the only key there is. Raises IdentityProviderUnreachable."""
        if time.monotonic() - self._fetched_at > _FRESH_FOR or self._find(key_id) is None:
            self._refresh()
        if not self._keys:
            raise IdentityProviderUnreachable
        return self._find(key_id)

    def _find(self, key_id: str | None) -> jwt.PyJWK | None:
        keys = self._keys
        if key_id is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(key_id)

    def _refresh(self) -> None:
        # The first to come waits for the answer; while there are keys to go on with, the rest do not wait behind it.
        if not self._lock.acquire(blocking=not self._keys):
            return
        try:
            if time.monotonic() - self._asked_at < _ASK_AGAIN_AFTER:
                return
            self._asked_at = time.monotonic()
            self._keys = _read_key_set(_fetch(self.url))
            self._fetched_at = time.monotonic()
        except (httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
            log.warning("key_set_unreadable", error=type(error).__name__)
        finally:
            self._lock.release()


def _fetch(url: str) -> bytes:
    """The body, at most 256 KiB of it. Raises httpx.HTTPError, ValueError."""
    body = b""
    with httpx.stream("GET", url, timeout=_FETCH_TIMEOUT, follow_redirects=False) as response:
        response.raise_for_status()
        if response.status_code != 200:
            raise ValueError("not a key set")
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _MAX_KEY_SET:
                raise ValueError("the key set is too large")
    return body


def _read_key_set(body: bytes) -> dict[str, jwt.PyJWK]:
    """The keys for signatures that we take. Raises ValueError, PyJWTError (no usable key)."""
    found = json.loads(body)
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        raise ValueError("not a key set")
    keys: dict[str, jwt.PyJWK] = {}
    for place, entry in enumerate(jwt.PyJWKSet.from_dict(found).keys):
        if entry.public_key_use in (None, "sig") and _algorithm_of(entry) is not None:
            keys[entry.key_id or f"#{place}"] = entry
    return keys


def _algorithm_of(key: jwt.PyJWK) -> str | None:
    """The one algorithm of a key, by its type and never by what a token says."""
    curve = key._jwk_data.get("crv")
    algorithm = {("RSA", None): "RS256", ("EC", "P-256"): "ES256"}.get((key.key_type or "", curve))
    return algorithm if algorithm in settings.CUSTOMER_JWT_ALGORITHMS else None


@lru_cache(maxsize=4)
def _key_set(url: str) -> KeySet:
    return KeySet(url)


def caller_of_customer_token(token: str) -> Caller | None:
    """The customer whom a JWT names, or None where it is not a good one.

    Checked: signature by a key of the provider's with that key's own algorithm, issuer, audience, expiry (and `nbf`,
    `iat` where given), and `sub`: 1 to 120 printable characters, the customer's external id. Raises
    IdentityProviderUnreachable.
    """
    try:
        header = jwt.get_unverified_header(token)
        key = _key_for(header)
        if key is None:
            return None
        algorithm = _algorithm_of(key)
        if algorithm is None:
            return None
        claims: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=[algorithm],
            issuer=settings.CUSTOMER_JWT_ISSUER,
            audience=settings.CUSTOMER_JWT_AUDIENCE,
            leeway=LEEWAY,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        return None
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
        return None
    return Caller(kind="customer", id=subject, customer=subject)


def _key_for(header: dict[str, Any]) -> jwt.PyJWK | None:
    key_id = header.get("kid")
    if settings.CUSTOMER_JWKS_URL:
        return _key_set(settings.CUSTOMER_JWKS_URL).key(key_id)
    if settings.EMBEDDED and key_id == _LOCAL_KEY_ID:
        return _local_public_key(str(settings.LOCAL_ISSUER_KEY))
    return None


def issue_customer_token(*, external_id: str, good_for: timedelta, now: datetime) -> str:
    """A token for a customer of the embedded set-up. Raises PermissionError elsewhere, ValueError for a bad id."""
    if not settings.EMBEDDED or settings.CUSTOMER_JWKS_URL:
        raise PermissionError("customers' tokens come from the lender's identity provider here")
    if not 0 < len(external_id) <= MAX_SUBJECT or not external_id.isprintable():
        raise ValueError(f"an external id has 1 to {MAX_SUBJECT} printable characters")
    claims = {
        "sub": external_id,
        "iss": settings.CUSTOMER_JWT_ISSUER,
        "aud": settings.CUSTOMER_JWT_AUDIENCE,
        "iat": now,
        "exp": now + good_for,
    }
    private_key = _local_private_key(Path(settings.LOCAL_ISSUER_KEY))
    return jwt.encode(claims, private_key, algorithm="ES256", headers={"kid": _LOCAL_KEY_ID})


def _local_private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The local issuer's key, made at first use. Two processes at once agree on one: the second finds the file."""
    if not path.exists():
        made = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{datetime.now(tz=UTC).timestamp()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(made)
        try:
            os.link(draft, path)  # unlike a rename, fails where another one was quicker
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path.name} is not a key for ES256")
    return key


@lru_cache(maxsize=4)
def _local_public_key(path: str) -> jwt.PyJWK:
    public = jwt.algorithms.ECAlgorithm.to_jwk(_local_private_key(Path(path)).public_key(), as_dict=True)
    return jwt.PyJWK({**public, "kid": _LOCAL_KEY_ID, "alg": "ES256"})
