"""One text that a carrier delivers several times at once."""

from __future__ import annotations

from typing import Any

import pytest

from disputes.cases.models import Comment
from disputes.inbound.models import InboundMessage
from tests.callers import customer, system
from tests.disputes.cases.test_inbound import deliver
from tests.disputes.cases.test_opening import dispute
from tests.lines import in_arrears, send_records
from tests.races import at_once, without_index

pytestmark = pytest.mark.django_db(transaction=True)

TIMES = 8


@pytest.fixture(autouse=True)
def open_dispute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
    send_records(*in_arrears())
    assert dispute(customer("C1")).status_code == 201


def delivered_at_once(round_: int) -> list[Any]:
    """What the carrier was answered, each time."""
    carrier = system("inbound:write")
    return at_once([lambda: deliver(carrier, "I paid last week", id=f"x{round_}")] * TIMES)


def test_joins_the_dispute_once_and_all_are_answered_alike() -> None:
    for round_ in range(1, 6):
        answers = delivered_at_once(round_)
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.content for answer in answers}) == 1
        assert ["Idempotent-Replayed" in answer for answer in answers].count(False) == 1
        assert (Comment.objects.count(), InboundMessage.objects.count()) == (round_, round_)


def test_control_without_the_constraint_it_joins_it_several_times() -> None:
    with without_index("one_inbound_a_caller_and_id"):
        assert any(delivered_at_once(round_) and Comment.objects.count() > round_ for round_ in range(1, 11))
        assert Comment.objects.count() == InboundMessage.objects.count()
