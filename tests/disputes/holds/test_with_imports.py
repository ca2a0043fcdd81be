"""What an import does to holds and permits, in its own transaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest

from disputes.holds.models import Permit, SuppressionChange
from tests import callers
from tests.disputes.holds import scene
from tests.lender import load_records
from tests.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _pack(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)


def instant(**ago: float) -> str:
    return (datetime.now(tz=UTC) - timedelta(**ago)).isoformat()


def day(ahead: int) -> str:
    return (datetime.now(tz=UTC) + timedelta(days=ahead)).date().isoformat()


def customer(n: int, *phones: int) -> dict[str, Any]:
    numbers = [{"number": scene.number(phone), "role": "own"} for phone in phones or (n,)]
    return {"type": "customer", "external_id": f"C{n}", "phones": numbers}


def loan(n: int, owner: int, **more: Any) -> dict[str, Any]:
    return {"type": "loan", "external_id": f"L{n}1", "customer": f"C{owner}", "currency": "CNY", **more}


def lender() -> None:
    load_records(
        [
            *(customer(n) for n in (1, 2)),
            *(loan(n, n) for n in (1, 2)),
            *(
                {
                    "type": "instalment",
                    "external_id": f"I{n}",
                    "loan": f"L{n}1",
                    "number": 1,
                    "due_on": day(-20),
                    "amount": "100.00",
                }
                for n in (1, 2)
            ),
            *(
                {"type": "watermark", "external_id": feed, "feed": feed, "complete_until": instant(minutes=1)}
                for feed in ("repayments", "schedule")
            ),
        ]
    )


def message(external_id: str, permit: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "external_id": external_id,
        "loan": "L11",
        "phone": scene.number(1),
        "channel": "sms",
        "category": "urge",
        "sent_at": instant(seconds=1),
        "permit": str(permit),
    }


def test_the_account_that_was_imported_is_the_one_that_decides() -> None:
    lender()
    assert scene.reasons(scene.item(1), scene.item(2)) == [(), ()]
    payment = {"type": "repayment", "external_id": "P1", "loan": "L11", "amount": "100.00", "paid_at": instant(hours=2)}
    load_records([payment])
    assert scene.reasons(scene.item(1), scene.item(2)) == [("not_overdue",), ()]
    load_records([{"type": "reversal", "external_id": "V1", "repayment": "P1", "reversed_at": instant(hours=1)}])
    assert scene.reasons(scene.item(1)) == [()]


@pytest.mark.parametrize(
    ("terms", "reasons"),
    [
        ({"grace_days": 40}, ("within_grace",)),
        ({"pauses": [{"from": day(-15)}]}, ("arrangement",)),
        ({"pauses": [{"from": day(-15), "until": day(-10)}]}, ()),
        ({"arrangements": [{"from": day(-15)}]}, ("arrangement",)),
        ({"arrangements": [{"from": day(-15), "kept_until": day(-5)}]}, ()),
        ({"settled_on": day(-2)}, ("not_overdue",)),
        ({"tolerance": "100.00"}, ("not_overdue",)),
    ],
)
def test_and_its_terms(terms: dict[str, Any], reasons: tuple[str, ...]) -> None:
    lender()
    load_records([loan(1, 1, **terms) | {"version": 2}])
    assert scene.reasons(scene.item(1)) == [reasons]


def test_and_the_persons_own_wishes() -> None:
    lender()
    always = {
        "blocked": [{"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "00:00", "until": "24:00"}]
    }
    never: dict[str, list[Any]] = {"blocked": []}
    for version, wishes, reasons in ((2, always, ("outside_hours",)), (3, never, ())):
        fields = {"version": version, "contact_preferences": wishes, "time_zones": ["Asia/Shanghai", "Asia/Urumqi"]}
        load_records([customer(1) | fields])
        assert scene.reasons(scene.item(1)) == [reasons]


def test_and_the_sending_rule() -> None:
    lender()
    rule = {"type": "sending_rule", "external_id": "R", "aim": "overdue", "min_dpd": 9999}
    load_records([rule])
    assert scene.reasons(scene.item(1, sending_rule="R"), scene.item(1, sending_rule="Q")) == [("not_overdue",), ()]
    load_records([rule | {"version": 2, "min_dpd": 1}])
    assert scene.reasons(scene.item(1, sending_rule="R")) == [()]


def test_a_message_brings_its_permit_back_and_is_one_contact(any_hour: Callable[..., None]) -> None:
    any_hour(customer=2)
    lender()
    (first,) = scene.ask(scene.item(1))
    assert first.permit
    load_records([message("M1", first.permit.id), message("M2", "no permit of ours")])
    permit = Permit.objects.get()
    assert (permit.message, permit.used_at is not None) == ("M1", True)
    assert scene.reasons(scene.item(1)) == [("frequency_cap",)], "two messages, and no permit beside them"


def test_a_phone_added_to_a_held_customer_is_held() -> None:
    lender()
    scene.dispute("agent_conduct", loan="L11", n=1, customer="C1")
    load_records([customer(1, 1, 9) | {"version": 2}])
    assert scene.reasons(scene.item(9, loan=None, category="survey")) == [("dispute_pending",)]
    last = SuppressionChange.objects.order_by("number").last()
    assert last is not None
    assert (last.kind, f"p:{scene.digest(9).hex()}" in last.keys) == ("changed", True)


def test_a_held_loan_that_moves_stays_held() -> None:
    lender()
    scene.dispute("already_paid", loan="L11", n=1, customer="C1")
    load_records([loan(1, 2) | {"version": 2}])
    assert scene.reasons(scene.item(2, loan="L11"), scene.item(1, loan="L11"), scene.item(2)) == [
        ("dispute_pending",),
        ("unknown_phone", "dispute_pending"),
        (),
    ]


def test_a_loan_is_held_by_its_customers_hold_as_the_gate_says_now_and_then() -> None:
    """Of whoever had the loan at the instant that is asked for."""
    lender()
    of_first = scene.dispute("agent_conduct", loan="L11", n=1, customer="C1").hold
    before = datetime.now(tz=UTC)
    load_records([loan(1, 2) | {"version": 2}])
    of_second = scene.dispute("agent_conduct", loan="L21", n=2, customer="C2").hold
    of_loan = scene.dispute("already_paid", loan="L11", n=2, customer="C2").hold
    gateway = callers.system("suppressions:read")

    def shown(**query: Any) -> list[str]:
        answer = gateway.get(f"/api/v1/suppressions?{urlencode(query)}")
        return [row["id"] for row in answer.json()["results"]]

    assert shown(loan="L11") == [str(of_loan.pk), str(of_second.pk)]
    assert shown(loan="L11", at=datetime.now(tz=UTC).isoformat()) == [str(of_loan.pk), str(of_second.pk)]
    assert shown(loan="L11", at=before.isoformat()) == [str(of_first.pk)]
    assert shown(loan="L21") == [str(of_second.pk)]
    assert shown(loan="nobody's") == shown(loan="nobody's", at=before.isoformat()) == []


def test_a_permit_for_a_loan_that_moved_is_recalled_by_its_new_owners_hold() -> None:
    lender()
    (granted,) = scene.ask(scene.item(1))
    load_records([loan(1, 2) | {"version": 2}])
    held = scene.dispute("agent_conduct", loan="L21", n=2, customer="C2")
    assert granted.permit
    assert [permit.id for permit in held.permits_out] == [granted.permit.id]


def test_a_loan_that_moves_to_a_held_customer_has_its_permits_recalled_by_the_feed() -> None:
    lender()
    (granted,) = scene.ask(scene.item(1))
    assert granted.permit
    held = scene.dispute("agent_conduct", loan="L21", n=2, customer="C2")
    assert held.permits_out == ()
    load_records([loan(1, 2) | {"version": 2}])
    last = SuppressionChange.objects.order_by("number").last()
    assert last is not None
    assert (last.kind, last.hold_id) == ("changed", held.hold.pk)
    assert [permit["id"] for permit in last.permits_out] == [str(granted.permit.id)]


def test_imports_gates_and_disputes_at_once_all_come_through() -> None:
    """Nobody deadlocks, and nobody is told of an error: the loan moves to and fro under gates and disputes."""
    lender()
    load_records([customer(1, 1, 7) | {"version": 2}, customer(2, 2, 7) | {"version": 2}])
    feeder = callers.system("records:write")

    def move() -> None:
        import json

        for version in range(10, 22):
            line = json.dumps(loan(1, 1 + version % 2) | {"version": version}).encode()
            answer = feeder.post("/api/v1/records/import", line, content_type="application/x-ndjson")
            assert json.loads(b"".join(answer))["result"] == "updated"

    def ask() -> list[tuple[str, ...]]:
        return [scene.reasons(scene.item(7, loan="L11"))[0] for _ in range(40)]

    def dispute() -> int:
        from tests.disputes.holds.test_guarantee import again

        for _ in range(8):
            again(partial(scene.dispute, "already_paid", loan="L11", n=7, customer="C1"))
        return 8

    results = at_once([move, ask, ask, dispute])
    assert [one for one in results if isinstance(one, BaseException)] == []
    assert {reasons for found in results[1:3] for reasons in found} <= {(), ("dispute_pending",), ("busy",)}
    assert scene.reasons(scene.item(7, loan="L11")) == [("dispute_pending",)]
