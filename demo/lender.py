"""A lender to look at: its customers, loans, payments and messages of the last month, as import lines.

The ten told stories (`demo.cast`) come first; beside them stand some 200 made-up customers with 300 loans. The same day
gives the same lines, to the byte. Everything goes through the import, as a lender's own records do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from dateutil.relativedelta import relativedelta  # type: ignore[import-untyped]

from demo import texts
from demo.calendar import Days
from demo.cast import story_lines
from demo.crowd import CUSTOMERS, SECOND_LOAN, Person, people
from demo.episodes import PLANS, RULES, Payment, Plan

Line = dict[str, Any]

FEEDS = ("repayments", "schedule", "messages")
LOANS = CUSTOMERS + SECOND_LOAN
SENT_WITHIN = 29
"""Days before today in which messages were sent."""
_PRODUCTS = (("cash-loan", 180, 900), ("card-instalment", 220, 1600), ("home-appliance", 150, 700), ("car", 1800, 4200))
_VENDORS = ("sms-north", "sms-south", "sms-harbour")
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tale:
    """A loan with the message that is told of it.

    `sent_on`: the message's day; `current`: the place of the instalment that it is about; `due`: the due dates.
    """

    plan_name: str
    plan: Plan
    person: Person
    loan: str
    message: str
    product: str
    amount: Decimal
    due: tuple[date, ...]
    current: int
    sent_on: date
    hour: int
    minute: int
    vendor: str
    short_ref: str

    @property
    def currency(self) -> str:
        return "HKD" if self.person.harbour else "CNY"

    @property
    def phone(self) -> str:
        """The number that the message went to."""
        return self.person.contact or self.person.phone if self.plan.to_contact else self.person.phone


def tales(*, today: date) -> list[Tale]:
    """Every loan of the crowd, in the order of its number."""
    rng = Random(20_010_501)  # noqa: S311 - a lender that is the same each time
    names = [name for name, plan in PLANS.items() for _ in range(plan.weight)]
    rng.shuffle(names)
    found: list[Tale] = []
    taken: set[str] = set()
    for person in people(rng=rng):
        for _ in range(person.loans):
            name = names[len(found) % len(names)]
            if name == "to_contact" and person.contact is None:
                name = "urged"
            found.append(_tale(rng, name=name, person=person, number=3001 + len(found), today=today, taken=taken))
    return found


def _tale(rng: Random, *, name: str, person: Person, number: int, today: date, taken: set[str]) -> Tale:
    plan = PLANS[name]
    product, least, most = rng.choice(_PRODUCTS)
    # More of them lately than long ago.
    ago = 1 + min(rng.randrange(SENT_WITHIN), rng.randrange(SENT_WITHIN))
    sent_on = today - timedelta(days=max(plan.least_age, ago))
    count = rng.choice((6, 9, 12))
    current = rng.randrange(1, count - 2)
    due_on = sent_on + timedelta(days=rng.randint(*plan.due_in))
    short_ref = "K" + "".join(rng.choices(_ALPHABET, k=5))
    while short_ref in taken:
        short_ref = "K" + "".join(rng.choices(_ALPHABET, k=5))
    taken.add(short_ref)
    return Tale(
        plan_name=name,
        plan=plan,
        person=person,
        loan=f"L-{number}",
        message=f"M-{number}",
        product=product,
        amount=Decimal(rng.randrange(least * 100, most * 100)) / 100,
        due=tuple(due_on + relativedelta(months=place - current) for place in range(count)),
        current=current,
        sent_on=sent_on,
        hour=rng.randrange(9, 20),
        minute=rng.randrange(60),
        vendor="sms-harbour" if person.harbour else rng.choice(_VENDORS[:2]),
        short_ref=short_ref,
    )


def demo_lines(*, today: date, stories: bool = True) -> Iterator[Line]:
    """Every line of the demo lender, in the order in which it is imported. `today`: the local date in its zone.
    `stories`: with the ten told ones."""
    days = Days(today)
    yield began(today)
    for name, rule in RULES.items():
        yield {"type": "sending_rule", "external_id": name, **rule}
    if stories:
        yield from story_lines(today=today)
    met: set[str] = set()
    for tale in tales(today=today):
        if tale.person.external_id not in met:
            met.add(tale.person.external_id)
            yield tale.person.line(posted_at=days.at(today - timedelta(days=500), 9))
        yield from _loan_lines(tale, days)
    for feed in FEEDS:
        yield watermark(feed, name=f"{today:%Y%m%d}", until=days.at(today, 0))
    yield loaded(today)


def began(today: date) -> Line:
    """The first line: on which day the lender was made, so that a load that was cut short goes on with that day."""
    return watermark("messages", name=f"demo-began-{today:%Y%m%d}", until=Days(today).at(today, 0))


def loaded(today: date) -> Line:
    """The last line: all of it is there."""
    return watermark("messages", name=f"demo-loaded-{today:%Y%m%d}", until=Days(today).at(today, 0))


def watermark(feed: str, *, name: str, until: str) -> Line:
    """Posted as it reaches: of those that reach a message a check names the one posted first, whatever comes later."""
    return {
        "type": "watermark",
        "external_id": f"{feed}-{name}",
        "posted_at": until,
        "feed": feed,
        "complete_until": until,
    }


def _loan_lines(tale: Tale, days: Days) -> Iterator[Line]:
    opened = tale.due[0] - relativedelta(months=1)
    loan: Line = {
        "type": "loan",
        "external_id": tale.loan,
        "posted_at": days.at(opened, 9),
        "customer": tale.person.external_id,
        "product": tale.product,
        "currency": tale.currency,
        "principal": str((tale.amount * len(tale.due) * Decimal("0.94")).quantize(Decimal("0.01"))),
        "opened_on": opened.isoformat(),
        "time_zone": tale.person.zone,
        **_dated(tale.plan.loan, tale.sent_on),
    }
    yield loan
    if tale.plan.late_news:
        told = tale.sent_on + timedelta(days=2)
        yield loan | {"version": 2, "posted_at": days.at(told, 10)} | _dated(tale.plan.late_news, tale.sent_on)
    interest = (tale.amount * Decimal("0.06")).quantize(Decimal("0.01"))
    for place, due_on in enumerate(tale.due, start=1):
        yield {
            "type": "instalment",
            "external_id": f"{tale.loan}-{place}",
            "posted_at": days.at(opened, 9),
            "loan": tale.loan,
            "number": place,
            "due_on": due_on.isoformat(),
            "amount": str(tale.amount),
            "principal": str(tale.amount - interest),
            "interest": str(interest),
        }
    yield from _repayments(tale, days)
    yield from _messages(tale, days)


def _dated(fields: Any, sent_on: date) -> Line:
    """Fields of a loan whose values are days from the message's day, as dates; `grace_days` is a number of days."""

    def day(days: int) -> str:
        return (sent_on + timedelta(days=days)).isoformat()

    found: Line = {}
    for name, value in fields.items():
        if name == "grace_days":
            found[name] = value
        elif isinstance(value, tuple):
            found[name] = [{"from": day(value[0]), "until": day(value[1])}]
        else:
            found[name] = day(value)
    return found


def _repayments(tale: Tale, days: Days) -> Iterator[Line]:
    """The instalments before the current one, each paid near its due date; then the current one, as the plan says;
    after it, those that fell due since, where the customer has caught up."""
    rng = Random(tale.loan)  # noqa: S311
    settled = "settled_on" in tale.plan.loan
    for place in range(tale.current):
        paid = tale.due[place] - timedelta(days=rng.choice((0, 0, 0, 1, 2, 3, -1, -2)))
        hour = rng.randrange(8, 22)
        yield _repayment(tale, place + 1, paid=days.at(paid, hour), posted=days.at(paid + timedelta(days=1), 6))
    if settled:
        # The rest at once, on the day on which the loan was settled.
        paid = tale.sent_on + timedelta(days=-8)
        rest = tale.amount * (len(tale.due) - tale.current)
        posted = days.at(paid, 15)
        yield _repayment(tale, tale.current + 1, paid=days.at(paid, 14), posted=posted, amount=rest)
        return
    payment = tale.plan.payment
    if payment is None:
        return
    yield from _current(tale, payment, days)
    if payment.share < 100 or (payment.reversed_in is not None and payment.voided_in is None):
        return
    for place in range(tale.current + 1, len(tale.due)):
        if days.has_come(tale.due[place]):
            paid = tale.due[place]
            yield _repayment(tale, place + 1, paid=days.at(paid, 11), posted=days.at(paid, 18))


def _current(tale: Tale, payment: Payment, days: Days) -> Iterator[Line]:
    paid_on = tale.sent_on + timedelta(days=payment.paid[0])
    posted_on = tale.sent_on + timedelta(days=payment.posted[0])
    if not days.has_come(posted_on):
        return
    # A list that was built before the payment was posted, on the same day, was used a little later.
    paid, posted = days.at(paid_on, payment.paid[1]), days.at(posted_on, payment.posted[1], 30)
    amount = (tale.amount * payment.share / 100).quantize(Decimal("0.01"))
    yield _repayment(tale, tale.current + 1, paid=paid, posted=posted, amount=amount)
    if payment.reversed_in is None:
        return
    target = f"{tale.loan}-P{tale.current + 1}"
    taken_back = paid_on + timedelta(days=payment.reversed_in)
    yield {
        "type": "reversal",
        "external_id": f"{target}-R",
        "repayment": target,
        "reversed_at": days.at(taken_back, 9),
        "posted_at": days.at(taken_back, 10),
        "reason": "returned by the bank",
    }
    if payment.voided_in is not None:
        yield {
            "type": "void",
            "external_id": f"{target}-RV",
            "posted_at": days.at(taken_back + timedelta(days=payment.voided_in), 9),
            "target_type": "reversal",
            "target": f"{target}-R",
        }


def _repayment(tale: Tale, number: int, *, paid: str, posted: str, amount: Decimal | None = None) -> Line:
    return {
        "type": "repayment",
        "external_id": f"{tale.loan}-P{number}",
        "loan": tale.loan,
        "amount": str(tale.amount if amount is None else amount),
        "paid_at": paid,
        "posted_at": posted,
        "method": ("bank transfer", "direct debit", "app")[number % 3],
        "reference": f"{tale.loan}-P{number}",
    }


def _messages(tale: Tale, days: Days) -> Iterator[Line]:
    """The message that is told of; before an urge the reminder of the same instalment, where it was sent lately; after
    one that changed nothing, another a week later."""
    due_on = tale.due[tale.current]
    ahead = due_on - timedelta(days=3)
    if tale.plan.category in ("urge", "warning") and -8 < (due_on - tale.sent_on).days < 0 and not tale.plan.loan:
        yield _message(tale, days, name=f"{tale.message}-a", day=ahead, rule="due-soon", category="reminder")
    yield _message(tale, days, name=tale.message, day=tale.sent_on, rule=tale.plan.rule, category=tale.plan.category)
    again = tale.sent_on + timedelta(days=8)
    if tale.plan_name in ("urged_unpaid", "warned", "urged_week") and days.has_come(again):
        yield _message(tale, days, name=f"{tale.message}-b", day=again, rule=tale.plan.rule, category="urge")


def _message(tale: Tale, days: Days, *, name: str, day: date, rule: str, category: str) -> Line:
    due_on = tale.due[tale.current]
    short_ref = tale.short_ref + name.removeprefix(tale.message).replace("-", "").upper()
    told = name == tale.message
    amount, late = tale.amount, (day - due_on).days
    claims: Line = {}
    if told and tale.plan.claims == "amount":
        amount = (tale.amount * Decimal("1.35")).quantize(Decimal("0.01"))
        claims = {"claimed_amount": str(amount), "claimed_days_past_due": late}
    elif told and tale.plan.claims == "days":
        claims = {"claimed_amount": str(amount), "claimed_days_past_due": late + 11}
    elif told and tale.plan.claims == "true":
        claims = {"claimed_amount": str(amount), "claimed_days_past_due": late}
    sent = days.at(day, tale.hour, tale.minute)
    return {
        "type": "message",
        "external_id": name,
        "posted_at": sent,
        "loan": tale.loan,
        "phone": tale.phone if told else tale.person.phone,
        "channel": "sms",
        "category": category,
        "sent_at": sent,
        "list_built_at": days.at(day, 6),
        "sending_rule": rule,
        "campaign": f"{rule}-{day:%m%d}",
        "vendor": tale.vendor,
        "body": texts.body(
            category=category,
            language=tale.person.language,
            amount=f"{amount} {tale.currency}" if tale.person.language == "en" else f"{amount} 元",
            days=claims.get("claimed_days_past_due"),
            ref=short_ref,
        ),
        "short_ref": short_ref,
        "delivery_status": "delivered",
        **claims,
    }
