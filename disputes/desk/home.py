"""The desk's first page: an agent's queue by deadline, and what a supervisor must see to."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Min, Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from disputes.cases.models import Decision, DecisionState, Dispute, OutcomeFlag, Status
from disputes.cases.queries import undelivered
from disputes.desk import words
from disputes.desk.accounts import local_instant
from disputes.desk.viewing import Viewer
from disputes.routing.models import Agent, Clock, ClockKind, RoutedCase
from disputes.routing.queries import aside_of, desk_of, loads, unfit

ROWS = 50
"""Of one list: whoever has more works from the top."""

FIRST_LINE = 90


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseRow:
    """A dispute in a list. `late`: its deadline has gone."""

    reference: str
    address: str
    ground: str
    words: str
    due: str
    due_at: str
    late: bool
    status: str
    verdict: str
    verdict_code: str
    owner: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Cases:
    """The first rows of a list, and how many more there are beyond them."""

    rows: tuple[CaseRow, ...]
    more: int
    all_at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """How much an agent has."""

    name: str
    on_duty: bool
    load: int
    capacity: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Home:
    """What the first page shows to this user. Lists that are not theirs to see are empty."""

    title: str
    agent: Agent | None
    works: bool
    supervises: bool
    load: int
    mine: Cases
    aside: Cases
    second: Cases
    missed: Cases
    unfit: Cases
    undelivered: Cases
    doubted: Cases
    loads: tuple[Load, ...]


def home_of(*, viewer: Viewer, now: datetime) -> Home:
    """A fixed number of queries: two a list at most, then three for the disputes of all lists together."""
    lists: dict[str, QuerySet[Any]] = {}
    if viewer.agent is not None:
        lists["mine"] = desk_of(viewer.agent).values_list("pk", flat=True)
        lists["aside"] = aside_of(viewer.agent).values_list("pk", flat=True)
    if viewer.supervises:
        lists |= _to_see_to(now)
    ids = {name: list(rows[:ROWS]) for name, rows in lists.items()}
    counts = {name: rows.count() if len(ids[name]) == ROWS else len(ids[name]) for name, rows in lists.items()}
    shown = _rows({pk for some in ids.values() for pk in some}, now=now)
    all_at = reverse("admin:disputes_dispute_changelist")

    def cases(name: str) -> Cases:
        rows = tuple(shown[pk] for pk in ids.get(name, ()) if pk in shown)
        return Cases(rows=rows, more=counts.get(name, 0) - len(rows), all_at=all_at)

    return Home(
        title=_("My queue") if viewer.agent is not None else _("Disputes"),
        agent=viewer.agent,
        works=viewer.works,
        supervises=viewer.supervises,
        load=counts.get("mine", 0),
        mine=cases("mine"),
        aside=cases("aside"),
        second=cases("second"),
        missed=cases("missed"),
        unfit=cases("unfit"),
        undelivered=cases("undelivered"),
        doubted=cases("doubted"),
        loads=tuple(_loads()) if viewer.supervises else (),
    )


def _to_see_to(now: datetime) -> dict[str, QuerySet[Any]]:
    second = Decision.objects.filter(state=DecisionState.WAITING_SECOND).order_by("pk")
    doubted = OutcomeFlag.objects.filter(resolved_at__isnull=True).order_by("raised_at")
    return {
        "doubted": doubted.values_list("dispute", flat=True),
        "second": second.values_list("dispute", flat=True),
        "missed": _missed(now),
        "unfit": unfit().values_list("pk", flat=True),
        "undelivered": undelivered().order_by("closed_at").values_list("pk", flat=True),
    }


def _missed(now: datetime) -> QuerySet[Any]:
    """Disputes of which a clock that runs has gone by, the longest first; each once, whichever of its clocks it is."""
    running = Q(business=False) | Q(running_from__isnull=False)
    missed = Clock.objects.filter(running, stopped_at__isnull=True, due_at__lt=now)
    firsts = missed.values("dispute").annotate(first=Min("due_at")).order_by("first", "dispute")
    return firsts.values_list("dispute", flat=True)


def _rows(ids: Iterable[uuid.UUID], *, now: datetime) -> dict[uuid.UUID, CaseRow]:
    ids = list(ids)
    cases = RoutedCase.objects.filter(pk__in=ids).select_related("owner__user")
    owners = {row.pk: str(row.owner) for row in cases if row.owner is not None}
    answers = Clock.objects.filter(dispute__in=ids, kind=ClockKind.FIRST_ANSWER, stopped_at__isnull=True)
    unanswered = dict(answers.values_list("dispute", "due_at"))
    disputes = Dispute.objects.filter(pk__in=ids).select_related("last_check")
    return {
        one.pk: _row(one, owner=owners.get(one.pk, ""), answer_by=unanswered.get(one.pk), now=now) for one in disputes
    }


def _row(dispute: Dispute, *, owner: str, answer_by: datetime | None, now: datetime) -> CaseRow:
    verdict = dispute.last_check.verdict if dispute.last_check else ""
    due, late = _due(dispute, answer_by=answer_by, now=now)
    return CaseRow(
        reference=dispute.reference,
        address=reverse("admin:disputes_dispute_change", args=[dispute.pk]),
        ground=words.GROUNDS[dispute.ground],
        words=first_line(dispute.statement),
        due=due,
        due_at=local_instant(dispute.decide_by),
        late=late,
        status=words.STATUSES[dispute.status],
        verdict=words.VERDICTS.get(verdict, ""),
        verdict_code=verdict,
        owner=owner,
    )


def _due(dispute: Dispute, *, answer_by: datetime | None, now: datetime) -> tuple[str, bool]:
    """How far the decision is, or the first answer, where that alone is overdue; and whether it is overdue."""
    if dispute.status == Status.CLOSED:
        return "", False
    waits = dispute.status == Status.WAITING_CUSTOMER
    if answer_by is not None and answer_by < now <= dispute.decide_by and not waits:
        return _("answer %(due)s") % {"due": words.due_in(answer_by, now=now)}, True
    return words.due_in(dispute.decide_by, now=now), dispute.decide_by < now


def first_line(text: str | None) -> str:
    """The first line that says something, cut where it is long."""
    line = next((line.strip() for line in (text or "").splitlines() if line.strip()), "")
    return line if len(line) <= FIRST_LINE else f"{line[: FIRST_LINE - 1].rstrip()}…"


def _loads() -> Iterable[Load]:
    for agent in loads()[:200]:
        yield Load(name=str(agent), on_duty=agent.on_duty, load=getattr(agent, "load", 0), capacity=agent.capacity)
