"""A lender of two customers, made through the API."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from config.values.ids import new_id
from disputes.notices.sending import NewNotice, queue_notice, send_notice
from feedback.surveys.publishing import create_survey
from feedback.waves.links import make_links
from feedback.waves.models import Invitation
from feedback.waves.opening import Asked, open_wave
from tests import callers

RECORDS: list[dict[str, Any]] = [
    *(
        {"type": "customer", "external_id": f"C{n}", "phones": [{"number": f"+861381234000{n}", "role": "own"}]}
        for n in (1, 2)
    ),
    *(
        {
            "type": "loan",
            "external_id": f"L{n}",
            "customer": f"C{n}",
            "currency": "CNY",
            "principal": "1000.00",
            "opened_on": "2026-01-01",
            "time_zone": "Asia/Shanghai",
        }
        for n in (1, 2)
    ),
    *(
        {"type": "instalment", "external_id": f"I{n}", "loan": f"L{n}", "number": 1, "due_on": "2026-02-01"}
        | {"amount": "1000.00"}
        for n in (1, 2)
    ),
    *(
        {
            "type": "message",
            "external_id": f"M{n}",
            "loan": "L1",
            "phone": "+8613812340001",
            "channel": "sms",
            "category": "urge",
            "sent_at": f"2026-02-0{n}T10:00:00+08:00",
            "body": "Please pay.",
        }
        for n in (1, 2)
    ),
]
"""Lines of an import: C1 owns the loan L1 and got the messages M1 and M2 about it; C2 owns L2."""

GATE_ITEMS: dict[str, Any] = {
    "items": [{"request_id": "r1", "phone": "+8613812340001", "loan": "L1", "channel": "sms", "category": "service"}]
}
"""A question to the gate that is allowed."""


SURVEY: dict[str, Any] = {
    "title": {"zh-hans": "您好", "en": "Hello"},
    "questions": [{"key": "recommend", "kind": "nps", "text": {"zh-hans": "推荐吗?", "en": "Would you recommend us?"}}],
}
"""What a survey asks."""


def load_records(records: list[dict[str, Any]]) -> None:
    """Imports lines; an error line fails the test."""
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    answer = callers.system("records:write").post("/api/v1/records/import", lines, content_type="application/x-ndjson")
    assert answer.status_code == 200, b"".join(answer)
    results = [json.loads(line) for line in b"".join(answer).splitlines()]
    assert [row for row in results if row["result"] == "error"] == []
    assert len(results) == len(records)


def small_lender() -> dict[str, str]:
    """Loads RECORDS, gets a permit for the loan L1, then disputes the message M1 as C1; sends a notice, and registers a
    webhook endpoint that is off. Returns what each is called."""
    load_records(RECORDS)
    gate = callers.system("gate").post("/api/v1/gate/decisions", GATE_ITEMS)
    assert gate.json()["decisions"][0]["outcome"] == "allow", gate.content
    dispute = callers.customer("C1").post(
        "/api/v1/disputes", {"message": {"external_id": "M1"}, "ground": "not_overdue"}, Idempotency_Key="first"
    )
    assert dispute.status_code == 201, dispute.content
    return {
        "loan": "L1",
        "message": dispute.json()["message"]["id"],
        "dispute": dispute.json()["id"],
        "permit": gate.json()["decisions"][0]["permit"]["id"],
        "notice": _sent_notice(),
        "endpoint": _endpoint(),
        **_survey(),
    }


def _sent_notice() -> str:
    now = timezone.now()
    with transaction.atomic():
        notice = queue_notice(
            NewNotice(
                kind="acknowledgement",
                subject=new_id(),
                key="1",
                channel="sms",
                address="+8613812340001",
                language="en",
                text="We have it.",
            ),
            now=now,
        )
    send_notice(notice_id=notice.pk, now=now)
    return str(notice.pk)


def _endpoint() -> str:
    api = callers.system("webhooks:write")
    registered = api.post("/api/v1/webhook-endpoints", {"url": "http://127.0.0.1:9/hook"})
    assert registered.status_code == 201, registered.content
    place: str = registered.json()["id"]
    assert api.request("PATCH", f"/api/v1/webhook-endpoints/{place}", b'{"enabled": false}').status_code == 200
    return place


def _survey() -> dict[str, str]:
    """A survey, and a wave of it that invited C1."""
    now = timezone.now()
    with transaction.atomic():
        version = create_survey(name="Disputes", content=SURVEY, created_by="test", now=now)
        wave = open_wave(
            survey_id=version.survey_id,
            asked=Asked(audience="messaged"),
            start=now - timedelta(days=1),
            end=now,
            opened_by="test",
            now=now,
        )
        invitation = Invitation.objects.create(
            wave=wave, customer="C1", language="en", state="sent", asked_at=now, not_before=now, sent_at=now
        )
        links = make_links(invitations=[invitation.pk], ordinal=1)
    return {
        "survey": str(version.survey_id),
        "wave": str(wave.pk),
        "token": links[invitation.pk].removeprefix("/s/"),
    }
