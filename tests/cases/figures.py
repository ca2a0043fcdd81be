"""What a moment of a case expects, and what an account gives for it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from disputes.check.account import Account

SILENT = {"at", "as", "derived", "differs"}


def figures(account: Account) -> dict[str, Any]:
    """Every figure that a moment may name, as the account gives it, amounts as Decimal and days as ISO text."""
    day = account.standing.day
    late = []
    left = [(row.paid_at.date(), row.amount) for row in account.repayments if row.reversed_at is None]
    for line in account.instalments:
        late.append(Decimal(0))
        room = line.amount
        while room and left:
            paid_on, amount = left[0]
            part = min(room, amount)
            room -= part
            left[0] = (paid_on, amount - part)
            if paid_on > line.due_on:
                late[-1] += part
            if left[0][1] == 0:
                left.pop(0)
    return {
        "days_past_due": account.days_past_due,
        "delinquent_days": account.delinquent_days,
        "overdue_amount": account.overdue_amount,
        "oldest_unpaid_due_on": account.oldest_unpaid_due_on.isoformat() if account.oldest_unpaid_due_on else "none",
        "outstanding_by_instalment": [line.outstanding for line in account.instalments],
        "paid_by_instalment": [line.paid for line in account.instalments],
        "paid_off_on_by_instalment": [
            line.paid_off_on.isoformat() if line.paid_off_on else None for line in account.instalments
        ],
        "paid_late_by_instalment": late,
        "outstanding_total": account.outstanding,
        "overpaid": account.overpaid,
        "overdue_by_age": [
            ((day - line.due_on).days, line.outstanding)
            for line in account.instalments
            if line.due_on < day and line.outstanding
        ],
    }


def disagreements(moment: dict[str, Any], account: Account) -> Iterator[tuple[str, Any, Any]]:
    """(figure, expected, ours) of every figure that the moment names and the account does not give."""
    ours = figures(account)
    for name, expected in moment.items():
        if name in SILENT or expected is None:
            continue
        if name == "delinquent_days_between":
            low, high = expected
            if not (low <= account.delinquent_days and (high is None or account.delinquent_days <= high)):
                yield name, expected, account.delinquent_days
        elif name == "overdue_by_age":
            if not _ages_agree(expected, ours[name]):
                yield name, expected, ours[name]
        elif _plain(expected) != _plain(ours[name]):
            yield name, expected, ours[name]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, str):
        try:
            return Decimal(value)
        except ArithmeticError:
            return value
    return value


def _ages_agree(expected: Any, ours: list[tuple[int, Decimal]]) -> bool:
    """`expected`: rows of a range of days and the overdue money in it."""
    for row in expected:
        low, high = row["from_days"], row["to_days"]
        total = sum((amount for days, amount in ours if low <= days and (high is None or days <= high)), Decimal(0))
        if total != Decimal(row["amount"]):
            return False
    return True
