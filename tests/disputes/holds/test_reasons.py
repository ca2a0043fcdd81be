"""Every reason that the gate gives, each in a situation of its own, over HTTP; all that stands in the way at once; and
the order in which they stand, which the documentation has too."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import settings as django_settings
from django.db import transaction

from disputes.holds.scopes import Covers
from disputes.holds.walking import REASONS, Walk
from disputes.lanes.locking import lane_of_phone, take_lanes
from disputes.records.models import Customer, CustomerPhone, Loan, Message
from tests import callers
from tests.disputes.holds import scene
from tests.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)

GATE = "/api/v1/gate/decisions"
HELD = ("dispute_pending", "outcome_not_delivered", "records_not_corrected", "manual_hold", "wrong_number", "opted_out")
BY_THEMSELVES = ("malformed", "busy", "undecidable")


@pytest.fixture(autouse=True)
def _pack(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    any_hour(customer=1)
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)


def asked(**fields: Any) -> dict[str, Any]:
    plain = {"phone": scene.number(1), "loan": "L11", "channel": "sms", "category": "urge", "sending_rule": "R7"}
    return plain | fields


def decide(*, dry_run: bool, **fields: Any) -> dict[str, Any]:
    answer = callers.system("gate").post(f"{GATE}?dry_run={dry_run}", {"items": [asked(**fields)]})
    assert answer.status_code == 200, answer.content
    (decision,) = answer.json()["decisions"]
    return dict(decision)


def account(**changed: Any) -> None:
    Loan.objects.filter(pk="L11").update(**changed)


def blocked_for_now() -> None:
    """By the person's own wishes: from an hour ago until in two hours, every day, in UTC."""
    now = datetime.now(tz=UTC)
    hours = [f"{at:%H:00}" for at in (now - timedelta(hours=1), now + timedelta(hours=2))]
    wishes = {"blocked": [{"days": [], "from": hours[0], "until": hours[1]}]}
    Customer.objects.filter(pk="C1").update(time_zones=["UTC"], contact_preferences=wishes)


def one_was_sent() -> None:
    assert decide(dry_run=False)["outcome"] == "allow"


def today() -> date:
    return datetime.now(tz=UTC).date()


SITUATIONS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "malformed": (lambda: None, {"phone": "nobody"}),
    "unknown_loan": (lambda: None, {"loan": "L-nobody-knows"}),
    "unknown_phone": (lambda: CustomerPhone.objects.filter(customer="C1").delete(), {}),
    **{
        reason: (
            lambda reason=reason: scene.hold(Covers(loans=frozenset({"L11"})), reason=reason, source="manual"),
            {},
        )
        for reason in HELD
    },
    "rule_paused": (lambda: scene.hold(Covers(rules=frozenset({"R7"})), reason="rule_paused", source="breaker"), {}),
    "not_overdue": (lambda: account(paid=1000), {}),
    "within_grace": (lambda: account(grace_days=10_000), {}),
    "arrangement": (lambda: account(pauses=[{"from": "2026-01-01", "until": None}]), {}),
    "outside_hours": (blocked_for_now, {}),
    "frequency_cap": (one_was_sent, {}),
}


@pytest.mark.parametrize("reason", SITUATIONS)
def test_one_reason_stands_alone_in_its_situation(reason: str) -> None:
    scene.lender()
    happen, fields = SITUATIONS[reason]
    happen()
    for dry_run in (True, False):
        decision = decide(dry_run=dry_run, **fields)
        assert (decision["outcome"], decision["reasons"], decision["permit"]) == ("deny", [reason], None)
        assert (decision["next_allowed_at"] is not None) == (reason in ("outside_hours", "frequency_cap"))


def test_records_that_are_too_old() -> None:
    scene.lender(records_until=scene.long_ago(30))
    assert decide(dry_run=True)["reasons"] == decide(dry_run=False)["reasons"] == ["records_stale"]


def test_what_cannot_be_decided() -> None:
    scene.lender()
    with patch.object(Walk, "decide", side_effect=ZeroDivisionError):
        assert decide(dry_run=False)["reasons"] == ["undecidable"]


def test_what_is_in_use() -> None:
    scene.lender()
    with transaction.atomic():
        take_lanes([lane_of_phone(scene.digest(1))])
        (answer,) = at_once([lambda: scene.reasons(scene.item(1), wait=0.1)])
    assert answer == [("busy",)]


def test_no_reason_is_left_out_here() -> None:
    assert {*SITUATIONS, "records_stale", "undecidable", "busy"} == set(REASONS)


@pytest.mark.parametrize("dry_run", [True, False])
def test_all_that_stands_in_the_way_is_shown_at_once_in_order(dry_run: bool) -> None:
    scene.lender(records_until=scene.long_ago(30))
    for reason in HELD:
        scene.hold(Covers(phones=frozenset({scene.digest(1)})), reason=reason, source="manual")
    scene.hold(Covers(rules=frozenset({"R7"})), reason="rule_paused", source="breaker")
    pauses = [{"from": "2026-01-01", "until": None}]
    account(grace_days=10_000, pauses=pauses, due_on=[today() - timedelta(days=3)])
    blocked_for_now()
    Message.objects.create(
        external_id="M1", loan="L12", phone_digest=scene.digest(9), channel="sms", category="urge",
        sent_at=datetime.now(tz=UTC) - timedelta(hours=1), version_id="01900000-0000-7000-8000-000000000000",
    )  # fmt: skip
    CustomerPhone.objects.filter(customer="C1").update(customer="C2")
    expected = [one for one in REASONS if one not in (*BY_THEMSELVES, "unknown_loan")]
    decision = decide(dry_run=dry_run)
    assert decision["reasons"] == expected
    assert decision["next_allowed_at"] is None


def test_the_documentation_has_every_reason_in_their_order() -> None:
    page = (Path(django_settings.BASE_DIR) / "docs" / "integrating.md").read_text()
    table = page[page.index("| reason |") :].split("\n\n")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == REASONS
