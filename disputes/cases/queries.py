"""Reads of disputes that more than one caller needs."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.db.models import F, Q, QuerySet

from config.api.callers import Caller
from config.values.ids import read_reference
from disputes.cases.models import Comment, Dispute, Outcome, OutcomeFlag, Status
from disputes.holds.models import Hold
from disputes.journal.models import Event
from disputes.records.queries import product_of_loan
from disputes.routing.assigning import Needs

SILENT_GROUNDS = ("not_my_debt", "identity_theft")
"""Somebody who says that the debt is not theirs learns nothing of it."""


def disputes_for(caller: Caller) -> QuerySet[Dispute]:
    """What the caller may see: a client all, a customer their own, the holder of a phone what that phone opened."""
    disputes = Dispute.objects.select_related("message", "last_check").prefetch_related("decisions")
    if caller.kind == "client":
        return disputes
    if caller.kind == "customer":
        return disputes.filter(customer=caller.customer)
    return disputes.filter(opened_by_type="phone", phone_digest=caller.phone_digest)


def speaks_of_debt(caller: Caller) -> Q:
    """Whether a dispute may speak of the debt to the caller, as a condition of its row: to a system always, to a
    customer where the loan is their own and they do not say that the debt is not theirs, to a phone never."""
    if caller.kind == "client":
        return Q()
    if caller.kind != "customer":
        return Q(pk__in=[])
    return Q(owns_loan=True) & ~Q(ground__in=SILENT_GROUNDS)


def shows_check(caller: Caller) -> Q:
    """Whether the newest check is shown to the caller, as a condition of the dispute's row: to a customer where it is
    in their favour, or after a person has decided."""
    if caller.kind == "client":
        return Q()
    decided = Q(status=Status.CLOSED, closed_by_person=True)
    return speaks_of_debt(caller) & (decided | Q(last_check__verdict="customer_right"))


def undelivered() -> QuerySet[Dispute]:
    """Closed disputes whose outcome could not be delivered, so that their holds stand until a person acts."""
    return Dispute.objects.filter(
        status=Status.CLOSED, outcome_delivered_at__isnull=True, outcome_failed_at__isnull=False
    )


def find_dispute(*, caller: Caller, key: str) -> Dispute:
    """By id, or by reference in any form a person types. Raises Dispute.DoesNotExist, also for another's."""
    disputes = disputes_for(caller)
    try:
        return disputes.get(pk=uuid.UUID(key))
    except ValueError:
        reference = read_reference(key)
        if reference is None:
            raise Dispute.DoesNotExist from None
        return disputes.get(reference=reference)


def holds_by_dispute(ids: list[uuid.UUID]) -> dict[uuid.UUID, Hold]:
    """The newest hold of each dispute, in one query; none that was placed by hand."""
    rows = Hold.objects.filter(dispute__in=ids, source="dispute").order_by("placed_at", "id")
    return {hold.dispute: hold for hold in rows if hold.dispute is not None}


INTERNAL_EVENTS = (
    "note.added",
    "decision.proposed",
    "decision.declined",
    "decision.approved",
    "decision.made",
    "dispute.unassignable",
    "dispute.handed_on",
    "deadline.near",
    "deadline.missed",
    "records.corrected",
    "dispute.outcome_doubted",
    "dispute.doubt_ended",
    "outcome.undeliverable",
)
"""How the lender works at a dispute, which is not the customer's to read: what comes of it has an event of its own."""


def events_of(dispute: Dispute, *, internal: bool = True) -> QuerySet[Event]:
    """A dispute's time line, oldest first. `internal`: with what the customer is not shown."""
    told = Event.objects.filter(subject_type="dispute", subject_id=dispute.pk).order_by("id")
    return told if internal else told.exclude(kind__in=INTERNAL_EVENTS)


def comments_of(dispute: Dispute, *, internal: bool = False) -> QuerySet[Comment]:
    """What was written to a dispute, oldest first. `internal`: with the notes that the customer never sees."""
    written = Comment.objects.filter(dispute=dispute).order_by("id")
    return written if internal else written.filter(internal=False)


def disputes_closed(*, start: datetime, end: datetime) -> QuerySet[Dispute, Any]:
    """The customers' disputes that closed in [start, end): rows of `customer`, `dispute`, `loan`, `outcome` and `at`,
    several a customer. One that was merged into another counts with that other alone."""
    closed = Dispute.objects.filter(status=Status.CLOSED, closed_at__gte=start, closed_at__lt=end)
    customers = closed.filter(customer__isnull=False).exclude(outcome=Outcome.MERGED)
    return customers.annotate(dispute=F("id"), at=F("closed_at")).values("customer", "dispute", "loan", "outcome", "at")


def customers_disputing() -> QuerySet[Dispute, Any]:
    """Rows of `customer`: who has a dispute that is not closed."""
    return Dispute.objects.filter(customer__isnull=False).exclude(status=Status.CLOSED).values("customer")


def flag_of(dispute: Dispute) -> OutcomeFlag | None:
    """The flag that waits for somebody to look, with its check. One query."""
    return dispute.flags.filter(resolved_at__isnull=True).select_related("check_found").first()


def needs_of(dispute: Dispute) -> Needs:
    """What an agent of the dispute must be able to take."""
    return Needs(ground=dispute.ground, language=dispute.language, product=product_of_loan(loan=dispute.loan))
