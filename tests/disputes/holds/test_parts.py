"""A batch whose facts are read in several parts, each while another is decided, is answered as if read in one."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from disputes.holds import gate
from disputes.holds.models import Permit
from disputes.holds.scopes import Covers
from disputes.holds.walking import GateItem
from disputes.records.models import Message
from tests.disputes.holds import scene

pytestmark = pytest.mark.django_db
CUSTOMERS = 6


@pytest.fixture(autouse=True)
def _lender(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
    any_hour(customer=2, loan=1)
    scene.lender(customers=CUSTOMERS)


@pytest.fixture
def in_parts_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda size: monkeypatch.setattr(gate, "PART", size)


def sent(n: int, *, hours: int) -> None:
    Message.objects.create(
        external_id=uuid.uuid4().hex, loan=f"L{n}1", phone_digest=scene.digest(n), channel="sms", category="urge",
        sent_at=datetime.now(tz=UTC) - timedelta(hours=hours), version_id=uuid.uuid4(),
    )  # fmt: skip


def answered(items: list[GateItem | None], *, dry_run: bool) -> tuple[list[tuple[str, ...]], list[int | None]]:
    """The reasons, and which items have the same permit (by the first that has it); the permits are gone
    afterwards."""
    answers = scene.ask(*items, dry_run=dry_run)
    ids = [answer.permit.id if answer.permit else None for answer in answers]
    assert set(Permit.objects.values_list("pk", flat=True)) == {one for one in ids if one is not None}
    Permit.objects.all().delete()
    return [answer.reasons for answer in answers], [None if one is None else ids.index(one) for one in ids]


@pytest.mark.parametrize("dry_run", [False, True], ids=["granting", "dry run"])
@pytest.mark.parametrize("seed", range(6))
def test_whatever_its_items_have_in_common(seed: int, dry_run: bool, in_parts_of: Callable[[int], None]) -> None:
    chance = random.Random(seed)
    for n in range(1, CUSTOMERS):
        if chance.random() < 0.6:
            sent(n, hours=chance.choice([1, 3, 30]))
    scene.hold(Covers(loans=frozenset({"L11"})))
    items: list[GateItem | None] = []
    for _ in range(40):
        n = chance.randint(1, CUSTOMERS)
        same = chance.randint(1, 12)
        asked = scene.item(
            n,
            loan=f"L{n}{chance.randint(1, 2)}" if chance.random() < 0.9 else None,
            category=chance.choice(["urge", "reminder", "survey", "service"]),
            request_id=f"r{same}" if same < 4 else uuid.uuid4().hex,
            sending_rule=chance.choice([None, "R7", "RP"]),
        )
        items.append(None if chance.random() < 0.05 else asked)
    in_parts_of(10_000)
    whole = answered(items, dry_run=dry_run)
    assert len({*whole[0]}) > 3, "the lender shows little"
    for size in (1, 7):
        in_parts_of(size)
        assert answered(items, dry_run=dry_run) == whole, size


def test_a_slot_that_one_part_took_is_gone_for_the_next(in_parts_of: Callable[[int], None]) -> None:
    in_parts_of(2)
    items = [
        scene.item(n, loan=f"L{n}{m}", request_id=f"r{n}{m}{turn}") for turn in (1, 2) for m in (1, 2) for n in (1, 2)
    ]
    assert scene.reasons(*items) == [()] * 4 + [("frequency_cap",)] * 4


def test_a_message_that_two_parts_read_counts_once(
    any_hour: Callable[..., None], in_parts_of: Callable[[int], None]
) -> None:
    any_hour(customer=3)
    sent(1, hours=3)
    in_parts_of(1)
    items = [scene.item(1, loan=f"L1{m}", request_id=f"r{n}") for n, m in enumerate((1, 2, 1))]
    assert scene.reasons(*items) == [(), (), ("frequency_cap",)]


def test_an_error_of_the_database_grants_nothing_and_the_next_call_is_answered(
    in_parts_of: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_parts_of(1)
    write = gate.write_grants
    # The third permit's key is there already.
    known = scene.ask(scene.item(3, request_id="known"))[0].permit
    assert known is not None
    ids = iter([uuid.uuid4(), uuid.uuid4(), known.id])
    monkeypatch.setattr(gate, "new_permit_id", lambda: next(ids))
    items = [scene.item(n, request_id=f"r{n}") for n in (1, 2, 4)]
    assert scene.reasons(*items) == [("undecidable",)] * 3
    assert Permit.objects.count() == 1
    monkeypatch.undo()
    assert write is gate.write_grants
    assert scene.reasons(scene.item(5)) == [()]
