"""The journal: who did what, when. Append only, without personal data."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Event(models.Model):
    """One thing that happened to a dispute, a hold or a rule.

    `id` orders the events of one subject: writers hold the subject's row (or its lanes) while they write.
    """

    append_only = True

    id = models.BigAutoField(primary_key=True)
    subject_type = models.CharField(max_length=20)
    subject_id = models.UUIDField()
    kind = models.CharField(max_length=60)
    at = models.DateTimeField(db_default=Now())
    actor_type = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=150, default="", blank=True)
    data = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["subject_type", "subject_id", "id"], name="event_by_subject")]

    def __str__(self) -> str:
        return f"{self.kind} at {self.at}"
