"""Lines of an import, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from disputes.records.importing import Result, import_lines

NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)


def encoded(*lines: dict[str, Any]) -> list[bytes]:
    return [json.dumps(line, ensure_ascii=False).encode() for line in lines]


def load(*lines: dict[str, Any], now: datetime = NOW, dry_run: bool = False) -> list[str]:
    """Imports lines; their results, in order. An error is shown as ``error: field code``."""
    return [shown(result) for result in import_lines(lines=encoded(*lines), now=now, dry_run=dry_run)]


def shown(result: Result) -> str:
    return " ".join([result.result, *(f"{error['attr']} {error['code']}" for error in result.errors)])


def customer(external_id: str = "C1", **more: Any) -> dict[str, Any]:
    return {"type": "customer", "external_id": external_id, **more}


def loan(external_id: Any = "L1", **more: Any) -> dict[str, Any]:
    return {"type": "loan", "external_id": external_id, "customer": "C1", "currency": "CNY"} | more


def instalment(external_id: str = "I1", **more: Any) -> dict[str, Any]:
    fields = {"loan": "L1", "number": 1, "due_on": "2026-03-01", "amount": "100.00"}
    return {"type": "instalment", "external_id": external_id} | fields | more


def repayment(external_id: str = "P1", **more: Any) -> dict[str, Any]:
    fields = {"loan": "L1", "amount": "100.00", "paid_at": "2026-03-01T10:00:00+08:00"}
    return {"type": "repayment", "external_id": external_id} | fields | more


def reversal(external_id: str = "R1", **more: Any) -> dict[str, Any]:
    fields = {"repayment": "P1", "reversed_at": "2026-03-05T10:00:00+08:00"}
    return {"type": "reversal", "external_id": external_id} | fields | more


def void(target_type: str, target: str, external_id: str = "V1", **more: Any) -> dict[str, Any]:
    return {"type": "void", "external_id": external_id, "target_type": target_type, "target": target} | more


def message(external_id: str = "M1", **more: Any) -> dict[str, Any]:
    fields = {
        "loan": "L1",
        "phone": "+8613812340001",
        "channel": "sms",
        "category": "urge",
        "sent_at": "2026-03-03T10:00:00+08:00",
    }
    return {"type": "message", "external_id": external_id} | fields | more


def rule(external_id: str = "S1", **more: Any) -> dict[str, Any]:
    return {"type": "sending_rule", "external_id": external_id, "aim": "overdue", "min_dpd": 1} | more


def watermark(feed: str = "repayments", **more: Any) -> dict[str, Any]:
    fields = {"feed": feed, "complete_until": "2026-05-01T00:00:00Z"}
    return {"type": "watermark", "external_id": feed} | fields | more


@contextmanager
def undone() -> Iterator[None]:
    """Whatever is written inside is gone afterwards; counts as the test case's own transaction, as the outermost."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]
    with block:
        yield
        transaction.set_rollback(True)
