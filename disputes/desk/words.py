"""Codes in the words that an agent reads, in the language that they have chosen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext, gettext_lazy, ngettext
from django.utils.translation import gettext_noop as _


class Spoken(Mapping[str, str]):
    """Code → its words, translated at each look. `lazily`: for what is made before anybody looks."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def __getitem__(self, code: str) -> str:
        return gettext(self._texts[code])

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def only(self, codes: Iterable[str]) -> Spoken:
        """The same words for fewer codes."""
        return Spoken({code: self._texts[code] for code in codes})

    def lazily(self) -> list[tuple[str, Any]]:
        """(code, words), for a form's choices."""
        return [(code, gettext_lazy(text)) for code, text in self._texts.items()]


GROUNDS = Spoken(
    {
        "not_overdue": _("Nothing was overdue"),
        "already_paid": _("Already paid"),
        "wrong_amount": _("Wrong amount"),
        "no_longer_owed": _("No longer owed"),
        "not_my_debt": _("Not my debt"),
        "identity_theft": _("Identity theft"),
        "too_frequent": _("Too many messages"),
        "outside_hours": _("Outside contact hours"),
        "third_party_contacted": _("Somebody else was contacted"),
        "agent_conduct": _("How somebody behaved"),
        "other": _("Something else"),
    }
)

VERDICTS = Spoken(
    {
        "customer_right": _("The customer is right"),
        "partly_right": _("The customer is right in part"),
        "lender_right": _("The message was in order"),
        "inconclusive": _("The records cannot tell"),
    }
)

CAUSES = Spoken(
    {
        "wrong_recipient": _("It went to a number that is not the customer's own."),
        "settled_loan": _("The loan was settled or written off, and the records knew it."),
        "stale_records": _(
            "By what is known today the message was not in order; the records it was sent from did not show it."
        ),
        "risk_strategy": _("It was chosen by a risk estimate, without arrears."),
        "automation_rule": _(
            "It broke a rule that the records could have told: grace, an arrangement, a pause, a cap or contact hours."
        ),
        "system_error": _(
            "The loan had fewer days past due than the sending rule needs, by any reading of the records."
        ),
        "wrong_amount": _("The amount or the days that it named differ from the records."),
        "unauthorised_send": _("It was sent without a valid permit of the gate."),
    }
)

DETAILS = Spoken(
    {
        "late_posting": _("The repayments that turn it were posted after the message."),
        "stale_list": _(
            "The repayments that turn it were posted after the sender's list was made, before it was sent."
        ),
        "reversal_voided": _("A reversal that was taken back turns it."),
        "backdated_change": _("A correction of the records with an earlier date turns it."),
        "within_grace": _("It was inside the days of grace."),
        "arrangement": _("An arrangement ran and was kept."),
        "pause": _("Collection was paused."),
        "pre_due_rule": _("It pressed for payment, from a rule that sends before the due date."),
        "same_message_twice": _("The same message had been sent before."),
        "frequency_cap": _("It was above a frequency cap."),
        "outside_hours": _("It was sent outside contact hours."),
        "amount": _("The amount differs."),
        "days": _("The days past due differ."),
        "no_permit": _("It named no permit."),
        "unknown_permit": _("The gate knows no permit of the name that it gave."),
        "other_permit": _("Its permit was for another number, loan, channel or category."),
        "later_permit": _("Its permit was granted only after it had been sent."),
        "expired_permit": _("Its permit had expired."),
        "returned_permit": _("Its permit had been handed back as unused."),
        "used_permit": _("Another message had used its permit."),
        "against_hold": _("A hold stood over it."),
    }
)

STATUSES = Spoken(
    {
        "checking": _("Being checked"),
        "in_review": _("In review"),
        "waiting_customer": _("Waiting for the customer"),
        "closed": _("Closed"),
    }
)

OUTCOMES = Spoken(
    {
        "upheld": _("Upheld"),
        "partly_upheld": _("Partly upheld"),
        "rejected": _("Rejected"),
        "withdrawn": _("Withdrawn"),
        "merged": _("Merged"),
    }
)

HOLD_REASONS = Spoken(
    {
        "dispute_pending": _("while the dispute is open, or a rejection is being read"),
        "manual_hold": _("placed by hand"),
        "outcome_not_delivered": _("until the outcome has reached the customer"),
        "records_not_corrected": _("until the records show what was upheld, or a supervisor lifts it"),
        "wrong_number": _("for good: a wrong number"),
        "opted_out": _("the number opted out"),
        "rule_paused": _("the sending rule is paused"),
    }
)

GATE_REASONS = Spoken(
    {
        "malformed": _("What was asked cannot be read, or names no loan"),
        "busy": _("The gate is busy with the same number"),
        "undecidable": _("The gate cannot decide it"),
        "unknown_loan": _("The records know no such loan, or nobody whose it is"),
        "unknown_phone": _("The number is not one of the customer's today"),
        "opted_out": _("The number opted out"),
        "wrong_number": _("It is held as a wrong number"),
        "dispute_pending": _("A dispute is open, or its rejection is being read"),
        "outcome_not_delivered": _("An outcome has not reached the customer yet"),
        "records_not_corrected": _("The records do not show yet what was upheld"),
        "manual_hold": _("Somebody holds it by hand"),
        "rule_paused": _("The sending rule is paused"),
        "records_stale": _("The records are too old to tell"),
        "not_overdue": _("The account has not the days past due that it needs"),
        "within_grace": _("The account is within its days of grace"),
        "arrangement": _("An arrangement is kept, or collection is paused"),
        "outside_hours": _("It is outside contact hours where the customer is"),
        "frequency_cap": _("A frequency cap is full"),
    }
)

SOURCES = Spoken(
    {
        "dispute": _("a dispute"),
        "manual": _("by hand"),
        "opt_out": _("an opt-out"),
        "wrong_number": _("a wrong number"),
        "breaker": _("too many disputes upheld"),
    }
)

CATEGORIES = Spoken(
    {
        "urge": _("An urge to pay"),
        "reminder": _("A reminder"),
        "warning": _("A warning"),
        "statutory": _("What the law requires"),
        "service": _("A service message"),
        "survey": _("A survey"),
    }
)

ACTORS = Spoken(
    {
        "client": _("the lender's system"),
        "customer": _("the customer"),
        "phone": _("who has the phone"),
        "service": _("the service"),
    }
)

COVERED = Spoken({"l": _("loan"), "c": _("customer"), "p": _("phone"), "r": _("sending rule")})
"""The first letters of what a hold covers."""

PERS = Spoken({"customer": _("customer"), "loan": _("loan"), "phone": _("phone")})
"""What a cap counts for."""

SPANS = Spoken({"24h": _("24 hours"), "7d": _("7 days"), "30d": _("30 days")})

SPEAKS_FOR = Spoken({"customer": _("for the customer"), "lender": _("for the lender"), "nobody": _("for nobody")})

# For the catalogue: a decision's codes as Django labels them, an account's figures, models, refusals of rooms below.
_LABELS = (
    _("Records Were Wrong"),
    _("Payment Proved"),
    _("Agreement Proved"),
    _("Not Their Debt"),
    _("Sent Wrongly"),
    _("Amount Wrong"),
    _("Goodwill"),
    _("Records Confirm Arrears"),
    _("Amount Confirmed"),
    _("Payment Not Found"),
    _("Nothing Proved"),
    _("Sent Rightly"),
    _("Other"),
    _("Upheld"),
    _("Partly Upheld"),
    _("Rejected"),
    _("Days past due"),
    _("Delinquent days"),
    _("Overdue"),
    _("Oldest unpaid, due on"),
    _("Next due on"),
    _("Outstanding"),
    _("Overpaid"),
    _("Settled"),
    _("Disputes"),
    _("Notices"),
    _("Inbound messages"),
    _("Holds"),
    _("Sending rules"),
    _("Queues"),
    _("Agents"),
    _("Calendars"),
    _("Routed cases"),
    _("Escalations"),
    _("Surveys"),
    _("Survey versions"),
    _("Schedules"),
    _("Waves"),
    _("Invitations"),
    _("Responses"),
    _("Clients"),
    _("Webhook endpoints"),
    _("Webhook deliveries"),
    _("Outbox topics"),
    _("Users"),
    _("Groups"),
    _("Periodic tasks"),
    _("Only a supervisor pauses a sending rule."),
    _("Only a case that is in review can be handed on."),
    _("Say to whom: an agent or a queue."),
)

LANGUAGES = Spoken({"zh-hans": _("Chinese"), "en": _("English")})

CHANGES = Spoken({"placed": _("placed"), "changed": _("changed"), "released": _("released")})

AIMS = Spoken(
    {
        "pre_due": _("before the due date"),
        "overdue": _("once overdue"),
        "risk": _("by an estimate of risk"),
    }
)

RELEASED = Spoken(
    {
        "by_hand": _("by hand"),
        "withdrawn": _("the dispute was withdrawn"),
        "merged": _("merged with another dispute"),
        "opted in": _("opted in"),
        "outcome_delivered": _("the outcome was delivered"),
        "resumed_after_rejection": _("messages go on after a rejection"),
    }
)

SCOPES = Spoken(
    {
        "loan": _("the loan"),
        "loan_and_phone": _("the loan and the phone"),
        "phone": _("the phone"),
        "customer": _("everything of the customer's"),
        "sending_rule": _("the sending rule"),
    }
)

EVENTS = Spoken(
    {
        "dispute.opened": _("Opened"),
        "dispute.checked": _("Checked"),
        "dispute.in_review": _("Put in review"),
        "dispute.assigned": _("Given to an agent"),
        "dispute.handed_on": _("Handed on"),
        "dispute.waiting_customer": _("Customer asked"),
        "dispute.joined": _("Joined with the message"),
        "dispute.reopened": _("Reopened"),
        "dispute.outcome_doubted": _("Late records speak against the outcome"),
        "dispute.doubt_ended": _("Late records were looked at"),
        "dispute.closed": _("Closed"),
        "decision.made": _("Decided"),
        "decision.proposed": _("Decision waits for a second person"),
        "decision.approved": _("Second person agreed"),
        "decision.declined": _("Second person did not agree"),
        "comment.added": _("Words added"),
        "note.added": _("Note written"),
        "hold.placed": _("Hold placed"),
        "hold.changed": _("Hold changed"),
        "hold.released": _("Hold released"),
        "outcome.delivered": _("Outcome delivered"),
        "outcome.failed": _("Outcome could not be delivered"),
        "outcome.undeliverable": _("Outcome called undeliverable"),
        "records.corrected": _("Correction seen"),
        "deadline.near": _("Deadline is near"),
        "deadline.missed": _("Deadline missed"),
    }
)


def gate_reason(code: str) -> str:
    """What the gate answers, in words; one that is new reads as its code does."""
    return GATE_REASONS.get(code) or plain(code)


def release_reason(written: str) -> str:
    """Why a hold was released: a code, and what a person said beside it."""
    code, point, said = written.partition(": ")
    return (RELEASED.get(code) or plain(code)) + point + said


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
    return gettext("%(span)s overdue") % {"span": said} if late else gettext("due in %(span)s") % {"span": said}


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    if minutes < 60:
        return gettext("%(n)s min") % {"n": minutes}
    if minutes < 48 * 60:
        return gettext("%(n)s h") % {"n": minutes // 60}
    days = minutes // (24 * 60)
    return ngettext("%(n)s day", "%(n)s days", days) % {"n": days}
