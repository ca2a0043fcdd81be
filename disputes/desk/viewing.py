"""Who looks at the desk, and what they may do with a case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from disputes.cases.models import Dispute, Status
from disputes.desk.groups import SUPERVISE, WORK, powers_of
from disputes.journal.recording import Actor
from disputes.routing.models import Agent, RoutedCase


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """A user of the back office. `agent`: their row among the agents, where they have one."""

    user: Any
    powers: frozenset[str]
    agent: Agent | None

    @property
    def supervises(self) -> bool:
        return SUPERVISE in self.powers

    @property
    def works(self) -> bool:
        return WORK in self.powers

    @property
    def actor(self) -> Actor:
        return Actor(type="user", id=str(self.user.pk))


def viewer_of(user: Any) -> Viewer:
    """Two queries. Who has no power only reads."""
    return Viewer(user=user, powers=powers_of(user), agent=Agent.objects.filter(user=user).first())


def agent_of(dispute: Dispute) -> Agent | None:
    """Who has the dispute, or had it when it went to the customer or was closed; None where nobody did. One query."""
    row = RoutedCase.objects.filter(pk=dispute.pk).select_related("owner__user", "former__user").first()
    return None if row is None else row.owner or (row.former if row.state in ("aside", "left") else None)


def why_not(viewer: Viewer, *, dispute: Dispute, agent: Agent | None, supervisor: bool = False) -> str:
    """Why the viewer may not act on a dispute that `agent` has; empty where they may. `supervisor`: the act is a
    supervisor's alone.

    Agents act on their own cases, and on closed ones, which are nobody's.
    """
    if viewer.supervises:
        return ""
    if not viewer.works:
        return _("You may read this dispute. Acting on it needs the group of agents or of supervisors.")
    if supervisor:
        return _("Only a supervisor may do this.")
    if dispute.status == Status.CLOSED:
        return ""
    if agent is None:
        return _("Nobody has this case yet: it is given out from its queue. A supervisor may act on it all the same.")
    if viewer.agent is None or agent.pk != viewer.agent.pk:
        return _("This case is another agent's.")
    return ""
