"""A dispute's clocks: the first answer and the decision, on business time or on the calendar as the policy says."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import transaction

from config.statements import Statement, insert, make, run
from disputes.journal.recording import SERVICE, record_events
from disputes.outbox import queue
from disputes.policy.packs import Pack
from disputes.policy.terms import deadlines
from disputes.routing.assigning import Needs
from disputes.routing.calendars import default_calendar, due_after, open_seconds
from disputes.routing.models import Calendar, Clock, ClockKind, Escalation, RoutedCase

WARN_WITH = 0.2
"""The share of a term that is left when a warning is due."""
AT_ONCE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """Aware UTC, whole seconds."""

    first_answer_by: datetime
    decide_by: datetime


class Calendars:
    """Which calendar runs for which case: what is `asked`, to be run in one call with others, and the answer."""

    def __init__(self) -> None:
        self._queues = Statement(
            "SELECT languages, grounds, products, calendar_id FROM disputes_queue ORDER BY place, name"
        )
        self._calendars = Statement(
            f"SELECT {', '.join(_CALENDAR)} FROM disputes_calendar WHERE id = (SELECT min(id) FROM disputes_calendar)"
            " OR id IN (SELECT calendar_id FROM disputes_queue) ORDER BY id"
        )
        self._known: Mapping[int, Calendar] | None = None
        self.asked = (self._queues, self._calendars)

    def told(self, *, queues: str | None, calendars: str | None) -> None:
        """What was asked in other words than `asked`, as JSON; None where there is none. `queues`: arrays of languages,
        grounds, products and calendar; `calendars`: objects."""
        self._queues.rows, self._known = _read_queues(queues or "[]"), _read_calendars(calendars or "[]")

    def of(self, needs: Needs | None) -> Calendar:
        """The calendar of the first queue that takes such a case; without `needs`, or where the queue has none, the
        lender's own, which is made where there is none. Needs a transaction."""
        known = self._known
        if known is None:
            known = {row[0]: _as_calendar(row) for row in self._calendars.rows}
        for languages, grounds, products, calendar in self._queues.rows:
            if needs is not None and needs.suit(languages=languages, grounds=grounds, products=products):
                if calendar is not None:
                    return known[calendar]
                break
        return known[min(known)] if known else default_calendar()


_CALENDAR = [one.attname for one in Calendar._meta.concrete_fields]


def _as_calendar(row: tuple[Any, ...]) -> Calendar:
    said = dict(zip(_CALENDAR, row, strict=True))
    said["hours"], said["extra_days"] = json.loads(said["hours"]), json.loads(said["extra_days"])
    return Calendar.from_db("default", _CALENDAR, tuple(said.values()))


# What the database said is kept as read by its words: they are the same until somebody changes a queue or a calendar.
@lru_cache(maxsize=8)
def _read_queues(said: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in json.loads(said)]


@lru_cache(maxsize=8)
def _read_calendars(said: str) -> Mapping[int, Calendar]:
    calendars = {}
    for row in json.loads(said):
        row["days_off"] = [date.fromisoformat(day) for day in row["days_off"]]
        calendars[row["id"]] = Calendar.from_db("default", _CALENDAR, tuple(row[name] for name in _CALENDAR))
    return calendars


def start_clocks(
    *, dispute: uuid.UUID, pack: Pack, opened_at: datetime, now: datetime, needs: Needs | None = None
) -> Due:
    """Starts both clocks at `opened_at`. Needs the transaction that opens the dispute.

    `needs` names the queue whose calendar business time runs on (`Calendars`). Started again (an appeal), the clocks
    begin a new round.
    """
    calendars = Calendars()
    run(*calendars.asked)
    due, clocks = started_clocks(dispute=dispute, pack=pack, opened_at=opened_at, calendar=calendars.of(needs))
    run(insert(*clocks, ending=_BEGIN_ANEW))
    return due


def started_clocks(
    *, dispute: uuid.UUID, pack: Pack, opened_at: datetime, calendar: Calendar
) -> tuple[Due, list[Clock]]:
    """As `start_clocks`, with the calendar that business time runs on: when both are due, and the clocks, to be written
    in the transaction that opens the dispute."""
    started = opened_at.astimezone(UTC).replace(microsecond=0)
    by = deadlines(pack=pack, opened_at=started, zone=settings.LENDER_TIME_ZONE)
    terms = (
        (ClockKind.FIRST_ANSWER, pack.terms.first_answer_clock, pack.terms.first_answer_hours, by.first_answer_by),
        (ClockKind.DECIDE, pack.terms.decide_clock, pack.terms.decide_hours, by.decide_by),
    )
    due = {}
    for kind, runs_on, hours, calendar_due in terms:
        clock = make(
            Clock,
            dispute=dispute,
            kind=kind,
            business=runs_on == "business",
            started_at=started,
            running_from=started,
            pack=f"{pack.name} {pack.version}"[:80],
        )
        if clock.business:
            clock.calendar_id, clock.budget = calendar.pk, hours * 3600
            _run_on(clock, calendar)
        else:
            clock.due_at = calendar_due.astimezone(UTC)
            _set_alarm(clock, clock.due_at - (clock.due_at - started) * WARN_WITH)
        due[kind] = clock
    both = Due(first_answer_by=due[ClockKind.FIRST_ANSWER].due_at, decide_by=due[ClockKind.DECIDE].due_at)
    return both, list(due.values())


_ANEW = [one.column for one in Clock._meta.concrete_fields if one.attname not in ("id", "dispute", "kind", "round")]
_BEGIN_ANEW = "ON CONFLICT (dispute, kind) DO UPDATE SET round = disputes_clock.round + 1, " + ", ".join(
    f"{name} = EXCLUDED.{name}" for name in _ANEW
)
"""One that is there already begins a new round."""


def pause_clocks(*, dispute: uuid.UUID, now: datetime) -> Due | None:
    """Waiting on the customer: business time stops. A calendar's clock runs on, since no rule stops it, and so does one
    that is due already: asking does not undo a miss. Needs the dispute's row locked."""
    clocks = _locked(dispute)
    for clock in clocks.values():
        runs = clock.running_from is not None and clock.stopped_at is None and clock.due_at > now
        if clock.business and runs and clock.calendar:
            clock.used = _used(clock, clock.calendar, now)
            clock.running_from, clock.next_alarm_at = None, None
            clock.save(update_fields=["used", "running_from", "next_alarm_at"])
    return _due(clocks)


def resume_clocks(*, dispute: uuid.UUID, now: datetime) -> Due | None:
    """Business time runs on with what was left of it, and the case stands in its queue by the new deadline. Needs the
    dispute's row locked."""
    clocks = _locked(dispute)
    for clock in clocks.values():
        if clock.business and clock.running_from is None and clock.stopped_at is None and clock.calendar:
            clock.running_from = _whole(now)
            _run_on(clock, clock.calendar)
            clock.save()
    due = _due(clocks)
    if due is not None:
        show_deadline(dispute=dispute, decide_by=due.decide_by)
    return due


def note_first_answer(*, dispute: uuid.UUID, now: datetime) -> None:
    """Somebody has answered: that clock stops. Needs the dispute's row locked; may be called again."""
    _stop(_locked(dispute), ClockKind.FIRST_ANSWER, now=now)


def stop_clocks(*, dispute: uuid.UUID, now: datetime) -> None:
    """The dispute is closed. Needs its row locked; may be called again."""
    _stop(_locked(dispute), *ClockKind.values, now=now)


def _stop(clocks: dict[str, Clock], *kinds: str, now: datetime) -> None:
    running = [clock.pk for kind, clock in clocks.items() if kind in kinds and clock.stopped_at is None]
    Clock.objects.filter(pk__in=running).update(stopped_at=now, next_alarm_at=None)


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
            raised += _escalate([clock for clock in clocks if clock.due_at > now], kind="near", now=now)
            raised += _escalate([clock for clock in clocks if clock.due_at <= now], kind="missed", now=now)
            for clock in clocks:
                clock.next_alarm_at = clock.due_at if clock.due_at > now else None
            Clock.objects.bulk_update(clocks, ["next_alarm_at"])


def _escalate(clocks: list[Clock], *, kind: str, now: datetime) -> int:
    """Needs the clocks' rows locked. One that a changed calendar lets ring again has been escalated already."""
    known = set(
        Escalation.objects.filter(dispute__in=[one.dispute for one in clocks], kind=kind).values_list(
            "dispute", "clock", "round"
        )
    )
    clocks = [one for one in clocks if (one.dispute, one.kind, one.round) not in known]
    if not clocks:
        return 0
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
    return len(clocks)


def recompute_clocks(*, now: datetime, at_once: int = AT_ONCE) -> int:
    """Clocks that were worked out on an older revision of their calendar are worked out anew, from when they last began
    to run. Opens its transactions, a batch each; returns how many. Topic `deadline.changed` for each dispute.

    A clock that somebody has locked is passed over, and so is one that was being started while the calendar changed:
    its revision shows it, and the next round has it.
    """
    done = 0
    for calendar_id in list(Calendar.objects.values_list("pk", flat=True)):
        while moved := _recompute_batch(calendar_id, at_once):
            done += moved
    return done


def _recompute_batch(calendar_id: int, at_once: int) -> int:
    with transaction.atomic(durable=True):
        calendar = Calendar.objects.get(pk=calendar_id)
        stale = Clock.objects.select_for_update(skip_locked=True, no_key=True).filter(
            calendar=calendar,
            calendar_revision__lt=calendar.revision,
            stopped_at__isnull=True,
            running_from__isnull=False,
            business=True,
        )
        clocks = list(stale.order_by("calendar_revision")[:at_once])
        for clock in clocks:
            _run_on(clock, calendar)
        Clock.objects.bulk_update(clocks, ["calendar_revision", "due_at", "warn_at", "next_alarm_at"])
        disputes = sorted({str(clock.dispute) for clock in clocks})
        queue.put_many(topic="deadline.changed", payloads={one: {"dispute": one} for one in disputes})
        return len(clocks)


def show_deadline(*, dispute: uuid.UUID, decide_by: datetime) -> None:
    """The case stands in its queue by this deadline from now on. Needs the dispute's row locked."""
    RoutedCase.objects.filter(pk=dispute).update(decide_by=decide_by)


def due_of(*, dispute: uuid.UUID) -> Due | None:
    """The deadlines as they stand; None where no clock was started."""
    return _due({clock.kind: clock for clock in Clock.objects.filter(dispute=dispute)})


def _locked(dispute: uuid.UUID) -> dict[str, Clock]:
    rows = Clock.objects.select_for_update(no_key=True, of=("self",)).select_related("calendar")
    return {clock.kind: clock for clock in rows.filter(dispute=dispute).order_by("pk")}


def _due(clocks: dict[str, Clock]) -> Due | None:
    """None where the dispute was opened before it had clocks."""
    if len(clocks) < len(ClockKind.values):
        return None
    return Due(first_answer_by=clocks[ClockKind.FIRST_ANSWER].due_at, decide_by=clocks[ClockKind.DECIDE].due_at)


def _run_on(clock: Clock, calendar: Calendar) -> None:
    """Due where the rest of the budget has run from `running_from` on."""
    if clock.running_from is None:
        raise ValueError("a clock that is paused has no due date")
    start = clock.running_from
    clock.calendar_revision = calendar.revision
    clock.due_at = due_after(calendar, start=start, seconds=max(clock.budget - clock.used, 0))
    unwarned = round(clock.budget * (1 - WARN_WITH)) - clock.used
    _set_alarm(clock, due_after(calendar, start=start, seconds=unwarned) if unwarned > 0 else None)


def _set_alarm(clock: Clock, warn_at: datetime | None) -> None:
    """No warning where it would come at once."""
    late = warn_at is None or clock.running_from is None or warn_at <= clock.running_from
    clock.warn_at = None if late else _whole(warn_at) if warn_at else None
    clock.next_alarm_at = clock.warn_at or clock.due_at


def _used(clock: Clock, calendar: Calendar, now: datetime) -> int:
    since = clock.running_from or now
    return clock.used + (open_seconds(calendar, start=since, end=_whole(now)) if now > since else 0)


def _whole(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=0)
