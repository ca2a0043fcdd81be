"""The outbox: at least once, whoever dies in the middle."""

from __future__ import annotations

import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import transaction
from django.db.models.functions import Now

from config.statements import run
from disputes.outbox import queue
from disputes.outbox.models import OutboxTopic
from tests.races import PATIENCE, at_once


def put_one(topic: str = "probe", key: str = "k") -> OutboxTopic:
    with transaction.atomic():
        queue.put(topic=topic, key=key, payload={"n": 1})
    return OutboxTopic.objects.latest("id")


class Ear:
    """Hears a topic, and fails as often as it is told to."""

    def __init__(self, *, fails: int = 0) -> None:
        self.heard: list[dict] = []
        self.fails = fails

    def __call__(self, payload) -> None:
        self.heard.append(dict(payload))
        if self.fails:
            self.fails -= 1
            raise RuntimeError("a name, 13812340001, that must not be kept")


@pytest.mark.django_db
class TestATopic:
    def test_is_heard_once_by_everybody_and_then_done(self):
        first, second = Ear(), Ear()
        row = put_one()
        subscribers = {"probe": [("first", first), ("second", second)]}
        assert queue.deliver(topic_id=row.pk, subscribers=subscribers)
        assert not queue.deliver(topic_id=row.pk, subscribers=subscribers)
        assert first.heard == second.heard == [{"n": 1}]

    def test_whose_second_listener_fails_is_not_repeated_to_the_first(self):
        first, second = Ear(), Ear(fails=1)
        row = put_one()
        subscribers = {"probe": [("first", first), ("second", second)]}
        with pytest.raises(RuntimeError):
            queue.deliver(topic_id=row.pk, subscribers=subscribers)
        assert queue.deliver(topic_id=row.pk, subscribers=subscribers)
        assert (len(first.heard), len(second.heard)) == (1, 2)

    def test_that_fails_is_pushed_further_and_further_up_to_an_hour(self):
        row = put_one()
        subscribers = {"probe": [("ear", Ear(fails=9))]}
        waits = []
        for _ in range(5):
            with pytest.raises(RuntimeError):
                queue.deliver(topic_id=row.pk, subscribers=subscribers)
            row.refresh_from_db()
            waits.append(row.due_at - row.claimed_until)
        assert waits == sorted(waits)
        assert waits[-1] == timedelta(hours=1)

    def test_keeps_no_words_of_an_error(self):
        row = put_one()
        with pytest.raises(RuntimeError):
            queue.deliver(topic_id=row.pk, subscribers={"probe": [("ear", Ear(fails=1))]})
        row.refresh_from_db()
        assert row.last_error == "ear: RuntimeError"

    def test_that_nobody_hears_is_done_at_once(self):
        row = put_one()
        assert queue.deliver(topic_id=row.pk, subscribers={"probe": []})

    def test_that_this_process_does_not_know_waits_for_one_that_does(self):
        row, ear = put_one(), Ear()
        with pytest.raises(LookupError):
            queue.deliver(topic_id=row.pk, subscribers={})
        assert queue.deliver(topic_id=row.pk, subscribers={"probe": [("ear", ear)]})
        assert ear.heard == [{"n": 1}]

    def test_goes_with_the_transaction_that_wrote_it(self):
        with transaction.atomic():
            queue.put(topic="probe", key="k")
            transaction.set_rollback(True)
        assert not OutboxTopic.objects.exists()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """What was handed to the broker, by call."""
    calls: list[list[int]] = []
    monkeypatch.setattr(queue, "send", lambda ids: calls.append(list(ids)))
    return calls


@pytest.mark.django_db(transaction=True)
class TestTheTopicsOfOneTransaction:
    def test_are_sent_together_and_in_their_order(self, sent):
        with transaction.atomic():
            queue.put(topic="first", key="k")
            queue.put_many(topic="second", payloads={"a": {}, "b": {}})
        ids = dict(OutboxTopic.objects.values_list("key", "id"))
        assert sent == [[ids["k"], ids["a"], ids["b"]]]

    def test_of_a_savepoint_that_was_rolled_back_are_not_sent(self, sent):
        with transaction.atomic():
            queue.put(topic="first", key="k")
            with transaction.atomic():
                queue.put(topic="second", key="gone")
                transaction.set_rollback(True)
            queue.put(topic="third", key="l")
        assert sent == [list(OutboxTopic.objects.order_by("id").values_list("id", flat=True))]
        assert OutboxTopic.objects.count() == 2

    def test_of_one_that_was_rolled_back_are_not_sent_with_the_next(self, sent):
        with transaction.atomic():
            queue.put(topic="first", key="gone")
            transaction.set_rollback(True)
        row = put_one()
        assert sent == [[row.pk]]

    def test_are_not_written_where_their_condition_does_not_hold(self, sent):
        with transaction.atomic():
            run(queue.topics(topic="t", payloads={"k": {}}, where="%s > 1", parameters=[0]))
        assert (sent, OutboxTopic.objects.count()) == ([], 0)


@pytest.mark.django_db
class TestATaskOfSeveralTopics:
    def test_delivers_them_in_turn(self):
        rows, ear = [put_one(key=key) for key in "ab"], Ear()
        queue.deliver_each(topic_ids=[row.pk for row in rows], subscribers={"probe": [("ear", ear)]})
        assert len(ear.heard) == 2
        assert not OutboxTopic.objects.filter(done_at__isnull=True).exists()

    def test_gives_those_behind_one_that_fails_a_task_of_their_own(self, sent):
        rows, ear = [put_one(key=key).pk for key in "abc"], Ear(fails=1)
        with pytest.raises(RuntimeError):
            queue.deliver_each(topic_ids=rows, subscribers={"probe": [("ear", ear)]})
        assert (len(ear.heard), sent) == (1, [rows[1:]])

    def test_that_took_long_gives_those_that_are_left_a_task_of_their_own(self, sent, monkeypatch):
        rows, heard, now = [put_one(key=key).pk for key in "abc"], list[dict](), [0.0]
        monkeypatch.setattr(queue, "time", SimpleNamespace(monotonic=lambda: now[0]))

        def slow(payload) -> None:
            now[0] += 0.6 * queue.LEAVE_AFTER
            heard.append(dict(payload))

        queue.deliver_each(topic_ids=rows, subscribers={"probe": [("slow", slow)]})
        assert (len(heard), sent) == (2, [rows[2:]])


@pytest.mark.django_db
class TestTheSweeper:
    def test_sends_what_is_due_and_not_done(self):
        row = put_one()
        assert queue.sweep() == 0
        OutboxTopic.objects.update(due_at=Now() - timedelta(seconds=1))
        assert queue.sweep() == 1
        row.refresh_from_db()
        assert queue.sweep() == 0, "sent, so not due again at once"

    def test_forgets_what_was_done_long_ago(self):
        done, fresh = put_one(key="old"), put_one(key="new")
        OutboxTopic.objects.filter(pk=done.pk).update(done_at=Now() - queue.KEEP_DONE - timedelta(days=1))
        queue.sweep()
        assert list(OutboxTopic.objects.values_list("pk", flat=True)) == [fresh.pk]


@pytest.mark.django_db(transaction=True)
class TestTwoWorkersWithOneTask:
    def run(self, deliver, workers: int = 8) -> list[dict]:
        ear = Ear()
        row = put_one()
        at_once([lambda: deliver(row.pk, {"probe": [("ear", ear)]})] * workers)
        return ear.heard

    def test_call_the_listener_once(self):
        for _ in range(5):
            assert len(self.run(lambda pk, ears: queue.deliver(topic_id=pk, subscribers=ears))) == 1

    def test_would_call_it_twice_if_they_looked_and_then_wrote(self):
        all_looked = threading.Barrier(8)

        def unclaimed(pk, ears) -> None:
            row = OutboxTopic.objects.get(pk=pk)
            all_looked.wait(PATIENCE)
            if row.done_at is None:
                for _, ear in ears["probe"]:
                    ear(row.payload)
                OutboxTopic.objects.filter(pk=pk).update(done_at=Now())

        assert len(self.run(unclaimed)) > 1
