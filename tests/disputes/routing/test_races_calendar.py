"""A clock is started while its calendar changes: the deadline ends up on the new one, however the two fall."""

from __future__ import annotations

import random
import threading
import time
import uuid
from datetime import UTC, date, datetime
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction

from config.values.ids import new_id
from disputes.policy.packs import SHIPPED, load_packs
from disputes.routing import deadlines
from disputes.routing.models import Calendar, Clock
from disputes.routing.staffing import save_calendar
from tests.disputes.routing.scene import NOW
from tests.races import PATIENCE, at_once

pytestmark = pytest.mark.django_db(transaction=True)

HOUSE = load_packs(SHIPPED).by_name["house"][-1]
OPENED = datetime(2026, 11, 2, 10, tzinfo=ZoneInfo("Asia/Shanghai")).astimezone(UTC)
NEXT_DAY_OFF = [date(2026, 11, 3)]


@pytest.fixture(autouse=True)
def calendar(settings, monkeypatch):
    """Weekdays nine to six in Shanghai."""
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
    settings.LENDER_TIME_ZONE = "Asia/Shanghai"
    return Calendar.objects.create(name="Lender", zone="Asia/Shanghai")


def start(dispute: uuid.UUID) -> None:
    deadlines.start_clocks(dispute=dispute, pack=HOUSE, opened_at=OPENED, now=OPENED)


def change(calendar: Calendar) -> int:
    """Takes a day off, and moves what runs on the calendar, as the topic does. How many clocks moved."""
    with transaction.atomic():
        changed = Calendar.objects.get(pk=calendar.pk)
        changed.days_off = NEXT_DAY_OFF
        save_calendar(calendar=changed)
    return deadlines.recompute_clocks(now=NOW)


def due_on_the_new_calendar() -> list[datetime]:
    dispute = new_id()
    with transaction.atomic():
        start(dispute)
        due = due_of(dispute)
        transaction.set_rollback(True)
    return due


def due_of(dispute: uuid.UUID) -> list[datetime]:
    return list(Clock.objects.filter(dispute=dispute).order_by("kind").values_list("due_at", flat=True))


def started_while_it_changes(calendar: Calendar) -> tuple[uuid.UUID, int]:
    """The clocks' transaction begins before the calendar's and commits after its topic was heard. (dispute, how many
    clocks that topic moved.)"""
    dispute, begun, heard = new_id(), threading.Event(), threading.Event()

    def open_dispute() -> None:
        with transaction.atomic():
            start(dispute)
            begun.set()
            assert heard.wait(PATIENCE)

    def change_meanwhile() -> int:
        assert begun.wait(PATIENCE)
        try:
            return change(calendar)
        finally:
            heard.set()

    opened, moved = at_once([open_dispute, change_meanwhile])
    assert opened is None, opened
    return dispute, moved


def test_a_round_afterwards_moves_what_the_topic_could_not_see(calendar):
    dispute, _ = started_while_it_changes(calendar)
    assert deadlines.recompute_clocks(now=NOW) == 2
    assert due_of(dispute) == due_on_the_new_calendar()


def test_control_by_the_topic_alone_it_stays_on_the_old_calendar(calendar):
    dispute, moved = started_while_it_changes(calendar)
    assert moved == 0
    assert due_of(dispute) != due_on_the_new_calendar()


def test_however_they_fall_all_end_on_the_new_one(calendar):
    disputes = [new_id() for _ in range(12)]

    def open_dispute(dispute: uuid.UUID) -> None:
        time.sleep(random.random() / 20)
        with transaction.atomic():
            start(dispute)
            time.sleep(random.random() / 50)

    def change_after_a_while() -> int:
        time.sleep(random.random() / 20)
        return change(calendar)

    results = at_once([*(partial(open_dispute, one) for one in disputes), change_after_a_while])
    assert not [one for one in results if isinstance(one, BaseException)], results
    deadlines.recompute_clocks(now=NOW)
    expected = due_on_the_new_calendar()
    assert [due_of(one) for one in disputes] == [expected] * len(disputes)
