"""What a sender does with a permit: once, in time, not after a recall, and back where it was not used."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from recourse_client import Decision, Failed, Item, NotHandedOver, Permit, Reason, Sender, State

from tests.clients.peer import Asked, Peer, allowed, as_json, http
from tests.clients.test_closed import URGE, Carrier, OwnClock, clock, peer, says, sender, status

__all__ = ["clock", "peer", "sender"]


def asked_for(sender: Sender) -> Decision:
    (decision,) = sender.ask([Item(**URGE)])
    assert decision.may_send
    return decision


def granted(decision: Decision) -> Permit:
    assert decision.permit is not None
    return decision.permit


class TestDeliver:
    def test_is_called_once_with_the_permit_and_its_value_comes_back(self, sender: Sender):
        carrier = Carrier()
        outcome = sender.send(Item(**URGE), carrier)
        assert (outcome.state, outcome.value, outcome.handed_back) == (State.SENT, "taken", False)
        assert carrier.taken == [granted(outcome.decision).id]

    def test_that_says_the_carrier_has_nothing_gives_the_permit_back(self, peer: Peer, sender: Sender):
        def refuse(permit: Permit) -> None:
            raise NotHandedOver("the carrier's queue is full")

        outcome = sender.send(Item(**URGE), refuse)
        assert (outcome.state, outcome.reason, outcome.handed_back) == (State.NOT_SENT, Reason.NOT_HANDED_OVER, True)
        assert peer.handed_back() == [granted(outcome.decision).id]
        assert peer.asked[-1].headers["idempotency-key"] == f"unused-{granted(outcome.decision).id}"

    def test_that_breaks_otherwise_leaves_it_uncertain_and_keeps_the_permit(self, peer: Peer, sender: Sender):
        def lose(permit: Permit) -> None:
            raise TimeoutError("the carrier did not answer")

        outcome = sender.send(Item(**URGE), lose)
        assert outcome.state is State.UNCERTAIN
        assert isinstance(outcome.error, TimeoutError)
        assert peer.handed_back() == []
        assert sender.hand_over(outcome.decision, Carrier()).reason is Reason.ALREADY_HANDED_OVER
        assert peer.handed_back() == []

    def test_that_is_interrupted_interrupts_and_keeps_the_permit(self, peer: Peer, sender: Sender):
        def stop(permit: Permit) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            sender.send(Item(**URGE), stop)
        assert peer.handed_back() == []

    def test_is_not_called_a_second_time_for_one_permit(self, sender: Sender):
        decision, carrier = asked_for(sender), Carrier()
        start = threading.Barrier(8)

        def go() -> None:
            start.wait()
            sender.hand_over(decision, carrier)

        threads = [threading.Thread(target=go) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(carrier.taken) == 1

    def test_is_not_called_again_by_a_permit_whose_giving_back_nobody_confirmed(self, peer: Peer, sender: Sender):
        """The hand-back may have been heard; the gate, when it has not, grants the same permit to the same question."""

        def refuse(permit: Permit) -> None:
            raise NotHandedOver

        peer.unused = status(500)
        item = Item(**URGE)
        first = sender.send(item, refuse)
        assert (first.state, first.handed_back) == (State.NOT_SENT, False)
        same = granted(first.decision)
        told = {"id": same.id, "expires_at": same.expires_at.isoformat()}
        peer.gate = says(lambda asked: _permitting(asked, told))
        carrier = Carrier()
        assert sender.send(item, carrier).reason is Reason.ALREADY_HANDED_OVER
        assert carrier.taken == []


def _permitting(asked: Asked, permit: dict[str, Any]) -> dict[str, Any]:
    told = allowed(asked)
    told["decisions"][0]["permit"] = permit
    return told


class TestADenial:
    def test_is_told_as_the_gate_tells_it(self, peer: Peer, sender: Sender):
        told = {
            "outcome": "deny",
            "reasons": ["outside_hours", "frequency_cap"],
            "next_allowed_at": "2030-01-02T08:00:00+08:00",
            "permit": None,
        }
        peer.gate = says(lambda asked: allowed(asked) | {"decisions": [told]})
        outcome = sender.send(Item(**URGE), Carrier())
        assert outcome.reason is Reason.DENIED
        assert outcome.decision.reasons == ("outside_hours", "frequency_cap")
        assert outcome.decision.next_allowed_at.isoformat() == "2030-01-02T00:00:00+00:00"
        assert peer.handed_back() == []


class TestARecall:
    def test_before_the_hand_over_stops_it_and_gives_the_permit_back(self, peer: Peer, sender: Sender):
        decision, carrier = asked_for(sender), Carrier()
        assert sender.recall([granted(decision).id.upper()]) == frozenset()
        outcome = sender.hand_over(decision, carrier)
        assert (outcome.reason, outcome.handed_back) == (Reason.RECALLED, True)
        assert carrier.taken == []

    def test_takes_the_leave_of_a_decision_that_was_only_asked_for(self, sender: Sender):
        decision, other = asked_for(sender), asked_for(sender)
        sender.recall([granted(decision).id])
        assert (decision.may_send, decision.reason) == (False, Reason.RECALLED)
        assert other.may_send

    def test_and_a_hand_over_that_has_begun_leave_none(self, sender: Sender):
        decision = asked_for(sender)
        sender.hand_over(decision, Carrier())
        assert (decision.may_send, decision.reason) == (False, Reason.ALREADY_HANDED_OVER)

    def test_during_the_hand_over_is_told_that_it_comes_too_late(self, sender: Sender):
        decision = asked_for(sender)
        late: list[frozenset[str]] = []
        outcome = sender.hand_over(decision, lambda permit: late.append(sender.recall([permit.id])))
        assert outcome.sent
        assert late == [frozenset({granted(decision).id})]

    def test_and_a_hand_over_at_the_same_moment_agree_on_who_came_first(self, sender: Sender):
        """Each of many permits is recalled and handed over at once: it is handed over if and only if the recall was
        told so."""
        decisions = sender.ask([Item(**URGE) for _ in range(150)])
        carrier = Carrier()
        late: set[str] = set()
        for decision in decisions:
            start = threading.Barrier(2)

            def hand(decision: Decision = decision, start: threading.Barrier = start) -> None:
                start.wait()
                sender.hand_over(decision, carrier)

            thread = threading.Thread(target=hand)
            thread.start()
            start.wait()
            late |= sender.recall([granted(decision).id])
            thread.join()
        assert set(carrier.taken) == late

    def test_is_asked_about_last_and_so_is_the_permits_end(self, sender: Sender, clock: OwnClock):
        permit = granted(asked_for(sender))
        clock.steady_ahead = 58
        assert sender.recalls.begin(permit) is Reason.EXPIRED

    def test_names_permits(self, sender: Sender):
        with pytest.raises(ValueError):
            sender.recall(["L1"])


class TestManyMessages:
    def test_are_asked_for_in_parts_and_handed_over_in_their_order(self, peer: Peer):
        sender = Sender(peer.base_url, "id", "secret", items_a_call=40, answer_seconds=20)
        items = [Item(**URGE | {"loan": f"L{n}"}) for n in range(100)]
        taken: list[str | None] = []
        outcomes = sender.send_many(items, lambda item, permit: taken.append(item.loan))
        assert [outcome.decision.item for outcome in outcomes] == items
        assert taken == [item.loan for item in items]
        assert [len(one.items) for one in peer.asked if one.path.endswith("decisions")] == [40, 40, 20]

    def test_that_took_too_long_leave_the_rest_unsent(self, peer: Peer, sender: Sender, clock: OwnClock):
        def slow(item: Item, permit: Permit) -> None:
            clock.steady_ahead += 25
            clock.wall_ahead += 25

        clock.stand_still()
        outcomes = sender.send_many([Item(**URGE) for _ in range(5)], slow)
        assert [outcome.reason for outcome in outcomes] == [None, None, None, Reason.EXPIRED, Reason.EXPIRED]
        assert peer.handed_back() == [granted(outcome.decision).id for outcome in outcomes[3:]]

    def test_do_not_each_wait_for_a_service_that_takes_nothing_back(self, peer: Peer, sender: Sender, clock: OwnClock):
        peer.unused = status(503)

        def slow(item: Item, permit: Permit) -> None:
            clock.steady_ahead += 60
            clock.wall_ahead += 60

        outcomes = sender.send_many([Item(**URGE) for _ in range(6)], slow)
        assert [outcome.reason for outcome in outcomes[1:]] == [Reason.EXPIRED] * 5
        assert len(peer.handed_back()) == 1


class TestAHandBack:
    def test_of_a_permit_with_a_message_is_refused(self, peer: Peer, sender: Sender):
        peer.unused = lambda asked, line: line.sendall(http(asked, b"{}", status=409))
        with pytest.raises(Failed) as refused:
            sender.hand_back("0190f5b4-0000-7000-8000-000000000000")
        assert (refused.value.reason, refused.value.status) == (Reason.REFUSED, 409)

    def test_of_something_else_is_not_asked_for(self, peer: Peer, sender: Sender):
        with pytest.raises(ValueError):
            sender.hand_back("../permits")
        assert peer.asked == []


class TestAQuestion:
    @pytest.mark.parametrize("seconds", [0, 601])
    def test_for_a_permit_of_another_length_is_an_error(self, sender: Sender, seconds: int):
        with pytest.raises(ValueError):
            sender.ask([Item(**URGE)], permit_seconds=seconds)

    def test_is_spelt_as_the_gate_reads_it(self, peer: Peer, sender: Sender):
        sender.ask([Item(phone="+8613800000000", category="survey", request_id="r1")], permit_seconds=90)
        assert peer.asked[-1].items == [
            {"phone": "+8613800000000", "category": "survey", "channel": "sms", "request_id": "r1"}
        ]
        assert b'"permit_seconds": 90' in peer.asked[-1].body

    def test_of_nothing_asks_nothing(self, peer: Peer, sender: Sender):
        assert sender.ask([]) == []
        assert peer.asked == []

    def test_is_answered_in_order(self, peer: Peer, sender: Sender):
        def every_second(asked: Asked, line: Any) -> None:
            told = allowed(asked)
            for one in told["decisions"][::2]:
                one |= {"outcome": "deny", "reasons": ["unknown_loan"], "permit": None}
            line.sendall(as_json(asked, told))

        peer.gate = every_second
        decisions = sender.ask([Item(**URGE) for _ in range(6)])
        assert [one.may_send for one in decisions] == [False, True] * 3
