"""The gate and the check, told the same of an account, say the same of it."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from disputes.check.facts import (
    ALWAYS,
    Arrangement,
    Claim,
    CollectionMessage,
    History,
    InstalmentVersion,
    LoanVersion,
    Period,
    Position,
    RepaymentVersion,
    ReversalVersion,
    SendingRuleVersion,
    Watermark,
)
from disputes.check.matter import Matter, faults, matter_of
from disputes.holds.walking import CustomerFact, GateFacts, GateItem, PhoneFact, RuleFact, Walk
from disputes.policy.contact_hours import NO_WISHES
from disputes.policy.freshness import feeds_behind
from disputes.policy.packs import SHIPPED, load_packs

CASES = 100_000
PARTS = 10
PACK = load_packs(SHIPPED).in_force("house", datetime(2026, 3, 10, tzinfo=UTC), "Asia/Shanghai")
PHONE = b"\1" * 17
ZONES = ("Asia/Shanghai", "America/New_York", "Pacific/Kiritimati", "Europe/London", "Australia/Lord_Howe")
SAYS = {
    "no_arrears": "not_overdue",
    "not_enough": "not_overdue",
    "grace": "within_grace",
    "arrangement": "arrangement",
    "pause": "arrangement",
}
"""The check's word → the gate's."""
ACCOUNT = frozenset(SAYS.values()) | {"records_stale"}


class Account:
    """One account at random, as both are told it: to the gate as a position, to the check as records."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.zone = rng.choice(ZONES)
        # Around midnight somewhere, and around a change of the clocks, more often than not.
        day = rng.choice([date(2026, 3, 8), date(2026, 3, 29), date(2026, 10, 25), date(2026, 7, 1)])
        self.at = datetime.combine(day, time(0), tzinfo=UTC) + timedelta(minutes=rng.randint(-900, 1700))
        self.day = day
        self.lines = sorted((self._near(60), Decimal(rng.choice([1, 50, 100, 100]))) for _ in range(rng.randint(0, 5)))
        whole = sum((amount for _, amount in self.lines), Decimal(0))
        self.payments = [Decimal(rng.choice([1, 50, 99, 100, 101])) for _ in range(rng.randint(0, 4))]
        if rng.random() < 0.2:
            self.payments.append(whole)
        self.reversed = [rng.random() < 0.2 for _ in self.payments]
        self.grace_days, self.tolerance = rng.choice([0, 0, 3, 10]), Decimal(rng.choice([0, 0, 1]))
        self.settled_on, self.written_off_on = (self._near(2) if rng.random() < 0.1 else None for _ in range(2))
        self.pauses = tuple(Period(first=first, until=until) for first, until in self._spans())
        self.arrangements = tuple(
            Arrangement(first=first, until=until, kept_until=rng.choice([None, None, self._near(2)]))
            for first, until in self._spans()
        )
        self.category = rng.choice(["reminder", "urge", "warning", "statutory"])
        self.rule = rng.choice([None, ("pre_due", None), ("overdue", None), ("overdue", 7), ("risk", None)])
        self.reached = {
            feed: self.at - timedelta(hours=rng.choice([0, 1, 23, 24, 25]))
            for feed in ("repayments", "schedule", "messages")
            if rng.random() < 0.95
        }

    def _near(self, days: int) -> date:
        return self.day + timedelta(days=self.rng.randint(-days, min(days, 5)))

    def _spans(self) -> list[tuple[date, date | None]]:
        if self.rng.random() < 0.85:
            return []
        first = self._near(20)
        return [(first, self.rng.choice([None, first + timedelta(days=self.rng.randint(0, 20))]))]

    def gate(self) -> frozenset[str]:
        """What the gate says of the account."""
        stands = [amount for amount, undone in zip(self.payments, self.reversed) if not undone]
        position = Position(
            currency="CNY",
            time_zone=self.zone,
            grace_days=self.grace_days,
            tolerance=self.tolerance,
            settled_on=self.settled_on,
            written_off_on=self.written_off_on,
            pauses=self.pauses,
            arrangements=self.arrangements,
            due_on=tuple(day for day, _ in self.lines),
            amounts=tuple(amount for _, amount in self.lines),
            paid=sum(stands, Decimal(0)),
        )
        facts = GateFacts(
            at=self.at,
            pack=PACK,
            lender_zone=self.zone,
            owner={"L1": "C1"},
            positions={"L1": lambda: position},
            phones={PHONE: [PhoneFact(customer="C1", role="own", first=None, until=None)]},
            customers={"C1": lambda: CustomerFact(zones=(self.zone,), wishes=NO_WISHES)},
            rules={"R": RuleFact(aim=self.rule[0], min_dpd=self.rule[1])} if self.rule else {},
            covers={},
            behind=feeds_behind(pack=PACK, reached=self.reached, at=self.at),
            live={},
            taken=(),
        )
        item = GateItem(
            request_id="r",
            phone=PHONE,
            loan="L1",
            channel="sms",
            category=self.category,
            sending_rule="R" if self.rule else None,
        )
        return frozenset(Walk(facts).look(item).reasons) & ACCOUNT

    def check(self) -> Matter:
        """What the check makes of it."""
        history = History(
            loan="L1",
            lender_time_zone=self.zone,
            loans=(
                LoanVersion(
                    external_id="L1",
                    posted_at=ALWAYS,
                    customer="C1",
                    currency="CNY",
                    time_zone=self.zone,
                    grace_days=self.grace_days,
                    tolerance=self.tolerance,
                    settled_on=self.settled_on,
                    written_off_on=self.written_off_on,
                    pauses=self.pauses,
                    arrangements=self.arrangements,
                ),
            ),
            instalments=tuple(
                InstalmentVersion(
                    external_id=f"I{n}", posted_at=ALWAYS, loan="L1", number=n, due_on=due_on, amount=amount
                )
                for n, (due_on, amount) in enumerate(self.lines)
            ),
            repayments=tuple(
                RepaymentVersion(
                    external_id=f"P{n}",
                    posted_at=ALWAYS,
                    loan="L1",
                    amount=amount,
                    paid_at=self.at - timedelta(hours=self.rng.randint(0, 900)),
                )
                for n, amount in enumerate(self.payments)
            ),
            reversals=tuple(
                ReversalVersion(external_id=f"V{n}", posted_at=ALWAYS, repayment=f"P{n}", reversed_at=self.at)
                for n, undone in enumerate(self.reversed)
                if undone
            ),
            sending_rules=(
                (SendingRuleVersion(external_id="R", posted_at=ALWAYS, aim=self.rule[0], min_dpd=self.rule[1]),)
                if self.rule
                else ()
            ),
            watermarks=tuple(
                Watermark(posted_at=ALWAYS, feed=feed, complete_until=until) for feed, until in self.reached.items()
            ),
        )
        message = CollectionMessage(
            external_id="M1",
            loan="L1",
            channel="sms",
            category=self.category,
            sent_at=self.at,
            sending_rule="R" if self.rule else None,
        )
        return matter_of(history=history, message=message, claim=Claim(ground="not_overdue"), pack=PACK)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_hundred_thousand_accounts_at_random(part: int) -> None:
    rng = random.Random(part)
    seen: dict[frozenset[str], int] = {}
    for case in range(CASES // PARTS):
        account = Account(rng)
        gate, matter = account.gate(), account.check()
        found = faults(matter=matter, clock=matter.was)
        if account.category == "statutory":
            # What a duty compels always passes the gate; whether it presupposed arrears is the check's to say.
            assert gate == frozenset()
            continue
        if matter.needs == 0:
            # A reminder of what is not yet due presupposes no arrears: the check asks whether something was left of
            # the instalment that it was about, which the gate cannot know before the sender says which that is.
            assert gate == frozenset()
            assert set(found) <= {"nothing_left"}
            continue
        expected = {SAYS[fault] for fault in found} | ({"records_stale"} if matter.behind else set())
        assert gate == expected, f"case {case}: {vars(account)}"
        seen[gate] = seen.get(gate, 0) + 1
    assert len(seen) >= 8, "every combination of reasons, and none, is met"
    assert seen[frozenset()] > 20
