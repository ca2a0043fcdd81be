"""How a message of the demo lender comes to be right or wrong: one plan for each way, and what the lender's records say
of it.

A plan is told in days from the message's day. The cause that a check finds follows from the records alone; the name of
a plan is only what it sets out to show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RULES: Mapping[str, Mapping[str, Any]] = {
    "overdue-1": {"name": "Overdue from the first day", "aim": "overdue", "min_dpd": 1, "owner": "collections"},
    "overdue-7": {"name": "Overdue a week", "aim": "overdue", "min_dpd": 7, "owner": "collections"},
    "overdue-30": {"name": "Overdue a month", "aim": "overdue", "min_dpd": 30, "owner": "collections"},
    "early-risk": {"name": "Early risk score", "aim": "risk", "owner": "risk"},
    "due-soon": {"name": "Due in three days", "aim": "pre_due", "owner": "service"},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Payment:
    """When the current instalment was paid and posted: days from the message's day with an hour each. `share`: how
    much of it, in hundredths; `reversed_in`, `voided_in`: days until it was taken back, and until that was an error."""

    paid: tuple[int, int]
    posted: tuple[int, int]
    share: int = 100
    reversed_in: int | None = None
    voided_in: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One way in which a message goes out.

    `due_in`: days from the message's day to the due date of the instalment that it is about, from and to; `loan`:
    dated fields of the loan (days from the message's day); `claims`: what the message says of the account, as a change
    to the truth; `late_news`: loan fields that the records showed only two days after the message; `ground`: what a
    customer would say of it; `right`: whether the customer would be right.
    """

    weight: int
    due_in: tuple[int, int]
    rule: str
    category: str
    payment: Payment | None = None
    loan: Mapping[str, object] = field(default_factory=dict)
    late_news: Mapping[str, object] = field(default_factory=dict)
    claims: str | None = None
    to_contact: bool = False
    least_age: int = 1
    ground: str = "not_overdue"
    right: bool = False


_SOON = Payment(paid=(2, 12), posted=(2, 13))

PLANS: Mapping[str, Plan] = {
    # In order.
    "reminded": Plan(
        weight=62, due_in=(3, 3), rule="due-soon", category="reminder", payment=Payment(paid=(2, 19), posted=(3, 6))
    ),
    "reminded_unpaid": Plan(weight=14, due_in=(3, 3), rule="due-soon", category="reminder"),
    "urged": Plan(weight=44, due_in=(-9, -1), rule="overdue-1", category="urge", payment=_SOON),
    "urged_unpaid": Plan(
        weight=26, due_in=(-14, -1), rule="overdue-1", category="urge", claims="true", ground="wrong_amount"
    ),
    "urged_partly_paid": Plan(
        weight=14,
        due_in=(-12, -3),
        rule="overdue-1",
        category="urge",
        payment=Payment(paid=(-2, 20), posted=(-1, 5), share=40),
        ground="already_paid",
    ),
    "urged_week": Plan(weight=18, due_in=(-20, -7), rule="overdue-7", category="urge", ground="agent_conduct"),
    "warned": Plan(weight=14, due_in=(-55, -31), rule="overdue-30", category="warning", ground="other"),
    "bounced": Plan(
        weight=7,
        due_in=(-8, -4),
        rule="overdue-1",
        category="urge",
        payment=Payment(paid=(-4, 10), posted=(-4, 11), reversed_in=2),
        ground="already_paid",
    ),
    "served": Plan(weight=10, due_in=(8, 20), rule="due-soon", category="service", ground="other"),
    # Not in order.
    "late_posting": Plan(
        weight=12,
        due_in=(-4, -2),
        least_age=3,
        rule="overdue-1",
        category="urge",
        payment=Payment(paid=(-5, 21), posted=(1, 7)),
        ground="already_paid",
        right=True,
    ),
    "stale_list": Plan(
        weight=9,
        due_in=(-3, -1),
        rule="overdue-1",
        category="urge",
        payment=Payment(paid=(-1, 20), posted=(0, 8)),
        ground="already_paid",
        right=True,
    ),
    "reversal_voided": Plan(
        weight=4,
        due_in=(-6, -4),
        least_age=3,
        rule="overdue-1",
        category="urge",
        payment=Payment(paid=(-6, 9), posted=(-6, 10), reversed_in=3, voided_in=4),
        ground="already_paid",
        right=True,
    ),
    "backdated_change": Plan(
        weight=5,
        due_in=(-6, -3),
        least_age=3,
        rule="overdue-1",
        category="urge",
        late_news={"pauses": (-12, 20)},
        ground="not_overdue",
        right=True,
    ),
    "within_grace": Plan(
        weight=9, due_in=(-3, -1), rule="overdue-1", category="urge", loan={"grace_days": 5}, payment=_SOON, right=True
    ),
    "arrangement": Plan(
        weight=7, due_in=(-10, -6), rule="overdue-1", category="urge", loan={"arrangements": (-5, 25)}, right=True
    ),
    "pause": Plan(weight=5, due_in=(-9, -4), rule="overdue-1", category="urge", loan={"pauses": (-12, 15)}, right=True),
    "pre_due_rule": Plan(weight=7, due_in=(1, 3), rule="due-soon", category="urge", payment=_SOON, right=True),
    "settled": Plan(
        weight=7,
        due_in=(-6, -3),
        rule="overdue-1",
        category="urge",
        loan={"settled_on": -8},
        ground="no_longer_owed",
        right=True,
    ),
    "written_off": Plan(
        weight=3,
        due_in=(-50, -35),
        rule="overdue-30",
        category="warning",
        loan={"written_off_on": -4},
        ground="no_longer_owed",
        right=True,
    ),
    "risk": Plan(weight=9, due_in=(7, 18), rule="early-risk", category="urge", right=True),
    "wrong_rule": Plan(weight=7, due_in=(-5, -2), rule="overdue-7", category="urge", payment=_SOON, right=True),
    "wrong_amount": Plan(
        weight=6,
        due_in=(-9, -3),
        rule="overdue-1",
        category="urge",
        claims="amount",
        ground="wrong_amount",
        right=True,
    ),
    "wrong_days": Plan(
        weight=4, due_in=(-9, -3), rule="overdue-1", category="urge", claims="days", ground="wrong_amount", right=True
    ),
    "to_contact": Plan(
        weight=6,
        due_in=(-12, -2),
        rule="overdue-1",
        category="urge",
        to_contact=True,
        ground="third_party_contacted",
        right=True,
    ),
}
"""Name → plan. Their weights add up to about the number of loans."""
