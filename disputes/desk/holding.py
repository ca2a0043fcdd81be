"""May this number be texted now, and why not: the gate's dry run in words, with what stands behind each reason."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.core.validators import ProhibitNullCharactersValidator
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.fields import phone_digest
from config.values.ids import floor_of
from config.values.money import render_amount
from config.values.phone import mask_phone, parse_phone
from disputes.check.standing import standing
from disputes.desk import words
from disputes.desk.accounts import local_instant, written_money
from disputes.holds import gate
from disputes.holds.models import Hold, HoldCover, Permit
from disputes.holds.permits import CLOCKS_DIFFER, COUNTS_FOR
from disputes.holds.policies import pack_in_force
from disputes.holds.stopping import HoldFact, stops
from disputes.holds.walking import GateItem
from disputes.journal.recording import Actor, record_event
from disputes.policy.caps import Contact, counts_for
from disputes.policy.packs import Cap
from disputes.records.models import Customer, CustomerPhone, Loan, Message
from disputes.records.queries import position_of_loan

LOANS = 5
"""Loans that are asked for at once, where none is named."""
SHOWN = 50


class LookUpForm(forms.Form):
    """Which number, and what would be sent there."""

    phone = forms.CharField(label=gettext_lazy("Number"), max_length=40, validators=[ProhibitNullCharactersValidator()])
    loan = forms.CharField(
        label=gettext_lazy("Loan"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("None: each loan of whose number it is."),
        validators=[ProhibitNullCharactersValidator()],
    )
    category = forms.ChoiceField(choices=words.CATEGORIES.lazily(), label=gettext_lazy("What would be sent"))
    sending_rule = forms.CharField(
        max_length=200,
        required=False,
        label=gettext_lazy("Sending rule"),
        validators=[ProhibitNullCharactersValidator()],
    )

    def clean_phone(self) -> str:
        try:
            return parse_phone(self.cleaned_data["phone"], region=settings.DEFAULT_REGION)
        except ValueError:
            raise forms.ValidationError(_("This is no phone number.")) from None


@dataclass(frozen=True, kw_only=True, slots=True)
class BehindHold:
    """A hold that denies it. `dispute`: whose it is."""

    id: uuid.UUID
    covers: str
    source: str
    placed: str
    dispute: uuid.UUID | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One reason in words, with the holds behind it."""

    code: str
    said: str
    holds: tuple[BehindHold, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Used:
    """A cap: how many of how many slots are taken, and by what."""

    cap: str
    taken: int
    count: int
    contacts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """The answer for one loan, or for none."""

    loan: str
    customer: str
    allowed: bool
    reasons: tuple[Reason, ...]
    then: tuple[str, ...]
    zones: tuple[str, ...]
    caps: tuple[Used, ...]
    account: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LookUp:
    """What the page shows. `stands`: all holds on the number itself, whatever they stop."""

    phone: str
    category: str
    decided: str
    answers: tuple[Looked, ...]
    more_loans: int
    stands: tuple[BehindHold, ...]


def look_up(*, phone: str, loan: str, category: str, sending_rule: str, actor: Actor, now: datetime) -> LookUp:
    """Asks the gate, grants nothing, and writes to the journal who looked at which digest: never the number.

    1. the journal, in a transaction of its own; 2. the loans, LOANS at most; 3. a dry run for each of them, as
    `POST /gate/decisions?dry_run=true` would answer it alone: in one call the first would take the slots of the next;
    4. what stands behind it, read once for all.
    """
    digest = phone_digest(phone)
    with transaction.atomic():
        record_event(
            subject_type="phone",
            subject_id=uuid.UUID(bytes=digest[1:17]),
            kind="phone.looked_up",
            actor=actor,
            at=now,
            data={"phone_digest": digest.hex(), "category": category},
        )
    people = sorted(set(CustomerPhone.objects.filter(digest=digest).values_list("customer", flat=True)))
    rows = list(Loan.objects.filter(pk=loan) if loan else Loan.objects.filter(customer__in=people).order_by("pk"))
    asked: list[str | None] = [loan] if loan else [row.pk for row in rows[:LOANS]]
    if not asked and category in ("service", "survey"):
        asked = [None]
    items = [
        GateItem(
            request_id="", phone=digest, loan=one, channel="sms", category=category, sending_rule=sending_rule or None
        )
        for one in asked
    ]
    decided = [gate.decide(items=[item], caller="desk:look-up", permit_seconds=60, dry_run=True) for item in items]
    at = decided[-1].decided_at if decided else now
    around = _Around(digest=digest, loans={row.pk: row for row in rows}, people=people, rule=sending_rule, now=at)
    return LookUp(
        phone=mask_phone(phone),
        category=words.CATEGORIES[category],
        decided=local_instant(at, seconds=True),
        answers=tuple(around.looked(item, one.answers[0]) for item, one in zip(items, decided)),
        more_loans=0 if loan else max(0, len(rows) - LOANS),
        stands=tuple(around.behind(hold) for hold in around.on_phone),
    )


class _Around:
    """What stands around a number, read once: holds, contacts, customers."""

    def __init__(
        self, *, digest: bytes, loans: Mapping[str, Loan], people: Sequence[str], rule: str, now: datetime
    ) -> None:
        self.digest, self.loans, self.now, self.rule = digest, loans, now, rule
        self.pack = pack_in_force(at=now)
        whose = {*people, *(row.customer for row in loans.values() if row.customer)}
        self.customers = {row.pk: row for row in Customer.objects.filter(pk__in=whose)}
        keys = [f"{kind}:{digest.hex()}" for kind in ("p", "sp")] + [f"l:{loan}" for loan in loans]
        keys += [f"{kind}:{one}" for one in whose for kind in ("c", "sc")] + ([f"r:{rule}"] if rule else [])
        covers = HoldCover.objects.filter(key__in=keys, released_at__isnull=True).select_related("hold")
        self.covers = [(cover.key, cover.hold) for cover in covers.order_by("since", "hold")[:500]]
        self.on_phone = list({hold.pk: hold for key, hold in self.covers if key == f"p:{digest.hex()}"}.values())
        self.contacts = self._contacts(whose)

    def _contacts(self, whose: set[str]) -> list[tuple[Contact, str]]:
        """What counts under the caps, with what it is: messages, and permits without one."""
        theirs = dict(Loan.objects.filter(customer__in=whose).values_list("pk", "customer")) if whose else {}
        messages = Message.objects.filter(
            Q(phone_digest=self.digest) | Q(loan__in=list(theirs)),
            sent_at__gt=self.now - self.pack.look_back(),
            voided=False,
        ).order_by("-sent_at")[:500]
        permits = Permit.objects.filter(
            Q(phone_digest=self.digest) | Q(customer__in=whose),
            pk__gte=floor_of(self.now - COUNTS_FOR - CLOCKS_DIFFER),
            granted_at__gt=self.now - COUNTS_FOR,
            unused_at__isnull=True,
            message__isnull=True,
        ).order_by("-granted_at")[:500]
        found = [
            (_contact(row, row.sent_at, theirs.get(row.loan or "")), _("message %(id)s") % {"id": row.external_id})
            for row in messages
            if row.sent_at is not None
        ]
        found += [(_contact(row, row.granted_at, row.customer), _("permit %(id)s") % {"id": row.pk}) for row in permits]
        return sorted(found, key=lambda one: one[0].at, reverse=True)

    def looked(self, item: GateItem, answer: gate.Answer) -> Looked:
        loan = self.loans.get(item.loan or "")
        customer = self.customers.get(loan.customer or "") if loan else None
        zones = tuple(customer.time_zones if customer else ()) or (settings.LENDER_TIME_ZONE,)
        then = answer.next_allowed_at
        return Looked(
            loan=item.loan or "",
            customer=customer.pk if customer else "",
            allowed=not answer.reasons,
            reasons=tuple(self._reason(code, item, loan) for code in answer.reasons),
            then=_on_each_clock(then, zones) if then else (),
            zones=zones,
            caps=tuple(self._caps(item, loan)),
            account=_account(loan, self.now) if loan else (),
        )

    def _reason(self, code: str, item: GateItem, loan: Loan | None) -> Reason:
        owner = loan.customer if loan else None
        keys = {f"{kind}:{self.digest.hex()}" for kind in ("p", "sp")} | {f"l:{item.loan}", f"r:{item.sending_rule}"}
        people = {owner} if owner else set(self.customers)
        keys |= {f"{kind}:{one}" for one in people for kind in ("c", "sc")}
        behind = {
            hold.pk: hold
            for key, hold in self.covers
            if key in keys
            and hold.reason == code
            and stops(
                hold=HoldFact(reason=hold.reason, source=hold.source, why=hold.why),
                category=item.category,
                loan=item.loan,
                surveys_only=key[0] == "s",
                pack=self.pack,
            )
        }
        return Reason(
            code=code, said=words.gate_reason(code), holds=tuple(self.behind(hold) for hold in behind.values())
        )

    def behind(self, hold: Hold) -> BehindHold:
        return BehindHold(
            id=hold.pk,
            covers=words.SCOPES[hold.scope],
            source=words.SOURCES[hold.source],
            placed=local_instant(hold.placed_at),
            dispute=hold.dispute,
        )

    def _caps(self, item: GateItem, loan: Loan | None) -> list[Used]:
        planned = Contact(
            at=self.now,
            customer=loan.customer if loan else None,
            loan=item.loan,
            phone=self.digest,
            channel=item.channel,
            category=item.category,
        )
        found = []
        for cap in self.pack.caps_for(channel=item.channel, category=item.category):
            span = timedelta(hours=cap.rolling_hours) if cap.rolling_hours else timedelta(days=1)
            taken = [
                (one.at, what)
                for one, what in self.contacts
                if counts_for(cap=cap, previous=one, planned=planned) and one.at > self.now - span
            ]
            found.append(
                Used(
                    cap=_cap(cap),
                    taken=len(taken),
                    count=cap.count,
                    contacts=tuple(f"{local_instant(at)}: {what}" for at, what in taken[:SHOWN]),
                )
            )
        return found


def _on_each_clock(at: datetime, zones: Sequence[str]) -> tuple[str, ...]:
    """The instant to the second, on the lender's clock and then on the customer's, where that shows another."""
    shown: dict[str, str] = {}
    for zone in dict.fromkeys((settings.LENDER_TIME_ZONE, *zones)):
        shown.setdefault(f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}", zone)
    return tuple(_("%(time)s in %(zone)s") % {"time": time, "zone": zone} for time, zone in shown.items())


def _contact(row: Any, at: datetime, customer: str | None) -> Contact:
    phone = None if row.phone_digest is None else bytes(row.phone_digest)
    return Contact(at=at, customer=customer, loan=row.loan, phone=phone, channel=row.channel, category=row.category)


def _cap(cap: Cap) -> str:
    each = _(" and ").join(words.PERS.get(one, one) for one in cap.per)
    if cap.rolling_hours:
        said = {"count": cap.count, "hours": cap.rolling_hours, "each": each}
        return _("at most %(count)s in %(hours)s hours for each %(each)s") % said
    return _("at most %(count)s a day for each %(each)s") % {"count": cap.count, "each": each}


def _account(loan: Loan, now: datetime) -> tuple[tuple[str, str], ...]:
    position = position_of_loan(loan)
    stands = standing(position=position, at=now.astimezone(UTC))
    said = [(_("Days past due"), str(stands.days_past_due))]
    for label, holds in (
        (_("Within grace"), stands.within_grace),
        (_("Arrangement kept"), stands.arrangement_kept),
        (_("Collection paused"), stands.paused),
    ):
        said.append((label, _("yes") if holds else _("no")))
    amount = {
        "amount": render_amount(stands.overdue_amount, position.currency),
        "currency": position.currency,
    }
    said.insert(1, (_("Overdue"), written_money(amount)))
    if loan.settled_on:
        said.append((_("Settled on"), loan.settled_on.isoformat()))
    return tuple(said)
