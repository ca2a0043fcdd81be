"""Business time: shifts, days off and clock changes, by hand and against a look at every minute."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from disputes.policy.business_time import (
    BeyondCalendar,
    BusinessCalendar,
    OpenTime,
    compile_calendar,
    minutes_of,
)

HOUR = 3600
WEEKDAYS = dict.fromkeys(range(5), (("09:00", "18:00"),))


def calendar(zone="Asia/Shanghai", weekly=None, off=(), extra=None) -> BusinessCalendar:
    return BusinessCalendar(
        zone=zone,
        weekly=WEEKDAYS if weekly is None else weekly,
        days_off=frozenset(date.fromisoformat(day) for day in off),
        extra_days={date.fromisoformat(day): weekday for day, weekday in (extra or {}).items()},
    )


def open_time(first="2026-01-01", last="2026-12-31", **made) -> OpenTime:
    return compile_calendar(calendar(**made), first=date.fromisoformat(first), last=date.fromisoformat(last))


def at(text: str, zone: str = "Asia/Shanghai") -> datetime:
    """A wall clock's reading; one that comes twice is the first."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def test_a_term_runs_while_the_lender_is_open_and_goes_on_the_next_working_day():
    lender = open_time()
    friday = at("2026-11-06T17:00")
    assert lender.add(friday, 2 * HOUR) == at("2026-11-09T10:00")
    assert lender.between(friday, at("2026-11-09T10:00")) == 2 * HOUR
    assert lender.add(at("2026-11-07T12:00"), HOUR) == at("2026-11-09T10:00")


def test_a_term_that_ends_at_closing_is_due_at_closing_and_one_second_more_after_the_next_opening():
    lender = open_time()
    assert lender.add(at("2026-11-02T09:00"), 9 * HOUR) == at("2026-11-02T18:00")
    assert lender.add(at("2026-11-02T09:00"), 9 * HOUR + 1) == at("2026-11-03T09:00:01")
    assert lender.add(at("2026-11-02T03:00"), 0) == at("2026-11-02T03:00")


def test_what_is_open_is_open_already_and_closing_time_is_closed():
    lender = open_time()
    assert lender.next_open(at("2026-11-02T09:00")) == at("2026-11-02T09:00")
    assert lender.next_open(at("2026-11-02T17:59:59")) == at("2026-11-02T17:59:59")
    assert lender.next_open(at("2026-11-02T18:00")) == at("2026-11-03T09:00")
    assert lender.next_open(at("2026-11-06T18:00")) == at("2026-11-09T09:00")


def test_a_day_off_has_no_hours_and_a_make_up_day_has_those_of_its_weekday():
    weekly = {**WEEKDAYS, 4: (("09:00", "12:00"),)}
    lender = open_time(weekly=weekly, off=["2026-11-03"], extra={"2026-11-07": 0, "2026-11-08": 4})
    assert lender.add(at("2026-11-02T17:00"), 2 * HOUR) == at("2026-11-04T10:00")
    assert lender.between(at("2026-11-07T00:00"), at("2026-11-08T00:00")) == 9 * HOUR
    assert lender.between(at("2026-11-08T00:00"), at("2026-11-09T00:00")) == 3 * HOUR


def test_a_make_up_day_outweighs_a_day_off():
    lender = open_time(off=["2026-11-07"], extra={"2026-11-07": 0})
    assert lender.between(at("2026-11-07T00:00"), at("2026-11-08T00:00")) == 9 * HOUR


def test_a_shift_over_midnight_belongs_to_the_day_it_begins_on():
    """So the day off of its beginning cancels all of it, and the day off of its end none."""
    nights = dict.fromkeys(range(5), (("22:00", "06:00"),))
    lender = open_time(weekly=nights, off=["2026-11-03"])
    assert lender.between(at("2026-11-02T22:00"), at("2026-11-03T06:00")) == 8 * HOUR
    assert lender.between(at("2026-11-03T06:00"), at("2026-11-04T22:00")) == 0
    assert lender.add(at("2026-11-06T23:00"), 8 * HOUR) == at("2026-11-09T23:00")


def test_a_shift_that_began_before_the_first_day_runs_into_it():
    nights = dict.fromkeys(range(7), (("22:00", "06:00"),))
    lender = open_time(first="2026-11-03", last="2026-11-04", weekly=nights)
    assert lender.between(at("2026-11-03T00:00"), at("2026-11-03T12:00")) == 6 * HOUR


def test_a_whole_day_is_a_whole_day_and_hours_that_overlap_count_once():
    whole = open_time(weekly={0: (("00:00", "24:00"),), 1: (("00:00", "00:00"),)})
    assert whole.between(at("2026-11-01T00:00"), at("2026-11-08T00:00")) == 48 * HOUR
    twice = open_time(weekly={0: (("09:00", "13:00"), ("12:00", "18:00"))})
    assert twice.between(at("2026-11-02T00:00"), at("2026-11-03T00:00")) == 9 * HOUR


def test_an_hour_that_comes_twice_counts_twice_and_one_that_is_skipped_not_at_all():
    nights = dict.fromkeys(range(7), (("00:00", "04:00"),))
    london = open_time(zone="Europe/London", weekly=nights)
    for day, hours in [("2026-10-24", 4), ("2026-10-25", 5), ("2026-03-28", 4), ("2026-03-29", 3)]:
        start = at(f"{day}T00:00", "Europe/London")
        assert london.between(start, start + timedelta(hours=12)) == hours * HOUR, day


def test_of_an_interval_that_begins_inside_the_repeated_hour_both_passes_count():
    """01:30 to 02:00 comes at 00:30 UTC and again at 01:30 UTC."""
    london = open_time(zone="Europe/London", weekly={6: (("01:30", "02:00"),)})
    assert london.next_open(datetime(2026, 10, 25, 0, 0, tzinfo=UTC)) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert london.next_open(datetime(2026, 10, 25, 1, 0, tzinfo=UTC)) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_a_date_that_the_zone_left_out_has_no_hours():
    """Samoa went from Thursday 29 to Saturday 31 December 2011."""
    samoa = open_time(first="2011-12-01", last="2012-01-31", zone="Pacific/Apia")
    assert samoa.between(at("2011-12-29T09:00", "Pacific/Apia"), at("2012-01-02T09:00", "Pacific/Apia")) == 9 * HOUR


def test_what_lies_outside_of_the_calendar_is_refused_and_not_guessed():
    lender = open_time(first="2026-11-02", last="2026-11-06")
    for act in (
        lambda: lender.add(at("2026-11-01T23:59:59"), 1),
        lambda: lender.next_open(at("2026-11-07T00:00:01")),
        lambda: lender.between(at("2026-11-02T00:00"), at("2026-11-08T00:00")),
        lambda: lender.add(at("2026-11-02T00:00"), 45 * HOUR + 1),
        lambda: lender.next_open(at("2026-11-06T18:00")),
        lambda: open_time(weekly={}).next_open(at("2026-11-02T00:00")),
        lambda: open_time(weekly={}).add(at("2026-11-02T00:00"), 1),
    ):
        with pytest.raises(BeyondCalendar):
            act()
    assert lender.add(at("2026-11-02T00:00"), 45 * HOUR) == at("2026-11-06T18:00")


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="aware"):
        open_time().next_open(at("2026-11-02T09:00").replace(tzinfo=None))


@pytest.mark.parametrize("text", ["9:00", "09:60", "24:01", "25:00", "0900", "09:0a", "-1:00", "", "09:00:00", "٠٩:٠٠"])
def test_a_time_of_day_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="no time of day"):
        minutes_of(text)
    with pytest.raises(ValueError, match="no time of day"):
        open_time(weekly={0: ((text, "18:00"),)})


CHANGES = [
    ("Europe/London", "2026-03-29"),
    ("Europe/London", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),  # half an hour
    ("Australia/Lord_Howe", "2026-10-04"),
    ("America/Santiago", "2026-04-05"),  # at midnight
    ("America/Santiago", "2026-09-06"),
    ("Africa/Cairo", "2026-04-24"),
    ("Africa/Cairo", "2026-10-30"),
    ("Asia/Beirut", "2026-03-29"),
    ("Pacific/Apia", "2011-12-30"),  # a date left out
    ("Pacific/Kwajalein", "1993-08-21"),
    ("America/St_Johns", "2010-11-07"),  # one minute after midnight
    ("Pacific/Chatham", "2026-09-27"),
    ("Africa/Casablanca", "2026-02-15"),
    ("Asia/Kathmandu", "2026-05-05"),
    ("Asia/Shanghai", "2026-10-01"),
]
"""Zones with a day on which their clocks change, or never do."""


def some_calendar(dice: random.Random, zone: str, middle: date) -> BusinessCalendar:
    def time_of_day() -> str:
        return f"{dice.randrange(24):02}:{dice.choice((0, 0, 1, 15, 30, 45, 59)):02}"

    weekly = {}
    for day in range(7):
        shifts = [(time_of_day(), time_of_day()) for _ in range(dice.choice((0, 1, 1, 1, 2, 3)))]
        if dice.random() < 0.1:
            shifts.append(("00:00", "24:00"))
        weekly[day] = tuple(shifts)
    near = [middle + timedelta(days=n) for n in range(-3, 4)]
    return BusinessCalendar(
        zone=zone,
        weekly=weekly,
        days_off=frozenset(dice.sample(near, dice.randrange(3))),
        extra_days={day: dice.randrange(7) for day in dice.sample(near, dice.randrange(3))},
    )


class EveryMinute:
    """The same answers from a look at the wall clock in each minute of six days: right, and slow."""

    def __init__(self, made: BusinessCalendar, middle: date) -> None:
        self.start = datetime(middle.year, middle.month, middle.day, tzinfo=UTC) - timedelta(days=3)
        self.minutes = 6 * 24 * 60
        zone = ZoneInfo(made.zone)
        self.open = []
        for minute in range(self.minutes):
            wall = (self.start + timedelta(minutes=minute)).astimezone(zone).replace(tzinfo=None)
            self.open.append(any(self.shift_covers(made, wall, wall.date() - timedelta(days=n)) for n in (0, 1)))

    @staticmethod
    def shift_covers(made: BusinessCalendar, wall: datetime, begun: date) -> bool:
        if begun in made.extra_days:
            shifts = made.weekly[made.extra_days[begun]]
        elif begun in made.days_off:
            shifts = ()
        else:
            shifts = made.weekly[begun.weekday()]
        since = (wall - datetime.combine(begun, time())) // timedelta(minutes=1)
        for first, until in shifts:
            opened, closed = (int(text[:2]) * 60 + int(text[3:]) for text in (first, until))
            if opened <= since < (closed if closed > opened else closed + 24 * 60):
                return True
        return False

    def seconds(self, first: int, until: int) -> int:
        """Open seconds between two numbers of seconds since the start."""
        minutes = range(first // 60, min(-(-until // 60), self.minutes))
        return sum(min(until, 60 * n + 60) - max(first, 60 * n) for n in minutes if self.open[n])

    def after(self, first: int, wanted: int) -> int | None:
        for n in range(first // 60, self.minutes):
            if not self.open[n]:
                continue
            begin = max(first, 60 * n)
            if wanted <= 60 * n + 60 - begin:
                return begin + wanted
            wanted -= 60 * n + 60 - begin
        return None

    def opening(self, first: int) -> int | None:
        return next((max(first, 60 * n) for n in range(first // 60, self.minutes) if self.open[n]), None)


@pytest.mark.parametrize(("zone", "middle"), CHANGES)
def test_any_calendar_agrees_with_a_look_at_every_minute(zone, middle):
    dice = random.Random(f"{zone} {middle}")
    day = date.fromisoformat(middle)
    for _ in range(4):
        made = some_calendar(dice, zone, day)
        fast = compile_calendar(made, first=day - timedelta(days=10), last=day + timedelta(days=10))
        slow = EveryMinute(made, day)

        def instant(second: int, start: datetime = slow.start) -> datetime:
            return start + timedelta(seconds=second)

        for _ in range(25):
            first, until = sorted(dice.sample(range(slow.minutes * 60), 2))
            if dice.random() < 0.5:
                first, until = first // 60 * 60, until // 60 * 60
            used = slow.seconds(first, until)
            assert fast.between(instant(first), instant(until)) == used, made
            assert fast.between(instant(until), instant(first)) == -used
            wanted = dice.choice((1, 60, HOUR, used or 1, dice.randrange(1, 40 * HOUR)))
            due = slow.after(first, wanted)
            if due is not None:
                assert fast.add(instant(first), wanted) == instant(due), made
            opens = slow.opening(first)
            if opens is not None:
                assert fast.next_open(instant(first)) == instant(opens), made


def test_a_pause_takes_off_what_had_run_and_not_its_own_length():
    """Due after a pause = the rest of the budget from where it goes on; a term that only moved by the pause's length
    would end while the lender is shut."""
    dice = random.Random("pauses")
    wrong = 0
    for zone, middle in CHANGES:
        day = date.fromisoformat(middle)
        made = some_calendar(dice, zone, day)
        lender = compile_calendar(made, first=day - timedelta(days=400), last=day + timedelta(days=400))
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        for _ in range(50):
            budget = dice.randrange(HOUR, 100 * HOUR)
            due = lender.add(start, budget)
            paused = start + timedelta(seconds=dice.randrange(int((due - start).total_seconds())))
            resumed = paused + timedelta(seconds=dice.randrange(1, 30 * 24 * HOUR))
            used = lender.between(start, paused)
            moved = lender.add(resumed, budget - used)
            assert lender.between(start, paused) + lender.between(resumed, moved) == budget
            assert moved >= due
            wrong += moved != due + (resumed - paused)
    assert wrong > 100
