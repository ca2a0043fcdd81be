"""What is said to customers by SMS and e-mail, and what is announced to the lender's systems by webhook."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from config.fields import DigestField, IdField, SealedTextField
from config.values.ids import new_id


class NoticeChannel(models.TextChoices):
    SMS = "sms"
    EMAIL = "email"


class NoticeState(models.TextChoices):
    """`unknown`: given up without the carrier's word, after a try that it may have taken."""

    QUEUED = "queued"
    SENDING = "sending"
    HANDED_OVER = "handed_over"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Notice(models.Model):
    """One text to one person.

    `kind` says what it is (``acknowledgement``, ``outcome``, ``survey`` …), `subject` what it is about (a dispute, an
    invitation) and `key` which one of its kind: the three name it, so that the same notice is never queued twice.
    `provider_ref` is the carrier's name for it. `in_doubt`: a try ended without an answer, so that the carrier may have
    it all the same. While it is `sending`, `claimed_until` keeps a second worker off.
    """

    id = IdField()
    kind = models.CharField(max_length=40)
    subject = models.UUIDField()
    key = models.CharField(max_length=120)
    channel = models.CharField(max_length=10, choices=NoticeChannel)
    address = SealedTextField()
    address_digest = DigestField()
    language = models.CharField(max_length=10)
    subject_line = SealedTextField()
    text = SealedTextField()
    state = models.CharField(max_length=20, choices=NoticeState, default=NoticeState.QUEUED)
    provider_ref = models.CharField(max_length=200, null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    in_doubt = models.BooleanField(default=False)
    claimed_until = models.DateTimeField(db_default=Now())
    queued_at = models.DateTimeField()
    handed_over_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    failure = models.CharField(max_length=200, default="", blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["subject", "id"], name="notice_by_subject"),
            models.Index(fields=["address_digest"], name="notice_by_address"),
            models.Index(
                fields=["provider_ref"], name="notice_by_provider_ref", condition=Q(provider_ref__isnull=False)
            ),
            models.Index(fields=["state", "-id"], name="notice_by_state"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["kind", "subject", "key"], name="one_notice_a_kind_subject_and_key"),
            models.CheckConstraint(condition=Q(state__in=NoticeState.values), name="notice_state_known"),
            models.CheckConstraint(condition=Q(channel__in=NoticeChannel.values), name="notice_channel_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} ({self.state})"


class WebhookEndpoint(models.Model):
    """An address of the lender's that hears of events.

    `events`: the names that it wants, empty for all. `former_secret` signs too until `former_secret_until`, so that a
    secret can be changed without losing a delivery. `failures` counts tries in a row that brought no answer at all;
    after some of them the address is left alone until `resting_until`. A removed endpoint keeps its row, without its
    secrets: a delivery that is being written at that moment must not fail the transaction that it stands in.
    """

    id = IdField()
    url = models.CharField(max_length=2000)
    secret = SealedTextField(null=True)
    former_secret = SealedTextField(null=True)
    former_secret_until = models.DateTimeField(null=True, blank=True)
    events = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    enabled = models.BooleanField(default=True)
    disabled_because = models.CharField(max_length=60, default="", blank=True)
    created_by = models.CharField(max_length=150, default="", blank=True)
    created_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    resting_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(removed_at__isnull=True) | Q(enabled=False), name="a_removed_endpoint_is_off"
            )
        ]

    def __str__(self) -> str:
        return self.url


class WebhookMessage(models.Model):
    """One event, as it is announced. `seq` orders the messages of one `key` (a dispute's id, else its subject's):
    whoever writes holds that dispute's row. `body` is the exact text that is signed and sent."""

    seq = models.BigAutoField(primary_key=True)
    webhook_id = models.UUIDField(default=new_id, unique=True, editable=False)
    event = models.CharField(max_length=40)
    key = models.CharField(max_length=120)
    body = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["key", "seq"], name="webhook_message_by_key")]

    def __str__(self) -> str:
        return f"{self.event} {self.key}"


class DeliveryState(models.TextChoices):
    PENDING = "pending"
    DELIVERED = "delivered"
    PARKED = "parked"


class WebhookDelivery(models.Model):
    """One message on its way to one endpoint.

    The oldest pending one of an endpoint and `key` is tried from `next_at` on; `claimed_until` keeps a second worker
    off. One that fails after `retry_until` is parked.
    """

    id = IdField()
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    message = models.ForeignKey(WebhookMessage, on_delete=models.CASCADE, related_name="deliveries")
    key = models.CharField(max_length=120)
    state = models.CharField(max_length=20, choices=DeliveryState, default=DeliveryState.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField()
    retry_until = models.DateTimeField()
    claimed_until = models.DateTimeField(db_default=Now())
    last_tried_at = models.DateTimeField(null=True, blank=True)
    last_status = models.PositiveSmallIntegerField(null=True, blank=True)
    last_error = models.CharField(max_length=200, default="", blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    parked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        indexes = [
            models.Index(fields=["endpoint", "key", "message"], name="delivery_in_order", condition=Q(state="pending")),
            models.Index(fields=["next_at"], name="delivery_due", condition=Q(state="pending")),
            models.Index(fields=["delivered_at"], name="delivery_done", condition=Q(state="delivered")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "message"], name="one_delivery_an_endpoint_and_message"),
            models.CheckConstraint(condition=Q(state__in=DeliveryState.values), name="delivery_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.message_id} to {self.endpoint_id} ({self.state})"


def webhook_id_of(value: uuid.UUID) -> str:
    """A message's id as the header ``webhook-id`` carries it."""
    return f"msg_{value}"
