"""The accounts of a public lending core, whose figures its own developers expect (tests/cases/data/README.md), as
lines of an import: each with one message, sent on the day for which they say how many days past due it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from config.environment import ROOT

DATA = ROOT / "tests" / "cases" / "data" / "fineract.json"
MOST = 40
"""How many are told: enough to see, few enough for a minute."""

Line = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What the other system's developers expect of an account at the end of `day`."""

    case: str
    customer: str
    loan: str
    message: str
    day: date
    days_past_due: int
    lines: tuple[Line, ...]


def expected_cases(*, mark: str, path: Path = DATA) -> list[Expected]:
    """The cases that say a number of days past due by the same rules as ours. `mark`: makes their ids this telling's.

    Raises OSError where the file is not there.
    """
    found: list[Expected] = []
    for number, case in enumerate(json.loads(path.read_text(encoding="utf-8")), start=1):
        moment = _moment(case)
        if moment is not None and len(found) < MOST:
            found.append(_expected(case, moment, f"{mark}-F{number}"))
    return found


def _moment(case: Line) -> Line | None:
    """The last moment with a number of days that both systems mean alike, and after which nothing was posted: the
    service is asked what the records say today. Pauses are told elsewhere."""
    if case.get("pauses"):
        return None
    last = max((row["posted_at"] for row in (*case["repayments"], *case["reversals"])), default="")
    told = [
        row
        for row in case["expect"]
        if isinstance(row.get("days_past_due"), int)
        and "days_past_due" not in (row.get("differs") or [])
        and row["at"] >= last
    ]
    return told[-1] if told else None


def _expected(case: Line, moment: Line, loan: str) -> Expected:
    day = date.fromisoformat(moment["at"])
    customer, message = f"{loan}-c", f"{loan}-m"
    sent = datetime.combine(day, time(23, 59, 59), tzinfo=UTC)
    lines: list[Line] = [
        {"type": "customer", "external_id": customer, "name": "A. Borrower", "phones": []},
        {
            "type": "loan",
            "external_id": loan,
            "customer": customer,
            "currency": case["currency"],
            "time_zone": case["time_zone"],
            "grace_days": case["grace_days"],
        },
    ]
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
                "posted_at": _start(row["posted_at"]),
                "method": row["kind"],
            }
        )
    for row in case["reversals"]:
        lines.append(
            {
                "type": "reversal",
                "external_id": f"{loan}-{row['repayment']}-r",
                "repayment": f"{loan}-{row['repayment']}",
                "reversed_at": _start(row["reversed_at"]),
                "posted_at": _start(row["posted_at"]),
            }
        )
    lines.append(
        {
            "type": "message",
            "external_id": message,
            "loan": loan,
            "phone": "+12025550143",
            "channel": "sms",
            "category": "reminder",
            "sent_at": sent.isoformat(),
            "posted_at": sent.isoformat(),
        }
    )
    return Expected(
        case=case["id"],
        customer=customer,
        loan=loan,
        message=message,
        day=day,
        days_past_due=moment["days_past_due"],
        lines=tuple(lines),
    )


def _start(day: str) -> str:
    return datetime.combine(date.fromisoformat(day), time(), tzinfo=UTC).isoformat()
