"""What stands at the left of the admin: for each user the pages that they may open, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from disputes.desk.groups import WORK, powers_of
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
    pages = {packs, *(reverse(f"admin:{name}") for name, *_ in GATE_PAGES)}
    found: list[dict[str, Any]] = []
    for title, icons in GROUPS.items():
        items = [
            _item(shown[label], icon)
            for label, icon in icons.items()
            if label in shown and shown[label].has_view_permission(request)
        ]
        if title == "Desk":
            items.insert(0, home)
            items += _gate_pages(request)
        if title == "Service" and may_read_packs(request.user):
            items.append({"title": "Policy packs", "icon": "policy", "link": packs})
        if request.path in pages:
            # The page's address lies under that of the disputes or holds, which unfold would mark as well.
            items = [item | {"active": item["link"] == request.path} for item in items]
        if items:
            found.append({"title": title, "separator": bool(found), "items": items})
    return found


GATE_PAGES = (
    ("desk_look_up", "May we text?", "contact_phone", "disputes.work_cases"),
    ("desk_denials", "Denials", "bar_chart", "disputes.view_gatehour"),
    ("desk_unauthorised", "Sends without a permit", "warning", "disputes.view_unauthorisedsend"),
    ("desk_undelivered", "Outcomes not delivered", "unsubscribe", "disputes.view_hold"),
)
"""Address, title, icon, and the permission that opens it. Superusers look nothing up unless they work on cases."""


def _gate_pages(request: HttpRequest) -> list[dict[str, Any]]:
    may = powers_of(request.user)
    return [
        {"title": title, "icon": icon, "link": reverse(f"admin:{name}")}
        for name, title, icon, permission in GATE_PAGES
        if (WORK in may if permission.endswith(WORK) else request.user.has_perm(permission))  # type: ignore[union-attr]
    ]


def _item(page: Any, icon: str) -> dict[str, Any]:
    meta = page.model._meta
    return {
        "title": str(meta.verbose_name_plural).capitalize(),
        "icon": icon,
        "link": reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"),
    }
