"""From rows of versions to the check's values."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from disputes.check import facts

Row = tuple[Any, ...]
"""A version's row: external_id, version, posted_at, effective_at, content, then what it names, then the rest. Django
reads jsonb through a plain cursor as text."""

Voids = Mapping[tuple[str, str], list[facts.VoidVersion]]
"""By (type, external id): the versions of every void that ever named it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """What was read for a set of loans, by what it is under: instalments and repayments by loan, reversals by
    repayment, each with all versions of its record; `zones`: of the loans, by their highest version."""

    loans: Mapping[str, list[Row]]
    instalments: Mapping[str, list[Row]]
    repayments: Mapping[str, list[Row]]
    reversals: Mapping[str, list[Row]]
    rules: Mapping[str, list[Row]]
    zones: Mapping[str, str]
    voids: Voids
    watermarks: tuple[facts.Watermark, ...]


def build_history(*, loan: str, sending_rules: Collection[str], read: Read) -> facts.History:
    """One loan's history, its versions in a full order, so that the same rows give the same value."""
    loans = read.loans.get(loan, [])
    instalments, repayments = read.instalments.get(loan, []), read.repayments.get(loan, [])
    paid = {row[0] for row in repayments}
    # A reversal that moved between two payments of this loan stands under both.
    reversals = {(row[0], row[1], row[2], row[4]): row for one in paid for row in read.reversals.get(one, [])}.values()
    rules = [row for rule in sending_rules for row in read.rules.get(rule, [])]
    zone = read.zones.get(loan) or settings.LENDER_TIME_ZONE
    keys = [("loan", loan), *(("sending_rule", rule) for rule in sending_rules)]
    keys += [
        (type_, row[0])
        for type_, rows in (
            ("instalment", instalments),
            ("repayment", repayments),
            ("reversal", reversals),
        )
        for row in rows
    ]
    return facts.History(
        loan=loan,
        lender_time_zone=settings.LENDER_TIME_ZONE,
        loans=tuple(sorted(map(loan_version, loans), key=_order)),
        instalments=tuple(sorted(map(instalment_version, instalments), key=_order)),
        repayments=tuple(sorted((repayment_version(row, zone=zone) for row in repayments), key=_order)),
        reversals=tuple(sorted(map(reversal_version, reversals), key=_order)),
        sending_rules=tuple(sorted(map(sending_rule_version, rules), key=_order)),
        voids=_voids(keys, read.voids),
        watermarks=read.watermarks,
    )


def _order(version: facts.Version) -> tuple[str, int, datetime, bytes]:
    return (version.external_id, version.version, version.posted_at, version.content)


def _voids(keys: Iterable[tuple[str, str]], voids: Voids) -> tuple[facts.VoidVersion, ...]:
    """Those that ever named one of these, and the voids of those voids."""
    found: dict[tuple[str, int, datetime, bytes], facts.VoidVersion] = {}
    left = list(keys) if voids else []
    done = set()
    while left:
        key = left.pop()
        if key in done:
            continue
        done.add(key)
        for version in voids.get(key, ()):
            found[_order(version)] = version
            left.append(("void", version.external_id))
    return tuple(found[rank] for rank in sorted(found))


def _head(row: Row) -> dict[str, Any]:
    return {
        "external_id": row[0],
        "version": row[1],
        "posted_at": row[2],
        "effective_at": row[3],
        "content": bytes(row[4]),
    }


def loan_version(row: Row) -> facts.LoanVersion:
    (customer, product, currency, principal, opened_on, zone, grace, tolerance, allocation, settled, off) = row[5:16]
    return facts.LoanVersion(
        **_head(row),
        customer=customer,
        product=product,
        currency=currency,
        principal=principal,
        opened_on=opened_on,
        time_zone=zone or None,
        grace_days=grace,
        tolerance=tolerance,
        allocation=tuple(allocation),
        settled_on=settled,
        written_off_on=off,
        pauses=periods(json.loads(row[16])),
        arrangements=arrangements(json.loads(row[17])),
    )


def periods(stored: Iterable[Mapping[str, Any]]) -> tuple[facts.Period, ...]:
    """Pauses from their stored form."""
    return tuple(facts.Period(first=date.fromisoformat(one["from"]), until=_day(one["until"])) for one in stored)


def arrangements(stored: Iterable[Mapping[str, Any]]) -> tuple[facts.Arrangement, ...]:
    """Arrangements from their stored form."""
    return tuple(
        facts.Arrangement(
            first=date.fromisoformat(one["from"]), until=_day(one["until"]), kept_until=_day(one["kept_until"])
        )
        for one in stored
    )


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def instalment_version(row: Row) -> facts.InstalmentVersion:
    loan, number, due_on, amount, principal, interest, fees, penalties = row[5:13]
    return facts.InstalmentVersion(
        **_head(row),
        loan=loan,
        number=number,
        due_on=due_on,
        amount=amount,
        principal=principal,
        interest=interest,
        fees=fees,
        penalties=penalties,
    )


def repayment_version(row: Row, *, zone: str) -> facts.RepaymentVersion:
    """A payment that named only a day was made at that day's start in the loan's zone."""
    loan, amount, paid_at, paid_on, method, reference = row[5:11]
    return facts.RepaymentVersion(
        **_head(row),
        loan=loan,
        amount=amount,
        paid_at=start_of(paid_on, zone) if paid_at is None else paid_at,
        method=method,
        reference=reference,
    )


def start_of(day: date, zone: str) -> datetime:
    """The start of a local day, in UTC; where the clock skips midnight, the first instant of that day."""
    return datetime.combine(day, time(0), tzinfo=ZoneInfo(zone)).astimezone(UTC)


def reversal_version(row: Row) -> facts.ReversalVersion:
    return facts.ReversalVersion(**_head(row), repayment=row[5], reversed_at=row[6], reason=row[7])


def sending_rule_version(row: Row) -> facts.SendingRuleVersion:
    return facts.SendingRuleVersion(**_head(row), name=row[5], aim=row[6], min_dpd=row[7], owner=row[8])
