"""The database finds the lanes of a single item that the process works out for it."""

from __future__ import annotations

import random

import pytest
from django.db import transaction
from django.utils import timezone

from disputes.holds import calls, reading
from disputes.holds.policies import pack_in_force
from disputes.holds.walking import GateItem
from tests.disputes.holds import scene

pytestmark = pytest.mark.django_db(transaction=True)


def read(item: GateItem) -> reading.Reading:
    with transaction.atomic(durable=True):
        return reading.read_facts(
            items=[item],
            lanes=calls.OWN_LANES,
            caller="t",
            pack_at=lambda at: pack_in_force(at=at),
            now=timezone.now(),
        )


def has_its_lanes(item: GateItem) -> bool:
    found, owners = read(item), reading.read_owners([item])
    assert found.before is not None
    assert found.before.of(item) == owners.of(item)
    return found.lanes == owners.lanes_of([item])


def test_of_a_loan_whatever_its_owner_is_called() -> None:
    chance = random.Random(7)
    letters = "aZ0 _:'\"\\{},%é客户😀\u0301"
    for n in range(150):
        customer = "".join(chance.choice(letters) for _ in range(chance.randint(1, 12))) + str(n)
        scene.loan(f"loan {n}", customer)
        assert has_its_lanes(scene.item(n % 90, loan=f"loan {n}")), customer


def test_of_a_loan_that_is_nobodys_or_not_known() -> None:
    scene.loan("借款", None)
    assert has_its_lanes(scene.item(loan="借款"))
    assert has_its_lanes(scene.item(loan="no such loan"))


def test_without_a_loan_those_of_all_whose_own_phone_it_is() -> None:
    scene.lender(customers=3)
    for customer, role in (("C2", "own"), ("C3", "contact")):
        scene.CustomerPhone.objects.create(customer=customer, digest=scene.digest(1), role=role)
    item = scene.item(1, loan=None, category="survey")
    assert has_its_lanes(item)
    assert len(read(item).lanes) == 3
    assert has_its_lanes(scene.item(50, loan=None, category="service"))


def test_a_lane_that_somebody_holds_is_not_among_them() -> None:
    from disputes.lanes import locking
    from tests.races import at_once

    scene.lender()
    with transaction.atomic(durable=True):
        locking.take_lanes([locking.lane_of_customer("C1")])
        (found,) = at_once([lambda: read(scene.item(1))])
    assert found.lanes == {locking.lane_of_phone(scene.digest(1))}
