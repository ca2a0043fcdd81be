"""How often one caller may call: a fixed window a caller, counted in the cache.

One counter a window rather than a list of instants a caller: a busy system calls thousands of times a minute.
"""

from __future__ import annotations

import time

import structlog
from django.conf import settings
from django.core.cache import caches
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from config.api.callers import Caller
from config.api.errors import TooMany

log = structlog.get_logger(__name__)

WINDOW = 60
"""Seconds."""


def seconds_to_wait(caller: Caller, *, now: float) -> int | None:
    """Counts one call. None where it may go on, else the seconds until the next window.

    The limit a minute is the setting CALLS_PER_MINUTE, by kind of caller; 0 means no limit.
    """
    limit = settings.CALLS_PER_MINUTE.get(caller.kind, 0)
    return seconds_until_more(caller.key, limit=limit, now=now) if limit else None


def seconds_until_more(who: str, *, limit: int, now: float) -> int | None:
    """Counts one call of `who`, of whom `limit` are let through a minute. None where it may go on, else the seconds
    until the next window.

    Where the cache cannot be reached nobody is refused: a limit is there to protect the service, not to stop it.
    """
    window = int(now // WINDOW)
    key = f"calls:{who}:{window}"
    cache = caches["default"]
    try:
        cache.add(key, 0, timeout=2 * WINDOW)
        count = cache.incr(key)
    except ValueError:
        return None  # evicted between the two: the window begins again
    except Exception as error:  # a cache's client raises of many families
        log.warning("cache_unreachable", error=type(error).__name__)
        return None
    return None if count <= limit else max(1, int((window + 1) * WINDOW - now) + 1)


def throttle_caller(caller: Caller) -> None:
    """Raises TooMany (429 with Retry-After) where the caller has called too often."""
    wait = seconds_to_wait(caller, now=time.time())
    if wait is not None:
        raise TooMany(f"Too many calls. Try again in {wait} seconds.", wait=wait)


class CallerThrottle(BaseThrottle):
    """REST framework's side of it."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        if isinstance(request.auth, Caller):
            throttle_caller(request.auth)
        return True
