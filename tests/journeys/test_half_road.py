"""From the lender's records to a denied send, over HTTP, on a live server, worker, beat and broker."""

from __future__ import annotations

import json
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.lines import customer_line, loan_lines, message_line, repayment_line
from tests.stack import Stack

URGE = {"channel": "sms", "category": "urge", "sending_rule": "R1"}


def noon_zone(now: datetime) -> str:
    """A time zone in which it is about noon, so that no contact hours stand in the way."""
    ahead = 12 - now.hour
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


class Story:
    """One customer of their own in the running service, whose loan's first instalment fell due five days ago."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.name = uuid.uuid4().hex[:10]
        self.customer, self.loan, self.message = f"C{self.name}", f"L{self.name}", f"M{self.name}"
        self.phone = f"+8613{int(self.name, 16) % 10**9:09d}"
        self.today = datetime.now(tz=UTC)
        self.me = stack.customer(self.customer)

    def day(self, days: int, hour: int = 2) -> str:
        """An instant so many days from today, at an hour of UTC (2 is 10:00 in Shanghai)."""
        at = (self.today + timedelta(days=days)).replace(hour=hour, minute=0, second=0, microsecond=0)
        return min(at, self.today).isoformat()

    def send(self, *lines: dict[str, Any]) -> None:
        answer = self.stack.client("core_banking").post(
            "/records/import",
            content="\n".join(json.dumps(line) for line in lines),
            headers={"Content-Type": "application/x-ndjson"},
        )
        assert answer.status_code == 200, answer.text
        assert "error" not in [json.loads(line)["result"] for line in answer.text.splitlines()], answer.text

    def begin(self) -> None:
        due = [(self.today + timedelta(days=days)).date().isoformat() for days in (-5, 25, 55)]
        sent = self.day(-2, hour=self.today.hour)  # about noon in the customer's zone
        self.send(
            {"type": "sending_rule", "external_id": "R1", "name": "Overdue", "aim": "overdue", "min_dpd": 1},
            customer_line(self.customer, phone=self.phone, time_zones=[noon_zone(self.today)]),
            *(
                line | {"posted_at": self.day(-60)}
                for line in loan_lines(self.loan, customer=self.customer, due=due, opened_on=self.day(-60)[:10])
            ),
            message_line(self.message, loan=self.loan, phone=self.phone, sent_at=sent, posted_at=sent),
            *(
                {
                    "type": "watermark",
                    "external_id": f"{feed}-{self.name}",
                    "feed": feed,
                    "complete_until": self.today.isoformat(),
                }
                for feed in ("repayments", "schedule", "messages")
            ),
        )

    def paid_late(self) -> dict[str, Any]:
        """Paid six days ago; the records showed it a day after the message."""
        return repayment_line(f"P{self.name}", loan=self.loan, paid=self.day(-6), posted=self.day(-1))

    def dispute(self, **more: Any) -> httpx.Response:
        body = {"message": {"external_id": self.message}, "ground": "already_paid", **more}
        return self.me.post("/disputes", json=body, headers={"Idempotency-Key": self.name})

    def read(self, opened: dict[str, Any]) -> dict[str, Any]:
        """The dispute as the lender's systems see it: reading it so delivers nothing."""
        seen: dict[str, Any] = self.stack.client().get(f"/disputes/{opened['id']}").json()
        return seen

    def gate(self, *, dry_run: bool = False) -> dict[str, Any]:
        item = {"request_id": uuid.uuid4().hex, "phone": self.phone, "loan": self.loan, **URGE}
        answer = self.stack.client("sender").post(
            f"/gate/decisions?dry_run={str(dry_run).lower()}", json={"items": [item]}
        )
        assert answer.status_code == 200, answer.text
        decision: dict[str, Any] = answer.json()["decisions"][0]
        return decision

    def until_checked(self, opened: dict[str, Any], *, seconds: float = 120) -> dict[str, Any]:
        return self.stack.wait_for(
            lambda: (seen := self.read(opened)) and seen["status"] != "checking" and seen, seconds=seconds
        )


@pytest.fixture
def story(stack: Stack) -> Story:
    made = Story(stack)
    made.begin()
    return made


class TestTheHalfRoad:
    def test_ends_before_a_closed_gate(self, story: Story):
        assert "dispute_pending" not in story.gate(dry_run=True)["reasons"]
        story.send(story.paid_late())
        answer = story.dispute(statement="我已经还款了。", language="zh-hans")
        assert answer.status_code == 201, answer.text
        opened = answer.json()
        held = story.gate(dry_run=True)
        assert held["outcome"] == "deny"
        assert {"dispute_pending", "outcome_not_delivered"} & set(held["reasons"])

        closed = story.until_checked(opened)
        assert (closed["status"], closed["outcome"]) == ("closed", "upheld")
        assert (closed["check"]["cause"], closed["check"]["detail"]) == ("stale_records", "late_posting")
        assert "outcome_not_delivered" in story.gate(dry_run=True)["reasons"]

        mine = story.me.get(f"/disputes/{opened['id']}").json()
        assert mine["check"]["verdict"] == "customer_right"
        assert all(finding["sentence"] for finding in mine["check"]["findings"])
        story.stack.wait_for(lambda: story.read(opened)["hold"]["released_at"])
        after = story.gate(dry_run=True)["reasons"]
        assert "outcome_not_delivered" not in after
        assert "not_overdue" in after

    def test_is_told_in_order_in_the_time_line(self, story: Story):
        story.send(story.paid_late())
        opened = story.dispute().json()
        story.until_checked(opened)
        rows = story.stack.client().get(f"/disputes/{opened['id']}/events").json()["results"]
        assert [row["kind"] for row in rows] == ["dispute.opened", "dispute.checked", "dispute.closed"]

    def test_waits_for_a_person_where_the_records_speak_for_the_lender(self, story: Story):
        opened = story.dispute().json()
        seen = story.until_checked(opened)
        assert (seen["status"], seen["check"]["verdict"]) == ("in_review", "lender_right")
        assert story.gate(dry_run=True)["outcome"] == "deny"
        assert story.me.post(f"/disputes/{opened['id']}/withdraw").json()["hold"]["released_at"]
        assert "dispute_pending" not in story.gate(dry_run=True)["reasons"]

    def test_goes_on_by_itself_when_the_missing_payment_is_posted(self, story: Story):
        opened = story.dispute().json()
        story.until_checked(opened)
        story.send(story.paid_late())
        story.stack.wait_for(lambda: story.read(opened)["outcome"] == "upheld")


class TestADisputeAgainstARunningCampaign:
    def test_leaves_no_permit_that_its_answer_does_not_list(self, story: Story):
        """Senders ask without pause while the dispute opens, keep what they get for a moment, and hand it back, so that
        no cap stops them."""
        granted: list[str] = []
        stop = threading.Event()

        def ask() -> None:
            with story.stack.client("sender") as client:
                while not stop.is_set():
                    item = {"request_id": uuid.uuid4().hex, "phone": story.phone, "loan": story.loan, **URGE}
                    decision = client.post("/gate/decisions", json={"items": [item]}).json()["decisions"][0]
                    if decision["permit"]:
                        granted.append(decision["permit"]["id"])
                        time.sleep(0.1)
                        client.post(f"/gate/permits/{decision['permit']['id']}/unused")

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            story.stack.wait_for(lambda: len(granted) > 20)
            opened = story.dispute().json()
            with story.stack.database() as connection:
                answered = connection.execute("SELECT clock_timestamp()").fetchone()[0]
            time.sleep(0.5)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        with story.stack.database() as connection:
            rows = connection.execute(
                "SELECT p.id::text, p.granted_at > h.placed_at, coalesce(p.unused_at, p.expires_at) > %s"
                " FROM disputes_permit p JOIN disputes_hold h ON h.dispute = %s WHERE p.loan = %s",
                [answered, opened["id"], story.loan],
            ).fetchall()
        assert len(rows) > 20
        assert [permit for permit, after, _ in rows if after] == []
        out = {permit["id"] for permit in opened["permits_out"]}
        # One that was handed back while the dispute was being written needs no recall; listed or not, nobody is harmed.
        assert {permit for permit, _, alive in rows if alive} <= out <= {permit for permit, _, _ in rows}
