"""Texts that are delivered at once."""

from __future__ import annotations

from collections import Counter

import pytest

from disputes.cases.models import Comment, Dispute
from disputes.holds.models import Hold
from disputes.inbound.models import InboundMessage
from tests.callers import system
from tests.disputes.cases.test_inbound import deliver
from tests.lines import in_arrears, send_records
from tests.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def lender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
    send_records(*in_arrears())


def test_the_same_text_eight_times_at_once_does_one_thing_and_has_one_answer() -> None:
    carrier = system("inbound:write")
    answers = at_once([lambda: deliver(carrier, "DISPUTE paid", id="x1")] * 8)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert (Dispute.objects.count(), Hold.objects.count(), InboundMessage.objects.count()) == (1, 1, 1)


def test_two_texts_that_dispute_at_once_are_a_dispute_and_its_comment() -> None:
    carrier = system("inbound:write")
    for number, ground in enumerate(("paid", "not me", "wrong amount", "not overdue")):
        texts = [lambda n=n, g=ground, i=number: deliver(carrier, f"DISPUTE {g}", id=f"{i}-{n}") for n in range(2)]
        kinds = Counter(answer.json()["kind"] for answer in at_once(texts))
        assert kinds == {"dispute": 1, "comment": 1}
    assert (Dispute.objects.count(), Comment.objects.count(), Hold.objects.count()) == (4, 4, 4)


def test_an_opt_out_an_opt_in_and_a_dispute_at_once_lose_nothing() -> None:
    carrier = system("inbound:write")
    said = ["STOP", "START", "DISPUTE paid", "STOP, I paid", "hello", "退订"]
    answers = at_once([lambda n=n, text=text: deliver(carrier, text, id=str(n)) for n, text in enumerate(said)])
    assert [answer.status_code for answer in answers] == [201] * len(said)
    assert InboundMessage.objects.count() == len(said)
