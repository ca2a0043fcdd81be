"""Putting a closed dispute back in review: an agent reopens it with a reason, or its customer appeals."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from disputes.cases import late, lifecycle
from disputes.cases.models import Comment, Decision, DecisionState, Dispute, FlagEnd, Status
from disputes.cases.opening import AlreadyOpen, same_open, start_dispute_clocks
from disputes.cases.queries import needs_of
from disputes.cases.watching import unwatch_closed, watch_for
from disputes.holds.placing import PlacedHold, holds_of_dispute, number_changes, place_hold, release_hold
from disputes.holds.scopes import scope_of_dispute
from disputes.journal.recording import Actor
from disputes.outbox import queue
from disputes.routing import assigning
from disputes.routing.models import Agent


@dataclass(frozen=True, kw_only=True, slots=True)
class PutBack:
    """The dispute, in review again, and its new hold with the permits that were then out."""

    dispute: Dispute
    hold: PlacedHold


def reopen(*, dispute_id: uuid.UUID, why: str, actor: Actor, user_id: int, now: datetime) -> PutBack:
    """An agent has a decided dispute judged again, by somebody else. Needs the outermost transaction; may raise
    BeginAgain. `why` is kept, sealed, as a note.

    Raises Dispute.DoesNotExist, WrongState (open, withdrawn or merged), AlreadyOpen.
    """

    def may(dispute: Dispute) -> None:
        if dispute.status != Status.CLOSED or dispute.outcome not in lifecycle.TOLD:
            raise lifecycle.WrongState(status=dispute.outcome or dispute.status, act="reopened")

    def noted(dispute: Dispute, placed: PlacedHold) -> None:
        late.end_flags(dispute=dispute, how=FlagEnd.REOPENED, now=now, user_id=user_id)
        note = Comment.objects.create(
            dispute=dispute, author_type=actor.type, author_id=actor.id, text=why, internal=True, at=now
        )
        data = {"hold": str(placed.hold.pk), "comment": str(note.pk)}
        lifecycle.note(dispute=dispute, kind="dispute.reopened", actor=actor, at=now, data=data)

    return put_back(dispute_id=dispute_id, because="reopened", may=may, noted=noted, actor=actor, now=now)


def put_back(
    *,
    dispute_id: uuid.UUID,
    because: str,
    may: Callable[[Dispute], None],
    noted: Callable[[Dispute, PlacedHold], None],
    actor: Actor,
    now: datetime,
) -> PutBack:
    """Puts a closed dispute back in review, without an owner and with a new hold. Needs the outermost transaction; may
    raise BeginAgain.

    1. the new hold, under its lanes, and then what still stands of the old one is released: nothing slips between; 2.
    the dispute's row, and whether it `may` be (raises what refuses it); 3. status, clocks of a new round; 4. its case,
    never for who decided it; 5. what is `noted` of it, and the check's topic; 6. the feed's numbers.

    Raises Dispute.DoesNotExist, WrongState, AlreadyOpen (another dispute of the same message and ground was opened
    meanwhile).
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
        release_hold(hold=hold, actor=actor, reason=because, now=now)
    dispute = lifecycle.lock_dispute(dispute_id)
    may(dispute)
    _open_again(dispute, because=because, now=now)
    assigning.enter(
        dispute=dispute.pk,
        needs=needs_of(dispute),
        decide_by=dispute.decide_by,
        now=now,
        not_agent=_who_decided(dispute),
    )
    noted(dispute, placed)
    queue.put(topic="check.requested", key=str(dispute.pk), payload={"dispute": str(dispute.pk)})
    number_changes()
    return PutBack(dispute=dispute, hold=placed)


def _open_again(dispute: Dispute, *, because: str, now: datetime) -> None:
    lifecycle.move(dispute=dispute, to=Status.IN_REVIEW, act=because)
    dispute.outcome = None
    dispute.closed_at = None
    dispute.closed_by_person = False
    dispute.outcome_delivered_at = None
    dispute.outcome_failed_at = None
    dispute.resume_at = None
    dispute.awaits_correction = False
    if because == "appealed":
        dispute.appealed_at = now
    start_dispute_clocks(dispute, now=now)
    if dispute.loan is not None:
        watch_for(dispute=dispute, keys=[f"loan:{dispute.loan}"])
    unwatch_closed(dispute=dispute)
    try:
        with transaction.atomic():  # a savepoint, after the lanes
            dispute.save()
    except IntegrityError as error:
        if (existing := same_open(dispute)) is not None:
            raise AlreadyOpen(existing) from error
        raise


def _who_decided(dispute: Dispute) -> int | None:
    """The agent who made the last decision; None where the machine closed it."""
    last = Decision.objects.filter(dispute=dispute, state=DecisionState.FINAL).order_by("-id").first()
    if last is None:
        return None
    return Agent.objects.filter(user=last.decided_by_id).values_list("pk", flat=True).first()
