"""Schedules, waves, who is asked, and what they answered."""

from __future__ import annotations

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import Q

from config.fields import IdField, SealedTextField
from feedback.surveys.models import Survey, SurveyVersion


class Audience(models.TextChoices):
    """Whom a wave asks, in its period."""

    DISPUTE_CLOSED = "dispute_closed", "Everyone whose dispute closed"
    MESSAGED = "messaged", "Everyone who was sent a message"


class Missed(models.TextChoices):
    """What becomes of periods that passed while nobody opened them."""

    ONE = "one", "One wave for all of them"
    EACH = "each", "A wave for each"


class Channel(models.TextChoices):
    SMS = "sms", "SMS"


class Asking(models.Model):
    """What a wave takes from its schedule, or from whoever opens it by hand.

    `sample_size` null: everyone eligible. `quiet_days`: nobody is asked who was asked within so many days, by any
    survey. `open_days`: how long answers are taken.
    """

    audience = models.CharField(max_length=20, choices=Audience)
    sample_size = models.PositiveIntegerField(null=True, blank=True)
    quiet_days = models.PositiveIntegerField(default=90)
    open_days = models.PositiveIntegerField(default=14)
    channel = models.CharField(max_length=10, choices=Channel, default=Channel.SMS)

    class Meta:
        abstract = True


class Schedule(Asking):
    """When waves of a survey open by themselves.

    `rule`: one RRULE of RFC 5545; `starts_on` and `starts_at` are wall time in `zone`. `next_at` is when the next wave
    opens (null: the rule has come to its end), `last_end` where its period begins: periods tile.
    """

    id = IdField()
    survey = models.ForeignKey(Survey, on_delete=models.PROTECT, related_name="schedules")
    rule = models.CharField(max_length=500)
    zone = models.CharField(max_length=64)
    starts_on = models.DateField()
    starts_at = models.TimeField()
    missed = models.CharField(max_length=10, choices=Missed, default=Missed.ONE)
    enabled = models.BooleanField(default=True)
    next_at = models.DateTimeField(null=True, blank=True)
    last_end = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["next_at"], name="schedule_due", condition=Q(enabled=True))]
        constraints = [
            models.CheckConstraint(
                condition=Q(next_at__isnull=True) | Q(next_at__gt=models.F("last_end")),
                name="schedule_period_is_not_empty",
            )
        ]

    def __str__(self) -> str:
        return f"{self.survey}: {self.rule}"


class WaveState(models.TextChoices):
    SAMPLING = "sampling"
    INVITING = "inviting"
    OPEN = "open"
    CLOSED = "closed"


class Wave(Asking):
    """One round of asking: an audience of one period, a sample of it, an end.

    `seed`: 16 random bytes that put the sample in its order; the same seed and audience give the same sample.
    `audience_count`, `eligible_count`, `taken_count` and `left_out` (reason → how many) are written with the sample.
    """

    id = IdField()
    survey = models.ForeignKey(Survey, on_delete=models.PROTECT, related_name="waves")
    version = models.ForeignKey(SurveyVersion, on_delete=models.PROTECT, related_name="+")
    schedule = models.ForeignKey(Schedule, null=True, blank=True, on_delete=models.PROTECT, related_name="waves")
    period = DateTimeRangeField()
    state = models.CharField(max_length=10, choices=WaveState, default=WaveState.SAMPLING)
    seed = models.BinaryField(max_length=16)
    opened_at = models.DateTimeField()
    opened_by = models.CharField(max_length=200)
    ends_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    audience_count = models.PositiveIntegerField(null=True, blank=True)
    eligible_count = models.PositiveIntegerField(null=True, blank=True)
    taken_count = models.PositiveIntegerField(null=True, blank=True)
    left_out = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["survey", "-id"], name="wave_by_survey"),
            models.Index(fields=["state", "ends_at"], name="wave_running", condition=~Q(state="closed")),
        ]
        constraints = [
            # The belt behind the schedule's row lock. A wave opened by hand has no schedule, and null never conflicts.
            ExclusionConstraint(
                name="one_wave_a_schedule_and_period",
                expressions=[("schedule", RangeOperators.EQUAL), ("period", RangeOperators.OVERLAPS)],
            ),
            models.CheckConstraint(condition=Q(state__in=WaveState.values), name="wave_state_known"),
            models.CheckConstraint(
                condition=Q(state="closed", closed_at__isnull=False) | (~Q(state="closed") & Q(closed_at__isnull=True)),
                name="a_wave_is_closed_at_an_instant",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.survey}, {self.opened_at:%Y-%m-%d}"


class InvitationState(models.TextChoices):
    QUEUED = "queued"
    SENT = "sent"
    PARTIAL = "partial"
    ANSWERED = "answered"
    NOT_SENT = "not_sent"


class Invitation(models.Model):
    """One person of a wave's sample.

    `asked_at` counts for the quiet days: when they were taken into the sample, then when it was sent; null once it is
    certain that nothing was. One that waits to be sent counts whenever that was. `dispute`, `product`, `language`,
    `outcome`: what led to the invitation, for the figures' dimensions. `not_before`: when the gate may be asked again;
    `denied`: what it said last; `leave_until`: when its permit expires; `withheld`: how many of its texts were held
    back on their way to the carrier.
    """

    id = IdField()
    wave = models.ForeignKey(Wave, on_delete=models.PROTECT, related_name="invitations")
    customer = models.CharField(max_length=120, db_collation="C")
    dispute = models.UUIDField(null=True)
    language = models.CharField(max_length=10, default="")
    product = models.CharField(max_length=200, default="")
    outcome = models.CharField(max_length=20, default="")
    state = models.CharField(max_length=10, choices=InvitationState, default=InvitationState.QUEUED)
    asked_at = models.DateTimeField(null=True)
    not_before = models.DateTimeField()
    denied = ArrayField(models.CharField(max_length=30), default=list)
    leave_until = models.DateTimeField(null=True)
    withheld = models.PositiveSmallIntegerField(default=0, db_default=0)
    sent_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    answer_language = models.CharField(max_length=10, default="")

    class Meta:
        indexes = [
            models.Index(fields=["customer", "asked_at"], name="invitation_asked"),
            models.Index(fields=["wave", "not_before"], name="invitation_queued", condition=Q(state="queued")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["wave", "customer"], name="one_invitation_a_wave_and_customer"),
            models.CheckConstraint(condition=Q(state__in=InvitationState.values), name="invitation_state_known"),
            models.CheckConstraint(
                condition=Q(state="answered", answered_at__isnull=False)
                | (~Q(state="answered") & Q(answered_at__isnull=True)),
                name="an_answer_has_an_instant",
            ),
        ]

    def __str__(self) -> str:
        return f"invitation ({self.state})"


class InvitationLink(models.Model):
    """A private link: `digest` is SHA-256 of its token, which itself is kept nowhere; `key_id`: of the key that it was
    made with; `ordinal`: 1 for the invitation, more for what reminds of it."""

    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    invitation = models.ForeignKey(Invitation, on_delete=models.PROTECT, related_name="links")
    ordinal = models.PositiveSmallIntegerField()
    key_id = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["invitation", "ordinal", "key_id"], name="one_link_an_ordinal_and_key")
        ]

    def __str__(self) -> str:
        return f"link {self.ordinal}"


class Answer(models.Model):
    """What one person answered to one question: a number, the keys of what they chose, or their words."""

    id = IdField()
    wave = models.ForeignKey(Wave, on_delete=models.PROTECT, related_name="answers")
    invitation = models.ForeignKey(Invitation, on_delete=models.PROTECT, related_name="answers")
    question = models.CharField(max_length=40)
    number = models.SmallIntegerField(null=True)
    chosen = ArrayField(models.CharField(max_length=40), null=True)
    text = SealedTextField(null=True)

    class Meta:
        indexes = [models.Index(fields=["wave", "question"], name="answer_by_wave")]
        constraints = [models.UniqueConstraint(fields=["invitation", "question"], name="one_answer_a_question")]

    def __str__(self) -> str:
        return self.question
