"""Codes in the words that an agent reads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

GROUNDS: Mapping[str, str] = {
    "not_overdue": "Nothing was overdue",
    "already_paid": "Already paid",
    "wrong_amount": "Wrong amount",
    "no_longer_owed": "No longer owed",
    "not_my_debt": "Not my debt",
    "identity_theft": "Identity theft",
    "too_frequent": "Too many messages",
    "outside_hours": "Outside contact hours",
    "third_party_contacted": "Somebody else was contacted",
    "agent_conduct": "How somebody behaved",
    "other": "Something else",
}

VERDICTS: Mapping[str, str] = {
    "customer_right": "The customer is right",
    "partly_right": "The customer is right in part",
    "lender_right": "The message was in order",
    "inconclusive": "The records cannot tell",
}

CAUSES: Mapping[str, str] = {
    "wrong_recipient": "It went to a number that is not the customer's own.",
    "settled_loan": "The loan was settled or written off, and the records knew it.",
    "stale_records": "By what is known today the message was not in order; the records it was sent from did not show "
    "it.",
    "risk_strategy": "It was chosen by a risk estimate, without arrears.",
    "automation_rule": "It broke a rule that the records could have told: grace, an arrangement, a pause, a cap or "
    "contact hours.",
    "system_error": "The loan had fewer days past due than the sending rule needs, by any reading of the records.",
    "wrong_amount": "The amount or the days that it named differ from the records.",
    "unauthorised_send": "It was sent without a valid permit of the gate.",
}

DETAILS: Mapping[str, str] = {
    "late_posting": "The repayments that turn it were posted after the message.",
    "stale_list": "The repayments that turn it were posted after the sender's list was made, before it was sent.",
    "reversal_voided": "A reversal that was taken back turns it.",
    "backdated_change": "A correction of the records with an earlier date turns it.",
    "within_grace": "It was inside the days of grace.",
    "arrangement": "An arrangement ran and was kept.",
    "pause": "Collection was paused.",
    "pre_due_rule": "It pressed for payment, from a rule that sends before the due date.",
    "same_message_twice": "The same message had been sent before.",
    "frequency_cap": "It was above a frequency cap.",
    "outside_hours": "It was sent outside contact hours.",
    "amount": "The amount differs.",
    "days": "The days past due differ.",
    "no_permit": "It named no permit.",
    "unknown_permit": "The gate knows no permit of the name that it gave.",
    "other_permit": "Its permit was for another number, loan, channel or category.",
    "later_permit": "Its permit was granted only after it had been sent.",
    "expired_permit": "Its permit had expired.",
    "returned_permit": "Its permit had been handed back as unused.",
    "used_permit": "Another message had used its permit.",
    "against_hold": "A hold stood over it.",
}

STATUSES: Mapping[str, str] = {
    "checking": "Being checked",
    "in_review": "In review",
    "waiting_customer": "Waiting for the customer",
    "closed": "Closed",
}

OUTCOMES: Mapping[str, str] = {
    "upheld": "Upheld",
    "partly_upheld": "Partly upheld",
    "rejected": "Rejected",
    "withdrawn": "Withdrawn",
    "merged": "Merged",
}

HOLD_REASONS: Mapping[str, str] = {
    "dispute_pending": "while the dispute is open, or a rejection is being read",
    "manual_hold": "placed by hand",
    "outcome_not_delivered": "until the outcome has reached the customer",
    "records_not_corrected": "until the records show what was upheld, or a supervisor lifts it",
    "wrong_number": "for good: a wrong number",
    "opted_out": "the number opted out",
    "rule_paused": "the sending rule is paused",
}

GATE_REASONS: Mapping[str, str] = {
    "malformed": "What was asked cannot be read, or names no loan",
    "busy": "The gate is busy with the same number",
    "undecidable": "The gate cannot decide it",
    "unknown_loan": "The records know no such loan, or nobody whose it is",
    "unknown_phone": "The number is not one of the customer's today",
    "opted_out": "The number opted out",
    "wrong_number": "It is held as a wrong number",
    "dispute_pending": "A dispute is open, or its rejection is being read",
    "outcome_not_delivered": "An outcome has not reached the customer yet",
    "records_not_corrected": "The records do not show yet what was upheld",
    "manual_hold": "Somebody holds it by hand",
    "rule_paused": "The sending rule is paused",
    "records_stale": "The records are too old to tell",
    "not_overdue": "The account has not the days past due that it needs",
    "within_grace": "The account is within its days of grace",
    "arrangement": "An arrangement is kept, or collection is paused",
    "outside_hours": "It is outside contact hours where the customer is",
    "frequency_cap": "A frequency cap is full",
}

SCOPES: Mapping[str, str] = {
    "loan": "the loan",
    "loan_and_phone": "the loan and the phone",
    "phone": "the phone",
    "customer": "everything of the customer's",
    "sending_rule": "the sending rule",
}

EVENTS: Mapping[str, str] = {
    "dispute.opened": "Opened",
    "dispute.checked": "Checked",
    "dispute.in_review": "Put in review",
    "dispute.assigned": "Given to an agent",
    "dispute.handed_on": "Handed on",
    "dispute.waiting_customer": "Customer asked",
    "dispute.joined": "Joined with the message",
    "dispute.reopened": "Reopened",
    "dispute.outcome_doubted": "Late records speak against the outcome",
    "dispute.doubt_ended": "Late records were looked at",
    "dispute.closed": "Closed",
    "decision.made": "Decided",
    "decision.proposed": "Decision waits for a second person",
    "decision.approved": "Second person agreed",
    "decision.declined": "Second person did not agree",
    "comment.added": "Words added",
    "note.added": "Note written",
    "hold.placed": "Hold placed",
    "hold.changed": "Hold changed",
    "hold.released": "Hold released",
    "outcome.delivered": "Outcome delivered",
    "outcome.failed": "Outcome could not be delivered",
    "outcome.undeliverable": "Outcome called undeliverable",
    "records.corrected": "Correction seen",
    "deadline.near": "Deadline is near",
    "deadline.missed": "Deadline missed",
}


def event_words(kind: str) -> str:
    """An event's kind in words; one that is new reads as its code does."""
    return EVENTS.get(kind) or kind.replace(".", ": ").replace("_", " ").capitalize()


def plain(code: str | None) -> str:
    """A code that has no words of its own, readable."""
    return (code or "").replace("_", " ")


def due_in(at: datetime | None, *, now: datetime) -> str:
    """How far a deadline is: ``due in 3 h``, ``2 days overdue``. Minutes below an hour, hours below two days; rounded
    towards now, so that it never sounds better than it is."""
    if at is None:
        return ""
    late = at < now
    span = now - at if late else at - now
    said = _span(span)
    return f"{said} overdue" if late else f"due in {said}"


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h"
    return f"{minutes // (24 * 60)} days"
