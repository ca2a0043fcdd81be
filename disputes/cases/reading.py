"""A dispute's words, between their sealed form and the check's values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from config.values.money import render_amount
from disputes.cases.models import Dispute
from disputes.check.facts import Claim, ClaimedPayment


def write_payments(payments: Iterable[ClaimedPayment]) -> str | None:
    """The claimed payments as text to be sealed; None where there are none."""
    rows = [render_payment(payment) for payment in payments]
    return json.dumps(rows, ensure_ascii=False) if rows else None


def read_payments(text: str | None) -> tuple[ClaimedPayment, ...]:
    return tuple(
        ClaimedPayment(
            amount=Decimal(row["amount"]["amount"]),
            currency=row["amount"]["currency"],
            paid_on=date.fromisoformat(row["paid_on"]),
            reference=row["reference"],
        )
        for row in json.loads(text or "[]")
    )


def render_payment(payment: ClaimedPayment) -> dict[str, Any]:
    """As the API shows it: money as an object, the day as ISO text."""
    return {
        "amount": {"amount": render_amount(payment.amount, payment.currency), "currency": payment.currency},
        "paid_on": payment.paid_on.isoformat(),
        "reference": payment.reference,
    }


def claim_of(dispute: Dispute) -> Claim:
    """What the customer says, for the check."""
    return Claim(ground=dispute.ground, claimed_payments=read_payments(dispute.claimed_payments))


def write_selector(selector: Mapping[str, Any]) -> str:
    """How a message that nobody can find was described, as text to be sealed."""
    plain = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in selector.items() if v}
    return json.dumps(plain, ensure_ascii=False, sort_keys=True)


def read_selector(text: str | None) -> dict[str, Any]:
    selector: dict[str, Any] = json.loads(text or "{}")
    if "received_at" in selector:
        selector["received_at"] = datetime.fromisoformat(selector["received_at"])
    return selector
