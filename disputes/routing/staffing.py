"""Entering agents and calendars, and changing them."""

from __future__ import annotations

from collections.abc import Collection

from django.db import transaction

from disputes.outbox import queue
from disputes.routing.models import Agent, Calendar


def save_agent(*, agent: Agent, changed: Collection[str] | None = None) -> Agent:
    """Writes a new agent, or of a known one the fields named, and no others: who looked at a form for long does not put
    back what was changed meanwhile. Takes part in the caller's transaction or opens one; locks the agent's row, which
    waits for whoever gives cases.

    A greater capacity, another skill or duty may fit what waits: topic `case.waiting`. A smaller capacity takes no case
    away. Raises Agent.DoesNotExist.
    """
    with transaction.atomic():
        if agent.pk is None:
            agent.save()
        else:
            Agent.objects.select_for_update(no_key=True, of=("self",)).get(pk=agent.pk)
            own = {field.name for field in Agent._meta.concrete_fields}
            agent.save(update_fields=sorted(own & set(changed or ())))
        queue.put(topic="case.waiting", key=f"agent:{agent.pk}", payload={"agent": agent.pk})
        return agent


def save_calendar(*, calendar: Calendar) -> Calendar:
    """Writes a calendar; one that was changed has a new revision, by which the deadlines that run on it are found and
    moved (topic `calendar.changed`). Takes part in the caller's transaction or opens one; locks the calendar's row.
    Raises Calendar.DoesNotExist."""
    with transaction.atomic():
        if calendar.pk is None:
            calendar.save()
            return calendar
        known = Calendar.objects.select_for_update(no_key=True).get(pk=calendar.pk)
        calendar.revision = known.revision + 1
        calendar.save()
        queue.put(topic="calendar.changed", key=str(calendar.pk), payload={"calendar": calendar.pk})
        return calendar
