"""`next_allowed_at` is exact: asked again then, and not a moment before, time no longer stands in the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from disputes.holds.walking import CustomerFact, Walk
from disputes.policy.caps import Contact
from disputes.policy.contact_hours import read_preferences
from tests.disputes.holds.test_walking import P1, P2, facts, item, overdue

ZONES = (
    "Asia/Shanghai",
    "America/New_York",
    "Europe/London",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Cairo",
)
CHANGES = (
    datetime(2026, 3, 8, 7, tzinfo=UTC),
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 4, 23, 22, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 10, 29, 21, tzinfo=UTC),
    datetime(2026, 11, 1, 6, tzinfo=UTC),
)
"""Instants at which clocks change somewhere."""
HOURS = st.integers(0, 23).map(lambda hour: f"{hour:02d}:00")
WINDOWS = st.fixed_dictionaries({"from": HOURS, "until": HOURS, "days": st.sampled_from([[], ["mo", "su"], ["tu"]])})


@settings(max_examples=400, deadline=None)
@given(
    zones=st.lists(st.sampled_from(ZONES), min_size=1, max_size=2, unique=True),
    change=st.sampled_from(CHANGES),
    minutes=st.integers(-3 * 1440, 3 * 1440),
    blocked=st.lists(WINDOWS, max_size=1),
    agreed=st.lists(WINDOWS, max_size=1),
    sent=st.lists(st.tuples(st.integers(1, 170 * 60), st.sampled_from(["L1", "LX"])), max_size=6),
    category=st.sampled_from(["reminder", "urge", "survey"]),
)
def test_at_that_instant_it_is_allowed_and_not_a_moment_before(
    zones: list[str],
    change: datetime,
    minutes: int,
    blocked: list[dict[str, object]],
    agreed: list[dict[str, object]],
    sent: list[tuple[int, str]],
    category: str,
) -> None:
    at = change + timedelta(minutes=minutes)
    wishes = read_preferences({"blocked": blocked, "agreed": agreed})
    taken = [
        Contact(
            at=at - timedelta(minutes=ago), customer="C1", loan=loan, phone=P1 if ago % 2 else P2,
            channel="sms", category="urge",
        )
        for ago, loan in sent
    ]  # fmt: skip
    told = facts(
        overdue(),
        at=at,
        customers={"C1": lambda: CustomerFact(zones=tuple(zones), wishes=wishes)},
        taken=taken,
    )
    asked = item(category=category)
    first = Walk(told).look(asked)
    then = first.next_allowed_at
    if first.allowed or then is None:
        return
    assert then > at
    assert Walk(replace(told, at=then)).look(asked).allowed
    assert not Walk(replace(told, at=then - timedelta(microseconds=1))).look(asked).allowed
