"""One answer to a person's own message: at any hour, and to an opted-out number, where the pack says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from disputes.holds.models import Permit
from disputes.holds.opting_out import opt_out
from disputes.inbound.keeping import keep
from tests.disputes.holds import scene
from tests.disputes.holds.test_guarantee import naps_between_statements, without_the_lock
from tests.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _pack(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)


def zone_of_night() -> str:
    """A zone in which it is about midnight."""
    hours = datetime.now(tz=UTC).hour
    ahead = -hours if hours <= 12 else 24 - hours
    return f"Etc/GMT{-ahead:+d}" if ahead else "UTC"


@pytest.fixture
def night(settings: Any) -> None:
    """The house's hours, at night."""
    settings.POLICY_PACK = "house"
    scene.lender(zones=(zone_of_night(),))


@pytest.fixture
def us(settings: Any) -> None:
    """A pack that lets one answer through to a number that opted out, and nothing else."""
    settings.POLICY_DIRECTORY = ""
    settings.POLICY_PACK = "us"
    scene.lender()


def texted(n: int = 1, *, id: str = "in-1", days_ago: float = 0) -> str:
    """The person behind phone n wrote to us."""
    at = datetime.now(tz=UTC) - timedelta(days=days_ago)
    with transaction.atomic():
        keep(caller="c", external_id=id, phone=scene.number(n), text="why?", received_at=at, now=datetime.now(tz=UTC))
    return id


def out(n: int = 1) -> None:
    with transaction.atomic(durable=True):
        opt_out(phone=scene.digest(n), source="sms", actor=scene.ACTOR, now=datetime.now(tz=UTC))


@pytest.mark.usefixtures("night")
class TestAtNight:
    def test_the_first_answer_goes_out_and_the_second_waits_for_the_morning(self) -> None:
        reply = texted()
        assert scene.reasons(scene.item()) == [("outside_hours",)]
        assert scene.reasons(scene.item(reply_to=reply)) == [()]
        assert Permit.objects.get().reply_to == reply
        [second] = scene.ask(scene.item(reply_to=reply, loan="L12"))
        assert "outside_hours" in second.reasons
        assert scene.reasons(scene.item(reply_to=texted(id="in-2"), loan="L12", category="survey")) == [()]

    def test_of_two_in_one_batch_the_first_is_the_answer(self) -> None:
        reply = texted()
        items = [scene.item(reply_to=reply, category="survey", loan=None) for _ in range(2)]
        assert scene.reasons(*items, dry_run=True) == [(), ("outside_hours",)]
        assert scene.reasons(*items) == [(), ("outside_hours",)]

    def test_the_same_request_again_is_given_the_same_answer(self) -> None:
        item = scene.item(reply_to=texted(), request_id="r1")
        [first], [again] = scene.ask(item), scene.ask(item)
        assert first.permit == again.permit is not None

    @pytest.mark.parametrize("reply", ["nobody's", "in-2", "in-old"])
    def test_what_the_phone_itself_has_not_lately_written_is_worth_nothing(self, reply: str) -> None:
        texted(2, id="in-2")
        texted(1, id="in-old", days_ago=31)
        assert scene.reasons(scene.item(reply_to=reply)) == [("outside_hours",)]
        assert scene.reasons(scene.item(2, reply_to="in-2")) == [()]

    def test_a_permit_that_is_handed_back_was_no_answer(self) -> None:
        reply = texted()
        [first] = scene.ask(scene.item(reply_to=reply))
        assert first.permit is not None
        scene.hand_back(first.permit.id)
        assert scene.reasons(scene.item(reply_to=reply)) == [()]
        assert scene.reasons(scene.item(reply_to=reply, category="survey")) == [("outside_hours",)]

    def test_one_that_was_sent_all_the_same_was_the_answer(self) -> None:
        reply = texted()
        [first] = scene.ask(scene.item(reply_to=reply))
        assert first.permit is not None
        scene.hand_back(first.permit.id)
        Permit.objects.update(message="M1", used_at=datetime.now(tz=UTC))
        assert scene.reasons(scene.item(reply_to=reply, category="survey")) == [("outside_hours",)]


@pytest.mark.usefixtures("us")
class TestAnOptedOutNumber:
    def test_is_answered_once_where_the_pack_says_so(self) -> None:
        reply = texted()
        out()
        about = {"category": "service", "reply_to": reply, "loan": None}
        assert scene.reasons(scene.item(category="service", loan=None)) == [("opted_out",)]
        assert scene.reasons(scene.item(**about), scene.item(**about)) == [(), ("opted_out",)]

    def test_the_same_request_again_is_given_the_same_permit(self) -> None:
        reply = texted()
        out()
        item = scene.item(category="service", reply_to=reply, loan=None, request_id="r1")
        [first], [again] = scene.ask(item), scene.ask(item)
        assert first.permit == again.permit is not None

    def test_an_answer_on_its_way_is_not_recalled_by_the_opt_out(self) -> None:
        [answer] = scene.ask(scene.item(category="service", reply_to=texted(), loan=None))
        [other] = scene.ask(scene.item(category="service", loan=None))
        assert answer.permit is not None
        assert other.permit is not None
        with transaction.atomic(durable=True):
            found = opt_out(phone=scene.digest(1), source="sms", actor=scene.ACTOR, now=datetime.now(tz=UTC))
        assert [permit.id for permit in found.permits_out] == [other.permit.id]


def test_the_house_leaves_an_opted_out_number_alone(settings: Any) -> None:
    settings.POLICY_PACK = "house"
    scene.lender()
    out()
    assert scene.reasons(scene.item(category="service", reply_to=texted(), loan=None)) == [("opted_out",)]


def test_no_statement_is_asked_where_no_item_answers_anything() -> None:
    scene.lender()
    with CaptureQueriesContext(connection) as plain:
        scene.ask(scene.item())
    with CaptureQueriesContext(connection) as answering:
        scene.ask(scene.item(2, reply_to=texted(2)))
    asked = [one["sql"] for one in answering if "disputes_inboundmessage AS said" in one["sql"]]
    assert len(asked) == 1
    assert not [one for one in plain if "disputes_inboundmessage" in one["sql"]]


def answered(rounds: int, *, first: int = 0) -> list[int]:
    """How many of four senders were given the answer to one message, round by round."""
    found = []
    for number in range(first, first + rounds):
        reply = texted(id=f"race-{number}")
        item = scene.item(category="service", reply_to=reply, loan=None)
        answers = at_once([lambda item=item: scene.ask(item)[0]] * 4)
        found.append(sum(1 for answer in answers if answer.permit is not None))
    return found


@pytest.mark.usefixtures("us")
def test_of_several_senders_at_once_one_is_given_the_answer() -> None:
    out()
    with naps_between_statements():
        assert answered(15) == [1] * 15


@pytest.mark.usefixtures("us")
def test_control_without_the_lock_several_are() -> None:
    out()
    with naps_between_statements(), without_the_lock():
        assert any(max(answered(5, first=5 * turn)) > 1 for turn in range(20))
