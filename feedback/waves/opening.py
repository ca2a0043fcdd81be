"""Opening a wave: by hand, or by a schedule that is due."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from disputes.journal.recording import SERVICE, record_event
from disputes.notices.webhooks import announce
from disputes.outbox import queue
from feedback.surveys.publishing import newest_version
from feedback.waves.models import Asking, Channel, Schedule, Wave, WaveState

LONGEST_OPEN = 90
"""Days for which a wave may take answers."""
LONGEST_QUIET = 365
"""Days; the sample reads the invitations of a year."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Whom a wave asks, and how: see `feedback.waves.models.Asking`."""

    audience: str
    sample_size: int | None = None
    quiet_days: int = 90
    open_days: int = 14
    channel: str = Channel.SMS

    @classmethod
    def of(cls, asking: Asking) -> Asked:
        return cls(
            audience=asking.audience,
            sample_size=asking.sample_size,
            quiet_days=asking.quiet_days,
            open_days=asking.open_days,
            channel=asking.channel,
        )

    def as_fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def open_wave(
    *,
    survey_id: uuid.UUID,
    asked: Asked,
    start: datetime,
    end: datetime,
    opened_by: str,
    now: datetime,
    schedule: Schedule | None = None,
    seed: bytes | None = None,
) -> Wave:
    """Writes a wave of the period [start, end) (aware) in state ``sampling``, by the survey's newest version. Needs a
    transaction; topic `wave.opened`, webhook ``wave.opened``.

    A worker then draws the sample and invites it (`feedback.waves.sampling`, `feedback.waves.inviting`). `seed`: 16
    bytes, to repeat a sample; none: random. Raises SurveyVersion.DoesNotExist; ValueError for a period that is empty.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("a wave is opened in a transaction")
    if start >= end:
        raise ValueError("a period begins before it ends")
    wave = Wave.objects.create(
        survey_id=survey_id,
        version=newest_version(survey_id=survey_id),
        schedule=schedule,
        period=DateTimeTZRange(start, end, "[)"),
        state=WaveState.SAMPLING,
        seed=seed or secrets.token_bytes(16),
        opened_at=now,
        opened_by=opened_by,
        ends_at=now + timedelta(days=asked.open_days),
        **asked.as_fields(),
    )
    record_event(subject_type="wave", subject_id=wave.pk, kind="wave.opened", actor=SERVICE, at=now)
    queue.put(topic="wave.opened", key=str(wave.pk), payload={"wave": str(wave.pk)})
    announce(event="wave.opened", key=str(wave.pk), data=announced(wave), at=now)
    return wave


def announced(wave: Wave) -> dict[str, Any]:
    """What webhooks say of a wave."""
    return {"wave": str(wave.pk), "survey": str(wave.survey_id), "state": wave.state}
