"""What the schema shows of the gate: one call with its answer, and a short campaign with its own."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample

CALL = OpenApiExample(
    "Two messages",
    request_only=True,
    value={
        "items": [
            {
                "request_id": "batch-7/1",
                "phone": "+8613812340001",
                "loan": "L-1001",
                "channel": "sms",
                "category": "urge",
                "sending_rule": "overdue-1",
                "vendor": "V1",
            },
            {
                "request_id": "batch-7/2",
                "phone": "13812340002",
                "loan": "L-1002",
                "channel": "sms",
                "category": "reminder",
            },
        ],
        "permit_seconds": 120,
    },
)
ANSWER = OpenApiExample(
    "One may go out, one not before eight in the morning",
    response_only=True,
    status_codes=["200"],
    value={
        "decided_at": "2026-03-01T13:30:00.123456Z",
        "decisions": [
            {
                "outcome": "allow",
                "reasons": [],
                "next_allowed_at": None,
                "permit": {"id": "019ca9b5-5b2b-7c38-9a60-0d4c6f1f2a3b", "expires_at": "2026-03-01T13:32:00.123456Z"},
            },
            {
                "outcome": "deny",
                "reasons": ["outside_hours"],
                "next_allowed_at": "2026-03-02T00:00:00Z",
                "permit": None,
            },
        ],
    },
)
OPT_OUT = OpenApiExample("A call", request_only=True, value={"phone": "+8613812340001", "source": "call of 1 March"})
