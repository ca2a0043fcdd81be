"""Notices, webhook endpoints and their deliveries, as the back office sees them."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from config.reading_admin import ReadingAdmin
from disputes.notices.addresses import BadAddress
from disputes.notices.delivering import send_again
from disputes.notices.models import DeliveryState, Notice, WebhookDelivery, WebhookEndpoint, webhook_id_of
from disputes.notices.ports import masked
from disputes.notices.webhooks import change_endpoint


@admin.register(Notice)
class NoticeAdmin(ReadingAdmin):
    list_display: ClassVar = ["kind", "channel", "to", "state", "failure", "attempts", "queued_at", "delivered_at"]
    list_filter: ClassVar = ["state", "kind", "channel"]
    search_fields: ClassVar = ["=id", "=subject", "=provider_ref"]
    ordering: ClassVar = ["-id"]
    fieldsets: ClassVar = [
        (None, {"fields": [("kind", "channel", "language"), ("subject", "key"), "to", "title", "words"]}),
        ("What became of it", {"fields": [("state", "failure"), ("attempts", "in_doubt"), "provider_ref"]}),
        ("Time", {"fields": ["queued_at", "handed_over_at", "delivered_at", "failed_at"]}),
    ]
    readonly_fields: ClassVar = ["to", "title", "words"]

    @admin.display(description="to")
    def to(self, notice: Notice) -> str:
        return masked(notice)

    @admin.display(description="subject line")
    def title(self, notice: Notice) -> str:
        return notice.subject_line

    @admin.display(description="text")
    def words(self, notice: Notice) -> str:
        """The private link in it is its reader's alone."""
        return _PRIVATE_LINK.sub(r"/\1/…", notice.text)


_PRIVATE_LINK = re.compile(r"/(s|l)/[0-9A-Za-z]{8,}", re.ASCII)


class _MayChange(ReadingAdmin):
    """A page that is read, with acts for those who hold the model's permission to change."""

    def has_act_permission(self, request: HttpRequest) -> bool:
        name = f"{self.opts.app_label}.change_{self.opts.model_name}"
        user: Any = request.user
        return bool(user.has_perm(name))


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(_MayChange):
    list_display: ClassVar = ["url", "wants", "enabled", "disabled_because", "failures", "resting_until", "created_at"]
    list_filter: ClassVar = ["enabled", ("removed_at", admin.EmptyFieldListFilter)]
    ordering: ClassVar = ["-id"]
    actions: ClassVar = ["switch_on", "switch_off"]
    fields: ClassVar = [
        "url",
        "wants",
        ("enabled", "disabled_because"),
        ("failures", "resting_until"),
        ("created_by", "created_at", "removed_at"),
    ]
    readonly_fields: ClassVar = ["wants"]

    @admin.display(description="events")
    def wants(self, endpoint: WebhookEndpoint) -> str:
        return ", ".join(endpoint.events) or "all"

    @admin.action(description="Switch on", permissions=["act"])
    def switch_on(self, request: HttpRequest, chosen: QuerySet[WebhookEndpoint]) -> None:
        self._switch(request, chosen, enabled=True)

    @admin.action(description="Switch off", permissions=["act"])
    def switch_off(self, request: HttpRequest, chosen: QuerySet[WebhookEndpoint]) -> None:
        self._switch(request, chosen, enabled=False)

    def _switch(self, request: HttpRequest, chosen: QuerySet[WebhookEndpoint], *, enabled: bool) -> None:
        switched = 0
        for endpoint_id in chosen.values_list("pk", flat=True):
            try:
                change_endpoint(endpoint_id=endpoint_id, enabled=enabled)
            except (WebhookEndpoint.DoesNotExist, BadAddress):
                continue
            switched += 1
        self.message_user(request, f"Switched {'on' if enabled else 'off'}: {switched}.", messages.SUCCESS)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(_MayChange):
    list_display: ClassVar = [
        "event",
        "key",
        "endpoint",
        "state",
        "attempts",
        "last_status",
        "last_error",
        "last_tried_at",
        "next_try",
    ]
    list_filter: ClassVar = ["state", "endpoint"]
    list_select_related: ClassVar = ["endpoint", "message"]
    search_fields: ClassVar = ["=key"]
    ordering: ClassVar = ["-message"]
    actions: ClassVar = ["send_parked_again"]
    fields: ClassVar = [
        ("event", "key"),
        "endpoint",
        "webhook_id",
        "body",
        ("state", "attempts"),
        ("last_status", "last_error"),
        ("last_tried_at", "next_try", "retry_until"),
        ("delivered_at", "parked_at"),
    ]
    readonly_fields: ClassVar = ["event", "webhook_id", "body", "next_try"]

    @admin.display(description="event")
    def event(self, delivery: WebhookDelivery) -> str:
        return delivery.message.event

    @admin.display(description="webhook-id")
    def webhook_id(self, delivery: WebhookDelivery) -> str:
        return webhook_id_of(delivery.message.webhook_id)

    @admin.display(description="body")
    def body(self, delivery: WebhookDelivery) -> str:
        return delivery.message.body

    @admin.display(description="next try")
    def next_try(self, delivery: WebhookDelivery) -> Any:
        return delivery.next_at if delivery.state == DeliveryState.PENDING else None

    @admin.action(description="Send again what is parked", permissions=["act"])
    def send_parked_again(self, request: HttpRequest, chosen: QuerySet[WebhookDelivery]) -> None:
        sent = send_again(delivery_ids=chosen.values_list("pk", flat=True), now=timezone.now())
        self.message_user(request, f"To be sent again: {sent}.", messages.SUCCESS)
