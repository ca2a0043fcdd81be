"""The policy packs of this deployment."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from django.conf import settings

from disputes.policy.packs import SHIPPED, Pack, Packs, load_packs


@lru_cache(maxsize=1)
def packs() -> Packs:
    """All packs, read once a process. Raises PackError."""
    return load_packs(SHIPPED)


def pack_in_force(*, at: datetime) -> Pack:
    """The lender's pack (the setting POLICY_PACK) at an instant; it changes at the lender's local midnight."""
    return packs().in_force(settings.POLICY_PACK, at, settings.LENDER_TIME_ZONE)
