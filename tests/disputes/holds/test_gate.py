"""The gate over HTTP and through its function: permits, requests that come again, batches, bodies that cannot be
read."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from disputes.holds.models import Permit
from disputes.holds.permits import mark_used
from disputes.records.models import Loan, Message
from tests import callers
from tests.disputes.holds import scene

pytestmark = pytest.mark.django_db

GATE = "/api/v1/gate/decisions"


@pytest.fixture(autouse=True)
def _pack(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)


@pytest.fixture
def vendor() -> callers.Api:
    return callers.system("gate")


def asked(n: int = 1, **fields: Any) -> dict[str, Any]:
    plain = {"request_id": f"r{n}", "phone": scene.number(n), "loan": f"L{n}1", "channel": "sms", "category": "urge"}
    return {name: value for name, value in (plain | fields).items() if value is not ...}


def decisions(api: callers.Api, *items: Any, **body: Any) -> list[dict[str, Any]]:
    answer = api.post(GATE, {"items": list(items), **body})
    assert answer.status_code == 200, answer.content
    return list(answer.json()["decisions"])


def sent_on(decision: dict[str, Any]) -> Message:
    """The record of a message about L11, by the permit that the decision granted."""
    return Message.objects.create(
        external_id=f"M-{decision['permit']['id']}",
        loan="L11",
        phone_digest=scene.digest(1),
        channel="sms",
        category="urge",
        sent_at=datetime.now(tz=UTC),
        permit=decision["permit"]["id"],
        version_id=uuid.uuid4(),
    )


class TestPermits:
    def test_an_allowed_message_has_a_permit_for_sixty_seconds(self, vendor: callers.Api) -> None:
        scene.lender()
        answer = vendor.post(GATE, {"items": [asked()]}).json()
        (decision,) = answer["decisions"]
        assert decision["outcome"] == "allow"
        assert decision["reasons"] == []
        assert decision["next_allowed_at"] is None
        good_for = datetime.fromisoformat(decision["permit"]["expires_at"]) - datetime.fromisoformat(
            answer["decided_at"]
        )
        assert good_for == timedelta(seconds=60)
        permit = Permit.objects.get(pk=decision["permit"]["id"])
        assert (permit.loan, permit.customer, bytes(permit.phone_digest)) == ("L11", "C1", scene.digest(1))
        assert permit.expires_at - permit.granted_at == timedelta(seconds=60)

    @pytest.mark.parametrize("seconds", [1, 600])
    def test_or_for_as_long_as_asked(self, vendor: callers.Api, seconds: int) -> None:
        scene.lender()
        decisions(vendor, asked(), permit_seconds=seconds)
        permit = Permit.objects.get()
        assert permit.expires_at - permit.granted_at == timedelta(seconds=seconds)

    def test_a_denied_message_has_none(self, vendor: callers.Api) -> None:
        scene.lender()
        scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        (decision,) = decisions(vendor, asked())
        assert decision == {
            "outcome": "deny",
            "reasons": ["dispute_pending"],
            "next_allowed_at": None,
            "permit": None,
        }
        assert Permit.objects.count() == 0

    def test_a_dry_run_grants_nothing_and_shows_every_reason(self, vendor: callers.Api) -> None:
        scene.lender()
        scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        Loan.objects.filter(pk="L11").update(paid=Decimal(1000))
        answer = vendor.post(f"{GATE}?dry_run=true", {"items": [asked(), asked(2)]}).json()
        assert [row["reasons"] for row in answer["decisions"]] == [["dispute_pending", "not_overdue"], []]
        assert [row["permit"] for row in answer["decisions"]] == [None, None]
        assert Permit.objects.count() == 0

    def test_its_slot_is_taken_there_and_then(self, vendor: callers.Api, any_hour: Callable[..., None]) -> None:
        any_hour(customer=2)
        scene.lender()
        first, second, third = decisions(vendor, *(asked(request_id=f"r{n}") for n in range(3)))
        assert [first["outcome"], second["outcome"]] == ["allow", "allow"]
        assert third["reasons"] == ["frequency_cap"]
        granted_at = Permit.objects.order_by("granted_at")[0].granted_at
        assert datetime.fromisoformat(third["next_allowed_at"]) == granted_at + timedelta(hours=24)

    def test_handed_back_it_is_free_again(self, vendor: callers.Api, any_hour: Callable[..., None]) -> None:
        any_hour(customer=1)
        scene.lender()
        (first,) = decisions(vendor, asked(request_id="a"))
        assert decisions(vendor, asked(request_id="b"))[0]["reasons"] == ["frequency_cap"]
        address = f"/api/v1/gate/permits/{first['permit']['id']}/unused"
        once, again = vendor.post(address), vendor.post(address)
        assert once.status_code == again.status_code == 200
        assert once.json() == again.json()
        assert decisions(vendor, asked(request_id="a"))[0]["permit"]["id"] != first["permit"]["id"], (
            "it lives no longer"
        )

    def test_a_message_makes_of_it_one_contact_and_not_two(
        self, vendor: callers.Api, any_hour: Callable[..., None]
    ) -> None:
        any_hour(customer=2)
        scene.lender()
        (first,) = decisions(vendor, asked(request_id="a"))
        message = sent_on(first)
        assert mark_used([message]) == 1
        assert mark_used([message]) == 0
        assert decisions(vendor, asked(request_id="b"))[0]["outcome"] == "allow"
        assert decisions(vendor, asked(request_id="c"))[0]["reasons"] == ["frequency_cap"]
        refused = vendor.post(f"/api/v1/gate/permits/{first['permit']['id']}/unused")
        assert refused.status_code == 409
        assert refused.json()["errors"][0]["code"] == "permit_used"

    def test_without_a_message_it_counts_for_a_day(self, vendor: callers.Api, any_hour: Callable[..., None]) -> None:
        any_hour(customer=1)
        scene.lender()
        decisions(vendor, asked(request_id="a"))
        Permit.objects.update(granted_at=scene.long_ago(1) + timedelta(minutes=1))
        assert decisions(vendor, asked(request_id="b"))[0]["reasons"] == ["frequency_cap"]
        Permit.objects.update(granted_at=scene.long_ago(1) - timedelta(seconds=1))
        assert decisions(vendor, asked(request_id="c"))[0]["outcome"] == "allow"

    def test_only_who_was_granted_it_hands_it_back(self, vendor: callers.Api, any_hour: Callable[..., None]) -> None:
        """Another vendor would free the slot of a message that goes out all the same."""
        any_hour(customer=1)
        scene.lender()
        (first,) = decisions(vendor, asked(request_id="a"))
        address = f"/api/v1/gate/permits/{first['permit']['id']}/unused"
        unknown = f"/api/v1/gate/permits/{uuid.uuid4()}/unused"
        another = callers.system("gate")
        refused = another.post(address)
        assert (refused.status_code, refused.json()) == (404, another.post(unknown).json())
        assert decisions(vendor, asked(request_id="b"))[0]["reasons"] == ["frequency_cap"]
        assert vendor.post(address).status_code == 200
        assert another.post(address).status_code == 404, "nor does another learn that it was handed back"
        assert decisions(vendor, asked(request_id="b"))[0]["outcome"] == "allow"

    @pytest.mark.parametrize("key", ["01a20dd1-0b35-75e9-8047-fef5cf0bc0e1", "nonsense", "0"])
    def test_an_unknown_one_is_not_there(self, vendor: callers.Api, key: str) -> None:
        assert vendor.post(f"/api/v1/gate/permits/{key}/unused").status_code == 404


class TestTheSameRequest:
    def test_again_is_given_the_same_permit(self, vendor: callers.Api, any_hour: Callable[..., None]) -> None:
        any_hour(customer=1)
        scene.lender()
        first, again = decisions(vendor, asked()), decisions(vendor, asked())
        assert first[0]["permit"] == again[0]["permit"]
        assert Permit.objects.count() == 1

    def test_twice_in_one_batch_as_well(self, vendor: callers.Api) -> None:
        scene.lender()
        first, again = decisions(vendor, asked(), asked())
        assert first["permit"] == again["permit"]
        assert Permit.objects.count() == 1

    def test_of_another_caller_is_another(self, vendor: callers.Api) -> None:
        scene.lender()
        (mine,), (theirs,) = decisions(vendor, asked()), decisions(callers.system("gate"), asked())
        assert mine["permit"]["id"] != theirs["permit"]["id"]

    def test_for_another_message_is_a_slip(self, vendor: callers.Api) -> None:
        scene.lender()
        decisions(vendor, asked())
        assert decisions(vendor, asked(2, request_id="r1"))[0]["reasons"] == ["malformed"]
        assert [row["reasons"] for row in decisions(vendor, asked(request_id="n"), asked(2, request_id="n"))] == [
            [],
            ["malformed"],
        ]

    def test_by_another_sending_rule_is_a_slip(self, vendor: callers.Api) -> None:
        """A permit is on the list of its own rule's pause alone."""
        scene.lender()
        decisions(vendor, asked(sending_rule="R7"))
        assert decisions(vendor, asked(sending_rule="RR"))[0]["reasons"] == ["malformed"]
        assert decisions(vendor, asked())[0]["reasons"] == ["malformed"]
        assert decisions(vendor, asked(sending_rule="R7"))[0]["outcome"] == "allow"
        twice = decisions(
            vendor, asked(2, request_id="n", sending_rule="R7"), asked(2, request_id="n", sending_rule="RR")
        )
        assert [row["reasons"] for row in twice] == [[], ["malformed"]]

    def test_after_its_permit_expired_is_decided_anew(self, vendor: callers.Api) -> None:
        scene.lender()
        (first,) = decisions(vendor, asked())
        Permit.objects.update(expires_at=datetime.now(tz=UTC))
        assert decisions(vendor, asked())[0]["permit"]["id"] != first["permit"]["id"]


class TestARequestWhoseMessageWentOut:
    """One request is one message: asked again it is not sent again, whatever the caps would still let through."""

    @pytest.fixture
    def first(self, vendor: callers.Api) -> dict[str, Any]:
        scene.lender()
        (decision,) = decisions(vendor, asked())
        mark_used([sent_on(decision)])
        return decision

    def denied(self, vendor: callers.Api, *, dry_run: bool = False) -> bool:
        (decision,) = vendor.post(f"{GATE}?dry_run={dry_run}", {"items": [asked()]}).json()["decisions"]
        assert decision["outcome"] == "allow" or decision == {
            "outcome": "deny",
            "reasons": ["frequency_cap"],
            "next_allowed_at": None,
            "permit": None,
        }
        return bool(decision["outcome"] == "deny")

    @pytest.mark.usefixtures("first")
    def test_is_denied_and_no_time_is_named(self, vendor: callers.Api) -> None:
        assert self.denied(vendor)
        assert self.denied(vendor, dry_run=True)
        assert Permit.objects.count() == 1
        assert decisions(vendor, asked(request_id="r2"))[0]["outcome"] == "allow", "no cap stands in another's way"

    def test_also_where_the_record_came_after_the_permit_expired(self, vendor: callers.Api) -> None:
        scene.lender()
        (first,) = decisions(vendor, asked())
        Permit.objects.update(expires_at=datetime.now(tz=UTC))
        mark_used([sent_on(first)])
        assert self.denied(vendor)

    def test_and_where_the_permit_had_been_handed_back(self, vendor: callers.Api) -> None:
        scene.lender()
        (first,) = decisions(vendor, asked())
        assert vendor.post(f"/api/v1/gate/permits/{first['permit']['id']}/unused").status_code == 200
        (second,) = decisions(vendor, asked())
        mark_used([sent_on(first)])
        assert second["outcome"] == "allow"
        assert self.denied(vendor)

    @pytest.mark.usefixtures("first")
    def test_for_a_day_after_it_was_let_out(self, vendor: callers.Api) -> None:
        Permit.objects.update(granted_at=scene.long_ago(1) + timedelta(minutes=1))
        assert self.denied(vendor)
        Permit.objects.update(granted_at=scene.long_ago(1) - timedelta(seconds=1))
        assert not self.denied(vendor)

    @pytest.mark.usefixtures("first")
    def test_of_another_caller_or_for_another_message_is_another(self, vendor: callers.Api) -> None:
        assert decisions(callers.system("gate"), asked())[0]["outcome"] == "allow"
        assert decisions(vendor, asked(2, request_id="r1"))[0]["outcome"] == "allow"

    @pytest.mark.usefixtures("first")
    def test_every_other_reason_is_shown_as_well(self, vendor: callers.Api) -> None:
        scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        assert decisions(vendor, asked())[0]["reasons"] == ["dispute_pending", "frequency_cap"]


class TestABatch:
    def test_keeps_the_order_asked(self, vendor: callers.Api) -> None:
        scene.lender(customers=4)
        scene.dispute("not_overdue", loan="L21", n=2, customer="C2")
        rows = decisions(vendor, asked(1), asked(2), asked(3, loan="L9"), asked(4), asked(1, phone="nobody"))
        assert [row["reasons"] for row in rows] == [[], ["dispute_pending"], ["unknown_loan"], [], ["malformed"]]

    @pytest.mark.parametrize(
        "bad",
        [
            {},
            None,
            "r1",
            7,
            [],
            asked(phone=...),
            asked(phone="not a phone"),
            asked(phone=13812340001),
            asked(phone="+86138\u00001234"),
            asked(request_id="half a character: \ud800"),
            asked(loan="\udfff"),
            asked(loan=...),
            asked(loan=""),
            asked(loan="L\u00001"),
            asked(loan=["L11"]),
            asked(channel="pigeon"),
            asked(category="advert"),
            asked(category=...),
            asked(request_id=1),
            asked(request_id="r" * 201),
            asked(sending_rule={}),
        ],
        ids=lambda bad: json.dumps(bad)[:60],
    )
    def test_one_item_that_cannot_be_read_spoils_itself_alone(self, vendor: callers.Api, bad: Any) -> None:
        scene.lender()
        rows = decisions(vendor, asked(1), bad, asked(2))
        assert [row["reasons"] for row in rows] == [[], ["malformed"], []]

    def test_one_record_that_cannot_be_read_spoils_its_own_item(
        self, vendor: callers.Api, caplog: pytest.LogCaptureFixture
    ) -> None:
        scene.lender()
        Loan.objects.filter(pk="L11").update(time_zone="Mars/Olympus_Mons")
        rows = decisions(vendor, asked(1), asked(2), asked(1, loan="L12", request_id="x"))
        assert [row["reasons"] for row in rows] == [["undecidable"], [], []]

    def test_a_phone_may_be_written_as_it_is_dialled(self, vendor: callers.Api) -> None:
        scene.lender()
        assert decisions(vendor, asked(phone="138 1234 0001"))[0]["outcome"] == "allow"

    def test_of_none_is_no_error(self, vendor: callers.Api) -> None:
        assert decisions(vendor) == []

    def test_of_ten_thousand_takes_a_bounded_number_of_statements(self, vendor: callers.Api) -> None:
        scene.lender(customers=3)
        rows = [asked(1 + n % 3, request_id=f"q{n}", category="service") for n in range(9_999)]
        # Facts and permits of each part; owners and the beginning of each chunk of two thousand, which is eight parts.
        with CaptureQueriesContext(connection) as statements:
            found = decisions(vendor, *rows[:5_000], {"phone": 1}, *rows[5_000:])
        assert len(statements) <= 5 * (8 * 2 + 4)
        assert found[5_000]["reasons"] == ["malformed"]
        assert sum(row["outcome"] == "allow" for row in found) == 9_999
        assert Permit.objects.count() == 9_999


@pytest.mark.parametrize(
    ("body", "status", "code", "attr"),
    [
        (b"", 400, "parse_error", None),
        (b"{", 400, "parse_error", None),
        (b"\xff\xfe", 400, "parse_error", None),
        (b"[]", 400, "invalid", None),
        (b"{}", 400, "required", "items"),
        (b'{"items": 1}', 400, "not_a_list", "items"),
        (b'{"items": null}', 400, "not_a_list", "items"),
        (b'{"items": {"a": 1}}', 400, "not_a_list", "items"),
        (b'{"items": [], "permit_seconds": 0}', 400, "invalid", "permit_seconds"),
        (b'{"items": [], "permit_seconds": 601}', 400, "invalid", "permit_seconds"),
        (b'{"items": [], "permit_seconds": true}', 400, "invalid", "permit_seconds"),
        (b'{"items": [], "permit_seconds": "60"}', 400, "invalid", "permit_seconds"),
        (b'{"items": [], "permit_seconds": 1.5}', 400, "invalid", "permit_seconds"),
        (b'{"items": [], "permit_secs": 60}', 400, "unknown_field", "permit_secs"),
        (b'{"items": [' + b"{}," * 10_000 + b"{}]}", 400, "max_length", "items"),
        (b"[" * 100_000, 400, None, None),
        (b'{"items": ' + b"[" * 100_000, 400, None, None),
        (b'{"items": [' + b"[" * 3_000 + b"]" * 3_000 + b"]}", 400, None, None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_call_that_cannot_be_read_as_a_whole(
    vendor: callers.Api, body: bytes, status: int, code: str | None, attr: str | None
) -> None:
    answer = vendor.request("POST", GATE, body)
    assert answer.status_code == status, answer.content
    if code is not None:
        (error,) = answer.json()["errors"]
        assert (error["code"], error["attr"]) == (code, attr)


def test_a_flag_that_is_none_is_named(vendor: callers.Api) -> None:
    answer = vendor.post(f"{GATE}?dry_run=perhaps", {"items": []})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["attr"] == "dry_run"


def test_a_misspelt_parameter_grants_nothing(vendor: callers.Api) -> None:
    scene.lender()
    answer = vendor.post(f"{GATE}?dryrun=true", {"items": [asked()]})
    assert answer.status_code == 400
    assert answer.json()["errors"][0] == {
        "code": "unknown_field",
        "detail": "There is no such parameter.",
        "attr": "dryrun",
    }
    assert not Permit.objects.exists()


class TestAccounts:
    def test_the_records_must_be_fresh_enough(self, vendor: callers.Api) -> None:
        scene.lender(records_until=scene.long_ago(2))
        rows = decisions(vendor, asked(request_id="n"), asked(request_id="m", category="reminder"))
        assert [row["reasons"] for row in rows] == [["records_stale"], []]

    @pytest.mark.parametrize(
        ("rule", "category", "reasons"),
        [
            ("R7", "urge", []),
            ("RP", "reminder", []),
            ("RR", "reminder", []),
            ("R-nobody-knows", "urge", []),
        ],
    )
    def test_sending_rules(self, vendor: callers.Api, rule: str, category: str, reasons: list[str]) -> None:
        scene.lender()
        assert decisions(vendor, asked(sending_rule=rule, category=category))[0]["reasons"] == reasons

    def test_a_paid_loan_is_not_overdue(self, vendor: callers.Api) -> None:
        scene.lender()
        Loan.objects.filter(pk="L11").update(paid=Decimal(1000))
        rows = decisions(vendor, asked(), asked(request_id="m", category="reminder", sending_rule="RP"))
        assert [row["reasons"] for row in rows] == [["not_overdue"], []]

    def test_grace_pause_arrangement(self, vendor: callers.Api) -> None:
        scene.lender(loans=3)
        Loan.objects.filter(pk="L11").update(grace_days=5000)
        Loan.objects.filter(pk="L12").update(pauses=[{"from": "2026-01-02", "until": None}])
        Loan.objects.filter(pk="L13").update(arrangements=[{"from": "2026-01-02", "until": None, "kept_until": None}])
        rows = decisions(vendor, *(asked(loan=f"L1{n}", request_id=f"q{n}") for n in (1, 2, 3)))
        assert [row["reasons"] for row in rows] == [["within_grace"], ["arrangement"], ["arrangement"]]
