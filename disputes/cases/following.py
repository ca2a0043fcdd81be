"""What a dispute takes over of its routing, told by the outbox."""

from __future__ import annotations

import uuid
from datetime import datetime

from disputes.cases import lifecycle
from disputes.cases.models import Dispute, Status
from disputes.notices.webhooks import announce
from disputes.routing import deadlines


def announce_assigned(*, dispute_id: uuid.UUID, agent_id: int, now: datetime) -> None:
    """Says to the lender's systems that an agent has the dispute. Needs the outermost transaction.

    The dispute's row is locked, so that this stands among its other events in one order. Told after the dispute was
    closed, it would come too late, and is left out.
    """
    dispute = lifecycle.lock_dispute(dispute_id)
    if dispute.status != Status.CLOSED:
        data = {**lifecycle.announced(dispute), "agent": agent_id}
        announce(event="dispute.assigned", key=str(dispute_id), data=data, at=now)


def move_deadlines(*, dispute_id: uuid.UUID) -> None:
    """The lender's calendar was changed: the dispute shows the deadlines as its clocks have them. Needs a
    transaction."""
    dispute = Dispute.objects.select_for_update(no_key=True, of=("self",)).get(pk=dispute_id)
    due = deadlines.due_of(dispute=dispute_id)
    if due is None or dispute.status == Status.CLOSED:
        return
    dispute.first_answer_by, dispute.decide_by = due.first_answer_by, due.decide_by
    dispute.save(update_fields=["first_answer_by", "decide_by"])
    deadlines.show_deadline(dispute=dispute_id, decide_by=due.decide_by)
