"""The account at an instant, on two clocks, line by line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from config.values.money import render_amount
from disputes.check.facts import ALWAYS, History, InstalmentVersion
from disputes.check.standing import ZERO, Standing, local_day, position_of_view, standing
from disputes.check.versions import View, view_of

USUAL_ALLOCATION = ("penalties", "fees", "interest", "principal")


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountInstalment:
    """`paid_off_on`: the value date (local) of the payment that completed it; None: not complete, or nothing to pay."""

    external_id: str
    number: int
    due_on: date
    amount: Decimal
    paid: Decimal
    outstanding: Decimal
    paid_off_on: date | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountRepayment:
    """`posted_at`: when the records first showed it so (None: always); `reversed_at`: None where it stands."""

    external_id: str
    amount: Decimal
    paid_at: datetime
    posted_at: datetime | None
    reversed_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """A loan's account. Amounts are in `currency`; days are local dates in `time_zone`."""

    exists: bool
    """Whether the records have the loan itself, at that instant."""
    at: datetime
    currency: str
    time_zone: str
    standing: Standing
    instalments: tuple[AccountInstalment, ...]
    repayments: tuple[AccountRepayment, ...]

    @property
    def days_past_due(self) -> int:
        return self.standing.days_past_due

    @property
    def delinquent_days(self) -> int:
        return self.standing.delinquent_days

    @property
    def overdue_amount(self) -> Decimal:
        return self.standing.overdue_amount

    @property
    def oldest_unpaid_due_on(self) -> date | None:
        return self.standing.oldest_unpaid_due_on

    @property
    def next_due_on(self) -> date | None:
        return self.standing.next_due_on

    @property
    def settled(self) -> bool:
        return self.standing.settled

    @property
    def outstanding(self) -> Decimal:
        return self.standing.outstanding

    @property
    def overpaid(self) -> Decimal:
        return self.standing.overpaid


def account_at(*, history: History, at: datetime, known_at: datetime | None = None) -> Account:
    """The account at `at` (aware), with what the records knew at `known_at` (None: with all that they know today).

    Facts later than `at` are not true yet, whoever knows of them. Money goes to the oldest instalment first, by value
    date; a reversed repayment is as if it had never been, from its reversal on.
    """
    return account_of(view_of(history=history, at=at, known_at=known_at))


def account_of(view: View) -> Account:
    """The account of a view that has been made already."""
    position = position_of_view(view)
    stands = standing(position=position, at=view.at)
    return Account(
        exists=view.terms is not None,
        at=view.at,
        currency=position.currency,
        time_zone=position.time_zone,
        standing=stands,
        instalments=_instalments(view, settled=stands.settled),
        repayments=tuple(
            AccountRepayment(
                external_id=row.version.external_id,
                amount=row.version.amount,
                paid_at=row.version.paid_at,
                posted_at=shown_at(row.version.posted_at),
                reversed_at=row.reversed_at,
            )
            for row in view.repayments
        ),
    )


def _instalments(view: View, *, settled: bool) -> tuple[AccountInstalment, ...]:
    money = [(row.version.paid_at, row.version.amount) for row in view.repayments if row.reversed_at is None]
    lines = []
    left, at, turn = ZERO, view.at, 0
    for one in view.instalments:
        paid = ZERO
        while paid < one.amount:
            if left == ZERO:
                if turn == len(money):
                    break
                at, left = money[turn]
                turn += 1
            part = min(left, one.amount - paid)
            paid += part
            left -= part
        complete = one.amount > ZERO and paid == one.amount
        lines.append(
            AccountInstalment(
                external_id=one.external_id,
                number=one.number,
                due_on=one.due_on,
                amount=one.amount,
                paid=paid,
                outstanding=ZERO if settled else one.amount - paid,
                paid_off_on=local_day(at, view.time_zone) if complete else None,
            )
        )
    return tuple(lines)


def parts_left(*, instalment: InstalmentVersion, paid: Decimal, allocation: tuple[str, ...] = ()) -> dict[str, Decimal]:
    """What is left of an instalment, by component, when `paid` of it came in, in the loan's order of allocation.

    A component that the order does not name comes after those that it does, in the usual order; what the parts do not
    explain of the amount stands under ``other``, last. Parts that exceed the amount are taken as they are, up to the
    amount.
    """
    order = (*allocation, *(part for part in USUAL_ALLOCATION if part not in allocation))
    left: dict[str, Decimal] = {}
    room = instalment.amount
    for part in order:
        stated: Decimal | None = getattr(instalment, part, None)
        if stated is None:
            continue
        amount = min(stated, room)
        room -= amount
        covered = min(paid, amount)
        paid -= covered
        left[part] = amount - covered
    if room > ZERO:
        left["other"] = max(ZERO, room - paid)
    return left


def render(account: Account) -> dict[str, Any]:
    """The ACCOUNT of the API, JSON-ready: money as strings with its currency, dates and times in ISO form (times in
    UTC)."""
    currency = account.currency

    def money(amount: Decimal) -> dict[str, str]:
        return {"amount": render_amount(amount, currency), "currency": currency}

    return {
        "days_past_due": account.days_past_due,
        "delinquent_days": account.delinquent_days,
        "overdue_amount": money(account.overdue_amount),
        "oldest_unpaid_due_on": render_day(account.oldest_unpaid_due_on),
        "next_due_on": render_day(account.next_due_on),
        "settled": account.settled,
        "outstanding": money(account.outstanding),
        "overpaid": money(account.overpaid),
        "instalments": [
            {
                "number": line.number,
                "due_on": line.due_on.isoformat(),
                "amount": money(line.amount),
                "paid": money(line.paid),
                "outstanding": money(line.outstanding),
                "paid_off_on": render_day(line.paid_off_on),
            }
            for line in account.instalments
        ],
        "repayments": [
            {
                "external_id": row.external_id,
                "amount": money(row.amount),
                "paid_at": render_instant(row.paid_at),
                "posted_at": render_instant(row.posted_at),
                "reversed_at": render_instant(row.reversed_at),
            }
            for row in account.repayments
        ],
    }


def shown_at(posted_at: datetime) -> datetime | None:
    """When the records first showed it; None: they always did."""
    return None if posted_at <= ALWAYS else posted_at


def render_day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def render_instant(at: datetime | None) -> str | None:
    """ISO 8601 in UTC, with microseconds where there are any."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
