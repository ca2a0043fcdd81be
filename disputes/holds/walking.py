"""Deciding items one by one, in the order asked: pure, under lanes that somebody else holds.

The facts are those of one chunk, read after its lanes were taken. An item that is allowed takes its slot under the
caps there and then, so that the next one of the same walk sees it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import msgspec

from disputes.check.facts import Position
from disputes.check.matter import days_needed
from disputes.check.standing import local_day, standing
from disputes.holds.stopping import HoldFact, stops
from disputes.policy.caps import WITHIN, CapAnswer, Contact, check_caps
from disputes.policy.contact_hours import OPEN, HoursAnswer, Preferences, check_hours
from disputes.policy.packs import Pack

REASONS = (
    "malformed",
    "busy",
    "undecidable",
    "unknown_loan",
    "unknown_phone",
    "opted_out",
    "wrong_number",
    "dispute_pending",
    "outcome_not_delivered",
    "records_not_corrected",
    "manual_hold",
    "rule_paused",
    "records_stale",
    "not_overdue",
    "within_grace",
    "arrangement",
    "outside_hours",
    "frequency_cap",
)
"""In the order in which an answer lists them: the first is the one that weighs most. The first three stand alone."""
PASSES_WITH_TIME = frozenset({"outside_hours", "frequency_cap"})
"""Reasons that go by themselves, at an instant that is known."""
COLLECTING = frozenset({"reminder", "urge", "warning"})


class GateItem(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message that somebody wants to send. `phone`: its digest."""

    request_id: str
    phone: bytes
    loan: str | None
    channel: str
    category: str
    sending_rule: str | None = None
    vendor: str = ""
    reply_to: str | None = None


class PhoneFact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A phone of a customer's, with its days (`until` included)."""

    customer: str
    role: str
    first: date | None
    until: date | None

    @property
    def is_always_theirs(self) -> bool:
        return self.first is None and self.until is None

    def is_theirs(self, day: date) -> bool:
        return (self.first is None or self.first <= day) and (self.until is None or day <= self.until)


class CustomerFact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where the customer may be, and when they wish to be left alone."""

    zones: tuple[str, ...]
    wishes: Preferences


class RuleFact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    aim: str | None
    min_dpd: int | None


Request = tuple[str, bytes, str | None, str, str, str | None]
"""What one request asks for: its id, phone, loan, channel, category and sending rule."""


def request_of(request_id: str, asked: GateItem | LivePermit) -> Request:
    """The request of an item, or of what it was granted."""
    return request_id, asked.phone, asked.loan, asked.channel, asked.category, asked.sending_rule


class LivePermit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A permit of this caller's that lives, by its request: not used, not handed back, not expired."""

    id: uuid.UUID
    phone: bytes
    loan: str | None
    channel: str
    category: str
    sending_rule: str | None
    expires_at: datetime

    def is_for(self, item: GateItem) -> bool:
        return request_of(item.request_id, self) == request_of(item.request_id, item)


@dataclass(frozen=True, kw_only=True, slots=True)
class GateFacts:
    """What the database says at `at`, its own clock after the lanes were taken.

    `owner`: loan → its customer (None: nobody's yet); `positions`, `customers`: made when they are asked for, so that
    what cannot be read spoils its own item alone; `covers`: key → the holds that stand; `behind`: the feeds that are
    too old to tell; `live`: request id → this caller's permit; `taken`: the contacts that count under the caps, in any
    order: messages, and permits without one;
    `replies`: a person's own message, by the sender's id and the phone that it came from → the permit of its answer,
    None where there is none yet; `sent`: this caller's requests of the last 24 hours whose message was recorded.
    """

    at: datetime
    pack: Pack
    lender_zone: str
    owner: Mapping[str, str | None]
    positions: Mapping[str, Callable[[], Position]]
    phones: Mapping[bytes, Sequence[PhoneFact]]
    customers: Mapping[str, Callable[[], CustomerFact]]
    rules: Mapping[str, RuleFact]
    covers: Mapping[str, Sequence[HoldFact]]
    behind: tuple[str, ...]
    live: Mapping[str, LivePermit]
    taken: Sequence[Contact]
    replies: Mapping[tuple[str, bytes], uuid.UUID | None] = field(default_factory=dict)
    sent: frozenset[Request] = frozenset()


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`reasons` empty: allowed. `permit`: the one that the same request was given before; `customer`: whose contact
    it is; `answers`: it is the one answer to the person's own message."""

    reasons: tuple[str, ...] = ()
    next_allowed_at: datetime | None = None
    permit: LivePermit | None = None
    customer: str | None = None
    answers: bool = False

    @property
    def allowed(self) -> bool:
        return not self.reasons


class _Counted:
    """Contacts, by what they share with others."""

    def __init__(self) -> None:
        # By one name each, whatever it names: two that share one only by accident share no slot under a cap, which
        # compares what each is.
        self._named: dict[str | bytes | None, list[Contact]] = {}

    def add(self, contact: Contact) -> None:
        named = self._named
        for name in (contact.customer, contact.loan, contact.phone):
            if name in named:
                named[name].append(contact)
            elif name is not None:
                named[name] = [contact]

    def near(self, customer: str | None, loan: str | None, phone: bytes) -> Collection[Contact]:
        """Those that share the customer, the loan or the phone, each once."""
        named = self._named
        if customer not in named and loan not in named and phone not in named:
            return ()
        return {id(one): one for name in (customer, loan, phone) for one in named.get(name, ())}.values()


class Walk:
    """Decides the items of one chunk in order. Nothing outside it changes."""

    def __init__(self, facts: GateFacts) -> None:
        self._granted = _Counted()
        self._answered: set[tuple[str, bytes]] = set()
        self.go_on(facts, tells_of_earlier=True)

    def go_on(self, facts: GateFacts, *, tells_of_earlier: bool) -> None:
        """Turns to other items. `tells_of_earlier`: the facts tell of all slots that were taken before the walk turned
        to those that it leaves now, and of none since; else of none that this walk took."""
        self.facts = facts
        self._known = _Counted()
        if tells_of_earlier:
            self._known, self._granted = self._granted, self._known
        self._customers: dict[str, CustomerFact | None] = {}
        self._needs: dict[tuple[str, str | None], int] = {}
        self._capped: dict[tuple[str, str], bool] = {}
        self._open: dict[tuple[str, bool, int], HoursAnswer] = {}
        for one in facts.taken:
            self._known.add(one)

    def decide(self, item: GateItem) -> Decision:
        """The decision for the next item; where it is allowed, its slot is taken."""
        decision = self.look(item)
        if decision.allowed and decision.permit is None:
            self._granted.add(self._contact(item, decision.customer, self.facts.at))
            if decision.answers and item.reply_to is not None:
                self._answered.add((item.reply_to, item.phone))
        return decision

    def look(self, item: GateItem) -> Decision:
        """The decision for an item, whose slot nobody takes.

        1. all that denies it but the caps; 2. the caps; 3. a permit that this request was given before is given
        again: the clock and its own slot are no reasons against it, a hold that came meanwhile is. A request is one
        message: one whose message went out is denied (`frequency_cap`), and no time changes that.
        """
        facts, live = self.facts, self.facts.live.get(item.request_id) if item.request_id else None
        if live is not None and not live.is_for(item):
            return Decision(reasons=("malformed",))
        reasons: set[str] = set()
        customer = self._owner(item, reasons)
        answers = item.reply_to is not None and self._answers(item, item.reply_to, live)
        if facts.covers or item.category == "survey":  # whose phone a survey's is must be readable without any hold too
            reasons |= self._held(item, customer, answers)
        if item.category in COLLECTING and item.loan is not None and customer is not None:
            self._account(item, item.loan, reasons)
        hours = OPEN if "unknown_loan" in reasons else self._hours_now(item, customer, answers=answers)
        caps = self._caps(item, customer, facts.at)
        if live is None:
            if not hours.allowed:
                reasons.add("outside_hours")
            if not caps.allowed:
                reasons.add("frequency_cap")
        sent = bool(facts.sent and item.request_id) and request_of(item.request_id, item) in facts.sent
        if sent:
            reasons.add("frequency_cap")
        if reasons:
            ordered = tuple(reason for reason in REASONS if reason in reasons)
            opens = None if sent else self._next(item, customer, reasons, hours, caps)
            return Decision(reasons=ordered, next_allowed_at=opens)
        return Decision(permit=live, customer=customer, answers=answers)

    def _answers(self, item: GateItem, reply_to: str, live: LivePermit | None) -> bool:
        """Whether it is the one answer to the message `reply_to` of the person's: nothing has answered that yet, or the
        permit of this very request has."""
        key = (reply_to, item.phone)
        if key not in self.facts.replies or key in self._answered:
            return False
        answer = self.facts.replies[key]
        return answer is None or (live is not None and live.id == answer)

    def _owner(self, item: GateItem, reasons: set[str]) -> str | None:
        """The item's customer; adds to the reasons what of loan and phone is not known.

        A phone is known where it is the loan's customer's on that day, their own or a contact's; without a loan, a
        survey needs a phone that is somebody's own.
        """
        if item.loan is not None:
            customer = self.facts.owner.get(item.loan)
            if customer is None:
                reasons.add("unknown_loan")
                return None
            for phone in self._of(item):
                if phone.customer == customer and (phone.is_always_theirs or phone.is_theirs(self._day(customer))):
                    return customer
            reasons.add("unknown_phone")
            return customer
        own = sorted(self._own_customers(item))
        if not own and item.category == "survey":
            reasons.add("unknown_phone")
        return own[0] if own else None

    def _of(self, item: GateItem) -> Sequence[PhoneFact]:
        return self.facts.phones.get(item.phone, ())

    def _own_customers(self, item: GateItem) -> set[str]:
        return {
            phone.customer
            for phone in self._of(item)
            if phone.role == "own" and (phone.is_always_theirs or phone.is_theirs(self._day(phone.customer)))
        }

    def _customer(self, customer: str | None) -> CustomerFact | None:
        if customer is None:
            return None
        if customer not in self._customers:
            make = self.facts.customers.get(customer)
            self._customers[customer] = make() if make else None
        return self._customers[customer]

    def _zones(self, customer: str | None) -> tuple[str, ...]:
        """Every zone that the records point to; the lender's where they name none."""
        known = self._customer(customer)
        return (known.zones if known else ()) or (self.facts.lender_zone,)

    def _day(self, customer: str | None) -> date:
        return local_day(self.facts.at, self._zones(customer)[0])

    def _held(self, item: GateItem, customer: str | None, answers: bool) -> set[str]:
        """The reasons of the holds that deny it. A survey is denied as one of somebody with a dispute, whatever the
        hold that it meets of them is for."""
        facts = self.facts
        persons = {customer} if customer else set()
        if item.category == "survey":
            persons |= self._own_customers(item)
        keys = [f"p:{item.phone.hex()}", *(f"c:{person}" for person in persons)]
        keys += [f"l:{item.loan}"] if item.loan is not None else []
        keys += [f"r:{item.sending_rule}"] if item.sending_rule is not None else []
        about = [f"sp:{item.phone.hex()}", *(f"sc:{person}" for person in persons)]
        reasons = {
            hold.reason
            for surveys_only, names in ((False, keys), (True, about))
            for name in names
            for hold in facts.covers.get(name, ())
            if stops(
                hold=hold,
                category=item.category,
                loan=item.loan,
                surveys_only=surveys_only,
                pack=facts.pack,
                answers_own_message=answers,
            )
        }
        of_persons = reasons - {"opted_out", "rule_paused"}
        return reasons | {"dispute_pending"} if item.category == "survey" and of_persons else reasons

    def _account(self, item: GateItem, loan: str, reasons: set[str]) -> None:
        """Adds to the reasons what the account says against it, by the check's own code. A reminder before the due date
        presupposes nothing."""
        facts, kind = self.facts, (item.category, item.sending_rule)
        needs = self._needs.get(kind)
        if needs is None:
            rule = facts.rules.get(item.sending_rule) if item.sending_rule is not None else None
            needs = self._needs[kind] = days_needed(
                category=item.category, aim=rule.aim if rule else None, min_dpd=rule.min_dpd if rule else None
            )
        if needs == 0:
            return
        stands = standing(position=facts.positions[loan](), at=facts.at)
        if facts.behind:
            reasons.add("records_stale")
        if stands.days_past_due < needs:
            reasons.add("not_overdue")
        if stands.within_grace:
            reasons.add("within_grace")
        if stands.arrangement_kept or stands.paused:
            reasons.add("arrangement")

    def _hours_now(self, item: GateItem, customer: str | None, *, answers: bool) -> HoursAnswer:
        """As `_hours` at the walk's instant: once for all who have the same zones and wishes."""
        kind = (item.category, answers, id(self._customer(customer)))  # which lives as long as the facts
        hours = self._open.get(kind)
        if hours is None:
            hours = self._open[kind] = self._hours(item, customer, self.facts.at, answers=answers)
        return hours

    def _hours(self, item: GateItem, customer: str | None, at: datetime, *, answers: bool) -> HoursAnswer:
        known = self._customer(customer)
        return check_hours(
            pack=self.facts.pack,
            at=at,
            zones=self._zones(customer),
            preferences=known.wishes if known else None,
            category=item.category,
            answers_own_message=answers,
        )

    def _contact(self, item: GateItem, customer: str | None, at: datetime) -> Contact:
        return Contact(at, customer, item.loan, item.phone, item.channel, item.category)

    def _caps(self, item: GateItem, customer: str | None, at: datetime) -> CapAnswer:
        """Whether the caps leave a slot, given what shares the item's customer, loan or phone."""
        kind = (item.channel, item.category)
        capped = self._capped.get(kind)
        if capped is None:
            capped = self._capped[kind] = bool(self.facts.pack.caps_for(channel=item.channel, category=item.category))
        if not capped:
            return WITHIN  # and nothing need be counted: of these one person may be sent very many
        near = [
            *self._known.near(customer, item.loan, item.phone),
            *self._granted.near(customer, item.loan, item.phone),
        ]
        if not near:
            return WITHIN  # no cap is below one
        planned = self._contact(item, customer, at)
        pack, zone = self.facts.pack, self._zones(customer)[0]
        return check_caps(pack=pack, previous=near, planned=planned, zone=zone)

    def _next(
        self, item: GateItem, customer: str | None, reasons: set[str], hours: HoursAnswer, caps: CapAnswer
    ) -> datetime | None:
        """From when on it is allowed, where time alone stands in the way: asked again at that instant, it is.

        Caps only open with time, so the hours are asked at the instant at which they do.
        """
        if not reasons <= PASSES_WITH_TIME:
            return None
        at = caps.next_allowed_at
        if at is None:
            return hours.next_allowed_at
        then = self._hours(item, customer, at, answers=False)
        return at if then.allowed else then.next_allowed_at
