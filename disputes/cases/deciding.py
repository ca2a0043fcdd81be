"""What a person decides: the outcome, with a second person where it speaks against the check."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from disputes.cases import checking, lifecycle
from disputes.cases.models import Check, Decision, DecisionReason, DecisionState, Dispute, Outcome, Status
from disputes.cases.transactions import in_transaction
from disputes.check.facts import ACCOUNT_GROUNDS
from disputes.holds.placing import number_changes
from disputes.journal.recording import Actor
from disputes.outbox import queue
from disputes.records import queries as records
from disputes.routing import assigning

REASONS: Mapping[str, tuple[str, ...]] = {
    Outcome.UPHELD: (
        DecisionReason.RECORDS_WERE_WRONG,
        DecisionReason.PAYMENT_PROVED,
        DecisionReason.AGREEMENT_PROVED,
        DecisionReason.NOT_THEIR_DEBT,
        DecisionReason.SENT_WRONGLY,
        DecisionReason.AMOUNT_WRONG,
        DecisionReason.GOODWILL,
        DecisionReason.OTHER,
    ),
    Outcome.PARTLY_UPHELD: (
        DecisionReason.AMOUNT_WRONG,
        DecisionReason.RECORDS_WERE_WRONG,
        DecisionReason.PAYMENT_PROVED,
        DecisionReason.SENT_WRONGLY,
        DecisionReason.GOODWILL,
        DecisionReason.OTHER,
    ),
    Outcome.REJECTED: (
        DecisionReason.RECORDS_CONFIRM_ARREARS,
        DecisionReason.AMOUNT_CONFIRMED,
        DecisionReason.PAYMENT_NOT_FOUND,
        DecisionReason.NOTHING_PROVED,
        DecisionReason.SENT_RIGHTLY,
        DecisionReason.OTHER,
    ),
}
"""Outcome → the reasons that it may have."""


class StaleCheck(Exception):
    """The check is another than the one that was looked at, or the records have moved on since: look again (409)."""


class SamePerson(Exception):
    """A decision that waits for a second person needs another than the first."""


class DecidedBefore(Exception):
    """An appeal is decided by another person than the one whose decision is appealed."""


class NotYours(Exception):
    """The case is another agent's, or nobody's yet."""


class WrongReason(ValueError):
    """No reason for this outcome."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """What a person wants to decide."""

    outcome: str
    reason: str
    explanation: str
    check_id: uuid.UUID | None
    user_id: int
    any_case: bool


def decide(
    *,
    dispute_id: uuid.UUID,
    outcome: str,
    reason: str,
    explanation: str,
    check_id: uuid.UUID | None,
    actor: Actor,
    user_id: int,
    any_case: bool = False,
    now: datetime,
) -> Decision:
    """Decides a dispute in review, and closes it, or leaves the decision to a second person. Opens its transactions.

    `check_id`: the check that lay before the person (None: there was none); `any_case`: may act on cases that are not
    their own (supervisors). A rejection against a check of `customer_right`
    is written as ``waiting_second`` and changes nothing else. Raises Dispute.DoesNotExist, WrongReason, WrongState,
    StaleCheck, NotYours, DecidedBefore.
    """
    if reason not in REASONS.get(outcome, ()):
        raise WrongReason(f"{reason} is no reason for {outcome}")
    wanted = _Wanted(
        outcome=outcome, reason=reason, explanation=explanation, check_id=check_id, user_id=user_id, any_case=any_case
    )
    fresh = _fresh_check(dispute_id=dispute_id, seen=wanted.check_id, now=now)

    return in_transaction(lambda: _write(dispute_id=dispute_id, wanted=wanted, fresh=fresh, actor=actor, now=now))


def approve(*, decision_id: uuid.UUID, actor: Actor, user_id: int, now: datetime) -> Decision:
    """A second person agrees: the decision becomes final and the dispute is closed. Opens its transactions.

    Raises Decision.DoesNotExist, SamePerson, WrongState (it no longer waits, or its dispute is not in review),
    StaleCheck.
    """
    decision = Decision.objects.get(pk=decision_id)
    _may_second(decision, user_id=user_id)
    fresh = _fresh_check(dispute_id=decision.dispute_id, seen=decision.check_seen_id, now=now)

    def approved() -> Decision:
        dispute = _locked_for_closing(dispute_id=decision.dispute_id, outcome=decision.outcome, fresh=fresh, now=now)
        if dispute.status != Status.IN_REVIEW:
            raise lifecycle.WrongState(status=dispute.status, act="decided")
        if dispute.last_check_id != decision.check_seen_id:
            raise StaleCheck()
        row = Decision.objects.select_for_update(no_key=True).get(pk=decision_id)
        _may_second(row, user_id=user_id)
        row.state, row.second_by_id, row.second_at = DecisionState.FINAL, user_id, now
        row.save(update_fields=["state", "second_by", "second_at"])
        data = {"decision": str(row.pk), "outcome": row.outcome}
        lifecycle.note(dispute=dispute, kind="decision.approved", actor=actor, at=now, data=data)
        _close(dispute=dispute, decision=row, check=fresh, actor=actor, now=now)
        return row

    return in_transaction(approved)


def decline(*, decision_id: uuid.UUID, actor: Actor, user_id: int, why: str, now: datetime) -> Decision:
    """A second person disagrees: the decision falls, and the dispute stays in review. Opens its transaction. Raises as
    `approve` does, but for StaleCheck."""
    dispute_id = Decision.objects.get(pk=decision_id).dispute_id

    def declined() -> Decision:
        dispute = lifecycle.lock_dispute(dispute_id)
        row = Decision.objects.select_for_update(no_key=True).get(pk=decision_id)
        _may_second(row, user_id=user_id)
        row.state, row.second_by_id, row.second_at = DecisionState.DECLINED, user_id, now
        row.declined_because = why
        row.save(update_fields=["state", "second_by", "second_at", "declined_because"])
        lifecycle.note(dispute=dispute, kind="decision.declined", actor=actor, at=now, data={"decision": str(row.pk)})
        return row

    return in_transaction(declined)


def _may_second(decision: Decision, *, user_id: int) -> None:
    if decision.state != DecisionState.WAITING_SECOND:
        raise lifecycle.WrongState(status=decision.state, act="seconded")
    if decision.decided_by_id == user_id:
        raise SamePerson()


def _fresh_check(*, dispute_id: uuid.UUID, seen: uuid.UUID | None, now: datetime) -> Check | None:
    """The dispute judged anew, unsaved; None where it has no message. Raises StaleCheck where that is not what the
    person has seen: the new check is then written, so that looking again shows it.

    No record may come between a look and a decision unseen: what is judged here is compared with the loan's revision
    under its lock.
    """
    dispute = Dispute.objects.select_related("message", "last_check").get(pk=dispute_id)
    if dispute.last_check_id != seen:
        raise StaleCheck()
    if dispute.message is None or dispute.status == Status.CLOSED:
        return None
    fresh, _, _ = checking.judged(dispute=dispute, message=dispute.message, now=now)
    last = dispute.last_check
    if last is None or (last.records_digest, last.engine_version) != (fresh.records_digest, fresh.engine_version):
        checking.run_check(dispute_id=dispute_id, now=now)
        raise StaleCheck()
    return fresh


def _write(*, dispute_id: uuid.UUID, wanted: _Wanted, fresh: Check | None, actor: Actor, now: datetime) -> Decision:
    """Needs the outermost transaction. Order of locks: the holds' lanes, the loan, the dispute, its case."""
    needs_second = wanted.outcome == Outcome.REJECTED and fresh is not None and fresh.verdict == "customer_right"
    if needs_second:
        dispute = lifecycle.lock_dispute(dispute_id)
    else:
        dispute = _locked_for_closing(dispute_id=dispute_id, outcome=wanted.outcome, fresh=fresh, now=now)
    if dispute.status != Status.IN_REVIEW:
        raise lifecycle.WrongState(status=dispute.status, act="decided")
    if dispute.last_check_id != wanted.check_id:
        raise StaleCheck()
    must_own(dispute_id=dispute_id, user_id=wanted.user_id, any_case=wanted.any_case)
    if dispute.decisions.filter(state=DecisionState.FINAL, decided_by=wanted.user_id).exists():
        raise DecidedBefore()
    if Decision.objects.filter(dispute=dispute, state=DecisionState.WAITING_SECOND).exists():
        raise lifecycle.WrongState(status="waiting for a second person", act="decided")
    decision = Decision.objects.create(
        dispute=dispute,
        state=DecisionState.WAITING_SECOND if needs_second else DecisionState.FINAL,
        outcome=wanted.outcome,
        reason=wanted.reason,
        explanation=wanted.explanation,
        check_seen=dispute.last_check,
        decided_by_id=wanted.user_id,
        decided_at=now,
    )
    data = {"decision": str(decision.pk), "outcome": decision.outcome, "reason": decision.reason}
    if needs_second:
        lifecycle.note(dispute=dispute, kind="decision.proposed", actor=actor, at=now, data=data)
        queue.put(topic="decision.proposed", key=str(decision.pk), payload={"dispute": str(dispute_id)})
        return decision
    lifecycle.note(dispute=dispute, kind="decision.made", actor=actor, at=now, data=data)
    _close(dispute=dispute, decision=decision, check=fresh, actor=actor, now=now)
    return decision


def must_own(*, dispute_id: uuid.UUID, user_id: int, any_case: bool) -> None:
    """Locks the dispute's case, so that it is handed to nobody else meanwhile, and raises NotYours where it is another
    agent's. Needs a transaction with the dispute's row locked."""
    owner = assigning.lock_owner(dispute=dispute_id)
    if not any_case and (owner is None or owner.user_id != user_id):
        raise NotYours()


def _locked_for_closing(*, dispute_id: uuid.UUID, outcome: str, fresh: Check | None, now: datetime) -> Dispute:
    """Lanes with what the holds wait for, then the loan's row (another revision: StaleCheck), then the dispute's."""
    lifecycle.await_delivery(dispute_id=dispute_id, outcome=outcome, now=now)
    if fresh is not None:
        loan = Dispute.objects.values_list("message__loan", flat=True).get(pk=dispute_id)
        if records.lock_loan(loan=loan) != fresh.loan_revision:
            raise StaleCheck()
    return lifecycle.lock_dispute(dispute_id)


def _close(*, dispute: Dispute, decision: Decision, check: Check | None, actor: Actor, now: datetime) -> None:
    """Closes the dispute as decided. A ground about the account that a person upheld and the check did not is not over
    before the records show it."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("a dispute is closed in its decision's transaction")
    found_right = {Outcome.UPHELD: ("customer_right",), Outcome.PARTLY_UPHELD: ("customer_right", "partly_right")}
    shown = check is not None and check.verdict in found_right.get(Outcome(decision.outcome), ())
    dispute.awaits_correction = (
        decision.outcome != Outcome.REJECTED and dispute.ground in ACCOUNT_GROUNDS and check is not None and not shown
    )
    lifecycle.close(dispute=dispute, outcome=decision.outcome, actor=actor, now=now, by_person=True)
    number_changes()
