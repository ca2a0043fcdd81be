"""The access tokens of the lender's systems: random, stored only as their hash, checked through a short cache."""

from __future__ import annotations

import threading
import time
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.utils import timezone
from oauth2_provider.models import get_access_token_model

from config.api.callers import Caller
from config.values.ids import new_token

_CACHE_SIZE = 10_000

_cache: dict[str, tuple[Caller, float]] = {}
_cache_lock = threading.Lock()


def caller_of_client_token(token: str) -> Caller | None:
    """The client whose living token this is, or None.

    A good token is remembered by its hash in this process for CLIENT_TOKEN_CACHE_SECONDS at most, and never past its
    expiry: so long a revoked one may still pass. What was refused is asked again each time.
    """
    checksum = sha256(token.encode()).hexdigest()
    now = time.monotonic()
    cached = _cache.get(checksum)
    if cached is not None and now < cached[1]:
        return cached[0]
    row = (
        get_access_token_model()
        .objects.filter(token_checksum=checksum, application__isnull=False)
        .values_list("application__client_id", "application__scopes", "scope", "expires")
        .first()
    )
    remaining = 0.0 if row is None else (row[3] - timezone.now()).total_seconds()
    if row is None or remaining <= 0:
        return None
    client_id, allowed, granted, _ = row
    # A scope taken from the client since is gone from its living tokens too.
    caller = Caller(kind="client", id=client_id, scopes=frozenset(granted.split()) & frozenset(allowed))
    keep = min(float(settings.CLIENT_TOKEN_CACHE_SECONDS), remaining)
    if keep > 0:
        with _cache_lock:
            if len(_cache) >= _CACHE_SIZE:
                _cache.clear()
            _cache[checksum] = (caller, now + keep)
    return caller


def forget_cached_tokens() -> None:
    """Empties this process's cache."""
    with _cache_lock:
        _cache.clear()


def new_access_token(request: Any) -> str:
    """What the token endpoint hands out; it has no dot, which tells it from a customer's JWT."""
    return new_token()
