"""Gathers what the rooms show in the admin, for Django to find."""

from disputes.desk.admin import DisputeAdmin
from disputes.desk.hold_admin import HoldAdmin
from disputes.desk.rule_admin import SendingRuleAdmin
from disputes.inbound.admin import InboundMessageAdmin
from disputes.notices.admin import NoticeAdmin, WebhookDeliveryAdmin, WebhookEndpointAdmin
from disputes.outbox.admin import OutboxTopicAdmin
from disputes.routing.admin import AgentAdmin, CalendarAdmin, EscalationAdmin, QueueAdmin, RoutedCaseAdmin

__all__ = [
    "AgentAdmin",
    "CalendarAdmin",
    "DisputeAdmin",
    "EscalationAdmin",
    "HoldAdmin",
    "InboundMessageAdmin",
    "NoticeAdmin",
    "OutboxTopicAdmin",
    "QueueAdmin",
    "RoutedCaseAdmin",
    "SendingRuleAdmin",
    "WebhookDeliveryAdmin",
    "WebhookEndpointAdmin",
]
