"""What the lender's systems know: versions on two clocks (`version_models`), and the rows that the rest points to.

The identity rows, and what is voided, are a function of the versions, recomputed by the import: nothing depends on the
order in which lines came, but when they were received.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from config.fields import AmountField, DigestField, IdField
from disputes.records.version_models import (
    AIMS,
    CHANNELS,
    FEEDS,
    RECORD_TYPES,
    ROLES,
    VERSIONS,
    CustomerPersonal,
    CustomerPhoneVersion,
    CustomerVersion,
    InstalmentVersion,
    LoanVersion,
    MessageFields,
    MessagePersonal,
    MessageVersion,
    Reference,
    RepaymentVersion,
    ReversalVersion,
    SendingRuleVersion,
    Version,
    VoidVersion,
    WatermarkVersion,
)

__all__ = [
    "AIMS",
    "CHANNELS",
    "FEEDS",
    "RECORD_TYPES",
    "ROLES",
    "VERSIONS",
    "Customer",
    "CustomerPersonal",
    "CustomerPhone",
    "CustomerPhoneVersion",
    "CustomerVersion",
    "InstalmentVersion",
    "Loan",
    "LoanVersion",
    "Message",
    "MessageFields",
    "MessagePersonal",
    "MessageVersion",
    "Moved",
    "Reference",
    "RepaymentVersion",
    "ReversalVersion",
    "SendingRule",
    "SendingRuleVersion",
    "Version",
    "VoidVersion",
    "Voided",
    "Watch",
    "WatermarkVersion",
]


class Moved(models.Model):
    """A record whose versions do not all name the same thing: each of the things that they name (`under`).

    An instalment or a repayment under loans, a reversal under repayments. Nearly empty; all else is then found by what
    it names alone.
    """

    type = models.CharField(max_length=20)
    external_id = Reference()
    under = Reference()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["type", "under", "external_id"], name="moved_once")]


class Voided(models.Model):
    """A record that, as known now, never was."""

    type = models.CharField(max_length=20)
    external_id = Reference()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["type", "external_id"], name="voided_once")]


class Customer(models.Model):
    """A customer, from the first mention of them: as known now, where a line of theirs has come (`received_at`)."""

    external_id = Reference(primary_key=True)
    first_mentioned_at = models.DateTimeField(db_default=Now())
    first_received_at = models.DateTimeField(null=True)
    language = models.CharField(max_length=35, default="")
    time_zones = ArrayField(models.CharField(max_length=64), default=list)
    contact_preferences = models.JSONField(default=dict)
    segment = models.CharField(max_length=200, default="")
    version_id = models.UUIDField(null=True)
    """The version in force, under which the personal part is found; null: none, or voided."""


class CustomerPhone(models.Model):
    """A phone of a customer as known now, with its days (`until` included; null: open)."""

    customer = Reference()
    digest = DigestField()
    role = models.CharField(max_length=10)
    first = models.DateField(null=True)
    until = models.DateField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["digest"], name="customer_phone_by_digest"),
            models.Index(fields=["customer"], name="customer_phone_by_customer"),
        ]


class Loan(models.Model):
    """A loan, from its first mention, and its position as known now: nothing in it ages.

    `revision` rises with every change of what its account rests on. `customer`: the owner (null: the loan itself has
    not come, or was voided). `due_on` and `amount` are the lines of the schedule in force, oldest first; `paid` the sum
    of the repayments that stand. `currency` and `time_zone` are empty where the loan itself has not come.
    """

    external_id = Reference(primary_key=True)
    revision = models.BigIntegerField(default=0)
    first_mentioned_at = models.DateTimeField(db_default=Now())
    first_received_at = models.DateTimeField(null=True)
    customer = Reference(null=True)
    product = models.CharField(max_length=200, default="")
    currency = models.CharField(max_length=3, default="")
    time_zone = models.CharField(max_length=64, default="")
    grace_days = models.IntegerField(default=0)
    tolerance = AmountField(default=0)
    settled_on = models.DateField(null=True)
    written_off_on = models.DateField(null=True)
    pauses = models.JSONField(default=list)
    arrangements = models.JSONField(default=list)
    due_on = ArrayField(models.DateField(), default=list)
    amount = ArrayField(AmountField(), default=list)
    paid = AmountField(default=0, max_digits=24)

    class Meta:
        indexes = [models.Index(fields=["customer", "external_id"], name="loan_by_customer")]


class SendingRule(models.Model):
    """A sending rule, from its first mention, as known now (`aim` empty: it has not come, or was voided)."""

    external_id = Reference(primary_key=True)
    first_mentioned_at = models.DateTimeField(db_default=Now())
    name = models.CharField(max_length=200, default="")
    aim = models.CharField(max_length=10, default="")
    min_dpd = models.IntegerField(null=True)
    owner = models.CharField(max_length=200, default="")


class Message(MessageFields):
    """A message as known now. `version_id`: the version in force, under which text and number are found.

    `voided`: it never was; it keeps its fields, for what pointed to it before.
    """

    id = IdField()
    external_id = Reference(unique=True)
    first_received_at = models.DateTimeField(db_default=Now())
    version_id = models.UUIDField()
    voided = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(fields=["loan", "-sent_at"], name="message_by_loan"),
            models.Index(fields=["phone_digest", "-sent_at"], name="message_by_phone"),
            models.Index(fields=["short_ref"], name="message_by_short_ref", condition=~Q(short_ref="")),
            models.Index(fields=["sending_rule"], name="message_by_sending_rule"),
            models.Index(fields=["permit"], name="message_by_permit", condition=Q(permit__isnull=False)),
        ]


class Watch(models.Model):
    """What a dispute waits to hear of, counted: ``loan:<id>``, ``message:<external id>``, ``short_ref:<ref>`` or
    ``phone:<digest in hex>``; once it is closed ``closed:<loan>``."""

    key = models.CharField(primary_key=True, max_length=200, db_collation="C")
    count = models.IntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(count__gte=0), name="watch_count_not_negative")]
