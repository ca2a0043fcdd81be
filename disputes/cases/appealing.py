"""An appeal: once, a customer who was not found right in all has the dispute judged again, by somebody else."""

from __future__ import annotations

import uuid
from datetime import datetime

from disputes.cases import late, lifecycle
from disputes.cases.models import Comment, Dispute, FlagEnd, Outcome, Status
from disputes.cases.reopening import PutBack, put_back
from disputes.holds.placing import PlacedHold
from disputes.journal.recording import Actor

MAY_BE_APPEALED = frozenset({Outcome.PARTLY_UPHELD, Outcome.REJECTED})


class AlreadyAppealed(Exception):
    """An appeal is made once (409)."""


def appeal(*, dispute_id: uuid.UUID, text: str, actor: Actor, now: datetime) -> PutBack:
    """Puts a closed dispute back in review, without an owner and with a new hold. Needs the outermost transaction; may
    raise BeginAgain.

    Raises Dispute.DoesNotExist, WrongState (open, or nothing to appeal), AlreadyAppealed, AlreadyOpen (another dispute
    of the same message and ground was opened meanwhile).
    """

    def may(dispute: Dispute) -> None:
        if dispute.appealed_at is not None:
            raise AlreadyAppealed()
        if dispute.status != Status.CLOSED or dispute.outcome not in MAY_BE_APPEALED:
            raise lifecycle.WrongState(status=dispute.outcome or dispute.status, act="appealed")

    def noted(dispute: Dispute, placed: PlacedHold) -> None:
        if text:
            Comment.objects.create(dispute=dispute, author_type=actor.type, author_id=actor.id, text=text, at=now)
        late.end_flags(dispute=dispute, how=FlagEnd.APPEALED, now=now)
        data = {"hold": str(placed.hold.pk)}
        lifecycle.note(dispute=dispute, kind="dispute.appealed", actor=actor, at=now, data=data)

    return put_back(dispute_id=dispute_id, because="appealed", may=may, noted=noted, actor=actor, now=now)
