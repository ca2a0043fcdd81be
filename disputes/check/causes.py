"""Why a message went out wrongly: the causes, in their order, each with what makes it hold and which grounds it
answers."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from disputes.check import contacting, recipient
from disputes.check.clocks import Clock
from disputes.check.facts import ACCOUNT_GROUNDS
from disputes.check.matter import PRESUPPOSING, Matter, change_since_list, faults, with_more_paid
from disputes.check.permitting import is_unauthorised, permit_fault
from disputes.check.presence import (
    ACCOUNT,
    AIMED,
    AMOUNT,
    DAYS,
    GATED,
    LATE,
    OTHERS,
    OVER,
    OWNERS,
    PRESSES,
    SPARED,
    bears_on,
    once,
)
from disputes.check.recipient import RECIPIENT_GROUNDS
from disputes.check.standing import ZERO

UNCOLLECTING = frozenset({"service", "survey"})
"""Categories that claim nothing of the account."""

TOO_OFTEN = frozenset({"too_frequent"})
WRONG_HOUR = frozenset({"outside_hours"})
WRONG_AMOUNT = frozenset({"wrong_amount"})
NO_GROUND: frozenset[str] = frozenset()


THE_ACCOUNT, THE_SENDING = "account", "sending"
NEVER, TOO_FEW_DAYS = "never", "too_few_days"


class Cause(NamedTuple):
    """A row of the table.

    `detail`: how it holds, or what tells it. `answers`: the grounds that it answers. `rests_on`: one that rests on the
    account never holds where the records do not have it. `in_part`: when it is right only in part for the customer.
    `counts`: whether alone it makes a customer right in part on the grounds that it does not answer.
    """

    name: str
    detail: str | Callable[[Matter], str] | None
    holds: Callable[[Matter], bool]
    answers: frozenset[str]
    rests_on: str
    in_part: str = NEVER
    counts: bool = True
    needs: int = 0
    """The facts (bits of `presence`) without which it cannot hold."""

    def detail_of(self, matter: Matter) -> str | None:
        """The detail, of a matter in which it holds."""
        detail = self.detail
        return detail if detail is None or isinstance(detail, str) else detail(matter)


def settled_loan(matter: Matter) -> bool:
    """The loan was settled or written off, as known at the list; for a reminder, or nothing of it was left to pay."""
    if matter.message.category in UNCOLLECTING:
        return False
    return matter.listed.standing.settled or reminds_of_nothing(matter)


def reminds_of_nothing(matter: Matter) -> bool:
    """A reminder that presupposes no arrears, of a loan that was paid off to the last instalment, as known and as it
    was."""
    if matter.message.category != "reminder" or matter.needs:
        return False
    return all(
        bool(clock.instalments) and clock.standing.outstanding <= clock.tolerance
        for clock in (matter.listed, matter.was)
    )


@once
def stale_records(matter: Matter) -> bool:
    """As known at the list the message was in order; as it was it was not."""
    if matter.listed is matter.was:
        return False
    return bool(faults(matter=matter, clock=matter.was)) and not faults(matter=matter, clock=matter.listed)


@once
def stale_detail(matter: Matter) -> str:
    """Which late news turned it.

    ``stale_list``: repayments posted between list and message; ``late_posting``: those posted after it;
    ``reversal_voided``: a reversal that was taken back; else ``backdated_change``. Each is tried alone on the records
    of the list.
    """
    at, listed = matter.message.sent_at, matter.listed
    if listed.missing is not None:
        # Repayments alone set the clocks apart: with those that came by the instant sent, the list's records are those
        # of that instant, and with the rest the account as it was.
        return "stale_list" if faults(matter=matter, clock=matter.sent) else "late_posting"

    def turned(more: Decimal) -> bool:
        if more == ZERO:
            return False
        return bool(faults(matter=matter, clock=with_more_paid(clock=listed, more=more, at=at)))

    if turned(change_since_list(matter=matter, clock=matter.sent).posted_more):
        return "stale_list"
    change = change_since_list(matter=matter, clock=matter.was)
    if turned(change.posted_more):
        return "late_posting"
    if change.revived_more and turned(change.posted_more + change.revived_more):
        return "reversal_voided"
    return "backdated_change"


def risk_strategy(matter: Matter) -> bool:
    """No arrears as it was, and the sending rule's aim is risk."""
    return matter.aim == "risk" and not matter.was.standing.days_past_due


def within_grace(matter: Matter) -> bool:
    """Inside grace, as known at the list, for a message that presupposes arrears."""
    return matter.needs > 0 and matter.listed.standing.within_grace


def arrangement(matter: Matter) -> bool:
    """An arrangement ran and was kept, as known at the list, for a message that presupposes arrears."""
    return matter.needs > 0 and matter.listed.standing.arrangement_kept


def pause(matter: Matter) -> bool:
    """Collection was paused, as known at the list, for a message that presupposes arrears."""
    return matter.needs > 0 and matter.listed.standing.paused


def presses_before_due(matter: Matter) -> bool:
    """An urge or a warning from a rule whose aim is before the due date, where there were no arrears as it was."""
    return (
        matter.message.category in PRESUPPOSING and matter.aim == "pre_due" and matter.was.standing.days_past_due == 0
    )


def system_error(matter: Matter) -> bool:
    """Fewer days past due than the rule needs, as known at the list and as it was."""
    return matter.was.standing.days_past_due < matter.needs_was and matter.listed.standing.days_past_due < matter.needs


def too_few_days(matter: Matter) -> bool:
    """As it was there were arrears, only not enough for the rule, and nothing else was against the message."""
    return faults(matter=matter, clock=matter.was) == ("not_enough",)


def amounts_that_fit(matter: Matter) -> tuple[Decimal, ...]:
    """What a message could truly have claimed."""
    return fitting_amounts(matter.was)


def fitting_amounts(clock: Clock) -> tuple[Decimal, ...]:
    """The overdue amount, with or without what falls due that day; where nothing is overdue, what is left of the next
    instalment."""
    stands = clock.standing
    if stands.overdue_amount > ZERO:
        return (stands.overdue_amount, stands.overdue_amount + stands.due_today)
    return (stands.next_due_amount,)


@once
def amount_differs(matter: Matter) -> bool:
    """The claimed amount differs from the records beyond the tolerance."""
    claimed = matter.message.claimed_amount
    if claimed is None:
        return False
    tolerance = matter.was.tolerance
    return not [amount for amount in amounts_that_fit(matter) if -tolerance <= claimed - amount <= tolerance]


def days_differ(matter: Matter) -> bool:
    """The claimed days past due differ from the records."""
    claimed = matter.message.claimed_days_past_due
    return claimed is not None and claimed != matter.was.standing.days_past_due


# fmt: off
CAUSES: tuple[Cause, ...] = (
    Cause("wrong_recipient", None, recipient.is_wrong_recipient, RECIPIENT_GROUNDS, THE_SENDING, needs=OWNERS),
    Cause("settled_loan", None, settled_loan, ACCOUNT_GROUNDS, THE_ACCOUNT, needs=OVER),
    Cause("stale_records", stale_detail, stale_records, ACCOUNT_GROUNDS, THE_ACCOUNT, in_part=TOO_FEW_DAYS, needs=LATE),
    Cause("risk_strategy", None, risk_strategy, ACCOUNT_GROUNDS, THE_ACCOUNT, needs=AIMED),
    Cause("automation_rule", "within_grace", within_grace, ACCOUNT_GROUNDS, THE_ACCOUNT, needs=PRESSES | SPARED),
    Cause("automation_rule", "arrangement", arrangement, ACCOUNT_GROUNDS, THE_ACCOUNT, needs=PRESSES | SPARED),
    Cause("automation_rule", "pause", pause, ACCOUNT_GROUNDS, THE_ACCOUNT, needs=PRESSES | SPARED),
    Cause("automation_rule", "pre_due_rule", presses_before_due, ACCOUNT_GROUNDS, THE_ACCOUNT, needs=AIMED),
    Cause("automation_rule", "same_message_twice", contacting.is_repeated, TOO_OFTEN, THE_SENDING, needs=OTHERS),
    Cause("automation_rule", "frequency_cap", contacting.is_above_cap, TOO_OFTEN, THE_SENDING, needs=OTHERS),
    Cause("automation_rule", "outside_hours", contacting.is_outside_hours, WRONG_HOUR, THE_SENDING),
    Cause("system_error", None, system_error, ACCOUNT_GROUNDS, THE_ACCOUNT, in_part=TOO_FEW_DAYS, needs=PRESSES),
    Cause("wrong_amount", "amount", amount_differs, WRONG_AMOUNT, THE_ACCOUNT, needs=AMOUNT),
    Cause("wrong_amount", "days", days_differ, WRONG_AMOUNT, THE_ACCOUNT, needs=DAYS),
    Cause("unauthorised_send", permit_fault, is_unauthorised, NO_GROUND, THE_SENDING, counts=False, needs=GATED),
)
# fmt: on
"""The first that answers the ground explains the message, else the first that holds. Within `automation_rule` the
contract names no order; a ground that several answer is explained by the first."""


def causes_of(matter: Matter, bits: int | None = None) -> tuple[Cause, ...]:
    """The rows that hold, in the table's order. `bits`: what bears on the matter, where that is known already."""
    rows = _worth_asking(bears_on(matter) if bits is None else bits)
    return tuple([cause for cause in rows if cause.holds(matter)])


@lru_cache(maxsize=4096)
def _worth_asking(bits: int) -> tuple[Cause, ...]:
    """The rows that could hold where these kinds of facts are there."""
    rows = [cause for cause in CAUSES if bits & ACCOUNT or cause.rests_on != THE_ACCOUNT]
    return tuple([cause for cause in rows if bits & cause.needs == cause.needs])
