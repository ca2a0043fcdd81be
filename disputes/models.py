"""Gathers what the rooms define, for Django to find."""

from disputes.cases.models import Check, Comment, Dispute
from disputes.journal.models import Event
from disputes.outbox.models import OutboxTopic

__all__ = ["Check", "Comment", "Dispute", "Event", "OutboxTopic"]
