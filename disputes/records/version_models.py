"""The versions of records: one line each, as it was sent; never changed or deleted.

References are text without foreign keys, since the target may not have come yet. `COLLATE "C"` makes the database sort
ids as Python does.
"""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from config.fields import AmountField, DigestField, IdField
from disputes.check.facts import CATEGORIES

RECORD_TYPES = (
    "customer",
    "loan",
    "instalment",
    "repayment",
    "reversal",
    "sending_rule",
    "message",
    "void",
    "watermark",
)
CHANNELS = ("sms",)
AIMS = ("pre_due", "overdue", "risk")
FEEDS = ("repayments", "schedule", "messages")
ROLES = ("own", "contact")


class Reference(models.CharField):
    """An id of the lender's: printable ASCII without spaces."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 120)
        kwargs.setdefault("db_collation", "C")
        super().__init__(*args, **kwargs)


class Version(models.Model):
    """What every version has.

    `version`: -1 where the line had none. `posted_at`: when the lender's records first showed it; year 1 where it was
    always known. `stated`: whether the line itself said so. `effective_at`: since when it is true (null: derived on
    reading). `content`: the keyed digest of the whole line but `version` and `posted_at`; it breaks ties.
    """

    external_id = Reference()
    version = models.BigIntegerField(default=-1)
    posted_at = models.DateTimeField()
    stated = models.BooleanField()
    effective_at = models.DateTimeField(null=True)
    content = DigestField()
    received_at = models.DateTimeField()

    append_only = True
    """The service's role inserts and selects, and a trigger refuses the rest."""

    class Meta:
        abstract = True


def _once(name: str) -> models.UniqueConstraint:
    """The belt behind the import's lock; its index finds the versions of a record."""
    return models.UniqueConstraint(fields=["external_id", "content", "posted_at", "version"], name=f"{name}_once")


def _numbered(name: str) -> models.CheckConstraint:
    return models.CheckConstraint(condition=Q(version__gte=-1), name=f"{name}_version_from_minus_1")


class CustomerVersion(Version):
    """Name, e-mail and phone numbers stand sealed in CustomerPersonal; the phones' digests in CustomerPhoneVersion."""

    id = IdField()
    language = models.CharField(max_length=35, default="")
    time_zones = ArrayField(models.CharField(max_length=64), default=list)
    contact_preferences = models.JSONField(default=dict)
    segment = models.CharField(max_length=200, default="")

    class Meta:
        constraints = [_once("customer"), _numbered("customer")]


class CustomerPersonal(models.Model):
    """The personal part of one version, sealed as one JSON text; null once the person was erased."""

    version_id = IdField(default=None)
    sealed = models.BinaryField(null=True)


class CustomerPhoneVersion(models.Model):
    """A phone of one version: its digest, whose it is, and its days (`until` included; null: open). `place`: which of
    the numbers in the personal part it is."""

    version_id = models.UUIDField()
    place = models.IntegerField()
    digest = DigestField()
    role = models.CharField(max_length=10)
    first = models.DateField(null=True)
    until = models.DateField(null=True)

    append_only = True

    class Meta:
        indexes = [
            models.Index(fields=["version_id"], name="customer_phone_by_version"),
        ]
        constraints = [models.CheckConstraint(condition=Q(role__in=ROLES), name="customer_phone_role")]


class LoanVersion(Version):
    customer = Reference()
    product = models.CharField(max_length=200, default="")
    currency = models.CharField(max_length=3)
    principal = AmountField(null=True)
    opened_on = models.DateField(null=True)
    time_zone = models.CharField(max_length=64, default="")
    grace_days = models.IntegerField(default=0)
    tolerance = AmountField(default=0)
    allocation = ArrayField(models.CharField(max_length=20), default=list)
    settled_on = models.DateField(null=True)
    written_off_on = models.DateField(null=True)
    pauses = models.JSONField(default=list)
    arrangements = models.JSONField(default=list)

    class Meta:
        constraints = [
            _once("loan"),
            _numbered("loan"),
            models.CheckConstraint(condition=Q(grace_days__gte=0, tolerance__gte=0), name="loan_terms_not_negative"),
        ]
        indexes = [models.Index(fields=["customer"], name="loan_version_by_customer")]


class InstalmentVersion(Version):
    loan = Reference()
    number = models.IntegerField()
    due_on = models.DateField()
    amount = AmountField()
    principal = AmountField(null=True)
    interest = AmountField(null=True)
    fees = AmountField(null=True)
    penalties = AmountField(null=True)

    class Meta:
        constraints = [
            _once("instalment"),
            _numbered("instalment"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="instalment_amount_not_negative"),
        ]
        indexes = [models.Index(fields=["loan"], name="instalment_version_by_loan")]


class RepaymentVersion(Version):
    """The value date stands as an instant, or as a day where the line named no more: that day's start in the loan's
    zone, found on reading, since the loan may come later."""

    loan = Reference()
    amount = AmountField()
    paid_at = models.DateTimeField(null=True)
    paid_on = models.DateField(null=True)
    method = models.CharField(max_length=200, default="")
    reference = models.CharField(max_length=200, default="")

    class Meta:
        constraints = [
            _once("repayment"),
            _numbered("repayment"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="repayment_amount_not_negative"),
            models.CheckConstraint(
                condition=Q(paid_at__isnull=True, paid_on__isnull=False)
                | Q(paid_at__isnull=False, paid_on__isnull=True),
                name="repayment_paid_once",
            ),
        ]
        indexes = [models.Index(fields=["loan"], name="repayment_version_by_loan")]


class ReversalVersion(Version):
    repayment = Reference()
    reversed_at = models.DateTimeField()
    reason = models.CharField(max_length=500, default="")

    class Meta:
        constraints = [_once("reversal"), _numbered("reversal")]
        indexes = [models.Index(fields=["repayment"], name="reversal_version_by_repayment")]


class SendingRuleVersion(Version):
    name = models.CharField(max_length=200, default="")
    aim = models.CharField(max_length=10)
    min_dpd = models.IntegerField(null=True)
    owner = models.CharField(max_length=200, default="")

    class Meta:
        constraints = [
            _once("sending_rule"),
            _numbered("sending_rule"),
            models.CheckConstraint(condition=Q(aim__in=AIMS), name="sending_rule_version_aim"),
        ]


class MessageFields(models.Model):
    """What a message says of itself, but its text and number. `loan` null: it named none (service, survey)."""

    loan = Reference(null=True)
    phone_digest = DigestField(null=True)
    channel = models.CharField(max_length=10, default="")
    category = models.CharField(max_length=10, default="")
    sent_at = models.DateTimeField(null=True)
    list_built_at = models.DateTimeField(null=True)
    sending_rule = Reference(null=True)
    campaign = models.CharField(max_length=200, default="")
    vendor = models.CharField(max_length=200, default="")
    short_ref = models.CharField(max_length=40, default="", db_collation="C")
    claimed_amount = AmountField(null=True)
    claimed_days_past_due = models.IntegerField(null=True)
    permit = models.CharField(max_length=80, null=True)
    delivery_status = models.CharField(max_length=40, default="")

    class Meta:
        abstract = True


class MessageVersion(MessageFields, Version):
    """Number and text stand sealed in MessagePersonal."""

    id = IdField()

    class Meta:
        constraints = [
            _once("message"),
            _numbered("message"),
            models.CheckConstraint(
                condition=Q(category__in=CATEGORIES, channel__in=CHANNELS, sent_at__isnull=False),
                name="message_version_is_one",
            ),
        ]


class MessagePersonal(models.Model):
    """The personal part of one version, sealed as one JSON text; null once the person was erased."""

    version_id = IdField(default=None)
    sealed = models.BinaryField(null=True)


class VoidVersion(Version):
    target_type = models.CharField(max_length=20)
    target = Reference()

    class Meta:
        constraints = [
            _once("void"),
            _numbered("void"),
            models.CheckConstraint(condition=Q(target_type__in=RECORD_TYPES), name="void_version_target_type"),
        ]
        indexes = [models.Index(fields=["target_type", "target"], name="void_version_by_target")]


class WatermarkVersion(Version):
    feed = models.CharField(max_length=20)
    complete_until = models.DateTimeField()

    class Meta:
        constraints = [
            _once("watermark"),
            _numbered("watermark"),
            models.CheckConstraint(condition=Q(feed__in=FEEDS), name="watermark_version_feed"),
        ]
        indexes = [models.Index(fields=["feed", "-complete_until"], name="watermark_version_by_feed")]


VERSIONS: dict[str, type[Version]] = {
    "customer": CustomerVersion,
    "loan": LoanVersion,
    "instalment": InstalmentVersion,
    "repayment": RepaymentVersion,
    "reversal": ReversalVersion,
    "sending_rule": SendingRuleVersion,
    "message": MessageVersion,
    "void": VoidVersion,
    "watermark": WatermarkVersion,
}
"""The table of each type's versions."""
