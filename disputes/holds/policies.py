"""The policy pack that the lender works under."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from disputes.policy.packs import SHIPPED, Pack, PackError, Packs, load_packs


@lru_cache(maxsize=4)
def _packs(directory: str) -> Packs:
    return load_packs(Path(directory) if directory else SHIPPED)


def packs() -> Packs:
    """Every pack of the deployment, read once a process. Raises PackError."""
    return _packs(settings.POLICY_DIRECTORY)


def pack_in_force(*, at: datetime) -> Pack:
    """The version of the lender's pack in force at `at` (aware); versions change at midnight of the lender's zone."""
    return packs().in_force(settings.POLICY_PACK, at, settings.LENDER_TIME_ZONE)


def check_packs() -> None:
    """Raises ImproperlyConfigured, in one line, where the packs cannot be used or lack the one in force."""
    try:
        found = packs().names()
    except PackError as error:
        raise ImproperlyConfigured(f"POLICY_DIRECTORY: {error}") from error
    if settings.POLICY_PACK not in found:
        raise ImproperlyConfigured(f"POLICY_PACK: no pack {settings.POLICY_PACK!r}; there are {', '.join(found)}")
