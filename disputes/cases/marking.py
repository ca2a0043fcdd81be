"""The mark that disputed data carry where they leave for other systems (Taiwan: Personal Data Protection Act 11 II)."""

from __future__ import annotations

from disputes.cases.models import Dispute, Status
from disputes.holds.policies import pack_in_force


def mark_of(dispute: Dispute) -> dict[str, bool]:
    """``{"disputed": …}`` where the pack of the day on which it was opened asks for the mark, else nothing.

    It stands while the dispute is open, and after that until the records show what was found.
    """
    if not pack_in_force(at=dispute.opened_at).disputed_mark:
        return {}
    return {"disputed": dispute.status != Status.CLOSED or dispute.awaits_correction}
