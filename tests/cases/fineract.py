"""The cases of a public lending core, as facts of the check and as lines of an import."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from disputes.check.facts import (
    ALWAYS,
    History,
    InstalmentVersion,
    LoanVersion,
    Period,
    RepaymentVersion,
    ReversalVersion,
)

DATA = Path(__file__).parent / "data"
Case = dict[str, Any]


@cache
def cases() -> tuple[Case, ...]:
    return tuple(json.loads((DATA / "fineract.json").read_text(encoding="utf-8")))


@cache
def _numbers() -> dict[str, int]:
    return {case["id"]: number for number, case in enumerate(cases(), 1)}


def loan_of(case: Case) -> str:
    """The loan's id: short, since a case's own id may be longer than an id of a record."""
    return f"F{_numbers()[case['id']]}"


def start_of(day: str) -> datetime:
    """Every case lives in UTC."""
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), tzinfo=UTC)


def end_of(day: str) -> datetime:
    """The instant that a moment of a case means: the end of its day."""
    return start_of(day) + timedelta(days=1) - timedelta(microseconds=1)


def history_of(case: Case) -> History:
    """The case as the check reads it. A pause that was entered later makes a later version of the loan."""
    loan = loan_of(case)
    return History(
        loan=loan,
        lender_time_zone="UTC",
        loans=tuple(
            LoanVersion(
                external_id=loan,
                customer=f"{loan}-c",
                currency=case["currency"],
                time_zone=case["time_zone"],
                grace_days=case["grace_days"],
                posted_at=ALWAYS if posted is None else start_of(posted),
                pauses=tuple(_period(row) for row in pauses),
            )
            for posted, pauses in _loan_versions(case)
        ),
        instalments=tuple(
            InstalmentVersion(
                external_id=f"{loan}-i{row['number']}",
                loan=loan,
                number=row["number"],
                due_on=date.fromisoformat(row["due_on"]),
                amount=Decimal(row["amount"]),
                posted_at=ALWAYS,
                principal=Decimal(row["principal"]),
                interest=Decimal(row["interest"]),
                fees=Decimal(row["fees"]),
                penalties=Decimal(row["penalties"]),
            )
            for row in case["instalments"]
        ),
        repayments=tuple(
            RepaymentVersion(
                external_id=f"{loan}-{row['external_id']}",
                loan=loan,
                amount=Decimal(row["amount"]),
                paid_at=start_of(row["paid_at"]),
                posted_at=start_of(row["posted_at"]),
                method=row["kind"],
            )
            for row in case["repayments"]
        ),
        reversals=tuple(
            ReversalVersion(
                external_id=f"{loan}-{row['repayment']}-r",
                repayment=f"{loan}-{row['repayment']}",
                reversed_at=start_of(row["reversed_at"]),
                posted_at=start_of(row["posted_at"]),
            )
            for row in case["reversals"]
        ),
    )


def case_lines(case: Case) -> list[dict[str, Any]]:
    """The case as lines of `POST /records/import`, in an order in which each points to what came before.

    Ids begin with the loan's, so that many cases fit into one lender. Undated lines were always known.
    """
    loan = loan_of(case)
    customer = f"{loan}-c"
    lines: list[dict[str, Any]] = [{"type": "customer", "external_id": customer, "name": "A. Borrower"}]
    for number, (posted, pauses) in enumerate(_loan_versions(case)):
        line = {
            "type": "loan",
            "external_id": loan,
            "version": number + 1,
            "customer": customer,
            "currency": case["currency"],
            "time_zone": case["time_zone"],
            "grace_days": case["grace_days"],
        }
        if posted is not None:
            line["posted_at"] = start_of(posted).isoformat()
        if pauses:
            line["pauses"] = [{"from": row["from"], "until": row["until"]} for row in pauses]
        lines.append(line)
    for row in case["instalments"]:
        lines.append({"type": "instalment", "external_id": f"{loan}-i{row['number']}", "loan": loan, **row})
    for row in case["repayments"]:
        lines.append(
            {
                "type": "repayment",
                "external_id": f"{loan}-{row['external_id']}",
                "loan": loan,
                "amount": row["amount"],
                "paid_at": row["paid_at"],
                "posted_at": start_of(row["posted_at"]).isoformat(),
                "method": row["kind"],
            }
        )
    for row in case["reversals"]:
        lines.append(
            {
                "type": "reversal",
                "external_id": f"{loan}-{row['repayment']}-r",
                "repayment": f"{loan}-{row['repayment']}",
                "reversed_at": start_of(row["reversed_at"]).isoformat(),
                "posted_at": start_of(row["posted_at"]).isoformat(),
            }
        )
    return lines


def _loan_versions(case: Case) -> list[tuple[str | None, list[dict[str, Any]]]]:
    """(posted on, pauses known from then on); the first was always known, without a pause."""
    versions: list[tuple[str | None, list[dict[str, Any]]]] = [(None, [])]
    pauses: list[dict[str, Any]] = []
    for row in sorted(case.get("pauses", ()), key=lambda one: str(one["posted_at"])):
        pauses = [*pauses, row]
        versions.append((row["posted_at"], pauses))
    return versions


def _period(row: dict[str, Any]) -> Period:
    return Period(
        first=date.fromisoformat(row["from"]), until=date.fromisoformat(row["until"]) if row["until"] else None
    )
