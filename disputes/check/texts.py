"""The texts of findings, in English: the message ids of the catalogue ``locale/zh_Hans/LC_MESSAGES/check.po``.

Texts name their parameters in braces; ``{days:day}`` counts days in the words of COUNTS. A text that no criterion
speaks any more stays, for the checks of earlier engines that are stored: RETIRED names those.
"""

from __future__ import annotations

from collections.abc import Mapping

ACCOUNT: Mapping[str, str] = {
    "records_missing": (
        "The lender's records that we have do not show this loan and its payment plan, so a person will look into it."
    ),
    "settled": "The loan had been over since {settled_on}, so nothing was owed on {day}, the day of the message.",
    "paid_off": "On {day}, the day of the message, everything on this loan had been paid.",
    "nothing_overdue": "On {day}, the day of the message, nothing on this loan was overdue.",
    "fewer_days": ("On {day} the loan was {days:day} overdue; this kind of message may go out only from day {needed}."),
    "was_overdue": "On {day} the loan was {days:day} overdue: {amount}, due since {due_on}.",
    "instalment_paid": "Nothing was left to pay of the instalment due on {due_on} that the message reminded you of.",
    "instalment_open": "On {day}, {amount} was still to be paid of the instalment due on {due_on}.",
    "late_posting": (
        "You had paid {amount} (latest on {paid_on}), but the records showed it in full only on {posted_on}, after the "
        "message."
    ),
    "stale_list": (
        "You had paid {amount} and the records showed it, but the message was sent from a list made before that."
    ),
    "late_but_changed_nothing": (
        "What you paid, {amount} (latest on {paid_on}), was recorded in full only on {posted_on}; that did not change "
        "whether the message could be sent."
    ),
    "reversal_taken_back": "A payment of {amount} had been taken off the account by mistake and was put back later.",
    "inside_grace": "The loan was {days:day} overdue, within the {grace_days:day} of grace.",
    "arrangement": "On {day} an agreed payment arrangement was running, and you had kept it.",
    "pause": "On {day} collection on this loan was paused.",
    "pre_due_rule": (
        "The message pressed for payment, although it came from a rule meant for reminders before the due date."
    ),
    "risk_rule": "The message was chosen by a risk estimate, not because something was overdue.",
    "records_stale": "The records that we have do not reach up to {day}, so a person will look into it.",
}

CHANGES: Mapping[str, str] = {
    "changed_afterwards": (
        "The records were corrected after the message; by the corrected records it should not have been sent."
    ),
    "changed_afterwards_so": (
        "The records were corrected after the message ({changes}); by the corrected records it should not have been "
        "sent."
    ),
    "change_voided": "the loan was struck out of them",
    "change_settled_on": "the loan was over on {day}",
    "change_written_off_on": "the debt had been given up on {day}",
    "change_pauses": "collection was paused from {first} to {until}",
    "change_pauses_open": "collection was paused from {first} on",
    "change_arrangements": "a payment arrangement ran from {first} to {until}",
    "change_arrangements_open": "a payment arrangement ran from {first} on",
    "change_grace_days": "{after:day} of grace instead of {before:day}",
    "change_tolerance": "arrears up to {after} do not count, instead of up to {before}",
    "change_instalment_due_on": "an instalment was due on {after}, not on {before}",
    "change_instalment_amount": "the instalment due on {due_on} was {after}, not {before}",
    "change_instalment_added": "an instalment of {amount} due on {due_on} was added",
    "change_instalment_removed": "the instalment of {amount} due on {due_on} was taken out",
    "change_days_needed": "this kind of message needs {after:day} overdue, not {before:day}",
    "change_terms": "the terms of the loan",
    "change_more": "{count:change}",
}

CLAIMS: Mapping[str, str] = {
    "claimed_payment_found": (
        "The payment of {amount} that you made around {paid_on} is in the records and was counted."
    ),
    "claimed_payment_found_late": (
        "The payment of {amount} that you made around {paid_on} is in the records, but they showed it only on "
        "{posted_on}."
    ),
    "claimed_payment_made_later": (
        "The payment of {amount} around {paid_on} is in the records; it came in after the message was sent."
    ),
    "claimed_payment_reversed": (
        "The payment of {amount} around {paid_on} is in the records, but it was undone before the message."
    ),
    "claimed_payment_not_found": (
        "We could not find the payment of {amount} around {paid_on} in the records; a receipt helps us look for it."
    ),
    "claimed_payment_not_found_yet": (
        "The records that we have do not reach up to the payment of {amount} around {paid_on} yet; we look for it "
        "there first, and you need not send anything now."
    ),
    "claimed_payment_not_found_alike": (
        "We could not find the payment of {amount} around {paid_on} as you describe it, but the records have one of "
        "{other} on {other_on}; a person will compare the two, and you need not send anything now."
    ),
    "claimed_payment_not_found_elsewhere": (
        "We could not find the payment of {amount} around {paid_on} on this loan; it may have been recorded elsewhere, "
        "so a person will look for it, and you need not send anything now."
    ),
    "claimed_payments_found": "{count:payment} that you named are in the records and were counted.",
    "claimed_payments_found_late": (
        "{count:payment} that you named are in the records, but they showed the last of them only on {posted_on}."
    ),
    "claimed_payments_made_later": (
        "{count:payment} that you named are in the records; they came in after the message was sent."
    ),
    "claimed_payments_reversed": (
        "{count:payment} that you named are in the records, but they were undone before the message."
    ),
    "claimed_payments_not_found": (
        "We could not find {count:payment} that you named in the records; receipts help us look for them."
    ),
    "claimed_payments_not_found_yet": (
        "The records that we have do not reach up to {count:payment} that you named yet; we look for them there first, "
        "and you need not send anything now."
    ),
    "claimed_payments_not_found_alike": (
        "We could not find {count:payment} that you named as you describe them, but the records have one of {other} on "
        "{other_on}; a person will compare them, and you need not send anything now."
    ),
    "claimed_payments_not_found_elsewhere": (
        "We could not find {count:payment} that you named on this loan; they may have been recorded elsewhere, so a "
        "person will look for them, and you need not send anything now."
    ),
}

AMOUNTS: Mapping[str, str] = {
    "amount_differs": "The message named {claimed}; by the records it was {amount}.",
    "amount_agrees": "The amount that the message named, {claimed}, agrees with the records.",
    "amount_too_high": "The message named {claimed}; by the records it was {amount}: {difference} too much.",
    "amount_too_low": "The message named {claimed}; by the records it was {amount}: {difference} too little.",
    "amount_too_high_parts": (
        "The message named {claimed}; by the records it was {amount} ({parts}): {difference} too much."
    ),
    "amount_too_low_parts": (
        "The message named {claimed}; by the records it was {amount} ({parts}): {difference} too little."
    ),
    "amount_of_nothing": "The message named {claimed}; by the records nothing was to be paid then.",
    "amount_of_the_list": (
        "{claimed} is what the records showed when the sender's list was made; what they showed later changed it."
    ),
    "part_principal": "{amount} of principal",
    "part_interest": "{amount} of interest",
    "part_fees": "{amount} of fees",
    "part_penalties": "{amount} of penalties",
    "part_other": "{amount} of other sums",
    "days_differ": "The message said that you were {claimed:day} overdue; by the records it was {days:day}.",
    "days_agree": "The message said that you were {claimed:day} overdue, which agrees with the records.",
}

SENDING: Mapping[str, str] = {
    "wrong_recipient": (
        "On {day}, the day of the message, the records did not name this number as one of the person it was meant for."
    ),
    "contact_written_to": (
        "On {day} the records named this number only as a contact's, to whom this kind of message may not be sent."
    ),
    "own_phone": "On {day} the records named this number as the own number of the person it was meant for.",
    "contact_phone": (
        "On {day} the records named this number as a contact's, to whom this kind of message may be sent."
    ),
    "recipient_unknown": (
        "The records that we have do not show whose number this was on {day}, so a person will look into it."
    ),
    "same_message_twice": "The same message had already been sent to this number on {day} at {at}.",
    "own_cap_day": (
        "{sent:message} {scope} had already been sent on {day}; the limit that the lender has set itself is "
        "{count:message} a day."
    ),
    "own_cap_span": (
        "{sent:message} {scope} had already been sent in the {span} before; the limit that the lender has set itself "
        "is {count:message} in that time."
    ),
    "legal_cap_day": "{sent:message} {scope} had already been sent on {day}; the rules allow {count:message} a day.",
    "legal_cap_span": (
        "{sent:message} {scope} had already been sent in the {span} before; the rules allow {count:message} in that "
        "time."
    ),
    "scope_loan": "about this loan",
    "scope_all": "of this kind",
    "within_caps": "By the records this message was within the limits on how often messages may be sent.",
    "contacts_unknown": (
        "The records that we have do not show how often messages were sent to you, so a person will look into it."
    ),
    "outside_hours": ("The message was sent on {day} at {at}; messages of this kind may be sent only from {hours}."),
    "outside_own_hours": "The message was sent on {day} at {at}, when you had asked not to be written to.",
    "inside_hours": "The message was sent on {day} at {at}, within the hours in which messages may be sent.",
    "hours_not_concerned": "Messages of this kind may be sent at any hour.",
    "answer_at_any_hour": "The message answered one that you had sent; such an answer may be sent at any hour.",
    "hours_between": "{first} to {until}",
    "unauthorised_send": (
        "The message was sent without the clearance that the lender's systems must give before each message."
    ),
    "sent_against_hold": "The message was sent although messages to you were on hold at that time.",
}

SENTENCES: Mapping[str, str] = {**ACCOUNT, **CHANGES, **CLAIMS, **AMOUNTS, **SENDING}

RETIRED = frozenset({"amount_differs", "changed_afterwards"})

UNSETTLED = frozenset(
    {
        "records_missing",
        "records_stale",
        "recipient_unknown",
        "contacts_unknown",
        "claimed_payment_not_found_yet",
        "claimed_payment_not_found_alike",
        "claimed_payment_not_found_elsewhere",
        "claimed_payments_not_found_yet",
        "claimed_payments_not_found_alike",
        "claimed_payments_not_found_elsewhere",
    }
)
"""Texts that say that somebody will look: they tell nothing to whom a decision has been told."""

COUNTS: Mapping[str, tuple[str, str]] = {
    "day": ("{count} day", "{count} days"),
    "hour": ("{count} hour", "{count} hours"),
    "payment": ("{count} payment", "{count} payments"),
    "message": ("{count} message", "{count} messages"),
    "change": ("{count} other change", "{count} other changes"),
}

CLOCK = "{time} ({place} time)"
BETWEEN = ", "
