"""Who may do what in the back office: one table, brought into the database after every migration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.db.models import Q

WORK = "work_cases"
"""Works on the cases of one's own: takes the next, decides, asks, notes, hands on, holds by hand."""
SUPERVISE = "supervise_cases"
"""Does the same on anybody's case, approves what waits for a second person, lifts what waits for a correction."""

EVERYTHING_THERE = "view_*"

GROUPS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "agents": {
        "disputes": (WORK, "view_dispute"),
    },
    "supervisors": {
        "disputes": (
            WORK,
            SUPERVISE,
            "view_dispute",
            "view_hold",
            "view_sendingrule",
            "view_gatehour",
            "view_unauthorisedsend",
            "view_notice",
            "view_inboundmessage",
            "view_routedcase",
            "view_escalation",
            *(f"{act}_{model}" for model in ("queue", "agent", "calendar") for act in ("view", "add", "change")),
        ),
        "feedback": (EVERYTHING_THERE,),
    },
    "auditors": {
        "disputes": (EVERYTHING_THERE,),
        "feedback": (EVERYTHING_THERE,),
    },
    "administrators": {
        "auth": ("view_user", "add_user", "change_user", "view_group"),
        "api": ("view_client", "change_client", "delete_client"),
        "disputes": (
            *(f"{act}_webhookendpoint" for act in ("view", "add", "change", "delete")),
            "view_webhookmessage",
            "view_webhookdelivery",
            "change_webhookdelivery",
            "view_outboxtopic",
        ),
        "django_celery_beat": ("view_periodictask", "view_intervalschedule", "view_crontabschedule"),
    },
}
"""Group → app → its permissions (`EVERYTHING_THERE`: every view of the app). A name that no model has yet is left out,
so that an app may come later."""


def apply_groups(**signal: Any) -> None:
    """Gives each group the permissions of the table, no more and no less. Opens a transaction; may run at any time and
    again. Hears `post_migrate`, which comes once an app: only those that the table names are of interest."""
    app = signal.get("app_config")
    if app is not None and not any(app.label in apps for apps in GROUPS.values()):
        return
    with transaction.atomic():
        for name, apps in GROUPS.items():
            group, _ = Group.objects.get_or_create(name=name)
            group.permissions.set(_permissions(apps))


def _permissions(apps: Mapping[str, tuple[str, ...]]) -> list[Permission]:
    wanted = Q(pk__in=[])
    for app, names in apps.items():
        plain = [name for name in names if name != EVERYTHING_THERE]
        wanted |= Q(content_type__app_label=app, codename__in=plain)
        if EVERYTHING_THERE in names:
            wanted |= Q(content_type__app_label=app, codename__startswith="view_")
    return list(Permission.objects.filter(wanted))


def powers_of(user: Any) -> frozenset[str]:
    """Which of `WORK` and `SUPERVISE` a user was given, by a group or by name. One query.

    Being a superuser gives neither: whoever runs the service decides no dispute, unless they are an agent as well.
    """
    if not isinstance(user, User) or not (user.is_active and user.is_staff):
        return frozenset()
    given = Permission.objects.filter(
        Q(group__user=user) | Q(user=user), content_type__app_label="disputes", codename__in=(WORK, SUPERVISE)
    )
    return frozenset(given.values_list("codename", flat=True))
