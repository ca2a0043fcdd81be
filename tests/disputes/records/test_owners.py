"""Who owns a loan or a phone: lanes taken, hooks called, and what each may see."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from config.fields import phone_digest
from disputes.lanes.locking import lane_of_customer, lane_of_loan, lane_of_phone
from disputes.records import hooks, queries, settling
from disputes.records.models import Customer, CustomerPhone, Loan, Message
from tests.disputes.records import importer
from tests.disputes.records.importer import NOW, load

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(days=1)
ONE, TWO, THREE = "+8613812340001", "+8613812340002", "+8613812340003"


class Heard:
    def __init__(self) -> None:
        self.lanes: list[set[int]] = []
        self.changes: list[tuple[Any, Any]] = []
        self.messages: list[list[str]] = []


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    """Which lanes were taken and what the hooks were told, beside what they really do."""
    heard = Heard()
    take = settling.take_lanes

    def take_and_note(lanes: Sequence[int]) -> None:
        heard.lanes.append(set(lanes))
        take(lanes)

    def changed(*, customer_phones: Any, loans_moved: Any) -> None:
        heard.changes.append((list(customer_phones), list(loans_moved)))

    def arrived(messages: Sequence[Message]) -> None:
        heard.messages.append([message.external_id for message in messages])

    monkeypatch.setattr(settling, "take_lanes", take_and_note)
    monkeypatch.setattr(hooks, "on_owners_changed", [*hooks.on_owners_changed, changed])
    monkeypatch.setattr(hooks, "on_messages_arrived", [*hooks.on_messages_arrived, arrived])
    return heard


def lanes_of(*keys: tuple[str, Any]) -> set[int]:
    lane = {"c": lane_of_customer, "p": lambda number: lane_of_phone(phone_digest(number))}
    return {lane[kind](key) for kind, key in keys}


def phones(*numbers: str, **more: str) -> list[dict[str, str]]:
    return [{"number": number, **more} for number in numbers]


def test_a_loan_that_moves_takes_the_lanes_of_both_customers(heard: Heard) -> None:
    load(importer.loan(customer="C1"))
    assert heard.lanes.pop() == {lane_of_loan(loan="L1", customer=None), lane_of_customer("C1")}
    assert heard.changes.pop() == ([], [("L1", "C1")])
    load(importer.loan(customer="C2"))
    assert heard.lanes.pop() == lanes_of(("c", "C1"), ("c", "C2"))
    assert heard.changes.pop() == ([], [("L1", "C2")])


def test_a_loan_that_stays_takes_no_lane(heard: Heard) -> None:
    load(importer.loan(customer="C1"))
    load(importer.loan(customer="C1", grace_days=4), importer.instalment(), importer.repayment())
    assert heard.lanes.pop() == set()
    assert len(heard.changes) == 1


def test_a_loan_that_is_voided_or_moved_by_a_late_line_is_seen_too(heard: Heard) -> None:
    load(importer.loan(customer="C1", version=5))
    load(importer.loan(customer="C2", version=4))
    assert queries.owner_of_loan(loan="L1") == "C1"
    load(importer.void("loan", "L1"))
    assert heard.lanes.pop() == {lane_of_loan(loan="L1", customer=None), lane_of_customer("C1")}
    assert queries.owner_of_loan(loan="L1") is None
    load(importer.void("void", "V1", "V2"))
    assert queries.owner_of_loan(loan="L1") == "C1"


def test_phones_that_come_and_go_take_their_lanes_and_new_own_ones_are_told(heard: Heard) -> None:
    load(importer.customer(phones=[*phones(ONE), *phones(TWO, role="contact")]))
    assert heard.lanes.pop() == lanes_of(("c", "C1"), ("p", ONE), ("p", TWO))
    assert heard.changes.pop() == ([("C1", phone_digest(ONE))], [])
    load(importer.customer(phones=phones(TWO, THREE)))
    assert heard.lanes.pop() == lanes_of(("c", "C1"), ("p", ONE), ("p", TWO), ("p", THREE))
    assert heard.changes.pop() == (sorted([("C1", phone_digest(TWO)), ("C1", phone_digest(THREE))]), [])
    load(importer.customer(phones=phones(THREE)))
    assert heard.lanes.pop() == lanes_of(("c", "C1"), ("p", TWO))
    assert heard.changes == []


def test_a_customer_whose_wishes_change_takes_no_lane(heard: Heard) -> None:
    load(importer.customer(phones=phones(ONE)))
    load(importer.customer(phones=phones(ONE), language="en"))
    assert heard.lanes.pop() == set()
    assert queries.language_of_customer(customer="C1") == "en"


def test_every_message_is_told_of_whether_it_names_a_permit_or_not(heard: Heard) -> None:
    load(importer.message("M1", permit="0198c0de-0000-7000-8000-000000000001"), importer.message("M2"))
    assert heard.messages == [["M1", "M2"]]


def test_a_phone_is_its_own_customers_and_not_of_those_who_named_it_as_a_contact() -> None:
    load(
        importer.customer("C1", phones=phones(ONE, role="contact")),
        importer.customer("C2", phones=phones(ONE, until="2026-02-28")),
        importer.customer("C3", phones=phones(ONE, **{"from": "2026-03-01"})),
    )
    digest = phone_digest(ONE)
    assert queries.customers_of_phone(digest=digest) == {"C2", "C3"}
    # 17:00 UTC on the last day of February is March at the lender's.
    assert queries.customers_of_phone(digest=digest, at=datetime(2026, 2, 28, 15, tzinfo=UTC)) == {"C2"}
    assert queries.customers_of_phone(digest=digest, at=datetime(2026, 2, 28, 17, tzinfo=UTC)) == {"C3"}
    assert CustomerPhone.objects.count() == 3


def test_a_message_is_seen_by_whose_loan_it_is_and_by_whose_phone_it_went_to_then() -> None:
    load(
        importer.customer("C1", phones=phones(TWO)),
        importer.customer("C2", phones=phones(ONE, until="2026-02-28")),
        importer.customer("C3", phones=phones(ONE, **{"from": "2026-03-01"})),
        importer.customer("C4", phones=phones(ONE, role="contact")),
        importer.loan("L1", customer="C1"),
        importer.message("M1", loan="L1", phone=ONE, sent_at="2026-03-03T10:00:00+08:00"),
    )
    seen = {c: queries.messages_of_customer(customer=c).count() for c in ("C1", "C2", "C3", "C4", "nobody")}
    assert seen == {"C1": 1, "C2": 0, "C3": 1, "C4": 0, "nobody": 0}


def test_a_customer_is_there_from_their_first_mention() -> None:
    load(importer.loan(customer="C9"))
    assert list(Loan.objects.filter(customer="C9").values_list("pk", flat=True)) == ["L1"]
    assert queries.language_of_customer(customer="C9") is None


def test_a_customer_whose_void_came_first_has_no_phone_until_it_is_taken_back(heard: Heard) -> None:
    load(importer.void("customer", "C1", "V1"))
    load(importer.customer("C1", phones=phones(ONE), language="en"))
    assert queries.customers_of_phone(digest=phone_digest(ONE)) == set()
    assert heard.changes == []
    load(importer.void("void", "V1", "V2"))
    assert queries.customers_of_phone(digest=phone_digest(ONE)) == {"C1"}
    assert heard.changes == [([("C1", phone_digest(ONE))], [])]


def test_a_customer_whom_a_loan_named_before_keeps_when_that_was() -> None:
    load(importer.loan(customer="C1"))
    load(importer.customer("C1", phones=phones(ONE), language="en"), now=LATER)
    row = Customer.objects.get(pk="C1")
    assert (row.first_mentioned_at, row.first_received_at, row.language) == (NOW, LATER, "en")
    assert queries.customers_of_phone(digest=phone_digest(ONE)) == {"C1"}
