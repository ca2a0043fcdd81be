"""An agent's own switch and the next case: what the buttons of the desk's first page do."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from disputes.desk.viewing import Viewer
from disputes.routing import assigning
from disputes.routing.duty import set_duty

NOT_AN_AGENT = gettext_lazy("You are not entered as an agent. A supervisor enters you under Agents.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """The case that was taken; None with the reason why there is none."""

    dispute: uuid.UUID | None
    why: str = ""


def take_next(*, viewer: Viewer, now: datetime) -> Taken:
    """Gives the agent the waiting case with the nearest deadline that fits them. Calls what opens it."""
    if not viewer.works or viewer.agent is None:
        return Taken(dispute=None, why=str(NOT_AN_AGENT))
    try:
        dispute = assigning.take_next(agent_id=viewer.agent.pk, now=now)
    except assigning.CannotTake as error:
        return Taken(dispute=None, why=str(error))
    return Taken(dispute=dispute, why="" if dispute else _("There is no next case: nothing that you can take waits."))


def go(*, viewer: Viewer, on: bool, now: datetime) -> str:
    """Goes on duty or off it. What is called opens its own transaction; returns what to tell the agent."""
    if not viewer.works or viewer.agent is None:
        return str(NOT_AN_AGENT)
    set_duty(agent_id=viewer.agent.pk, on=on, actor=viewer.actor, now=now)
    if on:
        return _("You are on duty: cases that fit are given to you.")
    return _("You are off duty. The cases that you have stay yours.")
