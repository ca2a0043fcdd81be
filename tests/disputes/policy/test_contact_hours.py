"""Contact hours: the wall clock of every zone, the person's own wishes, and the exact instant from which contact is
allowed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from disputes.policy.contact_hours import Preferences, Window, check_hours, read_preferences
from disputes.policy.packs import SHIPPED, LocalInterval, load_packs

HOUSE = load_packs(SHIPPED).version("house", "1")
EVERY_DAY = frozenset(range(7))


def pack_with(*hours: tuple[str, str], agreed: bool = True, reply_free: bool = True):
    allowed = tuple(LocalInterval(first=time.fromisoformat(a), until=time.fromisoformat(b)) for a, b in hours)
    return replace(
        HOUSE, contact_hours=replace(HOUSE.contact_hours, allowed=allowed or None, agreed=agreed, reply_free=reply_free)
    )


def asked(pack, at: str, *zones: str, category: str = "urge", **more):
    return check_hours(
        pack=pack, at=datetime.fromisoformat(at), zones=zones or ("Asia/Shanghai",), category=category, **more
    )


@pytest.mark.parametrize(
    ("at", "allowed"),
    [
        ("07:59:59.999999", False),
        ("08:00:00", True),
        ("20:59:59.999999", True),
        ("21:00:00", False),
        ("00:00:00", False),
    ],
)
def test_hours_are_half_open(at, allowed):
    assert asked(HOUSE, f"2026-03-12T{at}+08:00").allowed is allowed


def test_the_next_allowed_instant_is_the_next_opening():
    assert asked(HOUSE, "2026-03-12T21:00:00+08:00").next_allowed_at == datetime.fromisoformat(
        "2026-03-13T08:00:00+08:00"
    )
    assert asked(HOUSE, "2026-03-12T03:00:00+08:00").next_allowed_at == datetime.fromisoformat(
        "2026-03-12T08:00:00+08:00"
    )


def test_hours_may_wrap_midnight():
    night = pack_with(("22:00", "02:00"))
    assert [
        asked(night, f"2026-03-12T{at}:00+08:00").allowed for at in ("21:59", "22:00", "23:59", "01:59", "02:00")
    ] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_all_zones_must_allow():
    both = ("Asia/Shanghai", "America/New_York")
    answer = asked(HOUSE, "2026-03-12T10:00:00+08:00", *both)
    assert not answer.allowed
    # 08:00 in New York (in summer time) is 20:00 in Shanghai: one hour of the day suits both.
    assert answer.next_allowed_at == datetime.fromisoformat("2026-03-12T20:00:00+08:00")
    assert asked(HOUSE, "2026-03-12T20:59:59+08:00", *both).allowed
    assert not asked(HOUSE, "2026-03-12T21:00:00+08:00", *both).allowed


def test_zones_that_never_agree_are_never_allowed():
    answer = asked(pack_with(("09:00", "10:00")), "2026-03-12T09:30:00+08:00", "Asia/Shanghai", "America/New_York")
    assert (answer.allowed, answer.next_allowed_at) == (False, None)


def test_clock_changes_move_the_opening_with_the_wall_clock():
    spring = asked(HOUSE, "2026-03-08T01:00:00-05:00", "America/New_York")
    assert spring.next_allowed_at == datetime.fromisoformat("2026-03-08T08:00:00-04:00")
    autumn = asked(HOUSE, "2026-11-01T00:30:00-04:00", "America/New_York")
    assert autumn.next_allowed_at == datetime.fromisoformat("2026-11-01T08:00:00-05:00")


def test_an_opening_that_the_clock_jumps_over_is_the_instant_of_the_jump():
    answer = asked(pack_with(("02:30", "04:00")), "2026-03-08T01:00:00-05:00", "America/New_York")
    assert answer.next_allowed_at == datetime.fromisoformat("2026-03-08T03:00:00-04:00")


def test_an_hour_that_comes_twice_is_open_both_times():
    twice = pack_with(("01:00", "02:00"))
    for offset in ("-04:00", "-05:00"):
        assert asked(twice, f"2026-11-01T01:30:00{offset}", "America/New_York").allowed
    assert not asked(twice, "2026-11-01T02:00:00-05:00", "America/New_York").allowed


def test_a_window_that_ends_in_an_hour_that_comes_twice_ends_twice():
    blocked = {"blocked": [{"from": "01:15", "until": "01:30"}]}
    for offset in ("-04:00", "-05:00"):
        answer = asked(pack_with(), f"2026-11-01T01:20:00{offset}", "America/New_York", preferences=blocked)
        assert answer.next_allowed_at == datetime.fromisoformat(f"2026-11-01T01:30:00{offset}")


@pytest.mark.parametrize(
    ("category", "allowed"), [("statutory", True), ("service", True), ("survey", False), ("reminder", False)]
)
def test_only_the_categories_that_the_pack_names_keep_contact_hours(category, allowed):
    assert asked(HOUSE, "2026-03-12T23:00:00+08:00", category=category).allowed is allowed


def test_no_window_allows_every_hour_but_those_that_the_person_blocked():
    free = pack_with()
    assert asked(free, "2026-03-12T03:00:00+08:00").allowed
    blocked = {"blocked": [{"days": ["TH"], "from": "02:00", "until": "04:00"}]}
    answer = asked(free, "2026-03-12T03:00:00+08:00", preferences=blocked)
    assert answer.next_allowed_at == datetime.fromisoformat("2026-03-12T04:00:00+08:00")


def test_a_blocked_window_that_wraps_midnight_belongs_to_the_day_it_begins_on():
    free = pack_with()
    friday_night = {"blocked": [{"days": ["FR"], "from": "22:00", "until": "02:00"}]}
    found = {
        at: asked(free, f"2026-03-{at}:00+08:00", preferences=friday_night).allowed
        for at in ("13T01:00", "13T22:00", "14T01:59", "14T02:00", "14T23:00")
    }
    assert found == {"13T01:00": True, "13T22:00": False, "14T01:59": False, "14T02:00": True, "14T23:00": True}


def test_agreed_hours_open_what_the_pack_closes_where_it_lets_them_and_never_what_the_person_blocked():
    wishes = {"agreed": [{"from": "21:00", "until": "23:00"}], "blocked": [{"from": "22:30", "until": "22:45"}]}
    assert asked(HOUSE, "2026-03-12T22:00:00+08:00", preferences=wishes).allowed
    assert not asked(HOUSE, "2026-03-12T22:30:00+08:00", preferences=wishes).allowed
    assert not asked(
        pack_with(("08:00", "21:00"), agreed=False), "2026-03-12T22:00:00+08:00", preferences=wishes
    ).allowed


def test_an_answer_to_the_persons_own_message_is_free_where_the_pack_says_so():
    late = "2026-03-12T23:00:00+08:00"
    assert asked(HOUSE, late, answers_own_message=True).allowed
    assert not asked(pack_with(("08:00", "21:00"), reply_free=False), late, answers_own_message=True).allowed


def test_a_person_who_blocked_every_hour_is_never_written_to():
    answer = asked(HOUSE, "2026-03-12T12:00:00+08:00", preferences={"blocked": [{}]})
    assert (answer.allowed, answer.next_allowed_at) == (False, None)


def test_without_a_zone_nothing_can_be_said():
    with pytest.raises(ValueError, match="time zone"):
        check_hours(pack=HOUSE, at=datetime(2026, 3, 12, tzinfo=UTC), zones=(), category="urge")


@pytest.mark.parametrize("name", ["MO", "mo", "Mon", "monday"])
def test_weekdays_are_read_by_their_first_letters(name):
    [window] = read_preferences({"blocked": [{"days": [name], "from": "09:00", "until": "24:00"}]}).blocked
    assert window == Window(days=frozenset({0}), hours=LocalInterval(first=time(9), until=time(0)))


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ({"open": []}, "open"),
        ({"blocked": {}}, "blocked"),
        ({"blocked": ["MO"]}, "blocked.0"),
        ({"blocked": [{"days": ["T"]}]}, "blocked.0.days"),
        ({"blocked": [{"days": ["XX"]}]}, "blocked.0.days"),
        ({"blocked": [{"days": [1]}]}, "blocked.0.days"),
        ({"blocked": [{"day": ["MO"]}]}, "blocked.0.day"),
        ({"agreed": [{}, {"from": "25:00"}]}, "agreed.1.from"),
        ({"agreed": [{"until": "9:00"}]}, "agreed.0.until"),
        ({"agreed": [{"until": 9}]}, "agreed.0.until"),
    ],
)
def test_wishes_that_cannot_be_read_are_refused_by_their_place(raw, place):
    with pytest.raises(ValueError, match=f"^{place}:"):
        read_preferences(raw)


ZONES = (
    "UTC",
    "Asia/Shanghai",
    "America/New_York",
    "Europe/London",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
)
clocks = st.builds(time, st.integers(0, 23), st.sampled_from((0, 15, 30, 45)))
intervals = st.builds(lambda a, b: LocalInterval(first=a, until=b), clocks, clocks)
windows = st.builds(
    lambda days, hours: Window(days=days, hours=hours), st.frozensets(st.integers(0, 6), min_size=1), intervals
)
wishes = st.builds(
    lambda blocked, agreed: Preferences(blocked=tuple(blocked), agreed=tuple(agreed)),
    st.lists(windows, max_size=2),
    st.lists(windows, max_size=1),
)
# Around the clock changes of 2026 in the north, and an ordinary week.
DAYS = ("2026-03-07", "2026-03-28", "2026-10-24", "2026-06-01")
instants = st.builds(
    lambda day, minutes: datetime.fromisoformat(f"{day}T00:00:00+00:00") + timedelta(minutes=minutes),
    st.sampled_from(DAYS),
    st.integers(0, 4 * 1440),
)


def allowed_by_the_clock(allowed, wished, at, zones) -> bool:
    """The same question, asked of a list of all minutes of each interval."""

    def minutes(interval):
        first = interval.first.hour * 60 + interval.first.minute
        length = (interval.until.hour * 60 + interval.until.minute - first) % 1440 or 1440
        return first, length

    for name in zones:
        local = at.astimezone(ZoneInfo(name)).replace(tzinfo=None)
        now = local.hour * 60 + local.minute

        def within(interval, now=now):
            first, length = minutes(interval)
            return (now - first) % 1440 < length

        weekday = local.weekday()

        def within_window(window, now=now, weekday=weekday):
            first, length = minutes(window.hours)
            began = weekday if now >= first else weekday - 1
            return (now - first) % 1440 < length and began % 7 in window.days

        if any(within_window(window) for window in wished.blocked):
            return False
        if not any(within(interval) for interval in allowed) and not any(within_window(one) for one in wished.agreed):
            return False
    return True


@settings(deadline=None, max_examples=200)
@given(
    st.lists(intervals, min_size=1, max_size=2),
    wishes,
    instants,
    st.lists(st.sampled_from(ZONES), min_size=1, max_size=2),
)
@example(
    [LocalInterval(first=time(2, 15), until=time(2, 30))],
    Preferences(),
    datetime(2026, 3, 8, 5, tzinfo=UTC),
    ["America/New_York"],
)
def test_the_next_allowed_instant_is_exact(allowed, wished, at, zones):
    pack = replace(HOUSE, contact_hours=replace(HOUSE.contact_hours, allowed=tuple(allowed)))
    answer = check_hours(pack=pack, at=at, zones=zones, preferences=wished, category="urge")
    assert answer.allowed is allowed_by_the_clock(allowed, wished, at, zones)
    end = answer.next_allowed_at or at + timedelta(days=2)
    if answer.allowed:
        return
    if answer.next_allowed_at is not None:
        assert check_hours(pack=pack, at=end, zones=zones, preferences=wished, category="urge").allowed
        just_before = end - timedelta(microseconds=1)
        assert not check_hours(pack=pack, at=just_before, zones=zones, preferences=wished, category="urge").allowed
    walk = at
    while walk < min(end, at + timedelta(days=2)):
        assert not allowed_by_the_clock(allowed, wished, walk, zones), walk
        walk += timedelta(minutes=15)
