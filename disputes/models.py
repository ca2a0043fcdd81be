"""Gathers what the rooms define, for Django to find."""

from disputes.cases.models import Check, Comment, Dispute
from disputes.holds.models import Hold, HoldCover, Permit, SuppressionChange
from disputes.journal.models import Event
from disputes.lanes.models import Lane
from disputes.outbox.models import OutboxTopic

__all__ = [
    "Check",
    "Comment",
    "Dispute",
    "Event",
    "Hold",
    "HoldCover",
    "Lane",
    "OutboxTopic",
    "Permit",
    "SuppressionChange",
]
