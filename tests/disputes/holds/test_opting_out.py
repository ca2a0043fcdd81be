"""Opting out: everything to the number ends, for every loan."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

import pytest
from django.db import transaction

from config.fields import phone_digest
from disputes.holds import opting_out
from disputes.holds.models import Hold, Permit, SuppressionChange
from disputes.holds.opting_out import opt_out
from disputes.journal.models import Event
from tests import callers
from tests.disputes.holds import scene
from tests.disputes.holds.test_guarantee import naps_between_statements, take_none, without_the_lock
from tests.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _pack(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)


@pytest.fixture
def desk() -> callers.Api:
    return callers.system("optouts:write")


def body(n: int = 1) -> dict[str, Any]:
    return {"phone": scene.number(n), "source": "keyword STOP"}


def test_it_ends_all_but_what_the_pack_lets_through(desk: callers.Api) -> None:
    scene.lender()
    (before,) = scene.ask(scene.item(1))
    assert before.permit
    answer = desk.post("/api/v1/opt-outs", body())
    assert answer.status_code == 201, answer.content
    assert [permit["id"] for permit in answer.json()["permits_out"]] == [str(before.permit.id)]
    categories = ["reminder", "urge", "warning", "statutory", "service", "survey"]
    found = scene.reasons(*(scene.item(1, category=category) for category in categories))
    assert found == [("opted_out",)] * 3 + [()] + [("opted_out",)] * 2
    assert scene.reasons(scene.item(1, loan="L12")) == [("opted_out",)]
    assert scene.reasons(scene.item(2)) == [()]


def test_the_number_is_read_as_it_is_dialled(desk: callers.Api) -> None:
    scene.lender()
    answer = desk.post("/api/v1/opt-outs", {"phone": "138 1234 0001", "source": "call"})
    assert answer.json()["phone"] == scene.number(1)
    assert scene.reasons(scene.item(1)) == [("opted_out",)]


def test_twice_is_once(desk: callers.Api) -> None:
    scene.lender()
    first, again = desk.post("/api/v1/opt-outs", body()), desk.post("/api/v1/opt-outs", body())
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]


def test_a_second_caller_is_told_what_is_still_out(desk: callers.Api) -> None:
    scene.lender()
    names = ("used", "back", "expired", "out", "statutory")
    asked = [scene.item(1, category="service", request_id=name) for name in names[:-1]]
    granted = scene.ask(*asked, scene.item(1, category="statutory"), scene.item(2))
    permit = {name: one.permit.id for name, one in zip(names, granted, strict=False) if one.permit}
    first = desk.post("/api/v1/opt-outs", body()).json()
    Permit.objects.filter(pk=permit["used"]).update(message="M1", used_at=datetime.now(tz=UTC))
    Permit.objects.filter(pk=permit["back"]).update(unused_at=datetime.now(tz=UTC))
    Permit.objects.filter(pk=permit["expired"]).update(expires_at=datetime.now(tz=UTC))
    again = desk.post("/api/v1/opt-outs", body()).json()
    assert {one["id"] for one in first["permits_out"]} == {str(permit[name]) for name in names[:-1]}
    assert {one["id"] for one in again["permits_out"]} == {str(permit["used"]), str(permit["out"])}
    [out] = [one for one in first["permits_out"] if one["request_id"] == "out"]
    assert out in again["permits_out"]
    assert SuppressionChange.objects.count() == 1, "nothing was placed by it"


def test_of_two_at_once_both_are_told() -> None:
    scene.lender()
    (before,) = scene.ask(scene.item(1))
    assert before.permit

    def act() -> set[Any]:
        with transaction.atomic(durable=True):
            out = opt_out(phone=scene.digest(1), source="STOP", actor=scene.ACTOR, now=datetime.now(tz=UTC))
        return {permit.id for permit in out.permits_out}

    assert at_once([act, act]) == [{before.permit.id}] * 2


def test_ten_at_once_are_one() -> None:
    scene.lender()

    def act() -> bool:
        with transaction.atomic(durable=True):
            return opt_out(
                phone=phone_digest(scene.number(1)), source="STOP", actor=scene.ACTOR, now=datetime.now(tz=UTC)
            ).new

    assert sorted(at_once([act] * 10)) == [False] * 9 + [True]
    assert Hold.objects.count() == 1


def test_opting_in_again_names_its_source_and_lifts_no_other_hold(desk: callers.Api) -> None:
    scene.lender()
    desk.post("/api/v1/opt-outs", body())
    scene.dispute("not_overdue", loan="L12", n=1, customer="C1")
    answer = desk.post("/api/v1/opt-ins", {"phone": scene.number(1), "source": "branch form 7"})
    assert (answer.status_code, answer.json()["released"]) == (201, 1)
    assert scene.reasons(scene.item(1), scene.item(1, loan="L12")) == [(), ("dispute_pending",)]
    assert Hold.objects.get(source="opt_out").release_reason == "opted in: branch form 7"
    assert [change.kind for change in SuppressionChange.objects.order_by("number")] == ["placed", "placed", "released"]
    assert desk.post("/api/v1/opt-ins", body()).json()["released"] == 0


@pytest.mark.parametrize(
    ("wrong", "attr"),
    [
        ({"phone": "x", "source": "s"}, "phone"),
        ({"source": "s"}, "phone"),
        ({"phone": "+8613812340001"}, "source"),
        ({"phone": "+8613812340001", "source": ""}, "source"),
        ({"phone": "+8613812340001", "source": "s", "sauce": 1}, "sauce"),
    ],
)
def test_a_bad_body_names_its_field(desk: callers.Api, wrong: dict[str, Any], attr: str) -> None:
    for address in ("/api/v1/opt-outs", "/api/v1/opt-ins"):
        answer = desk.post(address, wrong)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["attr"] == attr


def opt_out_against_gate(customers: Iterable[int]) -> list[str]:
    """A gate and an opt-out at once, customer after customer: what went wrong with each."""
    wrong = []
    for n in customers:

        def act(n: int = n) -> set[str]:
            with transaction.atomic(durable=True):
                out = opt_out(phone=scene.digest(n), source="STOP", actor=scene.ACTOR, now=datetime.now(tz=UTC))
                return {str(permit.id) for permit in out.permits_out}

        answer, listed = at_once([lambda n=n: scene.ask(scene.item(n))[0], act])
        if answer.permit is not None and str(answer.permit.id) not in listed:
            wrong.append("a permit that nobody recalls")
        elif answer.permit is None and answer.reasons != ("opted_out",):
            wrong.append(str(answer.reasons))
        if scene.reasons(scene.item(n)) != [("opted_out",)]:
            wrong.append("granted after it")
    return wrong


def test_an_opt_out_lists_the_permit_that_was_before_it_or_it_is_refused() -> None:
    scene.lender(customers=30, loans=1)
    with naps_between_statements():
        assert opt_out_against_gate(range(1, 31)) == []


def test_control_without_the_lock_a_permit_is_lost() -> None:
    scene.lender(customers=90, loans=1)
    lost = "a permit that nobody recalls"
    with naps_between_statements(), without_the_lock(), patch.object(opting_out, "take_lanes", take_none):
        assert any(lost in opt_out_against_gate([n]) for n in range(1, 91))


def test_what_stood_when_is_known_afterwards(desk: callers.Api) -> None:
    reader = callers.system("suppressions:read")
    desk.post("/api/v1/opt-outs", body())
    desk.post("/api/v1/opt-ins", body() | {"source": "branch"})
    desk.post("/api/v1/opt-outs", body())
    first, second = Hold.objects.order_by("pk")
    assert first.released_at is not None

    def at(instant: datetime) -> list[str]:
        named = {"phone": scene.number(1), "at": instant.isoformat()}
        found = reader.get(f"/api/v1/suppressions?{urlencode(named)}").json()["results"]
        return [one["id"] for one in found]

    assert at(first.placed_at - timedelta(microseconds=1)) == []
    assert at(first.placed_at) == [str(first.pk)]
    assert at(first.released_at) == []
    assert at(second.placed_at) == [str(second.pk)]


def test_both_ways_are_journalled_without_the_number(desk: callers.Api) -> None:
    desk.post("/api/v1/opt-outs", body())
    desk.post("/api/v1/opt-ins", body() | {"source": "branch form 7"})
    placed, released = Event.objects.filter(subject_type="hold").order_by("id")
    assert (placed.kind, released.kind, released.data["why"]) == (
        "hold.placed",
        "hold.released",
        "opted in: branch form 7",
    )
    assert {event.actor_type for event in (placed, released)} == {"client"}
    assert scene.number(1)[-8:] not in f"{placed.data}{released.data}"
