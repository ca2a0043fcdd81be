"""Deadlines: on business time and on the calendar, paused, warned of, missed once."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest

from config.values.ids import new_id
from disputes.journal.models import Event
from disputes.outbox.models import OutboxTopic
from disputes.policy.packs import SHIPPED, Pack, load_packs
from disputes.routing import deadlines
from disputes.routing.assigning import Needs
from disputes.routing.calendars import business_calendar, default_calendar, open_time
from disputes.routing.models import Calendar, Clock, Escalation, Queue, RoutedCase
from disputes.routing.staffing import save_calendar
from tests.disputes.routing.scene import NOW, enter, within
from tests.races import PATIENCE, at_once

pytestmark = pytest.mark.django_db

PACKS = load_packs(SHIPPED)
HOUSE = PACKS.by_name["house"][-1]
CN = PACKS.by_name["cn"][-1]
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def at(text: str) -> datetime:
    """A wall clock's reading in Shanghai."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")).astimezone(UTC)


@pytest.fixture(autouse=True)
def lender(settings):
    """Weekdays nine to six in Shanghai, no holidays."""
    settings.LENDER_TIME_ZONE = "Asia/Shanghai"
    return Calendar.objects.create(name="Lender", zone="Asia/Shanghai")


def start(opened="2026-11-02T10:00", *, pack: Pack = HOUSE, needs=None, dispute=None):
    dispute = dispute or new_id()
    due = within(deadlines.start_clocks, dispute=dispute, pack=pack, opened_at=at(opened), now=at(opened), needs=needs)
    return dispute, due


def pause(dispute, when: str):
    return within(deadlines.pause_clocks, dispute=dispute, now=at(when))


def resume(dispute, when: str):
    return within(deadlines.resume_clocks, dispute=dispute, now=at(when))


def alarms(when: str) -> int:
    return deadlines.raise_alarms(now=at(when))


def escalated(dispute) -> list[tuple[str, str]]:
    return list(Escalation.objects.filter(dispute=dispute).order_by("pk").values_list("clock", "kind"))


def events(dispute) -> list[tuple[str, str]]:
    rows = Event.objects.filter(subject_id=dispute, kind__startswith="deadline.").order_by("id")
    return [(row.data["clock"], row.kind) for row in rows]


class TestATerm:
    def test_on_business_time_is_so_many_open_hours(self):
        """Of Monday 8 are left: 16 hours end on Tuesday at five, 80 at closing on the Thursday of the next week."""
        _, due = start()
        assert due.first_answer_by == at("2026-11-03T17:00")
        assert due.decide_by == at("2026-11-12T18:00")

    def test_of_the_regulator_is_days_of_the_calendar(self):
        _, due = start(pack=CN)
        assert due.first_answer_by == at("2026-11-03T17:00")
        assert due.decide_by == at("2026-11-17T23:59:59")

    def test_of_a_dispute_opened_at_night_begins_at_the_opening(self):
        _, due = start("2026-11-06T23:30")
        assert due.first_answer_by == at("2026-11-10T16:00")

    def test_leaves_out_fractions_of_a_second(self):
        opened = at("2026-11-02T10:00") + timedelta(microseconds=999_999)
        due = within(deadlines.start_clocks, dispute=new_id(), pack=HOUSE, opened_at=opened, now=opened)
        assert due.first_answer_by == at("2026-11-03T17:00")

    def test_runs_on_the_calendar_of_the_queue_that_takes_the_case(self):
        nights = Calendar.objects.create(
            name="Nights", zone="Asia/Shanghai", hours={str(day): [["20:00", "04:00"]] for day in range(7)}
        )
        Queue.objects.create(name="Nights", languages=["en"], calendar=nights)
        _, due = start(needs=Needs(ground="other", language="en", product=None))
        assert due.first_answer_by == at("2026-11-04T04:00")
        _, due = start(needs=Needs(ground="other", language="zh-hans", product=None))
        assert due.first_answer_by == at("2026-11-03T17:00")

    def test_that_the_calendar_has_no_room_for_runs_day_and_night_so_that_the_dispute_can_be_opened(self, lender):
        Calendar.objects.update(hours={})
        dispute, due = start()
        assert due.decide_by == at("2026-11-02T10:00") + 80 * HOUR
        assert pause(dispute, "2026-11-03T00:00") == due
        assert resume(dispute, "2026-11-05T00:00").decide_by == at("2026-11-05T00:00") + 80 * HOUR

    def test_of_years_is_found_in_a_calendar_of_few_hours(self):
        Calendar.objects.update(hours={"0": [["09:00", "10:00"]]})
        _, due = start(pack=replace(HOUSE, terms=replace(HOUSE.terms, decide_hours=200)))
        assert due.decide_by.astimezone(ZoneInfo("Asia/Shanghai")).strftime("%a %H:%M") == "Mon 10:00"
        assert due.decide_by.year == 2030

    def test_started_again_begins_a_new_round(self):
        dispute, _ = start()
        within(deadlines.stop_clocks, dispute=dispute, now=NOW)
        alarms("2027-01-01T00:00")
        _, due = start("2026-12-01T10:00", dispute=dispute)
        assert due.first_answer_by == at("2026-12-02T17:00")
        assert set(Clock.objects.filter(dispute=dispute).values_list("round", "stopped_at")) == {(2, None)}
        alarms("2027-01-01T00:00")
        assert ("decide", "missed") in escalated(dispute)


class TestWaitingOnTheCustomer:
    def test_business_time_goes_on_with_what_was_left_and_not_by_the_length_of_the_wait(self):
        """Paused on Monday at five with 73 of 80 hours left; answered on Saturday: 73 hours from Monday morning."""
        dispute, due = start()
        assert pause(dispute, "2026-11-02T17:00") == due
        moved = resume(dispute, "2026-11-07T11:00")
        assert moved.decide_by == at("2026-11-19T10:00")
        assert moved.first_answer_by == at("2026-11-09T18:00")

    def test_the_regulators_calendar_runs_on(self):
        dispute, due = start(pack=CN)
        pause(dispute, "2026-11-02T17:00")
        assert resume(dispute, "2026-11-09T11:00").decide_by == due.decide_by
        pause(dispute, "2026-11-10T10:00")
        alarms("2026-11-30T00:00")
        assert ("decide", "missed") in escalated(dispute)

    def test_twice_takes_both_waits_off(self):
        dispute, _ = start()
        for paused, resumed in [("2026-11-02T11:00", "2026-11-02T15:00"), ("2026-11-03T10:00", "2026-11-05T10:00")]:
            pause(dispute, paused)
            pause(dispute, resumed)
            due = resume(dispute, resumed)
            resume(dispute, resumed)
        assert due.decide_by == within(deadlines.due_of, dispute=dispute).decide_by
        used = 1 + 3 + 1
        assert open_time(default_calendar(), at=NOW).add(at("2026-11-05T10:00"), (80 - used) * 3600) == due.decide_by

    def test_nothing_is_warned_of_or_missed_meanwhile(self):
        dispute, _ = start()
        pause(dispute, "2026-11-02T17:00")
        assert alarms("2027-06-01T00:00") == 0
        resume(dispute, "2027-06-01T10:00")
        assert alarms("2027-06-01T12:00") == 0

    def test_what_was_missed_before_stays_missed_and_is_not_given_new_time(self):
        dispute, due = start()
        pause(dispute, "2026-11-13T10:00")
        assert resume(dispute, "2026-11-20T10:00") == due
        alarms("2026-11-20T11:00")
        assert escalated(dispute) == [("first_answer", "missed"), ("decide", "missed")]

    def test_the_case_stands_in_its_queue_by_the_new_deadline(self):
        dispute, due = start()
        enter(dispute=dispute)
        pause(dispute, "2026-11-02T17:00")
        moved = resume(dispute, "2026-11-07T11:00")
        assert RoutedCase.objects.get(pk=dispute).decide_by == moved.decide_by > due.decide_by

    def test_whenever_it_is_asked_and_answered_the_stretches_that_ran_make_up_the_term(self):
        """Random waits: what was open between them, up to the deadline, is the budget to the second."""
        dice = random.Random(7)
        time = open_time(default_calendar(), at=NOW)
        for _ in range(15):
            dispute, due = start()
            began, ran, answered = at("2026-11-02T10:00"), 0, at("2026-11-02T10:00")
            for _ in range(dice.randrange(1, 5)):
                asked = answered + timedelta(seconds=dice.randrange(1, 2 * 86_400))
                if asked >= due.first_answer_by:
                    break
                ran += time.between(began, asked)
                within(deadlines.pause_clocks, dispute=dispute, now=asked)
                answered = began = asked + timedelta(seconds=dice.randrange(1, 9 * 86_400))
                due = within(deadlines.resume_clocks, dispute=dispute, now=answered)
            assert ran + time.between(began, due.first_answer_by) == 16 * 3600
            assert ran + time.between(began, due.decide_by) == 80 * 3600


class TestAlarms:
    def test_a_near_miss_warns_and_a_miss_escalates_each_once(self):
        """A fifth of 16 hours is left on Tuesday at 13:48."""
        dispute, _ = start()
        assert alarms("2026-11-03T13:47:59") == 0
        assert alarms("2026-11-03T13:48:00") == 1
        assert alarms("2026-11-03T16:59:59") == 0
        assert alarms("2026-11-03T17:00") == 1
        assert alarms("2026-11-03T17:01") == 0
        assert escalated(dispute) == [("first_answer", "near"), ("first_answer", "missed")]
        assert events(dispute) == [("first_answer", "deadline.near"), ("first_answer", "deadline.missed")]
        topics = OutboxTopic.objects.filter(topic__startswith="deadline.").values_list("topic", flat=True)
        assert sorted(topics) == ["deadline.missed", "deadline.near"]

    def test_a_warning_that_nobody_was_there_to_give_is_left_out_after_the_miss(self):
        dispute, _ = start()
        alarms("2026-11-20T00:00")
        assert escalated(dispute) == [("first_answer", "missed"), ("decide", "missed")]

    def test_the_regulators_deadline_warns_with_a_fifth_of_its_days_left(self):
        dispute, due = start(pack=CN)
        within(deadlines.note_first_answer, dispute=dispute, now=NOW)
        near = due.decide_by - (due.decide_by - at("2026-11-02T10:00")) / 5
        assert deadlines.raise_alarms(now=near - timedelta(seconds=1)) == 0
        assert deadlines.raise_alarms(now=near) == 1

    def test_a_first_answer_stops_its_clock_and_no_other(self):
        dispute, _ = start()
        within(deadlines.note_first_answer, dispute=dispute, now=NOW)
        within(deadlines.note_first_answer, dispute=dispute, now=NOW + DAY)
        assert Clock.objects.get(dispute=dispute, kind="first_answer").stopped_at == NOW
        alarms("2027-01-01T00:00")
        assert escalated(dispute) == [("decide", "missed")]

    def test_a_closed_dispute_has_none(self):
        dispute, _ = start()
        within(deadlines.stop_clocks, dispute=dispute, now=NOW)
        within(deadlines.stop_clocks, dispute=dispute, now=NOW + DAY)
        assert alarms("2027-01-01T00:00") == 0
        assert resume(dispute, "2026-11-09T11:00") is not None
        assert alarms("2027-01-01T00:00") == 0

    def test_more_than_fit_into_one_transaction_are_all_raised(self):
        rows = [start()[0] for _ in range(7)]
        assert deadlines.raise_alarms(now=at("2026-12-01T00:00"), at_once=3) == 14
        assert Escalation.objects.count() == 14
        assert {tuple(events(one)) for one in rows} == {
            (("first_answer", "deadline.missed"), ("decide", "deadline.missed"))
        }


@pytest.mark.django_db(transaction=True)
class TestSweepersAtOnce:
    def test_raise_each_alarm_once(self):
        rows = [start()[0] for _ in range(40)]
        results = at_once([partial(deadlines.raise_alarms, now=at("2026-12-01T00:00"), at_once=7)] * 6)
        assert sum(results) == 80
        for one in rows[:5]:
            assert len(events(one)) == 2
        assert Escalation.objects.count() == Event.objects.filter(kind="deadline.missed").count() == 80

    def test_and_without_the_claim_they_would_raise_them_twice(self, monkeypatch):
        """The control: what is read before the others commit is read by all. Nobody writes before all have looked for
        what was escalated already, which is the last look."""
        for _ in range(4):
            start()
        all_looked, write = threading.Barrier(3), Escalation.objects.bulk_create

        def write_together(rows, **how):
            all_looked.wait(PATIENCE)
            return write(rows, **how)

        monkeypatch.setattr(Escalation.objects, "bulk_create", write_together)

        def read_and_raise() -> int:
            clocks = list(Clock.objects.filter(next_alarm_at__isnull=False).order_by("pk"))
            return within(deadlines._escalate, clocks=clocks, kind="missed", now=at("2026-12-01T00:00"))

        assert at_once([read_and_raise] * 3) == [8, 8, 8]


class TestAChangedCalendar:
    def changed(self, lender, **fields) -> int:
        for name, value in fields.items():
            setattr(lender, name, value)
        save_calendar(calendar=lender)
        return deadlines.recompute_clocks(now=NOW, at_once=1)

    def test_moves_the_deadlines_that_run_on_it(self, lender):
        dispute, _ = start()
        paused, _ = start()
        pause(paused, "2026-11-02T12:00")
        assert self.changed(lender, days_off=[date(2026, 11, 3)]) == 2
        moved = deadlines.due_of(dispute=dispute)
        assert moved is not None
        assert moved.first_answer_by == at("2026-11-04T17:00")
        assert moved.decide_by == at("2026-11-13T18:00")
        assert resume(paused, "2026-11-02T12:00").first_answer_by == at("2026-11-04T17:00")
        assert set(OutboxTopic.objects.filter(topic="deadline.changed").values_list("key", flat=True)) == {str(dispute)}

    def test_lets_no_alarm_ring_twice(self, lender):
        dispute, _ = start()
        alarms("2026-11-20T00:00")
        before = events(dispute)
        self.changed(lender, days_off=[date(2026, 11, 3)])
        assert alarms("2026-11-20T00:01") == 0
        assert alarms("2027-01-01T00:00") == 0
        assert events(dispute) == before

    def test_is_not_worked_out_twice(self, lender):
        start()
        assert self.changed(lender, days_off=[date(2026, 11, 3)]) == 2
        assert deadlines.recompute_clocks(now=NOW) == 0

    def test_reaches_a_clock_that_was_started_on_the_old_one_while_it_changed(self, lender):
        """It was not committed when the others were moved: its revision tells the next round."""
        save_calendar(calendar=Calendar.objects.get(pk=lender.pk))
        dispute, _ = start()
        Clock.objects.filter(dispute=dispute).update(calendar_revision=1)
        assert deadlines.recompute_clocks(now=NOW) == 2

    def test_and_its_case_stands_by_the_new_deadline(self, lender):
        dispute, _ = start()
        enter(dispute=dispute)
        within(deadlines.show_deadline, dispute=dispute, decide_by=at("2026-12-24T12:00"))
        assert RoutedCase.objects.get(pk=dispute).decide_by == at("2026-12-24T12:00")

    def test_leaves_the_regulators_days_alone(self, lender):
        dispute, due = start(pack=CN)
        assert self.changed(lender, days_off=[date(2026, 11, 3)]) == 1
        assert deadlines.due_of(dispute=dispute).decide_by == due.decide_by


class TestTheLendersCalendar:
    def test_takes_the_countrys_holidays_off_and_works_on_its_make_up_days(self):
        """2026: Saturday 14 February is worked for the Spring Festival, Monday 16 February is off."""
        china = Calendar.objects.create(name="CN", zone="Asia/Shanghai", country="CN")
        made = open_time(china, at=at("2026-02-01T00:00"))
        assert made.between(at("2026-02-14T00:00"), at("2026-02-15T00:00")) == 9 * 3600
        assert made.between(at("2026-02-16T00:00"), at("2026-02-17T00:00")) == 0
        assert made.between(at("2026-02-07T00:00"), at("2026-02-08T00:00")) == 0

    def test_has_a_day_off_of_the_lenders_own_and_a_working_day_of_its_own(self):
        made = Calendar.objects.create(
            name="own",
            zone="Asia/Shanghai",
            country="CN",
            days_off=[date(2026, 11, 3)],
            extra_days={"2026-11-07": 2, "2026-10-01": 3},
        )
        time = open_time(made, at=at("2026-11-01T00:00"))
        for day, hours in [("2026-11-03", 0), ("2026-11-07", 9), ("2026-10-01", 9), ("2026-10-02", 0)]:
            assert time.between(at(f"{day}T00:00"), at(f"{day}T00:00") + DAY) == hours * 3600, day

    def test_an_english_region_has_its_own_bank_holidays(self):
        made = Calendar.objects.create(name="uk", zone="Europe/London", country="GB", subdivision="ENG")
        assert date(2026, 4, 6) in business_calendar(made, years=[2026]).days_off

    def test_names_no_holiday_of_a_year_that_was_not_asked(self):
        made = Calendar.objects.create(name="cn", zone="Asia/Shanghai", country="CN")
        found = business_calendar(made, years=[2026])
        assert {day.year for day in found.days_off | found.extra_days.keys()} == {2026}

    def test_a_changed_row_is_never_answered_from_what_was_kept(self, lender):
        before = open_time(lender, at=NOW).between(NOW, NOW + DAY)
        lender.hours = {str(day): [["00:00", "24:00"]] for day in range(7)}
        assert open_time(lender, at=NOW).between(NOW, NOW + DAY) == 24 * 3600 != before

    def test_where_there_is_none_it_is_made_once(self, settings):
        settings.DEFAULT_REGION = "CN"
        Calendar.objects.all().delete()
        made = within(default_calendar)
        assert (made.zone, made.country) == ("Asia/Shanghai", "CN")
        assert within(default_calendar) == made
