"""The lender of one telling: a person who paid in time, one whose records cannot know it, and some to be surveyed.

Its ids are new each time, so that the story can be told again and again.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from demo import texts

Line = dict[str, Any]

RULE = "overdue-1"
AMOUNT = "1280.50"
ZONE = "Asia/Shanghai"
SURVEYED = 36
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


@dataclass(frozen=True, kw_only=True, slots=True)
class Borrower:
    """A customer with a loan, and the message that they were sent."""

    name: str
    customer: str
    loan: str
    message: str
    phone: str
    short_ref: str


class SmallLender:
    """`now`: when the story begins (aware, UTC). Everybody lives where it is about noon, so that no contact hours stand
    in the way."""

    def __init__(self, *, now: datetime) -> None:
        self.now = now.replace(microsecond=0)
        self.mark = "".join(secrets.choice(_ALPHABET) for _ in range(5))
        self.paid_in_time = self._borrower(1, "王芳")
        self.has_a_slip = self._borrower(2, "李伟")
        self.surveyed = [self._borrower(10 + place, f"客户{place + 1}") for place in range(SURVEYED)]
        # A minute of the day that no other message has: what was sent in it is this telling's alone.
        self.period_from = (self.now - timedelta(hours=3)).replace(second=20)
        self.period_until = self.period_from + timedelta(seconds=30)

    def _borrower(self, number: int, name: str) -> Borrower:
        mark = f"{self.mark}-{number}"
        return Borrower(
            name=name,
            customer=f"C-{mark}",
            loan=f"L-{mark}",
            message=f"M-{mark}",
            phone=f"+86199{secrets.randbelow(10**8):08d}",
            short_ref=f"{self.mark}{number}".upper(),
        )

    @property
    def noon_zone(self) -> str:
        ahead = 12 - self.now.hour
        return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"

    def day(self, days: int) -> str:
        """A local date so many days from today."""
        return (self.now.astimezone(ZoneInfo(ZONE)) + timedelta(days=days)).date().isoformat()

    def ago(self, **span: float) -> str:
        return (self.now - timedelta(**span)).isoformat()

    def lines(self) -> Iterator[Line]:
        """What the lender's systems know as the story begins: neither payment is posted."""
        yield {
            "type": "sending_rule",
            "external_id": RULE,
            "name": "Overdue from the first day",
            "aim": "overdue",
            "min_dpd": 1,
            "owner": "collections",
        }
        for borrower in (self.paid_in_time, self.has_a_slip):
            yield from self._account(borrower, due=(-5, 25, 56))
            yield self._message(borrower, sent_at=self.ago(hours=26))
        for place, borrower in enumerate(self.surveyed):
            yield from self._account(borrower, due=(12, 43, 73))
            sent = self.period_from + timedelta(seconds=1 + place % 25)
            yield self._message(borrower, sent_at=sent.isoformat(), category="service", rule=None)
        for feed in ("repayments", "schedule", "messages"):
            yield {
                "type": "watermark",
                "external_id": f"{feed}-{self.mark}",
                "feed": feed,
                "complete_until": self.now.astimezone(UTC).isoformat(),
            }

    def payment(self, borrower: Borrower, *, posted_at: datetime) -> Line:
        """The first instalment, paid the day before it was due, and posted now."""
        return {
            "type": "repayment",
            "external_id": f"P-{borrower.loan}",
            "loan": borrower.loan,
            "amount": AMOUNT,
            "paid_at": self.ago(days=6),
            "posted_at": posted_at.isoformat(),
            "method": "bank transfer",
            "reference": f"P-{borrower.loan}",
        }

    def _account(self, borrower: Borrower, *, due: tuple[int, ...]) -> Iterator[Line]:
        known = self.ago(days=40)
        yield {
            "type": "customer",
            "external_id": borrower.customer,
            "posted_at": known,
            "name": borrower.name,
            "phones": [{"number": borrower.phone, "role": "own"}],
            "language": "zh-hans",
            "time_zones": [self.noon_zone],
        }
        yield {
            "type": "loan",
            "external_id": borrower.loan,
            "posted_at": known,
            "customer": borrower.customer,
            "product": "cash-loan",
            "currency": "CNY",
            "opened_on": self.day(-40),
            "time_zone": ZONE,
        }
        for number, days in enumerate(due, start=1):
            yield {
                "type": "instalment",
                "external_id": f"{borrower.loan}-{number}",
                "posted_at": known,
                "loan": borrower.loan,
                "number": number,
                "due_on": self.day(days),
                "amount": AMOUNT,
            }

    def _message(self, borrower: Borrower, *, sent_at: str, category: str = "urge", rule: str | None = RULE) -> Line:
        return {
            "type": "message",
            "external_id": borrower.message,
            "posted_at": sent_at,
            "loan": borrower.loan,
            "phone": borrower.phone,
            "channel": "sms",
            "category": category,
            "sent_at": sent_at,
            **({"sending_rule": rule} if rule else {}),
            "body": texts.body(
                category=category, language="zh-hans", amount=f"{AMOUNT} 元", days=None, ref=borrower.short_ref
            ),
            "short_ref": borrower.short_ref,
        }
