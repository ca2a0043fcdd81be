"""The account at an instant, on two clocks, line by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from disputes.check.clocks import Clock, clock_of
from disputes.check.facts import ALWAYS, History, InstalmentVersion, RepaymentVersion
from disputes.check.standing import ZERO, Standing, zone_named
from disputes.check.versions import View, view_of

USUAL_ALLOCATION = ("penalties", "fees", "interest", "principal")
OTHER = "other"
"""The component of what the parts of an instalment do not explain."""


class AccountInstalment(NamedTuple):
    """`paid_off_on`: the value date (local) of the payment that completed it; None: not complete, or nothing to pay."""

    external_id: str
    number: int
    due_on: date
    amount: Decimal
    paid: Decimal
    outstanding: Decimal
    paid_off_on: date | None


class AccountRepayment(NamedTuple):
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
    clock: Clock = field(compare=False, repr=False)
    """What it was made from."""

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
    return account_on(clock_of(view_of(history=history, at=at, known_at=known_at)))


def account_of(view: View) -> Account:
    """The account of a view that has been made already."""
    return account_on(clock_of(view))


def account_on(clock: Clock) -> Account:
    """The account of a clock, line by line."""
    zone, settled = zone_named(clock.time_zone), clock.standing.settled
    lines, left = [], clock.paid
    complete = completions(clock.books.sums, clock.counted)
    for one in clock.instalments:
        last = next(complete, None)
        paid = min(left, one.amount)
        left -= paid
        outstanding = ZERO if settled else one.amount - paid
        paid_off_on = None if last is None or not one.amount else last.paid_at.astimezone(zone).date()
        lines.append(
            AccountInstalment(one.external_id, one.number, one.due_on, one.amount, paid, outstanding, paid_off_on)
        )
    return Account(
        exists=clock.terms is not None,
        at=clock.at,
        currency=clock.currency,
        time_zone=clock.time_zone,
        standing=clock.standing,
        instalments=tuple(lines),
        repayments=tuple(
            [
                AccountRepayment(one.external_id, one.amount, one.paid_at, shown_at(one.posted_at), reversed_at)
                for one, reversed_at in clock.view.repayments
            ]
        ),
        clock=clock,
    )


def completions(
    sums: Sequence[Decimal], payments: Iterable[RepaymentVersion], came_in: Decimal = ZERO
) -> Iterator[RepaymentVersion | None]:
    """Of each instalment that is paid, oldest first, the payment that completed it; it ends at the first that is not.

    `sums`: what was owed with each (as in `stands`); `payments`: those that stand, by value date, after `came_in` was
    paid by earlier ones. None: there was nothing to pay.
    """
    last: RepaymentVersion | None = None
    money = iter(payments)
    for owed in sums:
        while came_in < owed:
            last = next(money, None)
            if last is None:
                return
            came_in += last.amount
        yield last


class Part(NamedTuple):
    """One component of an instalment."""

    amount: Decimal
    paid: Decimal
    outstanding: Decimal


def parts_of(
    *, instalment: InstalmentVersion, paid: Decimal, allocation: tuple[str, ...] = (), settled: bool = False
) -> dict[str, Part]:
    """What was paid and is left of an instalment, by component, when `paid` of it came in, in the loan's order of
    allocation.

    A component that the order does not name comes after those that it does, in the usual order; what the parts do not
    explain of the amount stands under ``other``, last. Parts that exceed the amount are taken as they are, up to the
    amount. `settled`: nothing is outstanding any more, whatever was paid.
    """
    parts: dict[str, Part] = {}
    room = instalment.amount

    def take(name: str, amount: Decimal) -> None:
        nonlocal paid, room
        room -= amount
        covered = min(paid, amount)
        paid -= covered
        parts[name] = Part(amount, covered, ZERO if settled else amount - covered)

    for name in (*allocation, *(one for one in USUAL_ALLOCATION if one not in allocation)):
        stated: Decimal | None = getattr(instalment, name, None)
        if stated is not None:
            take(name, min(stated, room))
    if room > ZERO:
        take(OTHER, room)
    return parts


def parts_left(*, instalment: InstalmentVersion, paid: Decimal, allocation: tuple[str, ...] = ()) -> dict[str, Decimal]:
    """What is left of an instalment, by component (as `parts_of`)."""
    parts = parts_of(instalment=instalment, paid=paid, allocation=allocation)
    return {name: part.outstanding for name, part in parts.items()}


def by_component(account: Account) -> tuple[dict[str, Part], ...]:
    """Paid and outstanding of every instalment of the account, by component, in the loan's order of allocation."""
    terms = account.clock.terms
    allocation = terms.allocation if terms is not None else ()
    return tuple(
        [
            parts_of(instalment=one, paid=line.paid, allocation=allocation, settled=account.settled)
            for one, line in zip(account.clock.instalments, account.instalments, strict=True)
        ]
    )


def shown_at(posted_at: datetime) -> datetime | None:
    """When the records first showed it; None: they always did."""
    return None if posted_at <= ALWAYS else posted_at
