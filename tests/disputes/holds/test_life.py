"""A hold's life, sentence by sentence of the contract: placed and released with a reason and by whom; the last to go
frees; time alone ends none. When a dispute's hold ends: tests/disputes/cases/test_releasing.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction

from disputes.holds import by_hand
from disputes.holds.models import Hold
from disputes.holds.placing import PlacedHold, number_changes, release_hold
from disputes.holds.scopes import Covers
from disputes.journal.models import Event
from disputes.journal.recording import Actor
from disputes.notices.models import WebhookMessage
from disputes.notices.webhooks import register_endpoint
from tests.disputes.holds import scene

pytestmark = pytest.mark.django_db(transaction=True)

SUPERVISOR = Actor(type="user", id="7")


@pytest.fixture(autouse=True)
def _lender(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
    scene.lender()


def now() -> datetime:
    return datetime.now(tz=UTC)


def release(placed: PlacedHold) -> None:
    with transaction.atomic(durable=True):
        release_hold(hold=placed.hold, actor=scene.ACTOR, reason="outcome_delivered", now=now())
        number_changes()


def lift(placed: PlacedHold, *, why: str = "all is well", **more: Any) -> bool:
    with transaction.atomic(durable=True):
        return by_hand.lift(hold_id=placed.hold.pk, why=why, actor=SUPERVISOR, now=now(), **more)


def pause(rule: str = "R7", *, why: str = "wrong list", supervisor: bool = True) -> PlacedHold:
    with transaction.atomic(durable=True):
        return by_hand.pause_rule(rule=rule, why=why, actor=SUPERVISOR, now=now(), supervisor=supervisor)


def test_holds_overlap_and_the_last_one_to_go_frees() -> None:
    holds = [
        scene.dispute("not_overdue", loan="L11", n=1, customer="C1"),
        scene.dispute("not_my_debt", loan="L11", n=1, customer=None),
        scene.dispute("too_frequent", loan="L11", n=1, customer="C1"),
        scene.hold(Covers(loans=frozenset({"L11"})), reason="manual_hold", source="manual"),
    ]
    for placed in holds:
        assert scene.reasons(scene.item()) != [()]
        release(placed)
    assert scene.reasons(scene.item()) == [()]


def test_a_hold_says_who_placed_and_who_released_it_and_why() -> None:
    with transaction.atomic(durable=True):
        placed = by_hand.place(loan="L11", why="an error of ours", actor=SUPERVISOR, now=now())
    lift(placed, why="found and mended")
    hold = Hold.objects.get()
    assert (hold.source, hold.reason, hold.why, hold.placed_by) == (
        "manual",
        "manual_hold",
        "an error of ours",
        "user:7",
    )
    assert (hold.released_by, hold.release_reason) == ("user:7", "by_hand: found and mended")
    told = Event.objects.filter(subject_id=hold.pk).order_by("id").values_list("kind", "actor_id")
    assert list(told) == [("hold.placed", "7"), ("hold.released", "7")]


@pytest.mark.parametrize("why", ["", "  \n"])
def test_nobody_places_or_lifts_one_without_a_reason(why: str) -> None:
    placed = scene.hold(Covers(loans=frozenset({"L11"})), reason="manual_hold", source="manual")
    with pytest.raises(by_hand.CannotHold):
        lift(placed, why=why)
    with pytest.raises(by_hand.CannotHold), transaction.atomic(durable=True):
        by_hand.place(loan="L11", why=why, actor=SUPERVISOR, now=now())
    with pytest.raises(by_hand.CannotHold):
        pause(why=why)
    assert Hold.objects.count() == 1


@pytest.mark.parametrize("reason", ["records_not_corrected", "wrong_number", "rule_paused"])
def test_what_only_a_supervisor_lifts_an_agent_does_not(reason: str) -> None:
    placed = scene.hold(Covers(loans=frozenset({"L11"})), reason=reason)
    with pytest.raises(by_hand.CannotHold):
        lift(placed)
    assert scene.reasons(scene.item()) == [(reason,)]
    assert lift(placed, supervisor=True)
    assert scene.reasons(scene.item()) == [()]


def test_an_opt_out_is_lifted_by_nobody_but_its_person() -> None:
    placed = scene.hold(
        Covers(phones=frozenset({scene.digest(1)})), scope="phone", reason="opted_out", source="opt_out"
    )
    with pytest.raises(by_hand.CannotHold):
        lift(placed, supervisor=True)


def test_a_rule_that_is_paused_sends_nothing_until_a_supervisor_switches_it_on() -> None:
    [before] = scene.ask(scene.item(sending_rule="R7"))
    placed = pause()
    assert [permit.id for permit in placed.permits_out] == [before.permit.id if before.permit else None]
    assert scene.reasons(scene.item(2, sending_rule="R7"), scene.item(2)) == [("rule_paused",), ()]
    assert scene.reasons(scene.item(2, sending_rule="R7", category="statutory")) == [()]
    with pytest.raises(by_hand.CannotHold):
        lift(placed)
    assert lift(placed, supervisor=True)
    assert scene.reasons(scene.item(2, loan="L22", sending_rule="R7")) == [()]
    assert (placed.hold.source, placed.hold.scope) == ("manual", "sending_rule")


def test_a_pause_is_announced_by_its_rule_among_the_events_of_its_hold() -> None:
    register_endpoint(url="http://127.0.0.1:9/x", events=[], created_by="t", now=now())
    placed = pause()
    lift(placed, supervisor=True)
    scene.hold(Covers(loans=frozenset({"L11"})), reason="manual_hold", source="manual")
    told = [(one.event, one.key, json.loads(one.body)["data"]) for one in WebhookMessage.objects.order_by("seq")]
    assert [event for event, _, _ in told] == ["hold.placed", "rule.paused", "hold.released", "hold.placed"]
    assert {key for _, key, _ in told[:3]} == {str(placed.hold.pk)}, "delivered in this order"
    assert told[1][2] == {"rule": {"id": "R7", "hold": str(placed.hold.pk)}}


def test_an_agent_pauses_no_rule() -> None:
    with pytest.raises(by_hand.CannotHold):
        pause(supervisor=False)
    with pytest.raises(by_hand.CannotHold):
        pause("")
    assert not Hold.objects.exists()


def test_who_places_one_where_one_stands_is_told_what_is_still_out() -> None:
    """Each is a hold of its own, which somebody else may lift; both callers have the same to recall."""
    (before,) = scene.ask(scene.item())
    assert before.permit
    told = []
    for why in ("an error of ours", "the same, seen by another"):
        with transaction.atomic(durable=True):
            placed = by_hand.place(loan="L11", why=why, actor=SUPERVISOR, now=now())
        told.append([permit.id for permit in placed.permits_out])
        told.append([permit.id for permit in pause().permits_out])
    assert told == [[before.permit.id], [], [before.permit.id], []]
    assert Hold.objects.filter(released_at__isnull=True).count() == 4


def test_lifting_twice_is_once() -> None:
    placed = scene.hold(Covers(loans=frozenset({"L11"})), reason="manual_hold", source="manual")
    assert (lift(placed), lift(placed)) == (True, False)
