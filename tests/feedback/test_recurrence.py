"""One RRULE line, in wall time of a zone."""

from __future__ import annotations

import time as clock
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from feedback.waves.recurrence import BadRule, Recurrence, read_recurrence


def rule(
    text: str, *, zone: str = "Asia/Shanghai", start: date = date(2026, 1, 1), at: time = time(9, 0)
) -> Recurrence:
    return read_recurrence(rule=text, zone=zone, starts_on=start, starts_at=at)


def dates(recurrence: Recurrence, count: int) -> list[str]:
    """The first dates as wall time in the rule's zone."""
    at, found = datetime(2025, 12, 1, tzinfo=UTC), []
    while len(found) < count and (later := recurrence.after(at)) is not None:
        found.append(later.astimezone(ZoneInfo(recurrence.zone)).strftime("%Y-%m-%d %H:%M"))
        at = later
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FREQ=MONTHLY;BYMONTHDAY=1", ["2026-01-01 09:00", "2026-02-01 09:00", "2026-03-01 09:00"]),
        ("rrule:freq=weekly;byday=mo;interval=2", ["2026-01-12 09:00", "2026-01-26 09:00", "2026-02-09 09:00"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", ["2026-01-31 09:00", "2026-02-28 09:00", "2026-03-31 09:00"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", ["2026-01-31 09:00", "2026-03-31 09:00", "2026-05-31 09:00"]),
        ("FREQ=DAILY;COUNT=2", ["2026-01-01 09:00", "2026-01-02 09:00"]),
        ("FREQ=DAILY;UNTIL=20260103T010000Z", ["2026-01-01 09:00", "2026-01-02 09:00", "2026-01-03 09:00"]),
        ("FREQ=DAILY;UNTIL=20260102", ["2026-01-01 09:00", "2026-01-02 09:00"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["2026-01-30 09:00", "2026-02-27 09:00", "2026-03-31 09:00"]),
    ],
)
def test_a_rule_gives_its_dates(text: str, expected: list[str]) -> None:
    assert dates(rule(text), 3)[: len(expected)] == expected
    assert len(expected) == 3 or dates(rule(text), 3) == expected


def test_a_time_that_does_not_exist_moves_forward_and_one_that_comes_twice_is_the_first() -> None:
    daily = rule("FREQ=DAILY", zone="America/New_York", at=time(2, 30))
    assert daily.after(datetime(2026, 3, 8, 4, tzinfo=UTC)) == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)  # 03:30 EDT
    nightly = rule("FREQ=DAILY", zone="America/New_York", at=time(1, 30))
    first = nightly.after(datetime(2026, 11, 1, 4, tzinfo=UTC))
    assert first == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert nightly.after(first) == datetime(2026, 11, 2, 6, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FREQ=HOURLY",
        "FREQ=MINUTELY;INTERVAL=5",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=367",
        "FREQ=DAILY;INTERVAL=-1",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;COUNT=3;UNTIL=20270101",
        "FREQ=DAILY;BYDAY=1MO",
        "FREQ=DAILY;FREQ=WEEKLY",
        "DTSTART=20260101T090000;FREQ=DAILY",
        "FREQ=DAILY\nEXDATE:20260101T090000",
        "FREQ=DAILY;BYHOUR=3",
        "FREQ=MONTHLY;BYMONTHDAY=32",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
        "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=5",
        "FREQ=WEEKLY;BYMONTH=3;BYSETPOS=-2",
        "FREQ=MONTHLY;BYDAY=6MO",
        "FREQ=DAILY;UNTIL=20201301",
        "FREQ=DAILY;UNTIL=99991231T235959Z",
        "FREQ=DAILY;UNTIL=20200101",
        "FREQ=DAILY;BYDAY=XX",
        "FREQ",
    ],
)
def test_a_rule_that_never_ends_or_never_comes_is_refused_at_once(text: str) -> None:
    begun = clock.process_time()
    with pytest.raises(BadRule):
        rule(text)
    assert clock.process_time() - begun < 5


def test_a_zone_that_is_none_is_refused() -> None:
    for zone in ("Mars/Olympus", "", "../etc/passwd"):
        with pytest.raises(BadRule):
            rule("FREQ=DAILY", zone=zone)


def test_the_newest_date_up_to_an_instant_is_found() -> None:
    monthly = rule("FREQ=MONTHLY;BYMONTHDAY=1")
    assert monthly.last_up_to(datetime(2026, 6, 15, tzinfo=UTC)) == datetime(2026, 6, 1, 1, tzinfo=UTC)
    assert monthly.last_up_to(datetime(2026, 6, 1, 1, tzinfo=UTC)) == datetime(2026, 6, 1, 1, tzinfo=UTC)
    assert monthly.last_up_to(datetime(2025, 6, 1, tzinfo=UTC)) is None
