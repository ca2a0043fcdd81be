"""Who works at the demo lender: queues, and agents with skills, a capacity and a desk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import Group, User
from django.db import transaction

from disputes.journal.recording import SERVICE
from disputes.routing import duty
from disputes.routing.models import Agent, Queue

ACCOUNT = ["not_overdue", "already_paid", "wrong_amount", "no_longer_owed"]
CONDUCT = ["agent_conduct", "third_party_contacted", "too_frequent", "outside_hours", "other"]
QUEUES = {
    "Car loans": {"place": 10, "products": ["car"]},
    "English": {"place": 20, "languages": ["en"]},
    "Payments and amounts": {"place": 30, "grounds": ACCOUNT},
    "Conduct and wrong numbers": {"place": 40, "grounds": [*CONDUCT, "not_my_debt", "identity_theft"]},
}
"""Name → what it takes; the first by place has a case."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """`queues` empty: every queue's; `on_duty` False: at home today, so that what only they can take waits."""

    username: str
    name: str
    capacity: int
    queues: tuple[str, ...] = ()
    on_duty: bool = True


MEMBERS = (
    Member(username="agent", name="", capacity=8, queues=("Payments and amounts", "Conduct and wrong numbers")),
    Member(username="supervisor", name="", capacity=2, queues=("Conduct and wrong numbers",)),
    Member(username="agent1", name="林晓雯", capacity=8, queues=("Payments and amounts",)),
    Member(username="agent2", name="陈志远", capacity=8, queues=("Payments and amounts",)),
    Member(username="agent3", name="吴佳怡", capacity=6, queues=("English",)),
    Member(username="agent4", name="郑浩然", capacity=6, queues=("Conduct and wrong numbers",), on_duty=False),
    Member(username="agent5", name="孙丽华", capacity=5, queues=("Conduct and wrong numbers", "English")),
    Member(username="agent6", name="何俊杰", capacity=4, queues=("English",), on_duty=False),
    Member(username="agent7", name="许梦洁", capacity=6, queues=("Car loans",), on_duty=False),
)


def take_on(*, now: datetime) -> None:
    """Makes the queues and agents that are missing, on duty. Users of `credentials.json` keep their password; the
    others have none. Opens its transactions."""
    with transaction.atomic():
        queues = {name: Queue.objects.get_or_create(name=name, defaults=takes)[0] for name, takes in QUEUES.items()}
        supervisor = User.objects.filter(username="supervisor").first()
        for queue in queues.values():
            if supervisor is not None:
                queue.supervisors.add(supervisor)
        agents = [_agent(member, queues) for member in MEMBERS]
    for agent in agents:
        if agent.last_given_at is None:
            duty.set_duty(agent_id=agent.pk, on=True, actor=SERVICE, now=now)


def go_home(*, now: datetime) -> None:
    """Ends the duty of those who are not there today. Opens its transactions."""
    for member in MEMBERS:
        if not member.on_duty:
            agent = Agent.objects.get(user__username=member.username)
            duty.set_duty(agent_id=agent.pk, on=False, actor=SERVICE, now=now)


def _agent(member: Member, queues: dict[str, Queue]) -> Agent:
    user, made = User.objects.get_or_create(
        username=member.username, defaults={"is_staff": True, "first_name": member.name}
    )
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
        user.groups.add(Group.objects.get_or_create(name="agents")[0])
    agent, fresh = Agent.objects.get_or_create(user=user, defaults={"capacity": member.capacity})
    if fresh:
        agent.queues.set([queues[name] for name in member.queues])
    return agent
