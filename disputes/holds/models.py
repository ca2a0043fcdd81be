"""Holds, what they cover, the permits that were granted, and the feed of what changed."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from config.fields import DigestField, IdField


class Source(models.TextChoices):
    DISPUTE = "dispute"
    MANUAL = "manual"
    OPT_OUT = "opt_out"
    WRONG_NUMBER = "wrong_number"
    BREAKER = "breaker"


class Scope(models.TextChoices):
    LOAN = "loan"
    LOAN_AND_PHONE = "loan_and_phone"
    PHONE = "phone"
    CUSTOMER = "customer"
    SENDING_RULE = "sending_rule"


class Reason(models.TextChoices):
    """What the gate answers where the hold stands in the way."""

    DISPUTE_PENDING = "dispute_pending"
    MANUAL_HOLD = "manual_hold"
    OUTCOME_NOT_DELIVERED = "outcome_not_delivered"
    RECORDS_NOT_CORRECTED = "records_not_corrected"
    WRONG_NUMBER = "wrong_number"
    OPTED_OUT = "opted_out"
    RULE_PAUSED = "rule_paused"


class Hold(models.Model):
    """Something in whose name messages are stopped, until somebody writes its release: time alone never ends it.

    Written under the lanes of all that it covers (`disputes.holds.placing`). `reason`: what the gate answers; `why`:
    the dispute's ground, the opt-out's source, or an agent's words for a code.
    """

    id = IdField()
    source = models.CharField(max_length=20, choices=Source)
    scope = models.CharField(max_length=20, choices=Scope)
    reason = models.CharField(max_length=30, choices=Reason)
    why = models.CharField(max_length=200, default="", blank=True)
    dispute = models.UUIDField(null=True, blank=True)
    placed_at = models.DateTimeField()
    placed_by = models.CharField(max_length=200)
    released_at = models.DateTimeField(null=True, blank=True)
    released_by = models.CharField(max_length=200, default="", blank=True)
    release_reason = models.CharField(max_length=200, default="", blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["dispute"], name="hold_by_dispute", condition=Q(dispute__isnull=False)),
            models.Index(fields=["-id"], name="hold_standing", condition=Q(released_at__isnull=True)),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(source__in=Source.values), name="hold_source_known"),
            models.CheckConstraint(condition=Q(scope__in=Scope.values), name="hold_scope_known"),
            models.CheckConstraint(condition=Q(reason__in=Reason.values), name="hold_reason_known"),
            models.CheckConstraint(
                condition=Q(released_at__isnull=True) | Q(released_at__gte=models.F("placed_at")),
                name="hold_released_after_it_was_placed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reason} ({self.scope})"


class HoldCover(models.Model):
    """One thing that a hold covers.

    `key`: ``l:<loan>`` ``c:<customer>`` ``p:<phone digest in hex>`` ``r:<sending rule>``. `released_at` repeats the
    hold's, so that the gate asks one index alone.
    """

    id = models.BigAutoField(primary_key=True)
    hold = models.ForeignKey(Hold, on_delete=models.PROTECT, related_name="covers")
    key = models.CharField(max_length=210, db_collation="C")
    since = models.DateTimeField()
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["key"], include=["hold"], name="cover_standing", condition=Q(released_at__isnull=True)
            ),
            models.Index(fields=["key", "since"], name="cover_by_key"),
        ]
        constraints = [models.UniqueConstraint(fields=["hold", "key"], name="one_cover_a_hold_and_key")]

    def __str__(self) -> str:
        return self.key[:2]


class Permit(models.Model):
    """Leave for one message.

    The table is made by the second migration: partitioned by month, by range of the id, whose time only says where
    the row stands; `granted_at` is the database's clock under the lanes and decides. `customer`: the loan's, as read
    under the lanes. A permit counts as a contact from `granted_at` on, until `unused_at`, or 24 hours without a
    message.
    """

    id = IdField()
    caller = models.CharField(max_length=200)
    request_id = models.CharField(max_length=200, db_collation="C")
    granted_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    phone_digest = DigestField()
    loan = models.CharField(max_length=200, null=True, db_collation="C")
    customer = models.CharField(max_length=200, null=True, db_collation="C")
    channel = models.CharField(max_length=10)
    category = models.CharField(max_length=20)
    sending_rule = models.CharField(max_length=200, null=True, db_collation="C")
    vendor = models.CharField(max_length=200, default="")
    reply_to = models.CharField(max_length=200, null=True, db_collation="C")
    used_at = models.DateTimeField(null=True)
    message = models.CharField(max_length=200, null=True, db_collation="C")
    unused_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.channel} {self.category}"


class Change(models.TextChoices):
    PLACED = "placed"
    CHANGED = "changed"
    RELEASED = "released"


class SuppressionChange(models.Model):
    """One row of the feed, append only, in commit order.

    `number` comes from a sequence that is drawn under one advisory lock, as the last statements of the transaction
    (`placing.number_changes`): whoever has read up to a number misses nothing later; numbers may skip. `keys`: what
    the hold covers after the change; `permits_out`: the permits to recall.
    """

    append_only = True

    number = models.BigIntegerField(primary_key=True)
    kind = models.CharField(max_length=10, choices=Change)
    hold = models.ForeignKey(Hold, on_delete=models.PROTECT, related_name="changes")
    at = models.DateTimeField(db_default=Now())
    scope = models.CharField(max_length=20)
    reason = models.CharField(max_length=30)
    keys = ArrayField(models.CharField(max_length=210))
    permits_out = models.JSONField(default=list)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=Change.values), name="suppression_change_kind_known")
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.kind}"
