"""An appeal: once, a customer who was not found right in all has the dispute judged again, by somebody else."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from disputes.cases import lifecycle
from disputes.cases.models import Comment, Decision, DecisionState, Dispute, Outcome, Status
from disputes.cases.opening import AlreadyOpen, same_open, start_dispute_clocks
from disputes.cases.queries import needs_of
from disputes.cases.watching import watch_for
from disputes.holds.placing import PlacedHold, holds_of_dispute, number_changes, place_hold, release_hold
from disputes.holds.scopes import scope_of_dispute
from disputes.journal.recording import Actor
from disputes.outbox import queue
from disputes.routing import assigning
from disputes.routing.models import Agent

MAY_BE_APPEALED = frozenset({Outcome.PARTLY_UPHELD, Outcome.REJECTED})


class AlreadyAppealed(Exception):
    """An appeal is made once (409)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Appealed:
    """The dispute, in review again, and its new hold with the permits that were then out."""

    dispute: Dispute
    hold: PlacedHold


def appeal(*, dispute_id: uuid.UUID, text: str, actor: Actor, now: datetime) -> Appealed:
    """Puts a closed dispute back in review, without an owner and with a new hold. Needs the outermost transaction; may
    raise BeginAgain.

    1. the new hold, under its lanes, and then what still stands of the old one is released: nothing slips between; 2.
    the dispute's row; 3. status, words, clocks of a new round; 4. its case, never for who decided it; 5. event, topic;
    6. the feed's numbers.

    Raises Dispute.DoesNotExist, WrongState (open, or nothing to appeal), AlreadyAppealed, AlreadyOpen (another dispute
    of the same message and ground was opened meanwhile).
    """
    before = Dispute.objects.select_related("message").get(pk=dispute_id)
    standing = holds_of_dispute(dispute_id)
    scope, covers = scope_of_dispute(
        ground=before.ground,
        loan=before.loan,
        phone=before.message.phone_digest if before.message else before.phone_digest,
        customer=before.customer,
    )
    placed = place_hold(
        source="dispute",
        scope=scope,
        reason="dispute_pending",
        covers=covers,
        dispute=dispute_id,
        actor=actor,
        now=now,
        why=before.ground,
    )
    for hold in standing:
        release_hold(hold=hold, actor=actor, reason="appealed", now=now)
    dispute = lifecycle.lock_dispute(dispute_id)
    if dispute.appealed_at is not None:
        raise AlreadyAppealed()
    if dispute.status != Status.CLOSED or dispute.outcome not in MAY_BE_APPEALED:
        raise lifecycle.WrongState(status=dispute.outcome or dispute.status, act="appealed")
    _reopen(dispute, now=now)
    if text:
        Comment.objects.create(dispute=dispute, author_type=actor.type, author_id=actor.id, text=text, at=now)
    assigning.enter(
        dispute=dispute.pk,
        needs=needs_of(dispute),
        decide_by=dispute.decide_by,
        now=now,
        not_agent=_who_decided(dispute),
    )
    lifecycle.note(dispute=dispute, kind="dispute.appealed", actor=actor, at=now, data={"hold": str(placed.hold.pk)})
    queue.put(topic="check.requested", key=str(dispute.pk), payload={"dispute": str(dispute.pk)})
    number_changes()
    return Appealed(dispute=dispute, hold=placed)


def _reopen(dispute: Dispute, *, now: datetime) -> None:
    lifecycle.move(dispute=dispute, to=Status.IN_REVIEW, act="appealed")
    dispute.outcome = None
    dispute.closed_at = None
    dispute.closed_by_person = False
    dispute.outcome_delivered_at = None
    dispute.outcome_failed_at = None
    dispute.resume_at = None
    dispute.awaits_correction = False
    dispute.appealed_at = now
    start_dispute_clocks(dispute, now=now)
    if dispute.loan is not None:
        watch_for(dispute=dispute, keys=[f"loan:{dispute.loan}"])
    try:
        with transaction.atomic():  # a savepoint, after the lanes
            dispute.save()
    except IntegrityError as error:
        if (existing := same_open(dispute)) is not None:
            raise AlreadyOpen(existing) from error
        raise


def _who_decided(dispute: Dispute) -> int | None:
    """The agent who made the decision that is appealed."""
    last = Decision.objects.filter(dispute=dispute, state=DecisionState.FINAL).order_by("-id").first()
    if last is None:
        return None
    return Agent.objects.filter(user=last.decided_by_id).values_list("pk", flat=True).first()
