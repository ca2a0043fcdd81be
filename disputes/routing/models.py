"""Queues, agents, the calendars that deadlines run on, which agent has which case, and its clocks."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


def weekdays() -> dict[str, list[list[str]]]:
    """Monday to Friday, nine to six."""
    return {str(day): [["09:00", "18:00"]] for day in range(5)}


class Calendar(models.Model):
    """When the lender works. `hours`: weekday (0: Monday) → local intervals, over midnight where they end before they
    begin; `country`, `subdivision`: whose public holidays are off; `revision` rises with every change."""

    name = models.CharField(max_length=80, unique=True)
    zone = models.CharField(max_length=64)
    hours = models.JSONField(default=weekdays)
    country = models.CharField(max_length=2, default="", blank=True)
    subdivision = models.CharField(max_length=10, default="", blank=True)
    days_off = ArrayField(models.DateField(), default=list, blank=True)
    extra_days = models.JSONField(default=dict, blank=True)
    revision = models.PositiveIntegerField(default=1, editable=False)

    def __str__(self) -> str:
        return self.name


class Queue(models.Model):
    """Cases of one kind. `languages`, `grounds`, `products`: what it takes; empty: all. The first that takes a case, by
    `place`, has it."""

    name = models.CharField(max_length=80, unique=True)
    place = models.PositiveIntegerField(default=100)
    languages = ArrayField(models.CharField(max_length=10), default=list, blank=True)
    grounds = ArrayField(models.CharField(max_length=30), default=list, blank=True)
    products = ArrayField(models.CharField(max_length=120), default=list, blank=True)
    calendar = models.ForeignKey(Calendar, null=True, blank=True, on_delete=models.PROTECT, related_name="queues")
    supervisors = models.ManyToManyField(settings.AUTH_USER_MODEL, blank=True, related_name="+")

    class Meta:
        ordering = ["place", "name"]

    def __str__(self) -> str:
        return self.name


class Agent(models.Model):
    """A user who decides disputes. `languages`, `grounds`, `products`: what they can take; empty: all. `queues`: whose
    cases they are given; none: every queue's. `capacity`: cases in review at once; lowering it takes none away."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="agent")
    capacity = models.PositiveIntegerField(default=10, validators=[MaxValueValidator(1000)])
    on_duty = models.BooleanField(default=False)
    languages = ArrayField(models.CharField(max_length=10), default=list, blank=True)
    grounds = ArrayField(models.CharField(max_length=30), default=list, blank=True)
    products = ArrayField(models.CharField(max_length=120), default=list, blank=True)
    queues = models.ManyToManyField(Queue, blank=True, related_name="agents")
    last_given_at = models.DateTimeField(null=True, blank=True, editable=False)

    def __str__(self) -> str:
        name: str = self.user.get_full_name() or self.user.get_username()
        return name


class CaseState(models.TextChoices):
    WAITING = "waiting"
    ASSIGNED = "assigned"
    ASIDE = "aside"
    LEFT = "left"


class RoutedCase(models.Model):
    """Who has a dispute that a person must judge.

    `owner` is set while it is ``assigned``, and then alone; ``waiting``: for an agent; ``aside``: for the customer;
    ``left``: closed. `former`: who had it before it was set aside; `not_agent`: who may never have it;
    `handed_back_by`: who put it back into a queue, and is given it again by a supervisor alone. `unfit_since`: since
    when none who is on duty fits; `round` counts its openings.
    """

    dispute = models.UUIDField(primary_key=True)
    state = models.CharField(max_length=10, choices=CaseState)
    queue = models.ForeignKey(Queue, on_delete=models.PROTECT, related_name="cases")
    owner = models.ForeignKey(Agent, null=True, on_delete=models.PROTECT, related_name="cases")
    former = models.ForeignKey(Agent, null=True, on_delete=models.PROTECT, related_name="+")
    not_agent = models.ForeignKey(Agent, null=True, on_delete=models.PROTECT, related_name="+")
    handed_back_by = models.ForeignKey(Agent, null=True, on_delete=models.PROTECT, related_name="+")
    ground = models.CharField(max_length=30)
    language = models.CharField(max_length=10)
    product = models.CharField(max_length=200, default="", blank=True)
    decide_by = models.DateTimeField()
    waiting_since = models.DateTimeField()
    assigned_at = models.DateTimeField(null=True)
    unfit_since = models.DateTimeField(null=True)
    round = models.PositiveIntegerField(default=1)

    class Meta:
        indexes = [
            models.Index(fields=["owner"], name="case_by_owner", condition=Q(state="assigned")),
            models.Index(fields=["decide_by", "dispute"], name="case_waiting", condition=Q(state="waiting")),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state="assigned", owner__isnull=False) | (~Q(state="assigned") & Q(owner__isnull=True)),
                name="an_owner_when_assigned_and_only_then",
            ),
            models.CheckConstraint(condition=Q(state__in=CaseState.values), name="case_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.dispute} ({self.state})"


class ClockKind(models.TextChoices):
    FIRST_ANSWER = "first_answer"
    DECIDE = "decide"


class Clock(models.Model):
    """One deadline of a dispute, and what it is made from, so that it can be worked out again.

    On business time `used` of `budget` open seconds have run up to `running_from`, which is null while the clock is
    paused; `due_at` is then what it was. On the calendar `due_at` alone counts, and nothing pauses it. `next_alarm_at`:
    when the sweeper must look (a warning, then the miss, then never).
    """

    id = models.BigAutoField(primary_key=True)
    dispute = models.UUIDField()
    kind = models.CharField(max_length=20, choices=ClockKind)
    business = models.BooleanField()
    calendar = models.ForeignKey(Calendar, null=True, on_delete=models.PROTECT, related_name="+")
    calendar_revision = models.PositiveIntegerField(default=0)
    budget = models.PositiveIntegerField(default=0)
    used = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField()
    running_from = models.DateTimeField(null=True)
    due_at = models.DateTimeField()
    warn_at = models.DateTimeField(null=True)
    next_alarm_at = models.DateTimeField(null=True)
    stopped_at = models.DateTimeField(null=True)
    round = models.PositiveIntegerField(default=1)
    pack = models.CharField(max_length=80)

    class Meta:
        indexes = [
            models.Index(fields=["next_alarm_at"], name="clock_to_ring", condition=Q(next_alarm_at__isnull=False)),
            models.Index(
                fields=["calendar", "calendar_revision"],
                name="clock_by_calendar",
                condition=Q(stopped_at__isnull=True, running_from__isnull=False, business=True),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["dispute", "kind"], name="one_clock_a_dispute_and_kind"),
            models.CheckConstraint(condition=Q(kind__in=ClockKind.values), name="clock_kind_known"),
            models.CheckConstraint(
                condition=Q(next_alarm_at__isnull=True) | Q(stopped_at__isnull=True), name="a_stopped_clock_never_rings"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.dispute}"


class Escalation(models.Model):
    """A deadline that came near, or was missed: once each a dispute, clock and round."""

    append_only = True

    id = models.BigAutoField(primary_key=True)
    dispute = models.UUIDField()
    clock = models.CharField(max_length=20, choices=ClockKind)
    kind = models.CharField(max_length=10, choices=[("near", "near"), ("missed", "missed")])
    round = models.PositiveIntegerField(default=1)
    due_at = models.DateTimeField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["-id"], name="escalation_newest")]
        constraints = [
            models.UniqueConstraint(
                fields=["dispute", "clock", "kind", "round"], name="one_escalation_a_clock_kind_and_round"
            )
        ]

    def __str__(self) -> str:
        return f"{self.clock} {self.kind}: {self.dispute}"
