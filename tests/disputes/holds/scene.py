"""A small lender, as rows: two customers with a phone and two loans each, all eighty days past due; records up to
date."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from config.fields import phone_digest
from disputes.holds import permits
from disputes.holds.gate import Answer, decide
from disputes.holds.placing import PlacedHold, number_changes, place_hold
from disputes.holds.scopes import Covers, scope_of_dispute
from disputes.holds.walking import GateItem
from disputes.journal.recording import Actor
from disputes.records.models import Customer, CustomerPhone, Loan, SendingRule, WatermarkVersion
from tests.races import PATIENCE

ACTOR = Actor(type="client", id="t")
SENDER = "client:t"
"""Who asks the gate."""
OVERDUE_SINCE = date(2026, 1, 1)


def number(n: int) -> str:
    return f"+86138123400{n:02d}"


def digest(n: int) -> bytes:
    return phone_digest(number(n))


def lender(
    *, customers: int = 2, loans: int = 2, zones: tuple[str, ...] = (), records_until: datetime | None = None
) -> None:
    """C1, C2 …; phone n is Cn's own; the loans of Cn are Ln1, Ln2 …, overdue. Watermarks reach until now."""
    for n in range(1, customers + 1):
        Customer.objects.create(external_id=f"C{n}", time_zones=list(zones))
        CustomerPhone.objects.create(customer=f"C{n}", digest=digest(n), role="own")
        for m in range(1, loans + 1):
            loan(f"L{n}{m}", f"C{n}")
    SendingRule.objects.create(external_id="R7", aim="overdue", min_dpd=7)
    SendingRule.objects.create(external_id="RP", aim="pre_due")
    SendingRule.objects.create(external_id="RR", aim="risk")
    watermarks(records_until or datetime.now(tz=UTC))


def watermarks(until: datetime) -> None:
    for feed in ("repayments", "schedule"):
        WatermarkVersion.objects.create(
            external_id=f"{feed}-{until.timestamp()}",
            posted_at=until,
            stated=True,
            content=b"\1" * 17,
            received_at=until,
            feed=feed,
            complete_until=until,
        )


def loan(external_id: str, customer: str | None, **fields: Any) -> Loan:
    return Loan.objects.create(
        external_id=external_id,
        customer=customer,
        currency="CNY",
        time_zone="Asia/Shanghai",
        **{"due_on": [OVERDUE_SINCE], "amount": [Decimal("1000.00")], "paid": Decimal(0), **fields},
    )


def item(n: int = 1, *, loan: str | None = "", category: str = "urge", request_id: str = "", **more: Any) -> GateItem:
    """A message to phone n, about the first loan of its customer unless another is named."""
    return GateItem(
        request_id=request_id,
        phone=digest(n),
        loan=f"L{n}1" if loan == "" else loan,
        channel="sms",
        category=category,
        **more,
    )


def ask(
    *items: GateItem | None, dry_run: bool = False, seconds: int = 60, wait: float = PATIENCE, **more: Any
) -> list[Answer]:
    """`wait`: seconds, longer than the service's own: that a machine stood still makes nobody `busy`."""
    asked = {"caller": SENDER, "permit_seconds": seconds, "dry_run": dry_run, "wait": wait, **more}
    return list(decide(items=items, **asked).answers)


def reasons(*items: GateItem | None, **more: Any) -> list[tuple[str, ...]]:
    return [answer.reasons for answer in ask(*items, **more)]


def hand_back(permit: uuid.UUID) -> datetime:
    """The sender hands a permit back."""
    return permits.hand_back(permit=permit, caller=SENDER)


def hold(
    covers: Covers, *, scope: str = "loan", reason: str = "dispute_pending", source: str = "dispute", why: str = ""
) -> PlacedHold:
    """Places a hold in a transaction of its own."""
    with transaction.atomic(durable=True):
        placed = place_hold(
            source=source, scope=scope, reason=reason, covers=covers, actor=ACTOR, now=datetime.now(tz=UTC), why=why
        )
        number_changes()
    return placed


def dispute(ground: str, *, loan: str | None, n: int | None, customer: str | None) -> PlacedHold:
    """The hold of a dispute on this ground, about a message to phone n."""
    scope, covers = scope_of_dispute(
        ground=ground, loan=loan, phone=None if n is None else digest(n), customer=customer
    )
    return hold(covers, scope=scope, why=ground)


def long_ago(days: int) -> datetime:
    return datetime.now(tz=UTC) - timedelta(days=days)
