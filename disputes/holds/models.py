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
            models.Index(fields=["-id"], name="hold_opt_outs", condition=Q(source="opt_out")),
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
    hold = models.ForeignKey(Hold, on_delete=models.PROTECT, related_name="covers", db_index=False)  # the constraint's
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
    under the lanes; `reply_to`: the person's own message whose one answer it is. A permit counts as a
    contact from `granted_at` on, until `unused_at`, or 24 hours without a message.
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


class SendToLookAt(models.Model):
    """A message that came, or changed, since messages need a permit: it waits to be looked at (`unauthorised`).

    Several rows may name one message. They are written without a lock that anybody waits for.
    """

    id = models.BigAutoField(primary_key=True)
    message = models.UUIDField()

    def __str__(self) -> str:
        return str(self.message)


class UnauthorisedSend(models.Model):
    """A message that went out without a valid permit, or against a hold, as `disputes.check.permitting` says.

    Derived: one row a message for as long as it is so. `faults`: all that was missing, in the check's order; the
    other fields repeat the message's, for counting.
    """

    message = models.OneToOneField(
        "disputes.Message", on_delete=models.CASCADE, primary_key=True, related_name="unauthorised"
    )
    sent_at = models.DateTimeField()
    vendor = models.CharField(max_length=200, default="", db_collation="C")
    sending_rule = models.CharField(max_length=200, default="", db_collation="C")
    category = models.CharField(max_length=20)
    faults = ArrayField(models.CharField(max_length=30))
    found_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["-sent_at", "message"], name="unauthorised_by_instant"),
            models.Index(fields=["vendor", "-sent_at"], name="unauthorised_by_vendor"),
            models.Index(fields=["sending_rule", "-sent_at"], name="unauthorised_by_rule"),
        ]

    def __str__(self) -> str:
        return str(self.message_id)


class UnauthorisedSearch(models.Model):
    """Since which instant messages have been looked at: one row at most."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    since = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_unauthorised_search")]

    def __str__(self) -> str:
        return str(self.since)


class GateTally(models.Model):
    """How often one call of the gate denied for one reason: only added to, until it is rolled up into its hour."""

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField()
    reason = models.CharField(max_length=30)
    category = models.CharField(max_length=20, default="")
    vendor = models.CharField(max_length=200, default="")
    count = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.hour} {self.reason}"


class GateHour(models.Model):
    """The denials of an hour, by the reason that weighed most."""

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField()
    reason = models.CharField(max_length=30)
    category = models.CharField(max_length=20, default="")
    vendor = models.CharField(max_length=200, default="")
    count = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hour", "reason", "category", "vendor"], name="one_tally_an_hour")
        ]

    def __str__(self) -> str:
        return f"{self.hour} {self.reason}"
