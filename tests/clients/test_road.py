"""The client against the live service: the whole road of a message, and of one that was disputed meanwhile."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from recourse_client import Failed, Feed, Item, LocalCopy, NotHandedOver, Permit, Reason, Sender, message_record

from config import environment
from tests.journeys.test_half_road import Story, story
from tests.races import PATIENCE
from tests.stack import Stack

__all__ = ["story"]

PATIENT = f"""
from recourse_client import Feed, LocalCopy, Sender
for made in (Feed, Sender):
    made.__init__.__kwdefaults__ |= {{"connect_seconds": {PATIENCE}, "answer_seconds": {PATIENCE}}}
LocalCopy.__init__.__kwdefaults__ |= {{"stale_seconds": {PATIENCE}}}
"""
"""What stands before code whose own ends to waiting are those of a quiet machine."""


def named(stack: Stack, name: str) -> tuple[str, str, str]:
    """What a client of the running service is called and proves itself by."""
    known = next(row for row in stack.credentials["clients"] if row["name"] == name)
    return stack.base_url, known["client_id"], known["client_secret"]


@pytest.fixture
def sender(stack: Stack) -> Iterator[Sender]:
    made = Sender(*named(stack, "all"), connect_seconds=PATIENCE, answer_seconds=PATIENCE)
    yield made
    made.close()


@pytest.fixture
def copy() -> LocalCopy:
    return LocalCopy(stale_seconds=PATIENCE)


@pytest.fixture
def feed(stack: Stack, copy: LocalCopy) -> Iterator[Feed]:
    made = Feed(*named(stack, "sender"), copy=copy, answer_seconds=PATIENCE)
    yield made
    made.stop()


def urge(told: Story) -> Item:
    return Item(phone=told.phone, loan=told.loan, category="urge", sending_rule="R1")


def refuse(permit: Permit) -> None:
    raise NotHandedOver("the queue is full")


class TestAMessage:
    def test_is_allowed_sent_reported_and_then_counts(self, story: Story, sender: Sender):
        item = urge(story)
        outcome = sender.send(item, lambda permit: f"sent-{story.name}", permit_seconds=600)
        assert outcome.sent, outcome
        permit = outcome.decision.permit
        line = message_record(
            external_id=outcome.value,
            item=item,
            permit=permit,
            sent_at=datetime.now(tz=UTC),
            body="您的借款已逾期。",
            short_ref=f"K{story.name}",
        )
        assert [one.result for one in sender.report([line])] == ["created"]
        assert [(one.line, one.result) for one in sender.report([line])] == [(1, "unchanged")]
        with pytest.raises(Failed) as refused:
            sender.hand_back(permit)
        assert (refused.value.reason, refused.value.status) == (Reason.REFUSED, 409)
        again = sender.send(urge(story), lambda permit: None)
        assert (again.reason, again.decision.reasons) == (Reason.DENIED, ("frequency_cap",))
        assert again.decision.next_allowed_at is not None
        repeated = sender.send(item, lambda permit: None)
        assert (repeated.reason, repeated.decision.reasons) == (Reason.DENIED, ("frequency_cap",))
        assert repeated.decision.next_allowed_at is None, "the request's own message went out"

    def test_that_was_not_handed_over_leaves_its_place_to_the_next(self, story: Story, sender: Sender):
        first = sender.send(urge(story), refuse)
        assert (first.reason, first.handed_back) == (Reason.NOT_HANDED_OVER, True)
        assert sender.send(urge(story), lambda permit: "taken").sent

    def test_that_is_asked_for_again_has_the_same_permit(self, story: Story, sender: Sender):
        item = urge(story)
        (first,) = sender.ask([item])
        (second,) = sender.ask([item])
        assert first.may_send
        assert first.permit.id == second.permit.id
        assert second.permit.life <= first.permit.life
        sender.hand_back(first.permit)

    def test_among_many_is_decided_in_its_place(self, story: Story, sender: Sender):
        """More items than go in one call, every third of them for a loan that nobody knows."""
        items = [
            Item(phone=story.phone, loan=story.loan if n % 3 else "none", category="statutory") for n in range(250)
        ]
        decisions = sender.ask(items)
        assert [one.may_send for one in decisions] == [bool(n % 3) for n in range(250)]
        assert {one.reasons for one in decisions[::3]} == {("unknown_loan",)}
        assert len({one.permit.id for one in decisions if one.permit}) == sum(bool(n % 3) for n in range(250))


class TestADispute:
    def test_recalls_what_was_permitted_and_stops_what_is_asked_for(
        self, story: Story, sender: Sender, feed: Feed, copy: LocalCopy
    ):
        (queued,) = sender.ask([urge(story)], permit_seconds=600)
        assert queued.may_send
        feed.read()
        assert not copy.is_held(loan=story.loan)
        assert not copy.is_recalled(queued.permit.id)

        opened = story.dispute().json()
        assert [one["id"] for one in opened["permits_out"]] == [queued.permit.id]
        feed.read()
        assert copy.is_recalled(queued.permit.id)
        assert copy.held_for(loan=story.loan) == ("dispute_pending",)

        taken: list[Any] = []
        # Another process of the same client: a permit is handed back by whom it was granted to.
        following = Sender(*named(story.stack, "all"), copy=copy, answer_seconds=PATIENCE)
        outcome = following.hand_over(queued, taken.append)
        assert (outcome.reason, outcome.handed_back) == (Reason.RECALLED, True)
        sender.recall(one["id"] for one in opened["permits_out"])
        assert sender.hand_over(queued, taken.append).reason is Reason.RECALLED
        assert taken == []
        asked = sender.send(urge(story), taken.append)
        assert "dispute_pending" in asked.decision.reasons
        assert taken == []

    def test_that_is_withdrawn_frees_the_loan_in_the_copy_too(self, story: Story, feed: Feed, copy: LocalCopy):
        opened = story.dispute().json()
        feed.read()
        assert copy.is_held(loan=story.loan)
        story.me.post(f"/disputes/{opened['id']}/withdraw")
        feed.read()
        assert not copy.is_held(loan=story.loan)


def held_now(api: httpx.Client) -> list[dict[str, Any]]:
    """All holds that stand, page by page."""
    held: list[dict[str, Any]] = []
    page = api.get("/suppressions?limit=100").json()
    held += page["results"]
    while page["next"]:
        page = api.get(page["next"]).json()
        held += page["results"]
    return held


class TestTheCopy:
    def test_has_what_the_service_says_is_held(self, stack: Stack, feed: Feed, copy: LocalCopy):
        """More opt-outs than a page of the feed has rows; each is one phone's hold."""
        with stack.client("sender") as api:
            for _ in range(120):
                number = f"+8617{uuid.uuid4().int % 10**9:09d}"
                assert api.post("/opt-outs", json={"phone": number, "source": "test"}).status_code == 201
            assert feed.read() >= 120
            while True:
                held = held_now(api)
                # What the worker still does about other tests' disputes may place or release a hold meanwhile.
                if not feed.read():
                    break
        phones = {digest for one in held for digest in one["covers"]["phone_digests"]}
        assert len(phones) >= 120
        assert all(copy.is_held(phone_digest=digest) for digest in phones)
        assert all(copy.is_held(loan=loan) for one in held for loan in one["covers"]["loans"])


class TestACaller:
    def test_with_a_wrong_secret_sends_nothing(self, stack: Stack, story: Story):
        base_url, client_id, _ = named(stack, "sender")
        outcome = Sender(base_url, client_id, "wrong", answer_seconds=PATIENCE).send(
            urge(story), lambda permit: "taken"
        )
        assert outcome.reason is Reason.NOT_AUTHORISED

    def test_without_the_scope_sends_nothing(self, stack: Stack, story: Story):
        outcome = Sender(*named(stack, "core_banking"), answer_seconds=PATIENCE).send(
            urge(story), lambda permit: "taken"
        )
        assert outcome.reason is Reason.NOT_AUTHORISED

    def test_whose_line_is_refused_is_told_so_line_by_line(self, story: Story, sender: Sender):
        good = message_record(
            external_id=f"x{story.name}", item=urge(story), permit=str(uuid.uuid4()), sent_at=datetime.now(tz=UTC)
        )
        told = sender.report(["{}", good])
        assert [one.result for one in told] == ["error", "created"]
        assert told[0].errors


class TestTheReadme:
    def test_shows_a_sender_that_works(self, story: Story, stack: Stack, tmp_path: Path):
        """Its own code, word for word, with the lender's side of it put before."""
        text = (environment.ROOT / "clients/python/README.md").read_text()
        (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        lender = (
            f"PHONE, LOAN, TEXT = {story.phone!r}, {story.loan!r}, 'Please pay.'\n"
            "def carrier_is_ready(): return True\n"
            f"def hand_to_carrier(phone, text): return 'readme-{story.name}'\n"
        )
        story.send({"type": "sending_rule", "external_id": "overdue-1", "name": "x", "aim": "overdue", "min_dpd": 1})
        file = tmp_path / "sender.py"
        file.write_text(PATIENT + lender + code + "\nassert outcome.sent, outcome\n")
        base_url, client_id, secret = named(stack, "all")
        subprocess.run(
            [sys.executable, str(file)],
            env={
                "PYTHONPATH": str(environment.ROOT / "clients/python"),
                "RECOURSE_URL": base_url,
                "RECOURSE_CLIENT_ID": client_id,
                "RECOURSE_CLIENT_SECRET": secret,
                "RECOURSE_COPY": str(tmp_path / "copy.sqlite"),
            },
            check=True,
            timeout=600,
        )
        assert stack.client().get(f"/records/message/readme-{story.name}").status_code == 200
