"""Why a message went out wrongly: the causes, in their order, each with what makes it hold and which grounds it
answers.

A cause that needs facts which no criterion has yet (`wrong_recipient`, `unauthorised_send`, frequency, contact hours)
is not in the table until its criterion is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from disputes.check.facts import ACCOUNT_GROUNDS
from disputes.check.matter import PRESUPPOSING, Matter, change_since_list, faults, with_more_paid
from disputes.check.standing import ZERO

UNCOLLECTING = frozenset({"service", "survey"})
"""Categories that claim nothing of the account."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """A cause that holds. `detail`: how, where the cause has one; `partly`: it is right only in part for the
    customer."""

    detail: str | None = None
    partly: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    name: str
    holds: Callable[[Matter], Holding | None]
    answers: frozenset[str]
    """The grounds that it answers."""


def settled_loan(matter: Matter) -> Holding | None:
    """The loan was settled or written off, as known at the list; for a reminder, or nothing of it was left to pay."""
    if matter.message.category in UNCOLLECTING:
        return None
    return Holding() if matter.listed.standing.settled or reminds_of_nothing(matter) else None


def reminds_of_nothing(matter: Matter) -> bool:
    """A reminder that presupposes no arrears, of a loan that was paid off to the last instalment, as known and as it
    was."""
    if matter.message.category != "reminder" or matter.needs:
        return False
    return all(
        bool(clock.view.instalments) and clock.standing.outstanding <= clock.position.tolerance
        for clock in (matter.listed, matter.was)
    )


def stale_records(matter: Matter) -> Holding | None:
    """As known at the list the message was in order; as it was it was not."""
    was = faults(matter=matter, clock=matter.was)
    if not was or faults(matter=matter, clock=matter.listed):
        return None
    return Holding(detail=stale_detail(matter), partly=was == ("not_enough",))


def stale_detail(matter: Matter) -> str:
    """Which late news turned it.

    ``stale_list``: repayments posted between list and message; ``late_posting``: those posted after it;
    ``reversal_voided``: a reversal that was taken back; else ``backdated_change``. Each is tried alone on the records
    of the list.
    """
    at = matter.message.sent_at

    def turned(more: Decimal) -> bool:
        if more == ZERO:
            return False
        return bool(faults(matter=matter, clock=with_more_paid(clock=matter.listed, more=more, at=at)))

    if turned(change_since_list(matter=matter, clock=matter.sent).posted_more):
        return "stale_list"
    change = change_since_list(matter=matter, clock=matter.was)
    if turned(change.posted_more):
        return "late_posting"
    if change.revived_more and turned(change.posted_more + change.revived_more):
        return "reversal_voided"
    return "backdated_change"


def risk_strategy(matter: Matter) -> Holding | None:
    """No arrears as it was, and the sending rule's aim is risk."""
    if matter.aim != "risk" or matter.was.standing.days_past_due:
        return None
    return Holding()


def automation_rule(matter: Matter) -> Holding | None:
    """As known at the list: inside grace, an arrangement kept, a pause; or an urge from a rule that sends before due
    dates."""
    if matter.needs == 0:
        return None
    known = matter.listed.standing
    for detail, holds in (
        ("within_grace", known.within_grace),
        ("arrangement", known.arrangement_kept),
        ("pause", known.paused),
        ("pre_due_rule", presses_before_due(matter)),
    ):
        if holds:
            return Holding(detail=detail)
    return None


def presses_before_due(matter: Matter) -> bool:
    """An urge or a warning from a rule whose aim is before the due date, where there were no arrears as it was."""
    return (
        matter.message.category in PRESUPPOSING and matter.aim == "pre_due" and matter.was.standing.days_past_due == 0
    )


def system_error(matter: Matter) -> Holding | None:
    """Fewer days past due than the rule needs, as known at the list and as it was."""
    known, was = matter.listed.standing.days_past_due, matter.was.standing.days_past_due
    if known >= matter.needs or was >= matter.needs:
        return None
    return Holding(partly=faults(matter=matter, clock=matter.was) == ("not_enough",))


def wrong_amount(matter: Matter) -> Holding | None:
    """The claimed amount or days differ from the records beyond the tolerance."""
    if amount_differs(matter):
        return Holding(detail="amount")
    if days_differ(matter):
        return Holding(detail="days")
    return None


def amounts_that_fit(matter: Matter) -> tuple[Decimal, ...]:
    """What a message could truly have claimed: the overdue amount, with or without what falls due that day; where
    nothing is overdue, what is left of the next instalment."""
    was = matter.was.standing
    if was.overdue_amount > ZERO:
        return (was.overdue_amount, was.overdue_amount + was.due_today)
    return (was.next_due_amount,)


def amount_differs(matter: Matter) -> bool:
    claimed = matter.message.claimed_amount
    if claimed is None:
        return False
    tolerance = matter.was.position.tolerance
    return all(abs(claimed - amount) > tolerance for amount in amounts_that_fit(matter))


def days_differ(matter: Matter) -> bool:
    claimed = matter.message.claimed_days_past_due
    return claimed is not None and claimed != matter.was.standing.days_past_due


CAUSES: tuple[Cause, ...] = (
    Cause(name="settled_loan", holds=settled_loan, answers=ACCOUNT_GROUNDS),
    Cause(name="stale_records", holds=stale_records, answers=ACCOUNT_GROUNDS),
    Cause(name="risk_strategy", holds=risk_strategy, answers=ACCOUNT_GROUNDS),
    Cause(name="automation_rule", holds=automation_rule, answers=ACCOUNT_GROUNDS),
    Cause(name="system_error", holds=system_error, answers=ACCOUNT_GROUNDS),
    Cause(name="wrong_amount", holds=wrong_amount, answers=frozenset({"wrong_amount"})),
)
"""The first that answers the ground explains the message, else the first that holds."""


def causes_of(matter: Matter) -> tuple[tuple[Cause, Holding], ...]:
    """The causes that hold, in the table's order; none where the records do not hold the account."""
    if not matter.tells:
        return ()
    rows = ((cause, cause.holds(matter)) for cause in CAUSES)
    return tuple((cause, holding) for cause, holding in rows if holding is not None)
