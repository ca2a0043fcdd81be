"""The outbox: what must still be done because of a transaction that has committed."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class OutboxTopic(models.Model):
    """One topic, written in the transaction that causes it.

    `done_by` lists the functions that have finished with it, so that a failing one does not repeat the others.
    `due_at` is when the sweeper sends it again, `claimed_until` keeps a second worker off while one is at it.
    """

    id = models.BigAutoField(primary_key=True)
    topic = models.CharField(max_length=60)
    key = models.CharField(max_length=120)
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(db_default=Now())
    claimed_until = models.DateTimeField(db_default=Now())
    attempts = models.PositiveIntegerField(default=0)
    done_by = ArrayField(models.CharField(max_length=120), default=list)
    done_at = models.DateTimeField(null=True)
    last_error = models.TextField(default="", blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], name="outbox_due", condition=Q(done_at__isnull=True)),
            models.Index(fields=["done_at"], name="outbox_done", condition=Q(done_at__isnull=False)),
            models.Index(fields=["key"], name="outbox_undone_by_key", condition=Q(done_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.key}"
