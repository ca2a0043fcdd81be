"""Gathers what the rooms define, for Django to find."""

from disputes.cases.models import Check, Comment, Decision, Dispute, LetterLink
from disputes.holds.models import Hold, HoldCover, Permit, SuppressionChange
from disputes.journal.models import Event
from disputes.lanes.models import Lane
from disputes.notices.models import Notice, WebhookDelivery, WebhookEndpoint, WebhookMessage
from disputes.outbox.models import OutboxTopic
from disputes.records.models import (
    Customer,
    CustomerPersonal,
    CustomerPhone,
    CustomerPhoneVersion,
    CustomerVersion,
    InstalmentVersion,
    Loan,
    LoanVersion,
    Message,
    MessagePersonal,
    MessageVersion,
    Moved,
    RepaymentVersion,
    ReversalVersion,
    SendingRule,
    SendingRuleVersion,
    Voided,
    VoidVersion,
    Watch,
    WatermarkVersion,
)

__all__ = [
    "Check",
    "Comment",
    "Customer",
    "CustomerPersonal",
    "CustomerPhone",
    "CustomerPhoneVersion",
    "CustomerVersion",
    "Decision",
    "Dispute",
    "Event",
    "Hold",
    "HoldCover",
    "InstalmentVersion",
    "Lane",
    "LetterLink",
    "Loan",
    "LoanVersion",
    "Message",
    "MessagePersonal",
    "MessageVersion",
    "Moved",
    "Notice",
    "OutboxTopic",
    "Permit",
    "RepaymentVersion",
    "ReversalVersion",
    "SendingRule",
    "SendingRuleVersion",
    "SuppressionChange",
    "VoidVersion",
    "Voided",
    "Watch",
    "WatermarkVersion",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookMessage",
]
