"""A calendar's hours and days as a supervisor writes them."""

from __future__ import annotations

from datetime import date

import pytest

from disputes.routing.timetable import (
    read_days,
    read_extra_days,
    read_hours,
    write_days,
    write_extra_days,
    write_hours,
)

WEEK = """
Monday 09:00-12:00, 13:00-18:00
tue: 22:00 – 06:00

Saturday   00:00-24:00
"""


def test_hours_are_a_line_a_day_in_any_order_and_case():
    hours = {"0": [["09:00", "12:00"], ["13:00", "18:00"]], "1": [["22:00", "06:00"]], "5": [["00:00", "24:00"]]}
    assert read_hours(WEEK) == hours
    assert read_hours("\n".join(reversed(WEEK.splitlines()))) == hours


def test_what_was_written_is_read_again():
    hours = read_hours(WEEK)
    assert read_hours(write_hours(hours)) == hours
    assert write_hours(hours).splitlines()[0] == "Monday 09:00-12:00, 13:00-18:00"
    days = [date(2026, 2, 17), date(2026, 2, 16)]
    assert read_days(write_days(days)) == sorted(days)
    extra = {"2026-02-14": 0, "2026-02-28": 4}
    assert read_extra_days(write_extra_days(extra)) == extra
    assert write_extra_days(extra).splitlines()[0] == "2026-02-14 Monday"


def test_a_day_off_named_twice_is_one():
    assert read_days("2026-02-17\n\n2026-02-16\n2026-02-17") == [date(2026, 2, 16), date(2026, 2, 17)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "an open hour"),
        ("Monday", "no interval"),
        ("Monday 09:00", "no interval"),
        ("Monday 9:00-18:00", "no time of day"),
        ("Monday 09:00-25:00", "no time of day"),
        ("Monday 09:00-18:00,", "no interval"),
        ("Monday 09:00-09:00", "no length"),
        ("Monday 24:00-06:00", "begins at 00:00"),
        ("Funday 09:00-18:00", "no weekday"),
        ("Monday 09:00-12:00\nmon 13:00-18:00", "twice"),
        ("Monday " + ", ".join(["09:00-10:00"] * 11), "more than 10"),
    ],
)
def test_hours_that_cannot_be_read_are_refused_with_the_reason(text, why):
    with pytest.raises(ValueError, match=why):
        read_hours(text)


@pytest.mark.parametrize("text", ["17.2.2026", "2026-02-30", "20260217", "2026-W08-2", "2026-02-17 Monday", "x"])
def test_a_date_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="no date such as"):
        read_days(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-02-14", "which weekday"),
        ("2026-02-14 Funday", "no weekday"),
        ("2026-02-31 Monday", "no date"),
        ("2026-02-14 Monday\n2026-02-14 Tuesday", "twice"),
    ],
)
def test_a_working_day_needs_a_date_and_whose_hours(text, why):
    with pytest.raises(ValueError, match=why):
        read_extra_days(text)


def test_a_flood_of_lines_is_refused():
    with pytest.raises(ValueError, match="More than 1000"):
        read_days("2026-02-17\n" * 1001)
