"""A lender in tests: records as its systems would send them, through the import's own endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.callers import Api, system

Line = dict[str, Any]


def send_records(*lines: Line, api: Api | None = None) -> list[Line]:
    """Imports the lines and returns their results. Fails where one is refused."""
    results = send_any_records(*lines, api=api)
    refused = [result for result in results if result["result"] == "error"]
    assert not refused, refused
    return results


def send_any_records(*lines: Line, api: Api | None = None) -> list[Line]:
    """Imports the lines and returns their results, errors too."""
    body = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    answer = (api or system("records:write")).post(
        "/api/v1/records/import", body.encode(), content_type="application/x-ndjson"
    )
    assert answer.status_code == 200, answer.content
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return [json.loads(line) for line in content.decode().splitlines()]


def customer_line(customer: str = "C1", *, phone: str = "+8613812340001", **more: Any) -> Line:
    return {
        "type": "customer",
        "external_id": customer,
        "name": "王芳",
        "phones": [{"number": phone, "role": "own"}],
        "language": "en",
        "time_zones": ["Asia/Shanghai"],
        **more,
    }


def loan_lines(
    loan: str = "L1",
    *,
    customer: str = "C1",
    due: Iterable[str] = ("2026-02-01", "2026-03-01", "2026-04-01"),
    amount: str = "100.00",
    **more: Any,
) -> list[Line]:
    """A loan in CNY, in Shanghai, with one instalment a due date, known from 2026-01-01 on."""
    known = "2026-01-01T00:00:00+08:00"
    return [
        {
            "type": "loan",
            "external_id": loan,
            "posted_at": known,
            "customer": customer,
            "currency": "CNY",
            "time_zone": "Asia/Shanghai",
            "opened_on": "2026-01-01",
            **more,
        },
        *(
            {
                "type": "instalment",
                "external_id": f"{loan}-{number}",
                "posted_at": known,
                "loan": loan,
                "number": number,
                "due_on": day,
                "amount": amount,
            }
            for number, day in enumerate(due, start=1)
        ),
    ]


def repayment_line(repayment: str, *, loan: str = "L1", amount: str = "100.00", paid: str, posted: str) -> Line:
    return {
        "type": "repayment",
        "external_id": repayment,
        "loan": loan,
        "amount": amount,
        "paid_at": paid,
        "posted_at": posted,
        "reference": repayment,
    }


def message_line(message: str = "M1", *, loan: str = "L1", phone: str = "+8613812340001", **more: Any) -> Line:
    """An urge by the rule R1, sent on 2026-02-03 at 10:00 in Shanghai."""
    return {
        "type": "message",
        "external_id": message,
        "loan": loan,
        "phone": phone,
        "channel": "sms",
        "category": "urge",
        "sent_at": "2026-02-03T10:00:00+08:00",
        "sending_rule": "R1",
        "body": "您的借款已逾期,请立即还款。",
        "short_ref": f"S-{message}",
        **more,
    }


RULE: Line = {"type": "sending_rule", "external_id": "R1", "name": "Overdue", "aim": "overdue", "min_dpd": 1}


def watermarks(until: str = "2026-06-01T00:00:00+08:00") -> list[Line]:
    """Every feed complete up to then."""
    return [
        {"type": "watermark", "external_id": feed, "feed": feed, "complete_until": until}
        for feed in ("repayments", "schedule", "messages")
    ]


def late_posting() -> list[Line]:
    """C1 paid the first instalment of L1 on its due date; it was posted after the urge M1 had gone out."""
    return [
        RULE,
        customer_line(),
        *loan_lines(),
        repayment_line("P1", paid="2026-02-01T09:00:00+08:00", posted="2026-02-04T09:00:00+08:00"),
        message_line(),
        *watermarks(),
    ]


def in_arrears() -> list[Line]:
    """C1 has paid nothing of L1 when the urge M1 goes out."""
    return [RULE, customer_line(), *loan_lines(), message_line(), *watermarks()]
