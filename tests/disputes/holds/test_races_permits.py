"""A permit and the message that brings it back are one contact, whenever the gate counts: never two, never none."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from disputes.holds import reading
from disputes.holds.models import Permit
from disputes.holds.permits import PermitUsed
from disputes.records.models import Message
from tests.disputes.holds import scene
from tests.disputes.holds.test_guarantee import ask_one, naps_between_statements, without_the_lock
from tests.lines import message_line, send_records
from tests.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _pack(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
    any_hour(customer=1)


def granted(n: int) -> uuid.UUID:
    """The permit of a message to phone n, which takes the only slot of its customer."""
    (answer,) = scene.ask(scene.item(n))
    assert answer.permit is not None, answer
    return answer.permit.id


def message(n: int, permit: uuid.UUID) -> dict[str, Any]:
    sent_at = (datetime.now(tz=UTC) - timedelta(seconds=1)).isoformat()
    return message_line(f"M{n}", loan=f"L{n}1", phone=scene.number(n), sent_at=sent_at, permit=str(permit))


def test_while_its_message_comes_in_the_gate_counts_one_contact_all_the_time() -> None:
    scene.lender(customers=20)
    for n in range(1, 21):
        coming = partial(send_records, message(n, granted(n)))
        asking = partial(asked_for_a_while, scene.item(n, loan=f"L{n}2"))
        _, first, second = at_once([coming, asking, asking])
        assert {*first, *second} <= {("frequency_cap",), ("busy",)}, n
        assert scene.reasons(scene.item(n, loan=f"L{n}2")) == [("frequency_cap",)]


def asked_for_a_while(item: Any) -> set[tuple[str, ...]]:
    until, found = time.monotonic() + 0.25, set()
    while time.monotonic() < until:
        found.add(scene.reasons(item)[0])
    return found


def test_control_counted_by_two_statements_it_is_none_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages before the import commits, the permits after it: the slot seems to be free."""
    scene.lender()
    coming = message(1, granted(1))
    read = reading.read

    def by_two_statements(*asked: Any, **at: Any) -> reading.Reading:
        found = read(*asked, **at)
        messages = Message.objects.filter(loan="L11").count()
        assert not [one for one in at_once([partial(send_records, coming)]) if isinstance(one, BaseException)]
        counting = Permit.objects.filter(loan="L11", unused_at__isnull=True, message__isnull=True).count()
        taken = found.facts.taken[: messages + counting]
        return replace(found, facts=replace(found.facts, taken=taken))

    with monkeypatch.context() as patched:
        patched.setattr(reading, "read", by_two_statements)
        assert scene.reasons(scene.item(1, loan="L12")) == [()]
    assert Message.objects.count() == 1
    assert Permit.objects.filter(message__isnull=True).count() == 1, "a second contact under a cap of one"


class TestHandedBack:
    def test_a_permit_is_free_or_used_and_the_sender_is_told_which(self) -> None:
        scene.lender(customers=20)
        for n in range(1, 21):
            permit = granted(n)
            _, answer = at_once([partial(send_records, message(n, permit)), partial(scene.hand_back, permit)])
            row = Permit.objects.get(pk=permit)
            assert row.message == f"M{n}", "whatever the sender says, the message was sent"
            assert isinstance(answer, PermitUsed) == (row.unused_at is None), answer
            # A message went out: it is one contact, whether its permit was handed back before or not.
            assert scene.reasons(scene.item(n, loan=f"L{n}2")) == [("frequency_cap",)]

    def test_its_slot_goes_to_one_of_many_who_ask(self) -> None:
        scene.lender(customers=10)
        for n in range(1, 11):
            permit = granted(n)
            asking = partial(scene.ask, scene.item(n, loan=f"L{n}2"))
            handed_back, *answers = at_once([partial(scene.hand_back, permit), *[asking] * 4])
            assert isinstance(handed_back, datetime), handed_back
            got = [one for (one,) in answers if one.permit is not None]
            assert len(got) <= 1
            counting = Permit.objects.filter(customer=f"C{n}", unused_at__isnull=True).count()
            assert counting == len(got)
            assert Permit.objects.filter(customer=f"C{n}").count() == 1 + len(got)


def permits_of_one_request(rounds: int, *, first: int = 0) -> list[int]:
    """How many permits one request has that six senders make at once, round by round."""
    found = []
    with naps_between_statements():
        for number in range(first, first + rounds):
            item = scene.item(1, category="service", request_id=f"r{number}")
            answers = at_once([partial(ask_one, item)] * 6)
            found.append(len({answer.permit.id for answer in answers if answer.permit is not None}))
    return found


def test_one_request_has_one_permit_however_many_make_it() -> None:
    scene.lender()
    assert permits_of_one_request(12) == [1] * 12


def test_control_without_the_lanes_it_has_several() -> None:
    scene.lender()
    with without_the_lock():
        assert any(max(permits_of_one_request(5, first=5 * turn)) > 1 for turn in range(20))
