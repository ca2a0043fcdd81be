"""What a dispute takes over of its routing, told by the outbox."""

from __future__ import annotations

import uuid
from datetime import datetime

from disputes.cases import lifecycle
from disputes.cases.models import Dispute, Status
from disputes.routing import deadlines


def announce_assigned(*, dispute_id: uuid.UUID, now: datetime) -> None:
    """Says to the lender's systems that an agent has the dispute, unless that was said before. Needs the outermost
    transaction. The dispute's row is locked, so that this stands among its other events in one order."""
    lifecycle.tell_assigned(dispute=lifecycle.lock_dispute(dispute_id), now=now)


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
