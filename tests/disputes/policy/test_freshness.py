"""How far behind an instant the records may be."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from disputes.policy.freshness import feeds_behind
from disputes.policy.packs import SHIPPED, load_packs

HOUSE = load_packs(SHIPPED).version("house", "1")
SENT = datetime.fromisoformat("2026-03-12T10:00:00+08:00")


def behind(**ages: timedelta) -> tuple[str, ...]:
    return feeds_behind(pack=HOUSE, reached={feed: SENT - age for feed, age in ages.items()}, at=SENT)


def test_a_feed_is_behind_by_more_than_the_pack_allows_or_where_it_never_sent_a_watermark():
    day = timedelta(days=1)
    assert behind(repayments=day, schedule=day) == ()
    assert behind(repayments=day + timedelta(microseconds=1), schedule=day) == ("repayments",)
    assert behind(repayments=day) == ("schedule",)
    assert behind() == ("repayments", "schedule")
    assert behind(messages=day) == ("repayments", "schedule")
    assert behind(repayments=-day, schedule=-day) == ()


def test_a_lender_without_watermarks_says_so_in_its_pack():
    pack = replace(HOUSE, records=replace(HOUSE.records, watermarks=False))
    assert feeds_behind(pack=pack, reached={}, at=SENT) == ()
