"""What stands at the left of the admin: for each user the pages that they may open, and no others.

Beside what a supervisor must see to stands how much of it there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from disputes.cases.queries import undelivered
from disputes.desk.groups import SUPERVISE, WORK, powers_of
from disputes.desk.policies import may_read_packs
from disputes.holds.unauthorised import sends
from disputes.inbound.keeping import unread

GROUPS: Mapping[str, Mapping[str, str]] = {
    _("Desk"): {
        "disputes.dispute": "gavel",
        "disputes.notice": "sms",
        "disputes.inboundmessage": "mark_chat_unread",
    },
    _("Holds and the gate"): {
        "disputes.hold": "front_hand",
        "disputes.sendingrule": "rule",
    },
    _("Who gets what"): {
        "disputes.queue": "inbox",
        "disputes.agent": "support_agent",
        "disputes.calendar": "calendar_month",
        "disputes.routedcase": "move_to_inbox",
        "disputes.escalation": "notification_important",
    },
    _("Surveys"): {
        "feedback.survey": "quiz",
        "feedback.surveyversion": "history",
        "feedback.schedule": "event_repeat",
        "feedback.wave": "waves",
        "feedback.invitation": "mail",
        "feedback.response": "reviews",
    },
    _("Service"): {
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

GATE_PAGES = (
    ("desk_look_up", _("May we text?"), "contact_phone", WORK),
    ("desk_place_hold", _("Place a hold"), "pan_tool", WORK),
    ("desk_opt_outs", _("Opt-outs"), "do_not_disturb_on", f"{WORK} disputes.view_hold"),
    ("desk_denials", _("Denials"), "bar_chart", "disputes.view_gatehour"),
    ("desk_unauthorised", _("Sends without a permit"), "warning", "disputes.view_unauthorisedsend"),
    ("desk_undelivered", _("Outcomes not delivered"), "unsubscribe", "disputes.view_hold"),
)
"""Address, title, icon, and the permissions of which each opens it. Superusers look nothing up unless they work on
cases."""

COUNTED = 100
"""More than so many are not counted: they are many."""


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The headings with the pages below them, for unfold. A model that has no page yet is left out."""
    shown = {model._meta.label_lower: page for model, page in admin.site._registry.items()}
    packs = reverse("admin:desk_packs")
    pages = {packs, *(reverse(f"admin:{name}") for name, *_rest in GATE_PAGES)}
    powers = powers_of(request.user)
    counts = _counts() if SUPERVISE in powers else {}
    found: list[dict[str, Any]] = []
    for title, icons in GROUPS.items():
        items = [
            _item(shown[label], icon) | _badge(counts.get(label, 0))
            for label, icon in icons.items()
            if label in shown and shown[label].has_view_permission(request)
        ]
        if title == "Desk":
            items.insert(0, {"title": gettext("My queue"), "icon": "home", "link": reverse("admin:index")})
        if title == "Holds and the gate":
            items += _gate_pages(request, powers, counts)
        if title == "Service" and may_read_packs(request.user):
            items.append({"title": gettext("Policy packs"), "icon": "policy", "link": packs})
        if request.path in pages:
            # The page's address lies under that of the disputes or holds, which unfold would mark as well.
            items = [item | {"active": item["link"] == request.path} for item in items]
        if items:
            found.append({"title": gettext(title), "separator": bool(found), "items": items})
    return found


def _gate_pages(request: HttpRequest, powers: frozenset[str], counts: Mapping[str, int]) -> list[dict[str, Any]]:
    def may(permission: str) -> bool:
        return permission in powers or request.user.has_perm(permission)  # type: ignore[union-attr]

    return [
        {"title": gettext(title), "icon": icon, "link": reverse(f"admin:{name}")} | _badge(counts.get(name, 0))
        for name, title, icon, permissions in GATE_PAGES
        if any(may(one) for one in permissions.split())
    ]


def _counts() -> dict[str, int]:
    """How much waits for whoever supervises: texts to read, sends of the last day without a permit, outcomes that did
    not arrive. Three queries, each from an index made for it and of COUNTED rows at most."""
    now = timezone.now()
    waiting: dict[str, QuerySet[Any]] = {
        "disputes.inboundmessage": unread(),
        "desk_unauthorised": sends(start=now - timedelta(days=1), end=now),
        "desk_undelivered": undelivered(),
    }
    return {name: rows[: COUNTED + 1].count() for name, rows in waiting.items()}


def _badge(count: int) -> dict[str, Any]:
    if not count:
        return {}
    return {"badge": f"{COUNTED}+" if count > COUNTED else str(count), "badge_variant": "warning"}


def _item(page: Any, icon: str) -> dict[str, Any]:
    meta = page.model._meta
    name = str(meta.verbose_name_plural).capitalize()
    return {
        "title": gettext(name),
        "icon": icon,
        "link": reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"),
    }
