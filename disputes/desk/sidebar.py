"""What stands at the left of the admin: for each user the pages that they may open, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from disputes.desk.policies import may_read_packs

GROUPS: Mapping[str, Mapping[str, str]] = {
    "Desk": {
        "disputes.dispute": "gavel",
        "disputes.hold": "front_hand",
        "disputes.notice": "sms",
        "disputes.inboundmessage": "mark_chat_unread",
    },
    "Who gets what": {
        "disputes.queue": "inbox",
        "disputes.agent": "support_agent",
        "disputes.calendar": "calendar_month",
        "disputes.routedcase": "move_to_inbox",
        "disputes.escalation": "notification_important",
    },
    "Surveys": {
        "feedback.survey": "quiz",
        "feedback.surveyversion": "history",
        "feedback.schedule": "event_repeat",
        "feedback.wave": "waves",
        "feedback.invitation": "mail",
        "feedback.response": "reviews",
    },
    "Service": {
        "api.client": "key",
        "disputes.webhookendpoint": "webhook",
        "disputes.webhookdelivery": "outbox",
        "disputes.outboxtopic": "sync_alt",
        "auth.user": "person",
        "auth.group": "group",
        "django_celery_beat.periodictask": "schedule",
    },
}
"""Heading → model → its icon."""


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The headings with the pages below them, for unfold. A model that has no page yet is left out."""
    shown = {model._meta.label_lower: page for model, page in admin.site._registry.items()}
    home = {"title": "My queue", "icon": "home", "link": reverse("admin:index")}
    packs = reverse("admin:desk_packs")
    found: list[dict[str, Any]] = []
    for title, icons in GROUPS.items():
        items = [
            _item(shown[label], icon)
            for label, icon in icons.items()
            if label in shown and shown[label].has_view_permission(request)
        ]
        if title == "Desk":
            items.insert(0, home)
        if title == "Service" and may_read_packs(request.user):
            items.append({"title": "Policy packs", "icon": "policy", "link": packs})
        if request.path == packs:
            # The page's address lies under that of the disputes, which unfold would mark as well.
            items = [item | {"active": item["link"] == packs} for item in items]
        if items:
            found.append({"title": title, "separator": bool(found), "items": items})
    return found


def _item(page: Any, icon: str) -> dict[str, Any]:
    meta = page.model._meta
    return {
        "title": str(meta.verbose_name_plural).capitalize(),
        "icon": icon,
        "link": reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"),
    }
