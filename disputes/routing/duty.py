"""Going on and off duty."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import transaction

from disputes.journal.recording import Actor
from disputes.outbox import queue
from disputes.routing.models import Agent

log = structlog.get_logger(__name__)


def set_duty(*, agent_id: int, on: bool, actor: Actor, now: datetime) -> bool:
    """Switches an agent's duty. Cases that they have stay theirs. Opens its transaction; False where it was so.

    The agent's row is locked by whoever gives cases, so nobody is given one after they went off duty. Whoever comes on
    duty is given what waits (topic `case.waiting`). Raises Agent.DoesNotExist.
    """
    with transaction.atomic():
        agent = Agent.objects.select_for_update(no_key=True, of=("self",)).get(pk=agent_id)
        if agent.on_duty == on:
            return False
        agent.on_duty = on
        agent.save(update_fields=["on_duty"])
        log.info("duty_changed", agent=agent_id, on=on, actor=actor.id)
        if on:
            queue.put(topic="case.waiting", key=f"agent:{agent_id}", payload={"agent": agent_id})
        return True
