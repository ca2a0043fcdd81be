"""What a criterion found, and how its facts are written."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from config.values.money import render_amount
from disputes.check.account import shown_at
from disputes.check.matter import Matter
from disputes.check.rendering import render_instant
from disputes.check.versions import StandingRepayment

CUSTOMER = "customer"
LENDER = "lender"
NOBODY = "nobody"


Told = tuple[dict[str, Any], dict[str, Any]]
"""Facts and parameters."""


class Finding:
    """`speaks_for`: ``customer`` ``lender`` ``nobody``; `facts`: what it rests on; `text`: a key of
    `sentences.SENTENCES`; `params`: what that names. Facts and parameters are JSON-ready.

    `tells`: gives both, of `matter`, when somebody asks for them first: most checks that run again find what they
    found before, and nobody reads it.
    """

    __slots__ = ("_facts", "_matter", "_params", "_tells", "name", "speaks_for", "text")

    def __init__(
        self,
        *,
        name: str,
        speaks_for: str,
        text: str,
        facts: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
        tells: Callable[[Matter], Told] | None = None,
        matter: Matter | None = None,
    ) -> None:
        self.name = name
        self.speaks_for = speaks_for
        self.text = text
        self._facts = facts
        self._params = params
        self._tells = tells
        self._matter = matter

    @property
    def facts(self) -> dict[str, Any]:
        self._tell()
        return self._facts or {}

    @property
    def params(self) -> dict[str, Any]:
        self._tell()
        return self._params or {}

    def _tell(self) -> None:
        if self._tells is not None and self._matter is not None:
            self._facts, self._params = self._tells(self._matter)
            self._tells = self._matter = None

    def render(self) -> dict[str, Any]:
        """JSON-ready; `sentences.sentence_of` makes the sentence from it in any language."""
        return {
            "name": self.name,
            "speaks_for": self.speaks_for,
            "facts": self.facts,
            "text": self.text,
            "params": self.params,
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Finding) and self.render() == other.render()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Finding({self.render()})"


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
