"""Schedules: writing them, and opening what is due."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime, time

import structlog
from django.db import transaction

from feedback.waves.models import Missed, Schedule, Wave
from feedback.waves.opening import Asked, open_wave
from feedback.waves.recurrence import BadRule, Recurrence, read_recurrence

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """When waves open: the rule, its zone, and its start as wall time there."""

    rule: str
    zone: str
    starts_on: date
    starts_at: time
    missed: str = Missed.ONE

    def recurrence(self) -> Recurrence:
        """Raises BadRule."""
        return read_recurrence(rule=self.rule, zone=self.zone, starts_on=self.starts_on, starts_at=self.starts_at)


def create_schedule(
    *,
    survey_id: uuid.UUID,
    timing: Timing,
    asked: Asked,
    now: datetime,
    enabled: bool = True,
    first_period_from: datetime | None = None,
) -> Schedule:
    """Writes a schedule. Its first period begins at `first_period_from` (aware; none: now) and ends at the rule's first
    date after that. Opens no transaction. Raises BadRule."""
    begins = first_period_from or now
    recurrence = timing.recurrence()
    return Schedule.objects.create(
        survey_id=survey_id,
        rule=recurrence.rule,
        zone=timing.zone,
        starts_on=timing.starts_on,
        starts_at=timing.starts_at,
        missed=timing.missed,
        enabled=enabled,
        next_at=recurrence.after(begins),
        last_end=begins,
        created_at=now,
        **asked.as_fields(),
    )


def change_schedule(*, schedule_id: uuid.UUID, timing: Timing, asked: Asked, enabled: bool, now: datetime) -> Schedule:
    """Changes a schedule: its next date, and never a period that a wave has. Opens the transaction that locks its row.

    Periods go on tiling: the next one begins where the last one ended, whatever the rule was then. Raises BadRule,
    Schedule.DoesNotExist.
    """
    recurrence = timing.recurrence()
    with transaction.atomic():
        schedule = Schedule.objects.select_for_update(no_key=True).get(pk=schedule_id)
        schedule.rule, schedule.zone, schedule.missed = recurrence.rule, timing.zone, timing.missed
        schedule.starts_on, schedule.starts_at = timing.starts_on, timing.starts_at
        schedule.enabled = enabled
        schedule.next_at = recurrence.after(max(now, schedule.last_end))
        for name, value in asked.as_fields().items():
            setattr(schedule, name, value)
        schedule.save()
    return schedule


def recurrence_of(schedule: Schedule) -> Recurrence:
    """A stored schedule's rule. Raises BadRule."""
    return Timing(
        rule=schedule.rule, zone=schedule.zone, starts_on=schedule.starts_on, starts_at=schedule.starts_at
    ).recurrence()


def open_due_waves(*, now: datetime) -> int:
    """Opens a wave for every schedule that is due, until none is. Returns how many. Opens its transactions, one a wave.

    However many do this at once, a period has one wave: the schedule's row is claimed, and moved on with the wave.
    """
    opened = 0
    while True:
        with transaction.atomic(durable=True):
            # Whoever is at a schedule has it alone; the others take the next one and not this one again.
            claimed = Schedule.objects.select_for_update(skip_locked=True, no_key=True)
            due = claimed.filter(enabled=True, next_at__lte=now).order_by("next_at").first()
            if due is None:
                return opened
            opened += _open_next(due, now=now) is not None


def _open_next(schedule: Schedule, *, now: datetime) -> Wave | None:
    """The wave of [last_end, next_at), and both dates moved on. Needs the transaction that locked the schedule."""
    try:
        recurrence = recurrence_of(schedule)
    except BadRule as error:  # a zone that the system no longer has must not stop the others
        log.error("schedule_unreadable", schedule=str(schedule.pk), why=str(error))
        schedule.enabled = False
        schedule.save(update_fields=["enabled"])
        return None
    end = schedule.next_at
    if end is None:
        return None
    if schedule.missed == Missed.ONE:
        end = max(end, recurrence.last_up_to(now) or end)
    wave = open_wave(
        survey_id=schedule.survey_id,
        asked=Asked.of(schedule),
        start=schedule.last_end,
        end=end,
        opened_by=f"schedule:{schedule.pk}",
        schedule=schedule,
        now=now,
    )
    schedule.last_end, schedule.next_at = end, recurrence.after(end)
    schedule.save(update_fields=["last_end", "next_at"])
    return wave
