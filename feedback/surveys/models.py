"""Surveys and their versions."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from config.fields import IdField


class Survey(models.Model):
    """What somebody wants to hear from customers, again and again. What is asked stands in its versions."""

    id = IdField()
    name = models.CharField(max_length=120, unique=True)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)

    def __str__(self) -> str:
        return self.name


class SurveyVersion(models.Model):
    """One set of questions, never changed once it is there: an answer is read by the version that asked.

    `title`, `intro`, `thanks`: by language (``zh-hans``, ``en``). `questions`: as `feedback.surveys.questions` reads
    them. `dimensions`: by what the figures are split (DIMENSIONS), fixed with the version.
    """

    append_only = True

    id = IdField()
    survey = models.ForeignKey(Survey, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    title = models.JSONField()
    intro = models.JSONField(default=dict, blank=True)
    thanks = models.JSONField(default=dict, blank=True)
    questions = models.JSONField()
    dimensions = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["survey", "number"], name="one_version_a_survey_and_number")]

    def __str__(self) -> str:
        return f"{self.survey} v{self.number}"
