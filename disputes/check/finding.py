"""What a criterion found, and how its facts are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from config.values.money import render_amount
from disputes.check.account import render_instant, shown_at
from disputes.check.matter import Matter
from disputes.check.versions import StandingRepayment

CUSTOMER = "customer"
LENDER = "lender"
NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """`speaks_for`: ``customer`` ``lender`` ``nobody``; `text`: a key of `sentences.SENTENCES`; `params`: what it
    names."""

    name: str
    speaks_for: str
    facts: dict[str, Any] = field(default_factory=dict)
    text: str
    params: dict[str, Any] = field(default_factory=dict)

    def render(self) -> dict[str, Any]:
        """JSON-ready; `sentences.sentence_of` makes the sentence from it in any language."""
        return {
            "name": self.name,
            "speaks_for": self.speaks_for,
            "facts": self.facts,
            "text": self.text,
            "params": self.params,
        }


def money(amount: Decimal, matter: Matter) -> dict[str, str]:
    """In the loan's currency."""
    return {"amount": render_amount(amount, matter.currency), "currency": matter.currency}


def sent_on(matter: Matter) -> str:
    """The local day of the message."""
    return matter.was.standing.day.isoformat()


def repayment_facts(row: StandingRepayment, matter: Matter) -> dict[str, Any]:
    """A repayment with both its dates."""
    return {
        "external_id": row.version.external_id,
        "amount": money(row.version.amount, matter),
        "paid_at": render_instant(row.version.paid_at),
        "posted_at": render_instant(shown_at(row.version.posted_at)),
    }
