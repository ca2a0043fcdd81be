"""A dispute, the checks of it, and what was written beside it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from config.fields import DigestField, IdField, SealedTextField
from config.values.ids import new_reference
from disputes.check.facts import GROUNDS


class Status(models.TextChoices):
    CHECKING = "checking"
    IN_REVIEW = "in_review"
    WAITING_CUSTOMER = "waiting_customer"
    CLOSED = "closed"


class Outcome(models.TextChoices):
    UPHELD = "upheld"
    PARTLY_UPHELD = "partly_upheld"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    MERGED = "merged"


class Ground(models.TextChoices):
    NOT_OVERDUE = "not_overdue"
    ALREADY_PAID = "already_paid"
    WRONG_AMOUNT = "wrong_amount"
    NO_LONGER_OWED = "no_longer_owed"
    NOT_MY_DEBT = "not_my_debt"
    IDENTITY_THEFT = "identity_theft"
    TOO_FREQUENT = "too_frequent"
    OUTSIDE_HOURS = "outside_hours"
    THIRD_PARTY_CONTACTED = "third_party_contacted"
    AGENT_CONDUCT = "agent_conduct"
    OTHER = "other"


class Channel(models.TextChoices):
    APP = "app"
    WEB = "web"
    SMS = "sms"
    PHONE = "phone"
    AGENT = "agent"


class Language(models.TextChoices):
    ZH_HANS = "zh-hans"
    EN = "en"


if tuple(Ground.values) != GROUNDS:
    raise RuntimeError("the grounds of the check and of the cases have come apart")


class Dispute(models.Model):
    """Somebody's word that a collection message should not have been sent.

    `person` is who opened it (``c:<customer>`` or ``p:<phone digest>``), `message_key` what it is about: the message's
    id, or a digest of how it was described while nobody can find it. `selector` keeps that description. `owns_loan`:
    the customer was the loan's when the message was found, so that the debt may be spoken of. Only `disputes.cases`
    writes `status`.

    `outcome_failed_at`: the carrier said that the outcome did not arrive; `resume_at`: from when on messages may follow
    a rejection; `awaits_correction`: a person upheld what the records do not show yet; `waiting_until`: when silence
    returns the dispute to its agent; `watched_until`: until when, once closed, late records are still looked at.
    """

    id = IdField()
    reference = models.CharField(max_length=12, unique=True, default=new_reference, editable=False)
    status = models.CharField(max_length=20, choices=Status, default=Status.CHECKING)
    outcome = models.CharField(max_length=20, choices=Outcome, null=True, blank=True)
    ground = models.CharField(max_length=30, choices=Ground)
    language = models.CharField(max_length=10, choices=Language)
    channel = models.CharField(max_length=10, choices=Channel)
    person = models.CharField(max_length=130)
    customer = models.CharField(max_length=120, null=True, blank=True)
    phone_digest = DigestField(null=True)
    opened_by_type = models.CharField(max_length=20)
    opened_by_id = models.CharField(max_length=150, default="", blank=True)
    message = models.ForeignKey("disputes.Message", null=True, on_delete=models.PROTECT, related_name="disputes")
    message_key = models.CharField(max_length=80)
    selector = SealedTextField(null=True)
    watching = models.JSONField(default=list)
    loan = models.CharField(max_length=120, null=True, blank=True, db_index=True)
    owns_loan = models.BooleanField(default=False)
    statement = SealedTextField(null=True)
    claimed_payments = SealedTextField(null=True)
    policy_name = models.CharField(max_length=20)
    policy_version = models.CharField(max_length=40)
    opened_at = models.DateTimeField()
    acknowledge_by = models.DateTimeField()
    first_answer_by = models.DateTimeField()
    decide_by = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by_person = models.BooleanField(default=False)
    outcome_delivered_at = models.DateTimeField(null=True, blank=True)
    outcome_failed_at = models.DateTimeField(null=True, blank=True)
    resume_at = models.DateTimeField(null=True, blank=True)
    awaits_correction = models.BooleanField(default=False)
    waiting_until = models.DateTimeField(null=True, blank=True)
    appealed_at = models.DateTimeField(null=True, blank=True)
    watched_until = models.DateTimeField(null=True, blank=True)
    last_check = models.ForeignKey("disputes.Check", null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        permissions = [  # who has them: disputes/desk/groups.py
            ("work_cases", "Can work on the cases that they are given"),
            ("supervise_cases", "Can work on anybody's cases, and approve decisions"),
        ]
        indexes = [
            models.Index(fields=["customer", "-id"], name="dispute_by_customer"),
            models.Index(fields=["loan"], name="dispute_open_by_loan", condition=~Q(status="closed")),
            models.Index(fields=["resume_at"], name="dispute_to_resume", condition=Q(resume_at__isnull=False)),
            models.Index(fields=["waiting_until"], name="dispute_to_return", condition=Q(waiting_until__isnull=False)),
            models.Index(
                fields=["closed_at"],
                name="dispute_undelivered",
                condition=Q(status="closed", outcome_delivered_at__isnull=True),
            ),
            models.Index(fields=["loan"], name="dispute_uncorrected", condition=Q(awaits_correction=True)),
            models.Index(fields=["loan"], name="dispute_watched_by_loan", condition=Q(watched_until__isnull=False)),
            models.Index(fields=["watched_until"], name="dispute_to_let_go", condition=Q(watched_until__isnull=False)),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["person", "message_key", "ground"],
                condition=~Q(status="closed"),
                name="one_open_dispute_a_person_message_and_ground",
            ),
            models.CheckConstraint(
                condition=Q(status="closed", outcome__isnull=False, closed_at__isnull=False)
                | (~Q(status="closed") & Q(outcome__isnull=True, closed_at__isnull=True)),
                name="an_outcome_when_closed_and_only_then",
            ),
            models.CheckConstraint(condition=Q(status__in=Status.values), name="dispute_status_known"),
            models.CheckConstraint(
                condition=Q(outcome__isnull=True) | Q(outcome__in=Outcome.values), name="dispute_outcome_known"
            ),
            models.CheckConstraint(condition=Q(ground__in=Ground.values), name="dispute_ground_known"),
        ]

    def __str__(self) -> str:
        return self.reference


class Check(models.Model):
    """What one run of the check found, with the input that it read: the same input gives the same answer for ever.

    `input` is the canonical text (`disputes.check.canonical`), sealed: it quotes what the customer claimed.
    `policy_digest`: of the pack's file as it was then; null: the check is older than this column.
    """

    id = IdField()
    dispute = models.ForeignKey(Dispute, on_delete=models.PROTECT, related_name="checks")
    checked_at = models.DateTimeField()
    engine_version = models.CharField(max_length=20)
    policy_name = models.CharField(max_length=20)
    policy_version = models.CharField(max_length=40)
    policy_digest = models.CharField(max_length=64, null=True)
    loan_revision = models.BigIntegerField(null=True)
    input = SealedTextField()
    records_digest = models.CharField(max_length=64)
    verdict = models.CharField(max_length=20)
    cause = models.CharField(max_length=30, null=True, db_index=True)
    detail = models.CharField(max_length=30, null=True)
    facts = models.JSONField(null=True)
    findings = models.JSONField(default=list)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dispute", "records_digest", "engine_version"], name="one_check_a_dispute_and_input"
            )
        ]

    def __str__(self) -> str:
        return f"{self.verdict} ({self.cause})"


class Comment(models.Model):
    """Words added to a dispute: by the customer or on their behalf, an agent's question to them, or, `internal`, a note
    that the customer never sees."""

    id = IdField()
    dispute = models.ForeignKey(Dispute, on_delete=models.PROTECT, related_name="comments")
    author_type = models.CharField(max_length=20)
    author_id = models.CharField(max_length=150, default="", blank=True)
    text = SealedTextField()
    internal = models.BooleanField(default=False)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["dispute", "id"], name="comment_by_dispute")]

    def __str__(self) -> str:
        return f"comment of {self.at}"


class DecisionState(models.TextChoices):
    WAITING_SECOND = "waiting_second"
    FINAL = "final"
    DECLINED = "declined"
    OVERTAKEN = "overtaken"


class DecisionReason(models.TextChoices):
    """Why a person decided so; the letter says it in words."""

    RECORDS_WERE_WRONG = "records_were_wrong"
    PAYMENT_PROVED = "payment_proved"
    AGREEMENT_PROVED = "agreement_proved"
    NOT_THEIR_DEBT = "not_their_debt"
    SENT_WRONGLY = "sent_wrongly"
    AMOUNT_WRONG = "amount_wrong"
    GOODWILL = "goodwill"
    RECORDS_CONFIRM_ARREARS = "records_confirm_arrears"
    AMOUNT_CONFIRMED = "amount_confirmed"
    PAYMENT_NOT_FOUND = "payment_not_found"
    NOTHING_PROVED = "nothing_proved"
    SENT_RIGHTLY = "sent_rightly"
    OTHER = "other"


class Decision(models.Model):
    """What a person decided of a dispute. One that speaks against a check of `customer_right` waits for a second
    person.

    `explanation` are the words that the customer reads; `check_seen` the check that lay before whoever decided.
    """

    id = IdField()
    dispute = models.ForeignKey(Dispute, on_delete=models.PROTECT, related_name="decisions")
    state = models.CharField(max_length=20, choices=DecisionState)
    outcome = models.CharField(max_length=20, choices=Outcome)
    reason = models.CharField(max_length=30, choices=DecisionReason)
    explanation = SealedTextField()
    check_seen = models.ForeignKey(Check, null=True, on_delete=models.PROTECT, related_name="+")
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField()
    second_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    second_at = models.DateTimeField(null=True)
    declined_because = SealedTextField(null=True)

    class Meta:
        indexes = [models.Index(fields=["dispute", "-id"], name="decision_by_dispute")]
        constraints = [
            models.UniqueConstraint(
                fields=["dispute"], condition=Q(state="waiting_second"), name="one_decision_waits_for_a_second_person"
            ),
            models.CheckConstraint(condition=~Q(decided_by=F("second_by")), name="the_second_person_is_another"),
            models.CheckConstraint(
                condition=Q(outcome__in=["upheld", "partly_upheld", "rejected"]), name="decision_outcome_known"
            ),
            models.CheckConstraint(condition=Q(state__in=DecisionState.values), name="decision_state_known"),
            models.CheckConstraint(condition=Q(reason__in=DecisionReason.values), name="decision_reason_known"),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} ({self.state})"


class FlagEnd(models.TextChoices):
    """How a flag ended: a person left the outcome as it is, or reopened the dispute; a later record left nothing to
    doubt, or gave another flag; the customer appealed."""

    DISMISSED = "dismissed"
    REOPENED = "reopened"
    TURNED_BACK = "turned_back"
    OVERTAKEN = "overtaken"
    APPEALED = "appealed"


class OutcomeFlag(models.Model):
    """After a dispute was closed, records came by which it would have ended otherwise: a person must look.

    `check_found` is the check that says so. `for_customer`: what it says is better for the customer than the outcome.
    `why`: the words of whoever dismissed it, sealed.
    """

    id = IdField()
    dispute = models.ForeignKey(Dispute, on_delete=models.PROTECT, related_name="flags")
    check_found = models.ForeignKey(Check, on_delete=models.PROTECT, related_name="+")
    outcome = models.CharField(max_length=20, choices=Outcome)
    for_customer = models.BooleanField()
    raised_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    how = models.CharField(max_length=20, choices=FlagEnd, null=True, blank=True)
    why = SealedTextField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["dispute", "-id"], name="flag_by_dispute"),
            models.Index(fields=["raised_at"], name="flag_to_answer", condition=Q(resolved_at__isnull=True)),
        ]
        constraints = [
            models.UniqueConstraint(fields=["dispute", "check_found"], name="one_flag_a_dispute_and_check"),
            models.UniqueConstraint(
                fields=["dispute"], condition=Q(resolved_at__isnull=True), name="one_flag_to_answer_a_dispute"
            ),
            models.CheckConstraint(
                condition=Q(resolved_at__isnull=True, how__isnull=True)
                | Q(resolved_at__isnull=False, how__isnull=False),
                name="a_flag_ends_somehow",
            ),
            models.CheckConstraint(condition=Q(how__isnull=True) | Q(how__in=FlagEnd.values), name="flag_end_known"),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} doubted at {self.raised_at}"


class LetterLink(models.Model):
    """A private link to a dispute's letter, as it stands in the outcome's SMS.

    `digest`: SHA-256 of the token, which itself is kept nowhere; `key_id`: of the key that it was made with, so that
    the same link can be made again until that key is gone. A dispute that is closed anew gets a link of its own.
    """

    id = IdField()
    dispute = models.ForeignKey(Dispute, on_delete=models.PROTECT, related_name="letter_links")
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    key_id = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"link of {self.created_at}"
