"""Random histories for Hypothesis: later versions, ties, reversals of reversed payments, voids of voids, records that
move."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from disputes.check.facts import (
    ALWAYS,
    History,
    InstalmentVersion,
    LoanVersion,
    Period,
    RepaymentVersion,
    ReversalVersion,
    VoidVersion,
)

LOAN, OTHER = "L1", "L2"
START = datetime(2026, 3, 1, tzinfo=UTC)
ZONES = ("UTC", "Asia/Shanghai", "America/New_York", "Pacific/Auckland", "Asia/Kolkata")

days = st.integers(-10, 40).map(lambda n: date(2026, 3, 1) + timedelta(days=n))
instants = st.integers(-10 * 24, 45 * 24).map(lambda hours: START + timedelta(hours=hours))
postings = st.one_of(st.just(ALWAYS), instants)
stamps = st.fixed_dictionaries(
    {
        "version": st.sampled_from((-1, -1, 1, 2, 3)),
        "posted_at": postings,
        "content": st.binary(min_size=1, max_size=2),
    }
)
effective = st.one_of(st.none(), st.none(), instants)
amounts = st.integers(0, 12).map(Decimal)
parts = st.one_of(st.none(), st.none(), st.integers(0, 5).map(Decimal))
orders = st.sampled_from(
    (
        (),
        ("principal", "interest"),
        ("interest", "penalties", "principal", "fees"),
        ("fees",),
    )
)
loan_ids = st.sampled_from((LOAN, LOAN, LOAN, OTHER))
periods = st.builds(
    lambda first, length: Period(first=first, until=None if length is None else first + timedelta(days=length)),
    days,
    st.one_of(st.none(), st.integers(0, 15)),
)


def _versions(kind, ids, **fields):
    return st.builds(
        lambda stamp, rest: kind(**stamp, **rest), stamps, st.fixed_dictionaries({"external_id": ids, **fields})
    )


loans = st.builds(
    lambda stamp, rest: LoanVersion(external_id=LOAN, customer="C1", currency="CNY", **stamp, **rest),
    stamps,
    st.fixed_dictionaries(
        {
            "effective_at": effective,
            "time_zone": st.sampled_from((*ZONES, None)),
            "grace_days": st.integers(0, 4),
            "tolerance": st.sampled_from((0, 0, 1, 3)).map(Decimal),
            "allocation": orders,
            "settled_on": st.one_of(st.none(), st.none(), st.none(), days),
            "written_off_on": st.one_of(st.none(), st.none(), st.none(), days),
            "pauses": st.lists(periods, max_size=3).map(tuple),
        }
    ),
)
instalments = _versions(
    InstalmentVersion,
    st.sampled_from(("i1", "i2", "i3", "i4")),
    effective_at=effective,
    loan=loan_ids,
    number=st.integers(1, 3),
    due_on=days,
    amount=amounts,
    principal=parts,
    interest=parts,
    fees=parts,
    penalties=parts,
)
repayments = _versions(
    RepaymentVersion, st.sampled_from(("p1", "p2", "p3", "p4")), loan=loan_ids, amount=amounts, paid_at=instants
)
reversals = _versions(
    ReversalVersion, st.sampled_from(("r1", "r2")), repayment=st.sampled_from(("p1", "p2", "p3")), reversed_at=instants
)
targets = st.sampled_from(
    (
        ("void", "v1"),
        ("void", "v2"),
        ("void", "v3"),
        ("repayment", "p1"),
        ("repayment", "p2"),
        ("instalment", "i1"),
        ("reversal", "r1"),
        ("loan", LOAN),
    )
)
voids = st.builds(
    lambda stamp, name, target: VoidVersion(external_id=name, target_type=target[0], target=target[1], **stamp),
    stamps,
    st.sampled_from(("v1", "v2", "v3")),
    targets,
)


def _unlike(rows):
    """No two versions of one record that every clock would take for the same one, as in the store."""
    seen, kept = set(), []
    for row in rows:
        key = (type(row).__name__, row.external_id, row.version, row.posted_at, row.content)
        if key not in seen:
            seen.add(key)
            kept.append(row)
    return tuple(kept)


histories = st.builds(
    lambda loans, instalments, repayments, reversals, voids: History(
        loan=LOAN,
        lender_time_zone="Asia/Shanghai",
        loans=_unlike(loans),
        instalments=_unlike(instalments),
        repayments=_unlike(repayments),
        reversals=_unlike(reversals),
        voids=_unlike(voids),
    ),
    st.lists(loans, max_size=3),
    st.lists(instalments, max_size=7),
    st.lists(repayments, max_size=7),
    st.lists(reversals, max_size=3),
    st.lists(voids, max_size=4),
)
moments = st.tuples(instants, st.one_of(st.none(), instants))


def shuffled(history: History, random) -> History:
    """The same facts in another order."""
    changes: dict[str, Any] = {}
    for kind in ("loans", "instalments", "repayments", "reversals", "voids", "watermarks", "sending_rules"):
        rows = list(getattr(history, kind))
        random.shuffle(rows)
        changes[kind] = tuple(rows)
    return replace(history, **changes)


def posted_by(history: History, instant: datetime) -> History:
    """What had been posted by then, and nothing else."""
    kinds = ("loans", "instalments", "repayments", "reversals", "voids")
    kept: dict[str, Any] = {
        kind: tuple(row for row in getattr(history, kind) if row.posted_at <= instant) for kind in kinds
    }
    return replace(history, **kept)


CURRENCIES = {0: "JPY", 2: "CNY", 3: "KWD"}
"""Decimals → a currency that has so many."""


def in_currency(history: History, places: int) -> History:
    """The same history with its amounts in the smallest units of a currency with so many decimals."""

    def small(amount: Decimal | None) -> Decimal | None:
        return None if amount is None else amount.scaleb(-places)

    def row(one: InstalmentVersion) -> InstalmentVersion:
        named = {name: small(getattr(one, name)) for name in ("amount", "principal", "interest", "fees", "penalties")}
        return replace(one, **named)

    return replace(
        history,
        loans=tuple(
            replace(one, currency=CURRENCIES[places], tolerance=one.tolerance.scaleb(-places)) for one in history.loans
        ),
        instalments=tuple(row(one) for one in history.instalments),
        repayments=tuple(replace(one, amount=one.amount.scaleb(-places)) for one in history.repayments),
    )
