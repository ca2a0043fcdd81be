"""What a caller may see of a dispute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from config.api.callers import Caller
from config.values.phone import mask_phone
from disputes.cases.marking import mark_of
from disputes.cases.models import Check, DecisionState, Dispute, Status
from disputes.cases.queries import SILENT_GROUNDS
from disputes.cases.reading import read_payments, render_payment
from disputes.check.sentences import sentence_of
from disputes.holds.models import Hold
from disputes.records.models import Message
from disputes.records.queries import number_of_message


def render_dispute(
    *,
    dispute: Dispute,
    caller: Caller,
    hold: Hold | None,
    permits_out: Sequence[Mapping[str, Any]] | None = None,
    number: str | None = None,
) -> dict[str, Any]:
    """The dispute as the API shows it to `caller`. Times are UTC; `permits_out` stands in the 201 alone. `number`: of
    its message, where it was read already; empty where it was erased."""
    shown: dict[str, Any] = {
        "id": str(dispute.pk),
        "reference": dispute.reference,
        "status": dispute.status,
        "outcome": dispute.outcome,
        "ground": dispute.ground,
        "message": _render_message(dispute.message, number=number, reveal=reveals_debt(dispute=dispute, caller=caller)),
        "statement": dispute.statement,
        "claimed_payments": [render_payment(payment) for payment in read_payments(dispute.claimed_payments)],
        "language": dispute.language,
        "channel": dispute.channel,
        "opened_at": dispute.opened_at,
        "deadlines": {
            "acknowledge_by": dispute.acknowledge_by,
            "first_answer_by": dispute.first_answer_by,
            "decide_by": dispute.decide_by,
        },
        "hold": _render_hold(hold),
        "check": render_check(dispute=dispute, check=dispute.last_check, caller=caller),
        "evidence": [],
        "closed_at": dispute.closed_at,
    }
    if (decision := _render_decision(dispute, caller=caller)) is not None:
        shown["decision"] = decision
    if caller.kind == "client":
        shown["customer"] = dispute.customer
        shown["loan"] = dispute.loan
        shown.update(mark_of(dispute))
    if permits_out is not None:
        shown["permits_out"] = list(permits_out)
    return shown


def reveals_debt(*, dispute: Dispute, caller: Caller) -> bool:
    """Whether the answer may speak of the debt: to the lender's systems, and to the loan's own customer, who knows it.

    Somebody who says that the debt is not theirs learns nothing of it, nor does a person who has only the phone.
    """
    if caller.kind == "client":
        return True
    if caller.kind != "customer" or dispute.ground in SILENT_GROUNDS:
        return False
    return dispute.owns_loan


def render_check(*, dispute: Dispute, check: Check | None, caller: Caller) -> dict[str, Any] | None:
    """The check as the caller may see it; None before the first, or where nothing of it may be shown yet.

    To a customer, what speaks against them is shown only after a person has decided; until then the verdict is shown
    where it is theirs, with the findings that speak for them.
    """
    if check is None:
        return None
    whole: dict[str, Any] = {
        "verdict": check.verdict,
        "cause": check.cause,
        "detail": check.detail,
        "facts": check.facts,
        "findings": [_render_finding(finding, dispute.language) for finding in check.findings],
        "engine_version": check.engine_version,
        "policy": {"pack": check.policy_name, "version": check.policy_version},
        "records_digest": check.records_digest,
        "checked_at": check.checked_at,
    }
    if caller.kind == "client":
        return whole
    if not reveals_debt(dispute=dispute, caller=caller):
        return None
    if dispute.status == Status.CLOSED and dispute.closed_by_person:
        return whole
    if check.verdict != "customer_right":
        return None
    return {**whole, "findings": [row for row in whole["findings"] if row["speaks_for"] != "lender"]}


def _render_finding(finding: Mapping[str, Any], language: str) -> dict[str, Any]:
    return {
        "name": finding["name"],
        "speaks_for": finding["speaks_for"],
        "facts": finding["facts"],
        "sentence": sentence_of(finding, language=language),
    }


def _render_message(message: Message | None, *, number: str | None, reveal: bool) -> dict[str, Any] | None:
    """The message; its text and what it claims only where the debt may be spoken of. The phone is masked for
    everybody."""
    if message is None:
        return None
    if number is None:
        number = number_of_message(message)
    return {
        "id": str(message.pk),
        "external_id": message.external_id if reveal else None,
        "channel": message.channel,
        "category": message.category,
        "sent_at": message.sent_at,
        "phone": mask_phone(number) if number else None,
        "loan": message.loan if reveal else None,
    }


def _render_decision(dispute: Dispute, *, caller: Caller) -> dict[str, Any] | None:
    """What a person decided, once it is final; one that waits for a second person is nobody's to see yet.

    The reason and the words speak of the debt: who may not hear of it is told the outcome alone.
    """
    if dispute.status != Status.CLOSED or not dispute.closed_by_person:
        return None
    if not reveals_debt(dispute=dispute, caller=caller):
        return None
    final = [one for one in dispute.decisions.all() if one.state == DecisionState.FINAL]
    if not final:
        return None
    last = max(final, key=lambda one: one.pk)
    return {
        "outcome": last.outcome,
        "reason": last.reason,
        "explanation": last.explanation,
        "decided_at": last.second_at or last.decided_at,
    }


def _render_hold(hold: Hold | None) -> dict[str, Any] | None:
    if hold is None:
        return None
    return {
        "id": str(hold.pk),
        "scope": hold.scope,
        "placed_at": hold.placed_at,
        "released_at": hold.released_at,
    }
