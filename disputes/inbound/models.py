"""What people text back, as it was delivered."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from config.fields import DigestField, IdField, SealedTextField


class InboundKind(models.TextChoices):
    """What came of it. `kept`: it asks for nothing that a word says, and joins no dispute; a person reads it."""

    OPT_OUT = "opt_out"
    OPT_IN = "opt_in"
    DISPUTE = "dispute"
    COMMENT = "comment"
    KEPT = "kept"


class InboundMessage(models.Model):
    """One text that somebody sent to a number of the lender's. Nothing that was delivered is lost.

    `caller` and `external_id` name it: the system that delivered it, and that system's id for it. `content`: a keyed
    digest of phone and text, so that another text under the same id is seen. `dispute`, `hold`: what it opened, joined
    or placed; `answer`: the JSON that its caller was told, without a word of the person's. `read_at`: when a person had
    read what was kept.
    """

    id = IdField()
    caller = models.CharField(max_length=200, db_collation="C")
    external_id = models.CharField(max_length=200, db_collation="C")
    content = DigestField()
    phone = SealedTextField()
    phone_digest = DigestField()
    text = SealedTextField()
    to = models.CharField(max_length=40, default="", blank=True)
    vendor = models.CharField(max_length=200, default="", blank=True)
    received_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    kind = models.CharField(max_length=10, choices=InboundKind, default=InboundKind.KEPT)
    dispute = models.UUIDField(null=True, blank=True)
    hold = models.UUIDField(null=True, blank=True)
    answer = models.TextField(default="", blank=True)
    read_at = models.DateTimeField(null=True, blank=True)
    read_by = models.CharField(max_length=200, default="", blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["phone_digest", "external_id"], name="inbound_by_phone"),
            models.Index(fields=["dispute"], name="inbound_by_dispute", condition=Q(dispute__isnull=False)),
            models.Index(fields=["-id"], name="inbound_unread", condition=Q(kind="kept", read_at__isnull=True)),
        ]
        constraints = [
            models.UniqueConstraint(fields=["caller", "external_id"], name="one_inbound_a_caller_and_id"),
            models.CheckConstraint(condition=Q(kind__in=InboundKind.values), name="inbound_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.received_at:%Y-%m-%d %H:%M}"
