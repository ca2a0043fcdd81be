"""A dispute's clocks: the first answer and the decision, on business time or on the calendar as the policy says."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.db import transaction

from disputes.journal.recording import SERVICE, record_events
from disputes.outbox import queue
from disputes.policy.packs import Pack
from disputes.policy.terms import deadlines
from disputes.routing.assigning import Needs, queue_for
from disputes.routing.calendars import default_calendar, open_time
from disputes.routing.models import Calendar, Clock, ClockKind, Escalation

WARN_WITH = 0.2
"""The share of a term that is left when a warning is due."""
AT_ONCE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """Aware UTC, whole seconds."""

    first_answer_by: datetime
    decide_by: datetime


def start_clocks(
    *, dispute: uuid.UUID, pack: Pack, opened_at: datetime, now: datetime, needs: Needs | None = None
) -> Due:
    """Starts both clocks at `opened_at`. Needs the transaction that opens the dispute.

    `needs` names the queue whose calendar business time runs on; without one, or a queue without a calendar, the
    lender's own. Started again (an appeal), the clocks begin a new round.
    """
    started = opened_at.astimezone(UTC).replace(microsecond=0)
    by = deadlines(pack=pack, opened_at=started, zone=settings.LENDER_TIME_ZONE)
    calendar = (queue_for(needs).calendar if needs is not None else None) or default_calendar()
    terms = (
        (ClockKind.FIRST_ANSWER, pack.terms.first_answer_clock, pack.terms.first_answer_hours, by.first_answer_by),
        (ClockKind.DECIDE, pack.terms.decide_clock, pack.terms.decide_hours, by.decide_by),
    )
    due = {}
    for kind, runs_on, hours, calendar_due in terms:
        clock = Clock(dispute=dispute, kind=kind, business=runs_on == "business", started_at=started)
        clock.pack = f"{pack.name} {pack.version}"[:80]
        clock.running_from = started
        if clock.business:
            clock.calendar, clock.calendar_revision, clock.budget = calendar, calendar.revision, hours * 3600
            _run_on(clock, calendar)
        else:
            clock.due_at = calendar_due.astimezone(UTC)
            _set_alarm(clock, clock.due_at - (clock.due_at - started) * WARN_WITH)
        due[kind] = clock
    _write(due.values())
    return Due(first_answer_by=due[ClockKind.FIRST_ANSWER].due_at, decide_by=due[ClockKind.DECIDE].due_at)


def _write(clocks: Iterable[Clock]) -> None:
    for clock in clocks:
        known = Clock.objects.filter(dispute=clock.dispute, kind=clock.kind).values_list("pk", "round").first()
        if known is not None:
            clock.pk, clock.round = known[0], known[1] + 1
        clock.save(force_insert=known is None)


def pause_clocks(*, dispute: uuid.UUID, now: datetime) -> Due:
    """Waiting on the customer: business time stops. A calendar's clock runs on, since no rule stops it. Needs the
    dispute's row locked."""
    clocks = _locked(dispute)
    for clock in clocks.values():
        if clock.business and clock.running_from is not None and clock.stopped_at is None and clock.calendar:
            clock.used = _used(clock, clock.calendar, now)
            clock.running_from, clock.next_alarm_at = None, None
            clock.save(update_fields=["used", "running_from", "next_alarm_at"])
    return _due(clocks)


def resume_clocks(*, dispute: uuid.UUID, now: datetime) -> Due:
    """Business time runs on with what was left of it. Needs the dispute's row locked."""
    clocks = _locked(dispute)
    for clock in clocks.values():
        if clock.business and clock.running_from is None and clock.stopped_at is None and clock.calendar:
            clock.running_from = _whole(now)
            _run_on(clock, clock.calendar)
            clock.save()
    return _due(clocks)


def note_first_answer(*, dispute: uuid.UUID, now: datetime) -> None:
    """Somebody has answered: that clock stops. Needs the dispute's row locked; may be called again."""
    _stop(Clock.objects.filter(dispute=dispute, kind=ClockKind.FIRST_ANSWER), now=now)


def stop_clocks(*, dispute: uuid.UUID, now: datetime) -> None:
    """The dispute is closed. Needs its row locked; may be called again."""
    _stop(Clock.objects.filter(dispute=dispute), now=now)


def _stop(clocks: object, *, now: datetime) -> None:
    clocks.filter(stopped_at__isnull=True).update(stopped_at=now, next_alarm_at=None)  # type: ignore[attr-defined]


def raise_alarms(*, now: datetime, at_once: int = AT_ONCE) -> int:
    """Deadlines that came near are warned of, those that passed are escalated, each once. Opens its transactions;
    returns how many.

    Clocks are claimed by FOR UPDATE SKIP LOCKED; the escalation's unique key stands behind it. One whose warning and
    miss both passed unseen is a miss.
    """
    raised = 0
    while True:
        with transaction.atomic(durable=True):
            ringing = Clock.objects.select_for_update(skip_locked=True, no_key=True).filter(next_alarm_at__lte=now)
            clocks = list(ringing.order_by("next_alarm_at", "pk")[:at_once])
            if not clocks:
                return raised
            for kind in ("near", "missed"):
                _escalate(
                    [clock for clock in clocks if (clock.due_at <= now) == (kind == "missed")], kind=kind, now=now
                )
            for clock in clocks:
                clock.next_alarm_at = clock.due_at if clock.due_at > now else None
            Clock.objects.bulk_update(clocks, ["next_alarm_at"])
            raised += len(clocks)


def _escalate(clocks: list[Clock], *, kind: str, now: datetime) -> None:
    if not clocks:
        return
    Escalation.objects.bulk_create(
        [
            Escalation(dispute=one.dispute, clock=one.kind, kind=kind, round=one.round, due_at=one.due_at, at=now)
            for one in clocks
        ],
        ignore_conflicts=True,
    )
    for clock_kind in ClockKind.values:
        rows = {
            one.dispute: {"clock": one.kind, "due_at": one.due_at.isoformat()}
            for one in clocks
            if one.kind == clock_kind
        }
        record_events(subject_type="dispute", kind=f"deadline.{kind}", actor=SERVICE, at=now, data=rows)
        payloads = {f"{one}:{clock_kind}": {"dispute": str(one), "clock": clock_kind} for one in rows}
        queue.put_many(topic=f"deadline.{kind}", payloads=payloads)


def recompute_clocks(*, calendar: Calendar, now: datetime) -> int:
    """A calendar was changed: the clocks that run on it are worked out anew from when they last began to run. Needs the
    change's transaction; returns how many. Topic `deadline.changed` for each dispute."""
    clocks = Clock.objects.select_for_update(no_key=True, of=("self",)).filter(
        calendar=calendar, stopped_at__isnull=True, running_from__isnull=False, business=True
    )
    changed = list(clocks.order_by("pk"))
    for clock in changed:
        clock.calendar_revision = calendar.revision
        _run_on(clock, calendar)
    fields = ["calendar_revision", "due_at", "warn_at", "next_alarm_at"]
    Clock.objects.bulk_update(changed, fields, batch_size=1000)
    queue.put_many(
        topic="deadline.changed", payloads={str(one.dispute): {"dispute": str(one.dispute)} for one in changed}
    )
    return len(changed)


def due_of(*, dispute: uuid.UUID) -> Due | None:
    """The deadlines as they stand; None where no clock was started."""
    clocks = {clock.kind: clock for clock in Clock.objects.filter(dispute=dispute)}
    return _due(clocks) if len(clocks) == len(ClockKind.values) else None


def _locked(dispute: uuid.UUID) -> dict[str, Clock]:
    rows = Clock.objects.select_for_update(no_key=True, of=("self",)).select_related("calendar")
    return {clock.kind: clock for clock in rows.filter(dispute=dispute).order_by("pk")}


def _due(clocks: dict[str, Clock]) -> Due:
    return Due(first_answer_by=clocks[ClockKind.FIRST_ANSWER].due_at, decide_by=clocks[ClockKind.DECIDE].due_at)


def _run_on(clock: Clock, calendar: Calendar) -> None:
    """Due where the rest of the budget has run from `running_from` on."""
    if clock.running_from is None:
        raise ValueError("a clock that is paused has no due date")
    time = open_time(calendar, at=clock.running_from)
    left = max(clock.budget - clock.used, 0)
    clock.due_at = time.add(clock.running_from, left)
    unwarned = round(clock.budget * (1 - WARN_WITH)) - clock.used
    _set_alarm(clock, time.add(clock.running_from, unwarned) if unwarned > 0 else None)


def _set_alarm(clock: Clock, warn_at: datetime | None) -> None:
    """No warning where it would come at once."""
    late = warn_at is None or clock.running_from is None or warn_at <= clock.running_from
    clock.warn_at = None if late else _whole(warn_at) if warn_at else None
    clock.next_alarm_at = clock.warn_at or clock.due_at


def _used(clock: Clock, calendar: Calendar, now: datetime) -> int:
    since = clock.running_from or now
    return clock.used + (open_time(calendar, at=since).between(since, _whole(now)) if now > since else 0)


def _whole(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=0)
