"""Agents in tests, and a dispute that one of them has."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from disputes.cases.deciding import decide
from disputes.cases.models import Decision, Dispute
from disputes.journal.recording import Actor
from disputes.routing.models import Agent
from tests.callers import customer
from tests.disputes.cases.test_opening import dispute
from tests.work import work


def agent(name: str, *, capacity: int = 5, on_duty: bool = True) -> Agent:
    user, _ = User.objects.get_or_create(username=name, defaults={"is_staff": True})
    return Agent.objects.create(user=user, capacity=capacity, on_duty=on_duty)


def actor_of(one: Agent) -> Actor:
    return Actor(type="user", id=str(one.user_id))


def in_review(ground: str = "not_overdue", **more: Any) -> Dispute:
    """C1's dispute of M1, checked and given to whoever is on duty."""
    answer = dispute(customer("C1"), ground=ground, **more)
    assert answer.status_code == 201, answer.content
    work()
    return Dispute.objects.get(pk=answer.json()["id"])


def decided(
    one: Dispute,
    by: Agent,
    outcome: str = "rejected",
    *,
    reason: str | None = None,
    check: uuid.UUID | None = None,
    any_case: bool = False,
) -> Decision:
    reasons = {"rejected": "records_confirm_arrears", "upheld": "payment_proved", "partly_upheld": "amount_wrong"}
    return decide(
        dispute_id=one.pk,
        outcome=outcome,
        reason=reason or reasons[outcome],
        explanation="We looked at your account.",
        check_id=check or one.last_check_id,
        actor=actor_of(by),
        user_id=by.user_id,
        any_case=any_case,
        now=timezone.now(),
    )
