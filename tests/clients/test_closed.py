"""Whatever goes wrong between a sender and the gate, nothing is sent, and the reason is named."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from recourse_client import Clock, Item, Permit, Reason, Sender, State

from tests.clients.peer import Asked, Peer, allowed, as_json, drip, http, misbehaving, reset
from tests.races import until
from tests.stack import free_port

URGE = {"phone": "+8613800000000", "loan": "L1", "category": "urge"}


class OwnClock(Clock):
    """A clock that a test may turn: seconds added to each of its two faces."""

    def __init__(self) -> None:
        self.steady_ahead = 0.0
        self.wall_ahead = 0.0
        self.stood: tuple[float, float] | None = None

    def stand_still(self) -> None:
        """From now on it goes only where it is turned: for what is a matter of seconds, however slow the machine."""
        self.stood = super().steady(), super().wall()

    def steady(self) -> float:
        return (self.stood[0] if self.stood else super().steady()) + self.steady_ahead

    def wall(self) -> float:
        return (self.stood[1] if self.stood else super().wall()) + self.wall_ahead


@pytest.fixture
def peer() -> Iterator[Peer]:
    with misbehaving() as made:
        yield made


@pytest.fixture
def clock() -> OwnClock:
    return OwnClock()


@pytest.fixture
def sender(peer: Peer, clock: OwnClock) -> Sender:
    """With the patience that a busy machine needs; see `impatient`."""
    return Sender(peer.base_url, "id", "secret", connect_seconds=20, answer_seconds=20, clock=clock)


def impatient(sender: Sender) -> None:
    """For what is never answered in time."""
    sender.service.answer_seconds = 0.5


class Carrier:
    """Takes what it is handed, and keeps the permits."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def __call__(self, permit: Permit) -> str:
        self.taken.append(permit.id)
        return "taken"


def in_a_minute() -> str:
    return (datetime.now(tz=UTC) + timedelta(seconds=60)).isoformat()


def changed(asked: Asked, **fields: Any) -> dict[str, Any]:
    """An answer that allows, but for these fields of its first decision."""
    told = allowed(asked)
    told["decisions"][0] |= fields
    return told


def says(told: Any, **more: Any):
    """`told`: an answer's JSON, made of the question."""
    return lambda asked, line: line.sendall(as_json(asked, told(asked), **more))


def status(code: int, **headers: str):
    return lambda asked, line: line.sendall(http(asked, b"{}", status=code, **headers))


def raw(data: bytes, *, then_shut: bool = True):
    def say(asked: Asked, line: socket.socket) -> None:
        line.sendall(data)
        if then_shut:
            line.shutdown(socket.SHUT_RDWR)

    return say


def cut(asked: Asked, line: socket.socket) -> None:
    whole = as_json(asked, allowed(asked))
    line.sendall(whole[:-20])
    line.shutdown(socket.SHUT_RDWR)


def shorter_than_it_says(asked: Asked, line: socket.socket) -> None:
    body = json.dumps(allowed(asked)).encode()
    line.sendall(http(asked, body, Content_Length=str(len(body) + 5)))
    line.shutdown(socket.SHUT_RDWR)


def longer_than_it_says(asked: Asked, line: socket.socket) -> None:
    body = json.dumps(allowed(asked)).encode()
    line.sendall(http(asked, body, Content_Length=str(len(body) - 5)))


def without_end(asked: Asked, line: socket.socket) -> None:
    line.sendall(http(asked, json.dumps(allowed(asked)).encode(), Content_Length="-"))
    line.shutdown(socket.SHUT_RDWR)


def in_broken_chunks(asked: Asked, line: socket.socket) -> None:
    body = json.dumps(allowed(asked)).encode()
    head = http(asked, b"", Content_Length="-", Transfer_Encoding="chunked")
    line.sendall(head + f"{len(body):x}\r\n".encode() + body + b"\r\n")
    line.shutdown(socket.SHUT_RDWR)


def to_another_question(asked: Asked, line: socket.socket) -> None:
    line.sendall(as_json(asked, allowed(asked), X_Request_Id="another"))


WRONG = {
    "refuses the credentials": (status(403), Reason.NOT_AUTHORISED),
    "refuses every token": (status(401), Reason.NOT_AUTHORISED),
    "has had too many calls": (status(429, Retry_After="7"), Reason.THROTTLED),
    "breaks": (status(500), Reason.SERVER_ERROR),
    "stands behind a gateway that finds it away": (status(503, X_Request_Id="-"), Reason.SERVER_ERROR),
    "does not know the address": (status(404), Reason.REFUSED),
    "answers with a part": (says(allowed, status=206), Reason.BAD_ANSWER),
    "sends elsewhere": (status(307, Location="http://127.0.0.1:9/"), Reason.BAD_ANSWER),
    "hangs up": (lambda asked, line: line.shutdown(socket.SHUT_RDWR), Reason.UNREACHABLE),
    "cuts the line": (lambda asked, line: reset(line), Reason.UNREACHABLE),
    "says nothing": (lambda asked, line: time.sleep(1), Reason.TIMEOUT),
    "drips its head": (lambda asked, line: drip(line, b"HTTP/1.1 200 OK\r\n" * 99, every=0.1), Reason.TIMEOUT),
    "drips its body": (lambda asked, line: drip(line, as_json(asked, allowed(asked)), every=0.1), Reason.TIMEOUT),
    "cuts the body": (cut, Reason.BAD_ANSWER),
    "says less than it said it would": (shorter_than_it_says, Reason.BAD_ANSWER),
    "says more than it said it would": (longer_than_it_says, Reason.BAD_ANSWER),
    "does not say where the answer ends": (without_end, Reason.BAD_ANSWER),
    "breaks off between chunks": (in_broken_chunks, Reason.BAD_ANSWER),
    "answers another question": (to_another_question, Reason.BAD_ANSWER),
    "speaks another protocol": (raw(b"220 mail.example ESMTP\r\n"), Reason.BAD_ANSWER),
    "sends garbage": (raw(bytes(range(256)) * 40), Reason.BAD_ANSWER),
    "sends a line without end": (raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000), Reason.BAD_ANSWER),
    "sends far more than it was asked for": (
        lambda asked, line: line.sendall(http(asked, json.dumps(allowed(asked)).encode() + b" " * 200_000)),
        Reason.BAD_ANSWER,
    ),
    "answers no JSON": (lambda asked, line: line.sendall(http(asked, b"<html>")), Reason.BAD_ANSWER),
    "answers a list": (says(lambda asked: [allowed(asked)]), Reason.BAD_ANSWER),
    "answers nesting without end": (lambda asked, line: line.sendall(http(asked, b"[" * 60_000)), Reason.BAD_ANSWER),
    "answers too few decisions": (says(lambda asked: allowed(asked) | {"decisions": []}), Reason.BAD_ANSWER),
    "answers too many decisions": (
        says(lambda asked: allowed(asked) | {"decisions": allowed(asked)["decisions"] * 2}),
        Reason.BAD_ANSWER,
    ),
    "allows without a permit": (says(lambda asked: changed(asked, permit=None)), Reason.BAD_ANSWER),
    "allows with reasons": (says(lambda asked: changed(asked, reasons=["busy"])), Reason.BAD_ANSWER),
    "denies with a permit": (says(lambda asked: changed(asked, outcome="deny", reasons=["busy"])), Reason.BAD_ANSWER),
    "says something else": (says(lambda asked: changed(asked, outcome="Allow")), Reason.BAD_ANSWER),
    "says true": (says(lambda asked: changed(asked, outcome=True)), Reason.BAD_ANSWER),
    "names a permit that is none": (
        says(lambda asked: changed(asked, permit={"id": "x", "expires_at": "2030-01-01T00:00:00Z"})),
        Reason.BAD_ANSWER,
    ),
    "names an end without a zone": (
        says(lambda asked: changed(asked, permit={"id": "0" * 32, "expires_at": in_a_minute().replace("+00:00", "")})),
        Reason.BAD_ANSWER,
    ),
    "grants a permit for ever": (says(lambda asked: allowed(asked, seconds=86_400)), Reason.BAD_ANSWER),
    "grants a permit that has ended": (says(lambda asked: allowed(asked, seconds=0)), Reason.EXPIRED),
    "lives an hour ago": (
        says(lambda asked: allowed(asked, at=datetime.now(tz=UTC) - timedelta(hours=1))),
        Reason.CLOCK_SKEW,
    ),
    "lives in an hour": (
        says(lambda asked: allowed(asked, at=datetime.now(tz=UTC) + timedelta(hours=1))),
        Reason.CLOCK_SKEW,
    ),
    "has two clocks that differ": (
        says(allowed, Date=format_datetime(datetime.now(tz=UTC) - timedelta(hours=1), usegmt=True)),
        Reason.CLOCK_SKEW,
    ),
    "has a date that is none": (says(allowed, Date="yesterday"), Reason.BAD_ANSWER),
}


class TestAServiceThatMisbehaves:
    @pytest.mark.parametrize("name", WRONG)
    def test_lets_nothing_through(self, peer: Peer, sender: Sender, name: str):
        peer.gate, reason = WRONG[name]
        if reason is Reason.TIMEOUT:
            impatient(sender)
        carrier = Carrier()
        began = time.monotonic()
        outcome = sender.send(Item(**URGE), carrier)
        assert (outcome.state, outcome.reason) == (State.NOT_SENT, reason), outcome.decision.detail
        assert not outcome.decision.may_send
        assert carrier.taken == []
        # Half a second and room for a busy machine; who lets every byte begin the waiting anew is there for minutes.
        assert reason is not Reason.TIMEOUT or time.monotonic() - began < 30

    @pytest.mark.parametrize("name", WRONG)
    def test_is_believed_again_once_it_has_recovered(self, peer: Peer, sender: Sender, name: str):
        good, patience = peer.gate, sender.service.answer_seconds
        peer.gate, reason = WRONG[name]
        if reason is Reason.TIMEOUT:
            impatient(sender)
        sender.send(Item(**URGE), Carrier())
        peer.gate, sender.service.answer_seconds = good, patience
        assert sender.send(Item(**URGE), Carrier()).sent


class TestATokenEndpointThat:
    @pytest.mark.parametrize(
        ("say", "reason"),
        [
            (status(401), Reason.NOT_AUTHORISED),
            (status(400), Reason.NOT_AUTHORISED),
            (status(500), Reason.SERVER_ERROR),
            (status(429), Reason.THROTTLED),
            (says(lambda asked: {"access_token": "a b", "token_type": "Bearer", "expires_in": 9}), Reason.BAD_ANSWER),
            (says(lambda asked: {"access_token": "a", "token_type": "mac", "expires_in": 9}), Reason.BAD_ANSWER),
            (says(lambda asked: {"access_token": "a", "token_type": "Bearer", "expires_in": -1}), Reason.BAD_ANSWER),
            (lambda asked, line: time.sleep(1), Reason.TIMEOUT),
        ],
    )
    def test_fails_stops_every_message(self, peer: Peer, sender: Sender, say: Any, reason: Reason):
        peer.token = say
        if reason is Reason.TIMEOUT:
            impatient(sender)
        assert sender.send(Item(**URGE), Carrier()).reason is reason
        # Who gave up may have done so before the question was so much as read.
        assert set(until(peer.paths)) == {"/oauth/token"}

    def test_is_away_is_not_waited_for_by_one_thread_after_another(self, peer: Peer, sender: Sender):
        peer.token = lambda asked, line: time.sleep(1)
        impatient(sender)
        began = time.monotonic()
        threads = [threading.Thread(target=sender.ask, args=([Item(**URGE)],)) for _ in range(120)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - began < 30  # one after another it would be sixty

    def test_is_away_does_no_harm_while_the_old_token_lives(self, peer: Peer, sender: Sender, clock: OwnClock):
        clock.stand_still()
        assert sender.send(Item(**URGE), Carrier()).sent
        peer.token = status(500)
        clock.steady_ahead = 270
        clock.wall_ahead = 0
        assert sender.send(Item(**URGE), Carrier()).sent
        clock.steady_ahead = 300
        assert sender.send(Item(**URGE), Carrier()).reason is Reason.SERVER_ERROR

    def test_is_asked_again_for_a_token_that_was_refused_early(self, peer: Peer, sender: Sender):
        good = peer.gate
        assert sender.send(Item(**URGE), Carrier()).sent

        def once(asked: Asked, line: socket.socket) -> None:
            peer.gate = good
            line.sendall(http(asked, b"{}", status=401))

        peer.gate = once
        assert sender.send(Item(**URGE), Carrier()).sent
        assert peer.paths().count("/oauth/token") == 2


class TestNobodyThere:
    def test_is_unreachable(self):
        sender = Sender(f"http://127.0.0.1:{free_port()}", "id", "secret")
        assert sender.ask([Item(**URGE)])[0].reason is Reason.UNREACHABLE

    def test_with_a_name_that_nobody_has_is_unreachable(self):
        sender = Sender("http://nobody.invalid", "id", "secret", plain_http=True)
        assert sender.ask([Item(**URGE)])[0].reason is Reason.UNREACHABLE

    def test_speaking_tls_is_unreachable(self, peer: Peer):
        sender = Sender(peer.base_url.replace("http:", "https:"), "id", "secret", connect_seconds=2)
        assert sender.ask([Item(**URGE)])[0].reason in (Reason.UNREACHABLE, Reason.TIMEOUT)
        assert peer.asked == []

    def test_is_asked_without_tls_over_a_network(self):
        with pytest.raises(ValueError, match="TLS"):
            Sender("http://recourse.lender.example", "id", "secret")


class TestAPermit:
    def test_lives_from_before_it_was_asked_for_less_the_margin(self, peer: Peer, sender: Sender, clock: OwnClock):
        at = datetime.fromtimestamp(clock.wall(), tz=UTC)
        clock.stand_still()
        peer.gate = says(lambda asked: allowed(asked, seconds=60, at=at))
        (decision,) = sender.ask([Item(**URGE)])
        clock.steady_ahead = clock.wall_ahead = 57
        assert decision.may_send
        clock.steady_ahead = clock.wall_ahead = 58
        assert decision.reason is Reason.EXPIRED
        carrier = Carrier()
        assert sender.hand_over(decision, carrier).reason is Reason.EXPIRED
        assert carrier.taken == []

    def test_is_not_lengthened_by_a_date_that_goes_back(self, sender: Sender, clock: OwnClock):
        (decision,) = sender.ask([Item(**URGE)])
        clock.steady_ahead, clock.wall_ahead = 58, -3600
        assert decision.reason is Reason.EXPIRED

    def test_ends_when_the_date_has_gone_on_while_the_other_clock_slept(self, sender: Sender, clock: OwnClock):
        (decision,) = sender.ask([Item(**URGE)])
        clock.wall_ahead = 58
        assert decision.reason is Reason.EXPIRED

    def test_is_refused_on_a_machine_whose_date_is_wrong_and_handed_back(
        self, peer: Peer, sender: Sender, clock: OwnClock
    ):
        clock.wall_ahead = -3600
        outcome = sender.send(Item(**URGE), Carrier())
        assert outcome.reason is Reason.CLOCK_SKEW
        assert outcome.handed_back
        assert peer.handed_back() == [outcome.decision.permit.id]

    def test_that_took_long_to_come_has_lived_meanwhile(self, peer: Peer, sender: Sender):
        def slow(asked: Asked, line: socket.socket) -> None:
            told = allowed(asked, seconds=3)
            time.sleep(1.2)
            line.sendall(as_json(asked, told))

        peer.gate = slow
        assert sender.send(Item(**URGE), Carrier()).reason is Reason.EXPIRED


class TestOneForgedDecision:
    def test_spoils_the_whole_answer(self, peer: Peer, sender: Sender):
        def say(asked: Asked, line: socket.socket) -> None:
            told = allowed(asked)
            told["decisions"][1]["permit"] = told["decisions"][0]["permit"]
            line.sendall(as_json(asked, told))

        peer.gate = say
        assert {one.reason for one in sender.ask([Item(**URGE) for _ in range(3)])} == {Reason.BAD_ANSWER}


class TestAnAnswerLeftOver:
    def test_from_before_is_never_taken_for_the_next_questions(self, peer: Peer, sender: Sender):
        """The service says two answers to one question; the second waits on the line for whoever asks next."""
        good = peer.gate

        def twice(asked: Asked, line: socket.socket) -> None:
            peer.gate = lambda asked, line: line.sendall(
                as_json(asked, changed(asked, outcome="deny", reasons=["dispute_pending"], permit=None))
            )
            line.sendall(as_json(asked, allowed(asked)) + as_json(asked, allowed(asked)))

        peer.gate = twice
        assert sender.send(Item(**URGE), Carrier()).sent
        assert sender.send(Item(**URGE), Carrier()).reason is Reason.DENIED
        peer.gate = good


class TestAConnection:
    def test_is_kept(self, peer: Peer, sender: Sender):
        for _ in range(5):
            assert sender.send(Item(**URGE), Carrier()).sent
        assert peer.connections == 1

    def test_that_was_closed_meanwhile_is_made_anew_and_the_question_keeps_its_id(self, peer: Peer, sender: Sender):
        good = peer.gate
        assert sender.send(Item(**URGE), Carrier()).sent

        def hang_up(asked: Asked, line: socket.socket) -> None:
            peer.gate = good
            line.shutdown(socket.SHUT_RDWR)

        peer.gate = hang_up
        assert sender.send(Item(**URGE), Carrier()).sent
        first, second = [one.items[0]["request_id"] for one in peer.asked[-2:]]
        assert first == second

    def test_serves_many_threads_each_with_its_own_answer(self, peer: Peer, sender: Sender):
        """The permit's id repeats the question's id, so that a mixed-up answer shows."""
        peer.gate = says(
            lambda asked: changed(
                asked,
                permit={"id": asked.items[0]["request_id"], "expires_at": in_a_minute()},
            )
        )
        wrong: list[str] = []

        def ask() -> None:
            for _ in range(30):
                item = Item(**URGE)
                (decision,) = sender.ask([item])
                if decision.permit is None or decision.permit.id.replace("-", "") != item.request_id:
                    wrong.append(str(decision))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
