"""Agents and cases for tests of the routing, made by the routing's own functions."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from config.values.ids import new_id
from disputes.journal.recording import Actor
from disputes.outbox import queue
from disputes.outbox.models import OutboxTopic
from disputes.routing import assigning
from disputes.routing.assigning import Needs
from disputes.routing.models import Agent, Queue, RoutedCase
from disputes.tasks import SUBSCRIBERS

NOW = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
"""Monday, ten o'clock in Shanghai."""
BOSS = Actor(type="user", id="boss")


def agent(name: str, *, capacity: int = 5, on_duty: bool = True, queues: tuple[Queue, ...] = (), **more: Any) -> Agent:
    user = User.objects.create(username=name, is_staff=True)
    made = Agent.objects.create(user=user, capacity=capacity, on_duty=on_duty, **more)
    made.queues.set(queues)
    return made


def enter(
    *,
    ground: str = "already_paid",
    language: str = "en",
    product: str | None = None,
    due_in_hours: float = 80,
    now: datetime = NOW,
    dispute: uuid.UUID | None = None,
    not_agent: Agent | None = None,
) -> uuid.UUID:
    """A dispute that waits for an agent."""
    dispute = dispute or new_id()
    with transaction.atomic():
        assigning.enter(
            dispute=dispute,
            needs=Needs(ground=ground, language=language, product=product),
            decide_by=now + timedelta(hours=due_in_hours),
            now=now,
            not_agent=not_agent.pk if not_agent else None,
        )
    return dispute


def within(act: Any, **said: Any) -> Any:
    """Calls what needs a transaction, in one."""
    with transaction.atomic():
        return act(**said)


def owner(dispute: uuid.UUID) -> str | None:
    case = RoutedCase.objects.select_related("owner__user").get(pk=dispute)
    return case.owner.user.username if case.owner else None


def state(dispute: uuid.UUID) -> str:
    return RoutedCase.objects.get(pk=dispute).state


def loads() -> dict[str, int]:
    """By agent, how many cases they have."""
    rows = Agent.objects.select_related("user")
    return {row.user.username: RoutedCase.objects.filter(owner=row, state="assigned").count() for row in rows}


def hear(topic: str) -> None:
    """Delivers what waits of one topic; there are no disputes behind these cases for the others."""
    for pk in OutboxTopic.objects.filter(topic=topic, done_at__isnull=True).values_list("pk", flat=True):
        queue.deliver(topic_id=pk, subscribers=SUBSCRIBERS)


def hear_who_waits() -> None:
    hear("case.waiting")
