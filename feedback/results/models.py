"""What a closed wave said, frozen."""

from __future__ import annotations

from django.db import models

from feedback.waves.models import Wave


class WaveSummary(models.Model):
    """A closed wave's figures, as they were when it was closed: nothing that happens later moves them.

    `funnel`: counts; `tallies`: by question, value → how many; `segments`: the one-way tables; `questions`: as shown.
    """

    append_only = True

    wave = models.OneToOneField(Wave, on_delete=models.PROTECT, primary_key=True, related_name="summary")
    frozen_at = models.DateTimeField()
    funnel = models.JSONField()
    tallies = models.JSONField()
    questions = models.JSONField()
    segments = models.JSONField()

    def __str__(self) -> str:
        return f"figures of {self.wave_id}"
