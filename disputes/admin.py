"""Gathers what the rooms show in the admin, for Django to find."""

from disputes.desk.admin import DisputeAdmin
from disputes.holds.admin import HoldAdmin
from disputes.notices.admin import NoticeAdmin, WebhookDeliveryAdmin, WebhookEndpointAdmin
from disputes.outbox.admin import OutboxTopicAdmin

__all__ = [
    "DisputeAdmin",
    "HoldAdmin",
    "NoticeAdmin",
    "OutboxTopicAdmin",
    "WebhookDeliveryAdmin",
    "WebhookEndpointAdmin",
]
