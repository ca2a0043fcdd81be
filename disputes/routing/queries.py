"""Reads of the routing that more than one caller needs."""

from __future__ import annotations

import uuid

from django.db.models import Count, Q, QuerySet

from disputes.routing.models import Agent, CaseState, Escalation, RoutedCase


def case_of(dispute: uuid.UUID) -> RoutedCase | None:
    """A dispute's case with its queue and owner; None where no person was ever asked."""
    rows = RoutedCase.objects.select_related("queue", "owner__user", "former__user")
    return rows.filter(pk=dispute).first()


def owner_of(dispute: uuid.UUID) -> Agent | None:
    """Who has the case now."""
    return Agent.objects.select_related("user").filter(cases__dispute=dispute).first()


def desk_of(agent: Agent) -> QuerySet[RoutedCase]:
    """The agent's cases, the nearest deadline first."""
    return RoutedCase.objects.filter(owner=agent, state=CaseState.ASSIGNED).order_by("decide_by", "pk")


def aside_of(agent: Agent) -> QuerySet[RoutedCase]:
    """What of the agent's waits for the customer."""
    return RoutedCase.objects.filter(former=agent, state=CaseState.ASIDE).order_by("decide_by", "pk")


def waiting() -> QuerySet[RoutedCase]:
    """All that waits for an agent, the nearest deadline first."""
    return RoutedCase.objects.select_related("queue").filter(state=CaseState.WAITING).order_by("decide_by", "pk")


def unfit() -> QuerySet[RoutedCase]:
    """What waits though somebody looked for an agent: none who is on duty fits, or has a place free."""
    return waiting().filter(unfit_since__isnull=False)


def loads() -> QuerySet[Agent]:
    """The agents, each with `load`: their cases in review."""
    open_cases = Count("cases", filter=Q(cases__state=CaseState.ASSIGNED))
    return Agent.objects.select_related("user").annotate(load=open_cases).order_by("-on_duty", "pk")


def escalations(*, missed: bool = False) -> QuerySet[Escalation]:
    """Deadlines that came near or were missed, newest first."""
    rows = Escalation.objects.order_by("-id")
    return rows.filter(kind="missed") if missed else rows
