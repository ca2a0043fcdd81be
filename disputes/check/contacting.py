"""When and how often somebody was written to: the same message twice, frequency caps, contact hours.

What counts is what had been sent before: by `sent_at`, at the same instant by external id, so that of two messages
only the later one is too many. Categories that the pack lets always pass repeat and count for nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from disputes.check.facts import CustomerVersion, SentMessage
from disputes.check.matter import Matter
from disputes.check.permitting import permit_of
from disputes.check.presence import once
from disputes.check.recipient import owner_of, owner_then
from disputes.check.standing import local_day, zone_named
from disputes.check.versions import true_at
from disputes.policy.caps import Contact, check_cap, counts_for
from disputes.policy.contact_hours import NO_WISHES, Preferences, breached_locally, hours_breached, read_preferences
from disputes.policy.packs import Cap


@once
def sent_before(matter: Matter) -> list[SentMessage]:
    """The other messages that were sent before this one, oldest first."""
    this = (matter.message.sent_at, matter.message.external_id)
    rows = [one for one in matter.history.sent if (one.sent_at, one.external_id) < this]
    rows.sort(key=lambda one: (one.sent_at, one.external_id))
    return rows


@once
def repeated(matter: Matter) -> SentMessage | None:
    """The latest earlier message that this one repeats.

    To the same phone, about the same loan, on the same channel, of the same category, less than the pack's
    `same_message_hours` before, with the same words; where the words of one are not known, from the same sending rule
    and campaign with the same claims, about a loan.
    """
    message, pack = matter.message, matter.pack
    if not matter.history.sent or message.phone is None or message.category in pack.always_pass:
        return None
    since = message.sent_at - timedelta(hours=pack.same_message_hours)
    rows = (one for one in reversed(sent_before(matter)) if one.sent_at > since)
    return next((one for one in rows if _same(one, matter)), None)


def _same(one: SentMessage, matter: Matter) -> bool:
    message = matter.message
    if (one.phone, one.loan, one.channel, one.category) != (
        message.phone,
        message.loan,
        message.channel,
        message.category,
    ):
        return False
    if one.text and message.text:
        return one.text == message.text
    return message.loan is not None and (
        (one.sending_rule, one.campaign, one.claimed_amount, one.claimed_days_past_due)
        == (message.sending_rule, message.campaign, message.claimed_amount, message.claimed_days_past_due)
    )


def is_repeated(matter: Matter) -> bool:
    """The same message twice."""
    return repeated(matter) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Excess:
    """A cap that the message went above, and the earlier messages that took its slots, oldest first."""

    cap: Cap
    counted: tuple[SentMessage, ...]


@once
def excesses(matter: Matter) -> tuple[Excess, ...]:
    """Every cap of the pack that the message went above, in the pack's order: of the person, loan or phone, over every
    vendor."""
    message, pack = matter.message, matter.pack
    if not matter.history.sent or message.category in pack.always_pass:
        return ()
    before = sent_before(matter)
    if not before:
        return ()
    planned = Contact(
        at=message.sent_at,
        customer=owner_of(matter),
        loan=message.loan,
        phone=message.phone,
        channel=message.channel,
        category=message.category,
    )
    zone, owners = zones_of(matter)[0], _owners_differ(matter)
    contacts = [(one, _contact(one, matter, owners=owners)) for one in before]
    previous = [contact for _, contact in contacts]
    found = []
    for cap in pack.caps_for(channel=message.channel, category=message.category):
        if not check_cap(cap=cap, previous=previous, planned=planned, zone=zone).allowed:
            counted = (
                one
                for one, contact in contacts
                if counts_for(cap=cap, previous=contact, planned=planned) and _near(one.sent_at, cap, matter, zone)
            )
            found.append(Excess(cap=cap, counted=tuple(counted)))
    return tuple(found)


def _owners_differ(matter: Matter) -> bool:
    loans = matter.history.loans
    return any(version.customer != loans[0].customer for version in loans)


def _contact(one: SentMessage, matter: Matter, *, owners: bool) -> Contact:
    """`owners`: the loan had more than one owner, so whose it was when the other message went out must be asked."""
    customer = one.customer
    if owners and one.loan is not None and one.loan == matter.message.loan:
        then = true_at(list(matter.history.loans), one.sent_at, None)
        customer = then.customer if then is not None else None
    return Contact(
        at=one.sent_at,
        customer=customer,
        loan=one.loan,
        phone=one.phone or None,
        channel=one.channel,
        category=one.category,
    )


def _near(at: datetime, cap: Cap, matter: Matter, zone: str) -> bool:
    """Whether a contact at `at` still took a slot when the message went out."""
    sent_at = matter.message.sent_at
    if cap.rolling_hours is not None:
        return sent_at - at < timedelta(hours=cap.rolling_hours)
    return local_day(at, zone) == local_day(sent_at, zone)


def is_above_cap(matter: Matter) -> bool:
    """Above the frequency cap."""
    return bool(matter.history.sent) and bool(excesses(matter))


def contacts_tell(matter: Matter) -> bool:
    """Whether the records can tell how often this person was written to: the phone is known, and the owner where a
    cap counts by customer."""
    message, pack = matter.message, matter.pack
    if message.category in pack.always_pass:
        return True
    if message.phone is None:
        return False
    caps = pack.caps_for(channel=message.channel, category=message.category)
    return owner_of(matter) is not None or not any("customer" in cap.per for cap in caps)


def zones_of(matter: Matter) -> tuple[str, ...]:
    """Every zone that the records of the loan's owner pointed to when the message went out; the lender's where they
    named none."""
    return _zones(owner_then(matter) if matter.history.customers else None, matter)


def _zones(owner: CustomerVersion | None, matter: Matter) -> tuple[str, ...]:
    return (owner.time_zones if owner is not None else ()) or (matter.history.lender_time_zone,)


def wishes_of(matter: Matter) -> Preferences:
    """The owner's own windows, as they were true when the message went out."""
    return _wishes(owner_then(matter) if matter.history.customers else None)


def _wishes(owner: CustomerVersion | None) -> Preferences:
    return _read(owner.preferences) if owner is not None and owner.preferences else NO_WISHES


@lru_cache(maxsize=4096)
def _read(text: str) -> Preferences:
    return read_preferences(json.loads(text))


def answers_own_message(matter: Matter) -> bool:
    """Whether the message went out as the one answer to the person's own."""
    permit = permit_of(matter) if matter.history.permits else None
    return permit is not None and permit.reply_to is not None


def is_outside_hours(matter: Matter) -> bool:
    """Outside contact hours when it was sent, in any zone of the customer's or against their own wishes."""
    if matter.message.category not in matter.pack.contact_hours.categories:
        return False
    owner = owner_then(matter) if matter.history.customers else None
    hours, wishes, books = matter.pack.contact_hours, _wishes(owner), matter.was.books
    if hours.reply_free and matter.history.permits and answers_own_message(matter):
        return False
    for zone in _zones(owner, matter):
        local = books.local if zone == books.time_zone else books.at.astimezone(zone_named(zone))
        if breached_locally(hours=hours, local=local, wishes=wishes):
            return True
    return False


def breaks_hours(matter: Matter, *, zones: tuple[str, ...], wishes: Preferences) -> bool:
    """Whether the instant sent breaks the pack's hours in any of `zones`, or the `wishes`."""
    return hours_breached(
        pack=matter.pack,
        at=matter.message.sent_at,
        zones=zones,
        preferences=wishes,
        category=matter.message.category,
        answers_own_message=answers_own_message(matter),
    )
