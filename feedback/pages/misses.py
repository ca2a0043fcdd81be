"""Links that lead nowhere, counted by address."""

from __future__ import annotations

import time
import uuid
from typing import Any

from django.utils import timezone

from config.api.throttles import seconds_until_more
from feedback.waves.answering import note_opened
from feedback.waves.links import invitation_of
from feedback.waves.models import Invitation

MISSES_A_MINUTE = 60
"""From one address. A link that leads somewhere is never counted: a proxy may stand before many readers."""


def seconds_to_wait(request: Any) -> int | None:
    """Counts a miss. None where the plain answer may be given, else how long to wait for it."""
    address = request.META.get("REMOTE_ADDR", "")
    return seconds_until_more(f"survey:{address}", limit=MISSES_A_MINUTE, now=time.time())


def opened_invitation(token: str, *, reading: bool) -> Invitation | None:
    """The invitation that a token leads to; `reading` notes that it was opened."""
    invitation = invitation_of(token=token)
    if invitation is not None and reading and invitation.opened_at is None:
        note_opened(invitation_id=uuid.UUID(str(invitation.pk)), now=timezone.now())
    return invitation
