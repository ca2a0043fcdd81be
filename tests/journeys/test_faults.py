"""Parts of the running service are killed; what was acknowledged is kept, held, and done once they are back."""

from __future__ import annotations

from tests.journeys.test_half_road import Story, story
from tests.stack import Stack

__all__ = ["story"]


def is_acknowledged_and_held(told: Story, answer) -> dict:
    assert answer.status_code == 201, answer.text
    opened = answer.json()
    assert opened["hold"]["released_at"] is None
    assert "dispute_pending" in told.gate(dry_run=True)["reasons"]
    return opened


class TestADisputeOpenedWhile:
    def test_the_broker_is_down_is_checked_once_it_is_back(self, stack: Stack, story: Story):
        story.send(story.paid_late())
        stack.kill_broker()
        opened = is_acknowledged_and_held(story, story.dispute())
        assert story.read(opened)["status"] == "checking"
        stack.restore()
        assert story.until_checked(opened, seconds=240)["outcome"] == "upheld"

    def test_the_worker_is_dead_is_checked_once_it_is_back(self, stack: Stack, story: Story):
        story.send(story.paid_late())
        stack.kill_worker()
        opened = is_acknowledged_and_held(story, story.dispute())
        stack.start_worker()
        assert story.until_checked(opened, seconds=240)["outcome"] == "upheld"


class TestAWorkerKilledBetweenCheckAndCommit:
    def test_leaves_nothing_half_written_and_the_check_is_made_again(self, stack: Stack, story: Story):
        story.send(story.paid_late())
        with stack.database() as blocker:
            # The check has judged and waits to write: somebody else holds the loan's row.
            with blocker.transaction():
                blocker.execute("SELECT 1 FROM disputes_loan WHERE external_id = %s FOR UPDATE", [story.loan])
                opened = is_acknowledged_and_held(story, story.dispute())
                waiting = (
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND wait_event_type = 'Lock' AND query ILIKE '%%disputes_loan%%'"
                )
                with stack.database() as looker:
                    stack.wait_for(lambda: looker.execute(waiting).fetchone() != (0,))
                stack.kill_worker()
            with stack.database() as looker:
                stack.wait_for(lambda: looker.execute(waiting).fetchone() == (0,))
                written = looker.execute("SELECT count(*) FROM disputes_check WHERE dispute_id = %s", [opened["id"]])
                assert written.fetchone() == (0,)
        assert story.read(opened)["status"] == "checking"
        stack.start_worker()
        assert story.until_checked(opened, seconds=240)["outcome"] == "upheld"


class TestTheWebServerKilled:
    def test_forgets_no_acknowledged_dispute(self, stack: Stack, story: Story):
        opened = is_acknowledged_and_held(story, story.dispute())
        stack.kill_web()
        stack.start_web()
        assert story.read(opened)["id"] == opened["id"]
        replay = story.dispute()
        assert replay.headers["Idempotent-Replayed"] == "true"
        assert replay.json() == opened
