"""Who was written to: whose the phone was when the message went out."""

from __future__ import annotations

from typing import Any

from disputes.check.facts import CustomerVersion
from disputes.check.finding import CUSTOMER, LENDER, NOBODY, Finding, sent_on
from disputes.check.matter import Matter
from disputes.check.presence import once
from disputes.check.rendering import render_day
from disputes.check.versions import known, true_at, voided

RECIPIENT_GROUNDS = frozenset({"not_my_debt", "third_party_contacted"})

OWN, CONTACT, STRANGER, UNKNOWN = "own", "contact", "stranger", "unknown"


def owner_of(matter: Matter) -> str | None:
    """The customer whose loan it was when the message went out, with all that is known today."""
    terms = matter.was.books.terms
    return (terms.customer or None) if terms is not None else None


def owner_newest(matter: Matter) -> CustomerVersion | None:
    """The owner as known today: what carries its own dates is true by them."""
    return _owners(matter)[0]


def owner_then(matter: Matter) -> CustomerVersion | None:
    """The owner's version that was true when the message went out, with all that is known today."""
    return _owners(matter)[1]


@once
def _owners(matter: Matter) -> tuple[CustomerVersion | None, CustomerVersion | None]:
    """The owner as known today, and the version that was true when the message went out."""
    history = matter.history
    owner = owner_of(matter) if history.customers else None
    versions = [version for version in history.customers if version.external_id == owner]
    if not versions or (history.voids and ("customer", owner) in voided(history.voids, None)):
        return None, None
    return known(versions, None), true_at(versions, matter.message.sent_at, None)


@once
def recipient(matter: Matter) -> str:
    """Whose the phone was on the local day of the message, in the loan's zone.

    ``own``: the owner's; ``contact``: a contact's of theirs; ``stranger``: none of their numbers on that day;
    ``unknown``: the records do not show the owner's numbers, or not the message's.
    """
    reached = matter.message.phone
    if reached is None:
        return UNKNOWN
    owner = _owners(matter)[0]
    if owner is None or not owner.phones:
        return UNKNOWN
    day, whose = matter.was.standing.day, STRANGER
    for phone in owner.phones:
        if phone.digest != reached or (phone.first is not None and day < phone.first):
            continue
        if phone.until is None or day <= phone.until:
            if phone.role == OWN:
                return OWN
            whose = CONTACT
    return whose


def is_wrong_recipient(matter: Matter) -> bool:
    """The phone was not the customer's own, nor a contact who may be written to, when it was sent."""
    if not matter.history.customers:
        return False
    whose = recipient(matter)
    return whose == STRANGER or (whose == CONTACT and matter.message.category not in matter.pack.contact_categories)


def whose_phone(matter: Matter) -> Finding | None:
    """The phone was not the customer's own; for a ground about the recipient also that it was, or that the records do
    not tell."""
    asked = matter.claim.ground in RECIPIENT_GROUNDS
    if not asked and not is_wrong_recipient(matter):
        return None
    whose = recipient(matter)
    if whose == UNKNOWN:
        return _finding("recipient_unknown", NOBODY, whose, matter)
    if is_wrong_recipient(matter):
        text = "contact_written_to" if whose == CONTACT else "wrong_recipient"
        return _finding("wrong_recipient", CUSTOMER, whose, matter, text=text)
    return _finding("contact_phone" if whose == CONTACT else "own_phone", LENDER, whose, matter)


def _finding(name: str, speaks_for: str, whose: str, matter: Matter, *, text: str | None = None) -> Finding:
    """The digest of a phone never stands in a finding; the days on which it was theirs do."""
    owner = owner_newest(matter)
    phones = owner.phones if owner is not None else ()
    facts: dict[str, Any] = {
        "recipient": whose,
        "category": matter.message.category,
        "named": [
            {"role": one.role, "from": render_day(one.first), "until": render_day(one.until)}
            for one in phones
            if one.digest == matter.message.phone
        ],
    }
    return Finding(name=name, speaks_for=speaks_for, facts=facts, text=text or name, params={"day": sent_on(matter)})
