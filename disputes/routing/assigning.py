"""Who gets a case: the least loaded agent who fits and is on duty; ties to the longest idle.

One advisory lock is held while a case is given, so that who is least loaded is still so when the case is written, and
nobody is given more than they can take. A case that waits, is set aside or is left takes no such lock: it only frees a
place. Order of locks: dispute row (the caller's), routing, the cases, the agents by id. Whoever holds the routing lock
never asks for a dispute's row, and skips a case that somebody else has locked.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from django.db.models import Count, Q

from config.api.locks import NAMESPACE, ROUTING
from disputes.journal.recording import SERVICE, Actor, record_event, record_events
from disputes.outbox import queue
from disputes.routing.calendars import default_queue
from disputes.routing.models import Agent, CaseState, Queue, RoutedCase

AT_ONCE = 200
"""Cases that are given under one lock."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)

# Not `bulk_update`, whose CASE of a branch a case made a batch take nearly twice as long, under the lock.
_WRITE_OWNERS = """
    UPDATE disputes_routedcase AS waiting
    SET owner_id = given.agent, state = 'assigned', assigned_at = %s, unfit_since = NULL
    FROM unnest(%s::uuid[], %s::bigint[]) AS given(dispute, agent)
    WHERE waiting.dispute = given.dispute
"""
_WRITE_GIVEN = """
    UPDATE disputes_agent AS one
    SET last_given_at = given.at
    FROM unnest(%s::bigint[], %s::timestamptz[]) AS given(agent, at)
    WHERE one.id = given.agent
"""


class CannotTake(Exception):
    """The agent cannot be given a case now; the message says why."""


class CannotHandOn(Exception):
    """The case cannot go there; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What an agent must be able to take. `product`: None where the loan is not known."""

    ground: str
    language: str
    product: str | None

    def suit(self, *, languages: Sequence[str], grounds: Sequence[str], products: Sequence[str]) -> bool:
        """Whether a queue that takes these, each empty for all, takes such a case."""
        suits = _takes(languages, self.language) and _takes(grounds, self.ground)
        return suits and _takes(products, self.product or "")


def enter(
    *, dispute: uuid.UUID, needs: Needs, decide_by: datetime, now: datetime, not_agent: int | None = None
) -> None:
    """The dispute waits for an agent, in the first queue that takes it. Needs the transaction that says so, with the
    dispute's row locked; called again for one that waits or is assigned it does nothing. Topic `case.waiting`.

    `not_agent`: an agent who may not have it.
    """
    fresh = {
        "state": CaseState.WAITING,
        "queue": queue_for(needs),
        "ground": needs.ground,
        "language": needs.language,
        "product": needs.product or "",
        "decide_by": decide_by,
        "waiting_since": now,
        "not_agent_id": not_agent,
    }
    case, created = RoutedCase.objects.select_for_update(no_key=True, of=("self",)).get_or_create(
        dispute=dispute, defaults=fresh
    )
    if not created:
        if case.state != CaseState.LEFT:
            return
        RoutedCase.objects.filter(pk=dispute).update(
            **fresh, owner=None, former=None, handed_back_by=None, unfit_since=None, round=case.round + 1
        )
    _tell_waiting(dispute)


def set_aside(*, dispute: uuid.UUID, now: datetime) -> None:
    """The case waits for the customer: its agent is remembered, their place is free. Needs the dispute's row locked."""
    case = _locked(dispute)
    if case is not None and case.state in (CaseState.WAITING, CaseState.ASSIGNED):
        _save(case, state=CaseState.ASIDE, former=case.owner or case.former, owner=None, unfit_since=None)


def bring_back(*, dispute: uuid.UUID, now: datetime) -> None:
    """The customer answered, or the term is over: the case waits again, for its former agent first. Needs the dispute's
    row locked."""
    case = _locked(dispute)
    if case is not None and case.state == CaseState.ASIDE:
        _save(case, state=CaseState.WAITING, owner=None, waiting_since=now, unfit_since=None)
        _tell_waiting(dispute)


def leave(*, dispute: uuid.UUID, now: datetime) -> None:
    """The dispute is closed: the place is free. Needs the dispute's row locked; no routing lock."""
    case = _locked(dispute)
    if case is not None and case.state != CaseState.LEFT:
        _save(case, state=CaseState.LEFT, former=case.owner or case.former, owner=None, unfit_since=None)


def assign_waiting(*, now: datetime) -> int:
    """Gives every waiting case that somebody fits, the nearest deadline first. Opens its transactions; returns how many
    were given.

    A batch under the routing lock: 1. waiting cases in order, those that are locked are passed over; 2. the agents on
    duty, by id; 3. in the next statement their loads; 4. each case to the best, in Python; 5. written. One that nobody
    fits waits on, and blocks nobody behind it; its supervisor is told once.
    """
    given, after = 0, None
    while True:
        with transaction.atomic(durable=True):
            _lock_routing()
            cases = _waiting(after=after)
            if not cases:
                return given
            given += _give(cases, _Desks.on_duty(), now=now)
        after = (cases[-1].decide_by, cases[-1].pk)


def take_next(*, agent_id: int, now: datetime) -> uuid.UUID | None:
    """The waiting case with the nearest deadline that the agent fits, given to them; None where there is none. Opens
    its transaction. Raises CannotTake (off duty, or no place free), Agent.DoesNotExist."""
    with transaction.atomic(durable=True):
        _lock_routing()
        agent = _locked_agent(agent_id)
        desks = _Desks([agent])
        if not works(agent):
            raise CannotTake("You are off duty: switch your duty on first.")
        if not desks.has_place(agent):
            raise CannotTake(f"You have {desks.loads[agent.pk]} cases in review, of {agent.capacity} at once.")
        after = None
        while cases := _waiting(after=after):
            for case in cases:
                if desks.fits(agent, case):
                    _assign({case.pk: agent}, now=now)
                    return case.pk
            after = (cases[-1].decide_by, cases[-1].pk)
        return None


def hand_on(
    *,
    dispute: uuid.UUID,
    actor: Actor,
    now: datetime,
    agent_id: int | None = None,
    queue_id: int | None = None,
    from_agent: int | None = None,
) -> None:
    """Gives a case in review to another agent, or back to a queue, whence it does not return by itself to who had it.
    Opens its transaction.

    `from_agent`: only where it is this agent's. Why is a note's to say, which is sealed. Raises CannotHandOn: the case
    is not in review or another's, the agent is off duty, has no place free or may not have it; RoutedCase, Agent or
    Queue.DoesNotExist.
    """
    with transaction.atomic(durable=True):
        _lock_routing()
        case = RoutedCase.objects.select_for_update(no_key=True, of=("self",)).get(pk=dispute)
        if case.state not in (CaseState.WAITING, CaseState.ASSIGNED):
            raise CannotHandOn("Only a case that is in review can be handed on.")
        if from_agent is not None and case.owner_id != from_agent:
            raise CannotHandOn("This case is another agent's by now.")
        data: dict[str, object] = {"from": case.owner_id}
        if agent_id is not None:
            agent = _locked_agent(agent_id)
            _may_take(agent, case)
            record_event(
                subject_type="dispute",
                subject_id=dispute,
                kind="dispute.handed_on",
                actor=actor,
                at=now,
                data={**data, "to": agent.pk},
            )
            _assign({case.pk: agent}, now=now, actor=actor)
            return
        if queue_id is None:
            raise CannotHandOn("Say to whom: an agent or a queue.")
        wanted = Queue.objects.get(pk=queue_id)
        record_event(
            subject_type="dispute",
            subject_id=dispute,
            kind="dispute.handed_on",
            actor=actor,
            at=now,
            data={**data, "queue": wanted.pk},
        )
        _save(
            case,
            state=CaseState.WAITING,
            queue=wanted,
            handed_back_by=case.owner or case.handed_back_by,
            owner=None,
            former=None,
            waiting_since=now,
            unfit_since=None,
        )
        _tell_waiting(dispute)


def queue_for(needs: Needs) -> Queue:
    """The first queue that takes such a case; the default one, made where it is missing, takes all."""
    for one in Queue.objects.order_by("place", "name"):
        if needs.suit(languages=one.languages, grounds=one.grounds, products=one.products):
            return one
    return default_queue()


def _may_take(agent: Agent, case: RoutedCase) -> None:
    desks = _Desks([agent])
    if agent.pk == case.owner_id:
        raise CannotHandOn(f"It is {agent}'s already.")
    if agent.pk == case.not_agent_id:
        raise CannotHandOn(f"{agent} may not have this case.")
    if not works(agent):
        raise CannotHandOn(f"{agent} is off duty.")
    if not desks.has_place(agent):
        raise CannotHandOn(f"{agent} has no place free: {desks.loads[agent.pk]} of {agent.capacity}.")


def _takes(listed: Sequence[str], wanted: str) -> bool:
    return not listed or wanted in listed


class _Desks:
    """Agents whose rows are locked, with what lies before them, read in a statement after the lock."""

    def __init__(self, agents: Sequence[Agent]) -> None:
        self.agents = agents
        counted = RoutedCase.objects.filter(owner__in=agents, state=CaseState.ASSIGNED).values("owner")
        self.loads = {agent.pk: 0 for agent in agents}
        self.loads.update(counted.annotate(n=Count("pk")).values_list("owner", "n"))
        self.queues: dict[int, set[int]] = {}
        for row in Agent.queues.through.objects.filter(agent__in=agents):
            self.queues.setdefault(row.agent_id, set()).add(row.queue_id)

    @classmethod
    def on_duty(cls) -> _Desks:
        """All who are on duty, locked by id, so that nobody goes off duty meanwhile."""
        agents = Agent.objects.select_for_update(no_key=True, of=("self",)).select_related("user")
        return cls([agent for agent in agents.filter(on_duty=True).order_by("pk") if works(agent)])

    def has_place(self, agent: Agent) -> bool:
        return self.loads[agent.pk] < agent.capacity

    def fits(self, agent: Agent, case: RoutedCase) -> bool:
        queues = self.queues.get(agent.pk)
        return (
            agent.pk not in (case.not_agent_id, case.handed_back_by_id)
            and (not queues or case.queue_id in queues)
            and _takes(agent.languages, case.language)
            and _takes(agent.grounds, case.ground)
            and _takes(agent.products, case.product)
        )

    def best(self, case: RoutedCase) -> Agent | None:
        """The former agent where they fit and have a place, else the least loaded, the longest idle first."""
        fit = [agent for agent in self.agents if self.has_place(agent) and self.fits(agent, case)]
        former = [agent for agent in fit if agent.pk == case.former_id]
        order = sorted(fit, key=lambda agent: (self.loads[agent.pk], agent.last_given_at or _NEVER, agent.pk))
        return next(iter(former or order), None)


def _give(cases: Sequence[RoutedCase], desks: _Desks, *, now: datetime) -> int:
    given: dict[uuid.UUID, Agent] = {}
    unfit: list[uuid.UUID] = []
    latest = max((agent.last_given_at or _NEVER for agent in desks.agents), default=_NEVER)
    for case in cases:
        agent = desks.best(case)
        if agent is None:
            if case.unfit_since is None:
                unfit.append(case.pk)
            continue
        desks.loads[agent.pk] += 1
        # Each a little later than the one before, so that among equals of this batch too the longest idle comes first.
        agent.last_given_at = max(now, latest) + timedelta(microseconds=1)
        latest = agent.last_given_at
        given[case.pk] = agent
    _assign(given, now=now)
    _tell_unfit(unfit, now=now)
    return len(given)


def _assign(given: dict[uuid.UUID, Agent], *, now: datetime, actor: Actor = SERVICE) -> None:
    """Writes owners. Needs the routing lock, and the rows of the cases and the agents."""
    if not given:
        return
    agents = {agent.pk: agent for agent in given.values()}
    for agent in agents.values():
        agent.last_given_at = max(agent.last_given_at or now, now)
    with connection.cursor() as cursor:
        cursor.execute(_WRITE_OWNERS, [now, list(given), [agent.pk for agent in given.values()]])
        cursor.execute(_WRITE_GIVEN, [list(agents), [agent.last_given_at for agent in agents.values()]])
    data = {pk: {"agent": agent.pk, "user": agent.user_id} for pk, agent in given.items()}
    record_events(subject_type="dispute", kind="dispute.assigned", actor=actor, at=now, data=data)
    queue.put_many(
        topic="dispute.assigned",
        payloads={str(pk): {"dispute": str(pk), "agent": agent.pk} for pk, agent in given.items()},
    )


def _tell_unfit(unfit: Sequence[uuid.UUID], *, now: datetime) -> None:
    if not unfit:
        return
    RoutedCase.objects.filter(pk__in=unfit).update(unfit_since=now)
    record_events(
        subject_type="dispute", kind="dispute.unassignable", actor=SERVICE, at=now, data={pk: {} for pk in unfit}
    )
    queue.put_many(topic="case.unassignable", payloads={str(pk): {"dispute": str(pk)} for pk in unfit})


def _waiting(*, after: tuple[datetime, uuid.UUID] | None) -> list[RoutedCase]:
    rows = RoutedCase.objects.select_for_update(no_key=True, skip_locked=True).filter(state=CaseState.WAITING)
    if after is not None:
        rows = rows.filter(Q(decide_by__gt=after[0]) | Q(decide_by=after[0], pk__gt=after[1]))
    return list(rows.order_by("decide_by", "pk")[:AT_ONCE])


def works(agent: Agent) -> bool:
    """Whether cases may be given to the agent: on duty, and still a user of the back office."""
    return agent.on_duty and agent.user.is_active and agent.user.is_staff


def _locked_agent(agent_id: int) -> Agent:
    return Agent.objects.select_for_update(no_key=True, of=("self",)).select_related("user").get(pk=agent_id)


def _locked(dispute: uuid.UUID) -> RoutedCase | None:
    return RoutedCase.objects.select_for_update(no_key=True, of=("self",)).filter(pk=dispute).first()


def lock_owner(*, dispute: uuid.UUID) -> Agent | None:
    """Who has the case, with its row locked, so that it is given and handed to nobody meanwhile. Needs a transaction
    with the dispute's row locked."""
    case = _locked(dispute)
    return Agent.objects.get(pk=case.owner_id) if case is not None and case.owner_id is not None else None


def _save(case: RoutedCase, **fields: object) -> None:
    for name, value in fields.items():
        setattr(case, name, value)
    case.save(update_fields=list(fields))


def _tell_waiting(dispute: uuid.UUID) -> None:
    queue.put(topic="case.waiting", key=str(dispute), payload={"dispute": str(dispute)})


def _lock_routing() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [NAMESPACE, ROUTING])
