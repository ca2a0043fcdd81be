"""Which version judges a message: the one in force when it was sent, by the lender's calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from disputes.policy.contact_hours import check_hours, hours_breached
from disputes.policy.packs import SHIPPED, Packs, load_packs

HOUSE_TEXT = (SHIPPED / "house.toml").read_text(encoding="utf-8")
SHIPPED_PACKS = load_packs(SHIPPED)
US, CN = SHIPPED_PACKS.by_name["us"][-1], SHIPPED_PACKS.by_name["cn"][-1]


def changing_on(day: str, folder) -> Packs:
    (folder / "house.toml").write_text(
        f"""{HOUSE_TEXT}
[[version]]
version = "2"
valid_from = {day}
max_lag_hours = {{ value = 1, clause = "a test", force = "own", read = "yes" }}
""",
        encoding="utf-8",
    )
    return load_packs(folder)


@pytest.mark.parametrize(
    ("zone", "day", "first"),
    [
        ("Asia/Shanghai", "2026-06-01", "2026-05-31T16:00:00+00:00"),
        ("America/New_York", "2026-03-08", "2026-03-08T05:00:00+00:00"),  # the clock goes forward at 02:00
        ("America/New_York", "2026-03-09", "2026-03-09T04:00:00+00:00"),
        ("America/New_York", "2026-11-01", "2026-11-01T04:00:00+00:00"),  # and back at 02:00
        ("America/New_York", "2026-11-02", "2026-11-02T05:00:00+00:00"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00+00:00"),  # no midnight: 00:00 becomes 01:00
        ("America/Havana", "2026-11-01", "2026-11-01T04:00:00+00:00"),  # midnight twice: the first one
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00+00:00"),  # the day before never was
        ("Asia/Kolkata", "2026-06-01", "2026-05-31T18:30:00+00:00"),
    ],
)
def test_a_version_begins_with_the_first_instant_of_its_day(zone: str, day: str, first: str, tmp_path):
    packs, instant = changing_on(day, tmp_path), datetime.fromisoformat(first)
    assert packs.in_force("house", instant, zone).version == "2"
    assert packs.in_force("house", instant - timedelta(microseconds=1), zone).version == "1"
    assert instant.astimezone(UTC) == instant


def test_midnight_that_comes_twice_does_not_switch_back(tmp_path):
    """Havana, 1 November 2026: 00:30 comes twice, and both are the new day."""
    packs = changing_on("2026-11-01", tmp_path)
    for hour in (4, 5):
        instant = datetime(2026, 11, 1, hour, 30, tzinfo=UTC)
        assert packs.in_force("house", instant, "America/Havana").version == "2"


def test_a_version_may_begin_on_the_first_and_on_the_last_day_there_is(tmp_path):
    packs = changing_on("0001-01-01", tmp_path)
    assert packs.in_force("house", datetime(1990, 1, 1, tzinfo=UTC), "UTC").version == "2"
    packs = changing_on("9999-12-31", tmp_path)
    assert packs.in_force("house", datetime(2990, 1, 1, tzinfo=UTC), "UTC").version == "1"


def test_a_message_is_judged_by_the_version_of_its_own_instant_across_the_change():
    """GB/T 45251-2025 is in force from 28 February 2025: the evening before has no numbered window."""
    for at, breached in (("2025-02-27T23:59:59+08:00", False), ("2025-02-28T00:00:00+08:00", True)):
        instant = datetime.fromisoformat(at)
        pack = SHIPPED_PACKS.in_force("cn", instant, "Asia/Shanghai")
        asked = {"pack": pack, "at": instant, "zones": ["Asia/Shanghai"], "preferences": None, "category": "urge"}
        assert hours_breached(**asked) is breached


@pytest.mark.parametrize(
    ("clock", "gate", "breach"),
    [
        ("07:59:59.999999", False, True),
        ("08:00:00", True, False),
        ("20:59:59.999999", True, False),
        ("21:00:00", False, False),
        ("21:00:00.999999", False, False),
        ("21:00:01", False, True),
    ],
)
def test_at_an_end_that_the_words_leave_free_a_gate_refuses_and_a_check_finds_no_breach(clock, gate, breach):
    """12 CFR 1006.6(b)(1)(i): before 8:00 a.m. and after 9:00 p.m."""
    at = datetime.fromisoformat(f"2026-11-10T{clock}-05:00")
    asked = {"pack": US, "at": at, "zones": ["America/New_York"], "preferences": None, "category": "urge"}
    assert (check_hours(**asked).allowed, hours_breached(**asked)) == (gate, breach)


def test_where_the_words_leave_no_end_free_gate_and_check_agree():
    """GB/T 45251-2025: not from 22:00 on."""
    at = datetime.fromisoformat("2026-11-10T22:00:00+08:00")
    asked = {"pack": CN, "at": at, "zones": ["Asia/Shanghai"], "preferences": None, "category": "urge"}
    assert (check_hours(**asked).allowed, hours_breached(**asked)) == (False, True)


def test_the_free_end_must_be_free_in_every_zone_and_opens_nothing_that_the_person_blocked():
    at = datetime.fromisoformat("2026-11-10T21:00:00-05:00")
    zones = iter(["America/New_York", "America/Denver"])  # 21:00 and 19:00
    assert not hours_breached(pack=US, at=at, zones=zones, preferences=None, category="urge")
    zones = iter(["America/New_York", "America/Halifax"])  # 21:00 and 22:00
    assert hours_breached(pack=US, at=at, zones=zones, preferences=None, category="urge")
    blocked = {"blocked": [{"from": "20:00", "until": "22:00"}]}
    assert hours_breached(pack=US, at=at, zones=["America/New_York"], preferences=blocked, category="urge")


def test_the_us_pack_lets_even_a_duty_wait_for_the_morning_and_an_answer_not():
    at = datetime.fromisoformat("2026-11-10T23:00:00-05:00")
    asked = {"pack": US, "at": at, "zones": ["America/New_York"], "preferences": None, "category": "statutory"}
    assert hours_breached(**asked)
    assert not hours_breached(**asked, answers_own_message=True)
    assert US.valid_from == date(2021, 11, 30)
