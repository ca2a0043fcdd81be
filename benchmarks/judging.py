"""Judging one message, against a bare loop that adds the same 24 amounts.

Pure, one process: a loan of 12 instalments and 12 repayments, its facts built beforehand. Four worlds, since a loan
that is judged in one pass says little of one whose clocks differ, and equal amounts little of unequal ones. Two bars:
verdict, cause and findings (the facts and parameters of most findings are made when somebody reads them first); the
same with both ACCOUNTs rendered. Printed beside them, without a bar: the same with every finding rendered as well, and
the canonical input.

    python -m benchmarks.judging
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from time import process_time
from typing import Any

from benchmarks.rounds import compare
from disputes.check.canonical import dump_input
from disputes.check.facts import (
    ALWAYS,
    Claim,
    CollectionMessage,
    CustomerPhone,
    CustomerVersion,
    History,
    InstalmentVersion,
    LoanVersion,
    RepaymentVersion,
    SendingRuleVersion,
    Watermark,
)
from disputes.check.judging import judge
from disputes.policy.packs import SHIPPED, Pack, load_packs

VERDICT_BAR, FACTS_BAR = 20, 45
TIMES = 500
SENT = datetime(2026, 12, 20, 2, 0, tzinfo=UTC)
LISTED = SENT - timedelta(hours=6)
PHONE = "a1" * 16


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """One message to judge. `name` says what happened."""

    name: str
    history: History
    message: CollectionMessage
    ground: str
    expected: tuple[str, str | None]
    """Verdict and cause: a world that is judged otherwise measures something else."""


def instalment(number: int) -> InstalmentVersion:
    return InstalmentVersion(
        external_id=f"L1-{number}",
        version=1,
        posted_at=datetime(2025, 12, 20, tzinfo=UTC),
        content=bytes([number]),
        loan="L1",
        number=number,
        due_on=date(2026, number, 10),
        amount=Decimal("1080.250"),
        principal=Decimal("1000.000"),
        interest=Decimal("75.250"),
        fees=Decimal("5.000"),
        penalties=Decimal("0.000"),
    )


def repayment(
    number: int, *, amount: str = "1080.250", posted_after: timedelta = timedelta(hours=4)
) -> RepaymentVersion:
    paid_at = datetime(2026, number, 8, 6, 30, tzinfo=UTC)
    return RepaymentVersion(
        external_id=f"P{number}",
        posted_at=paid_at + posted_after,
        content=bytes([number]),
        loan="L1",
        amount=Decimal(amount),
        paid_at=paid_at,
        method="transfer",
        reference=f"R-{number}",
    )


def base(last: tuple[RepaymentVersion, ...]) -> History:
    """Eleven instalments paid in time; `last` decides the rest."""
    marks = (
        Watermark(feed="repayments", complete_until=SENT + timedelta(days=2), posted_at=SENT + timedelta(days=2)),
        Watermark(feed="schedule", complete_until=SENT + timedelta(days=2), posted_at=SENT + timedelta(days=2)),
    )
    return History(
        loan="L1",
        lender_time_zone="Asia/Shanghai",
        loans=(
            LoanVersion(
                external_id="L1",
                version=1,
                posted_at=datetime(2025, 12, 20, tzinfo=UTC),
                customer="C1",
                currency="CNY",
                principal=Decimal("12000.000"),
                opened_on=date(2025, 12, 20),
                time_zone="Asia/Shanghai",
            ),
        ),
        instalments=tuple(instalment(number) for number in range(1, 13)),
        repayments=(*(repayment(number) for number in range(1, 12)), *last),
        sending_rules=(SendingRuleVersion(external_id="S1", posted_at=ALWAYS, aim="overdue", min_dpd=1),),
        watermarks=marks,
        customers=(
            CustomerVersion(
                external_id="C1",
                posted_at=ALWAYS,
                time_zones=("Asia/Shanghai",),
                phones=(CustomerPhone(digest=PHONE, role="own"),),
            ),
        ),
    )


MESSAGE = CollectionMessage(
    external_id="M1",
    loan="L1",
    channel="sms",
    category="urge",
    sent_at=SENT,
    list_built_at=LISTED,
    sending_rule="S1",
    phone=PHONE,
    text="b2" * 16,
)


def unequal(history: History) -> History:
    """The same, with every instalment of another amount, and paid to the cent."""
    extra = [Decimal(number) * Decimal("7.130") for number in range(13)]
    return replace(
        history,
        instalments=tuple(replace(one, amount=one.amount + extra[one.number]) for one in history.instalments),
        repayments=tuple(replace(one, amount=one.amount + extra[one.paid_at.month]) for one in history.repayments),
    )


PART = repayment(12, amount="580.250")
LATE = repayment(12, posted_after=timedelta(days=14))


def worlds() -> tuple[World, ...]:
    claiming = replace(MESSAGE, claimed_amount=Decimal("500.000"), claimed_days_past_due=10)
    moved = tuple(
        replace(repayment(number), posted_at=posted_at)
        for number, posted_at in ((11, SENT - timedelta(hours=2)), (12, SENT + timedelta(days=1)))
    )
    current = replace(base(()), instalments=tuple(instalment(number) for number in range(1, 13)))
    current = replace(current, repayments=(*current.repayments[:10], *moved))
    return (
        World(
            name="overdue, the lender right, with an amount and days claimed",
            history=base((PART,)),
            message=claiming,
            ground="wrong_amount",
            expected=("lender_right", None),
        ),
        World(
            name="paid in time, posted after the message",
            history=base((LATE,)),
            message=MESSAGE,
            ground="already_paid",
            expected=("customer_right", "stale_records"),
        ),
        World(
            name="the same, with every instalment of another amount",
            history=unequal(base((LATE,))),
            message=MESSAGE,
            ground="already_paid",
            expected=("customer_right", "stale_records"),
        ),
        World(
            name="nothing overdue, postings after list and message: three clocks",
            history=current,
            message=replace(MESSAGE, category="urge"),
            ground="not_overdue",
            expected=("customer_right", "stale_records"),
        ),
    )


def timed(act: Callable[[], Any]) -> Callable[[], float]:
    """Microseconds of processor time a call."""

    def run() -> float:
        started = process_time()
        for _ in range(TIMES):
            act()
        return (process_time() - started) / TIMES * 1e6

    return run


def bare(history: History) -> Callable[[], Decimal]:
    amounts = [*[one.amount for one in history.instalments], *[one.amount for one in history.repayments]]

    def add() -> Decimal:
        total = Decimal(0)
        for amount in amounts:
            total += amount
        return total

    return add


def measure(world: World, pack: Pack) -> None:
    history, message, claim = world.history, world.message, Claim(ground=world.ground)

    def verdict() -> Any:
        return judge(history=history, message=message, claim=claim, pack=pack).findings

    def facts() -> Any:
        found = judge(history=history, message=message, claim=claim, pack=pack)
        return found.findings, found.facts

    def everything() -> Any:
        return judge(history=history, message=message, claim=claim, pack=pack).render()

    def dump() -> bytes:
        return dump_input(history=history, message=message, claim=claim, pack_name=pack.name, pack_version=pack.version)

    said = judge(history=history, message=message, claim=claim, pack=pack)
    if (said.verdict, said.cause) != world.expected:
        raise SystemExit(f"{world.name}: judged {said.verdict}, {said.cause}, not {world.expected}")
    loop = timed(bare(history))
    print(f"{world.name} ({', '.join(one.name for one in said.findings)}); the bare loop {loop():.2f} µs")
    for name, act, bar in (
        ("  verdict, cause, findings", verdict, VERDICT_BAR),
        ("  the same and both ACCOUNTs", facts, FACTS_BAR),
        ("  the same and every finding rendered (no bar)", everything, None),
        ("  canonical input (no bar)", dump, None),
    ):
        ratio = compare(name=name, ours=timed(act), bare=loop, bar=bar)
        print(f"    about {ratio.median * loop():.0f} µs")


def main() -> None:
    pack = load_packs(SHIPPED).version("house", "1")
    gc.collect()
    for world in worlds():
        measure(world, pack)


if __name__ == "__main__":
    main()
