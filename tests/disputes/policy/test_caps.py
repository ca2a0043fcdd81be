"""Frequency caps: elapsed hours, local dates, and the exact instant from which one more contact is within them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disputes.policy.caps import Contact, check_cap, check_caps
from disputes.policy.packs import SHIPPED, Cap, load_packs

HOUSE = load_packs(SHIPPED).version("house", "1")
ZONE = "Asia/Shanghai"
ROLLING = Cap(
    name="week",
    count=2,
    rolling_hours=24,
    per=("customer",),
    channel="sms",
    categories=frozenset({"urge", "reminder"}),
    legal=False,
)
DAILY = replace(ROLLING, name="day", rolling_hours=None)


def contact(at: str | datetime, **changes) -> Contact:
    when = datetime.fromisoformat(at) if isinstance(at, str) else at
    keys = {"customer": "C1", "loan": "L1", "phone": "P1", "channel": "sms", "category": "urge"}
    return Contact(at=when, **(keys | changes))


def answer(cap: Cap, planned: Contact, *previous: Contact, zone: str = ZONE):
    return check_cap(cap=cap, previous=previous, planned=planned, zone=zone)


def test_a_rolling_cap_counts_elapsed_hours_and_lets_go_at_the_end_of_them():
    before = (contact("2026-03-12T08:00:00+08:00"), contact("2026-03-12T20:00:00+08:00"))
    just_before = answer(ROLLING, contact("2026-03-13T07:59:59.999999+08:00"), *before)
    assert not just_before.allowed
    assert just_before.next_allowed_at == datetime.fromisoformat("2026-03-13T08:00:00+08:00")
    assert answer(ROLLING, contact("2026-03-13T08:00:00+08:00"), *before).allowed


def test_elapsed_hours_do_not_know_of_clock_changes():
    before = [contact(datetime(2026, 3, 7, 12, tzinfo=ZoneInfo("America/New_York")))] * 2
    at = contact(datetime(2026, 3, 8, 12, 30, tzinfo=ZoneInfo("America/New_York")))
    found = answer(ROLLING, at, *before, zone="America/New_York")
    assert found.next_allowed_at == datetime(2026, 3, 8, 13, tzinfo=ZoneInfo("America/New_York"))


def test_a_daily_cap_counts_local_dates():
    before = (contact("2026-03-12T00:00:00+08:00"), contact("2026-03-12T23:59:59+08:00"))
    found = answer(DAILY, contact("2026-03-12T23:59:59.5+08:00"), *before)
    assert found.next_allowed_at == datetime.fromisoformat("2026-03-13T00:00:00+08:00")
    assert answer(DAILY, contact("2026-03-13T00:00:00+08:00"), *before).allowed
    # The same instants are two dates elsewhere.
    assert answer(DAILY, contact("2026-03-12T23:59:59.5+08:00"), *before, zone="America/New_York").allowed


@pytest.mark.parametrize(
    ("day", "zone", "opens"),
    [
        ("2018-11-03", "America/Sao_Paulo", "2018-11-04T01:00:00-02:00"),  # midnight is jumped over
        ("2026-10-31", "America/Havana", "2026-11-01T00:00:00-04:00"),  # midnight comes twice
        ("2011-12-29", "Pacific/Apia", "2011-12-31T00:00:00+14:00"),  # a whole day is jumped over
    ],
)
def test_the_next_date_begins_at_its_first_instant(day, zone, opens):
    noon = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=ZoneInfo(zone))
    found = answer(DAILY, contact(noon), contact(noon), contact(noon), zone=zone)
    assert found.next_allowed_at == datetime.fromisoformat(opens)


def test_only_what_shares_every_key_takes_a_slot():
    both = replace(DAILY, count=1, per=("loan", "phone"))
    now = contact("2026-03-12T10:00:00+08:00")
    for other in ({"loan": "L2"}, {"phone": "P2"}, {"loan": None}):
        assert answer(both, now, contact("2026-03-12T09:00:00+08:00", **other)).allowed
    assert not answer(both, now, contact("2026-03-12T09:00:00+08:00", customer="C2")).allowed
    # A text about no loan shares no slot of a loan, not even with another such text.
    assert answer(both, now._replace(loan=None), contact("2026-03-12T09:00:00+08:00", loan=None)).allowed


def test_other_channels_and_categories_neither_count_nor_are_stopped():
    now, cap = contact("2026-03-12T10:00:00+08:00"), replace(DAILY, count=1)
    for other in ({"channel": "call"}, {"category": "statutory"}):
        assert answer(cap, now, contact("2026-03-12T09:00:00+08:00", **other)).allowed
        assert answer(cap, now._replace(**other), contact("2026-03-12T09:00:00+08:00")).allowed
    assert not answer(cap, now, contact("2026-03-12T09:00:00+08:00", category="reminder")).allowed


def test_of_several_caps_the_one_that_opens_last_decides():
    previous = [contact(f"2026-03-{day}T10:00:00+08:00") for day in ("10", "11", "12")]
    found = check_caps(pack=HOUSE, previous=iter(previous), planned=contact("2026-03-12T11:00:00+08:00"), zone=ZONE)
    assert (found.cap.name, found.next_allowed_at) == (
        "customer-a-week",
        datetime.fromisoformat("2026-03-17T10:00:00+08:00"),
    )
    assert not found.cap.legal
    two = check_caps(pack=HOUSE, previous=previous[1:], planned=contact("2026-03-12T11:00:00+08:00"), zone=ZONE)
    assert (two.cap.name, two.next_allowed_at) == ("loan-a-day", datetime.fromisoformat("2026-03-13T00:00:00+08:00"))


def test_the_look_back_holds_whatever_any_cap_can_count():
    assert HOUSE.look_back() == timedelta(hours=168)
    assert replace(HOUSE, caps=()).look_back() == timedelta(0)


minutes = st.integers(0, 3 * 1440)


@settings(deadline=None)
@given(
    st.lists(minutes, max_size=8),
    minutes,
    st.integers(1, 3),
    st.sampled_from((None, 1, 24, 30)),
    st.sampled_from((ZONE, "America/New_York")),
)
def test_the_next_allowed_instant_is_exact(earlier, now, count, hours, zone):
    start = datetime(2026, 3, 7, 0, 0, tzinfo=UTC)
    cap = replace(ROLLING, count=count, rolling_hours=hours)
    previous = [contact(start + timedelta(minutes=n)) for n in earlier if n <= now]

    def allowed(at: datetime) -> bool:
        if hours is None:
            taken = [
                one
                for one in previous
                if one.at.astimezone(ZoneInfo(zone)).date() == at.astimezone(ZoneInfo(zone)).date()
            ]
        else:
            taken = [one for one in previous if at - one.at < timedelta(hours=hours)]
        return len(taken) < count

    at = start + timedelta(minutes=now)
    found = answer(cap, contact(at), *previous, zone=zone)
    assert found.allowed is allowed(at)
    if not found.allowed:
        assert allowed(found.next_allowed_at)
        assert answer(cap, contact(found.next_allowed_at), *previous, zone=zone).allowed
        assert not allowed(found.next_allowed_at - timedelta(microseconds=1))
