"""Holds and the gate in a real browser: every page is readable on a wide and on a narrow screen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import NARROW, USUAL, WIDE, browser, cut_off, problems_of, too_wide
from tests.browser.test_desk import LONG_ID, lender, log_in, opened  # noqa: F401 - a fixture
from tests.stack import Stack

PAGES = (
    "denials/?span=7d",
    "unauthorised/?span=30d",
    "undelivered/",
    "",
    "?standing=yes&older=1",
    "place/",
    "opt-outs/?show=all",
    "../sendingrule/",
    "../sendingrule/BR1/change/",
)


@pytest.fixture
def held(lender: Stack) -> Stack:  # noqa: F811
    """A dispute's hold, and denials of many reasons."""
    opened(lender, ground="too_frequent")
    with lender.database() as database:
        for n, reason in enumerate(("dispute_pending", "outside_hours", "frequency_cap", "unknown_phone")):
            database.execute(
                "INSERT INTO disputes_gatetally (hour, reason, category, vendor, count)"
                " SELECT date_trunc('hour', now()) - make_interval(hours => h), %s, 'urge', 'v', 5 * h + %s"
                " FROM generate_series(0, 20) AS h",
                [reason, 7 * n + 1],
            )
    return lender


def test_a_supervisor_reads_holds_and_the_gate_at_every_width(held: Stack) -> None:
    base = f"{held.base_url}/admin/disputes/hold/"
    with browser() as chromium:
        for name, viewport in (("wide", WIDE), ("narrow", NARROW)):
            page = chromium.new_page(viewport=viewport)
            problems = problems_of(page)
            log_in(page, held, "supervisor")
            for place, address in enumerate(PAGES):
                page.goto(base + address)
                page.wait_for_selector("h1, #changelist")
                _keep_picture(page, f"gate-{place}-{name}")
                assert not too_wide(page), address
            page.goto(f"{base}?standing=yes")
            page.goto(
                base
                + page.locator("a[href*='/hold/'][href*='/change/']").first.get_attribute("href").split("/hold/")[1]
            )
            page.wait_for_selector("h2:has-text('What it covers')")
            _keep_picture(page, f"gate-hold-{name}")
            assert not too_wide(page)
            page.goto(f"{base}look-up/")
            page.fill("[name=phone]", "+86 138 1234 9001")
            page.click("button:has-text('Look up')")
            page.wait_for_selector("text=Nothing was granted")
            assert page.locator(".tag:has-text('No')").count()
            assert page.locator("text=A dispute is open").count()
            _keep_picture(page, f"gate-look-up-{name}")
            assert not too_wide(page)
            assert problems == []
            page.close()


LONG_WORDS = f"""
from datetime import UTC, datetime
from django.contrib.auth.models import User
from django.db import transaction
from disputes.holds.placing import number_changes, place_hold, release_hold
from disputes.holds.scopes import Covers
from disputes.journal.recording import Actor
from disputes.records.models import CustomerPhone

who = User.objects.create(username="max", first_name="Maximiliana", last_name="Featherstonehaugh-Cholmondeley")
actor, now, digest = Actor(type="user", id=str(who.pk)), datetime.now(tz=UTC), bytes.fromhex("01" + "a1b2c3d4" * 8)
CustomerPhone.objects.create(customer="{LONG_ID}", digest=digest, role="own")
loans, phones = frozenset({{"{LONG_ID}", "{LONG_ID}2"}}), frozenset({{digest}})
for stands, source, scope, reason, covers in (
    (False, "opt_out", "phone", "opted_out", Covers(phones=phones)),
    (True, "manual", "loan", "manual_hold", Covers(loans=loans)),
    (False, "dispute", "loan_and_phone", "outcome_not_delivered", Covers(loans=loans, phones=phones)),
    (False, "manual", "customer", "manual_hold", Covers(customers=frozenset({{"{LONG_ID}"}}))),
):
    said = dict(source=source, scope=scope, reason=reason, why="by telephone: {LONG_ID}")
    with transaction.atomic():
        hold = place_hold(covers=covers, actor=actor, now=now, **said).hold
        number_changes()
    if not stands:
        with transaction.atomic():
            release_hold(hold=hold, actor=actor, reason="opted_in", now=now, words="{LONG_ID}")
            number_changes()
"""
"""Holds of every shape, and an opt-out that was taken back, of somebody whose ids are long, placed by somebody whose
name is. As the service places them: whatever keeps a copy hears of them."""


def test_no_list_runs_off_a_laptops_window(held: Stack) -> None:
    """However long ids and names are, in both languages."""
    held.manage("shell", "-c", LONG_WORDS)
    base = f"{held.base_url}/admin/disputes/hold/"
    with browser() as chromium:
        for locale in ("en", "zh-CN"):
            page = chromium.new_context(viewport=USUAL, locale=locale).new_page()
            log_in(page, held, "supervisor")
            for place, address in enumerate([*PAGES, "opt-outs/", "../inboundmessage/", "../notice/"]):
                page.goto(base + address)
                page.wait_for_selector("h1, #changelist")
                _keep_picture(page, f"gate-{place}-usual-{locale}")
                assert cut_off(page) == [], address
                assert address or LONG_ID in page.content()
        # What is looked for is seen.
        page.set_viewport_size({"width": 500, "height": 800})
        page.goto(base + "opt-outs/?show=all")
        assert cut_off(page) != []


def test_a_supervisor_pauses_a_sending_rule_in_chinese_and_switches_it_on_again(lender: Stack) -> None:  # noqa: F811
    address = f"{lender.base_url}/admin/disputes/sendingrule/BR1/change/"

    def reasons() -> list[str]:
        item = {"phone": "+8613812349001", "loan": "BL1", "channel": "sms", "category": "urge", "sending_rule": "BR1"}
        answer = lender.client("sender").post("/gate/decisions?dry_run=true", json={"items": [item]})
        found: list[str] = answer.json()["decisions"][0]["reasons"]
        return found

    with browser() as chromium:
        page = chromium.new_context(viewport=NARROW, locale="zh-CN").new_page()
        problems = problems_of(page)
        log_in(page, lender, "supervisor")
        page.goto(address)
        page.fill("[name=why]", "名单有误")
        page.click(".desk button:has-text('暂停')")
        page.wait_for_selector(".desk h1:has-text('该发送规则')")
        _keep_picture(page, "rule-paused-zh")
        assert not too_wide(page)
        assert "rule_paused" in reasons()
        page.goto(address)
        assert page.is_visible("text=名单有误")
        page.fill("[name=why]", "已更正")
        page.click(".desk button:has-text('启用')")
        page.wait_for_selector(".desk .tag:has-text('启用中')")
        _keep_picture(page, "rule-on-zh")
        assert not too_wide(page)
        assert "rule_paused" not in reasons()
        assert problems == []


def _keep_picture(page: Any, name: str) -> None:
    """Where a folder for pictures is named, one is put there to look at."""
    folder = os.environ.get("PICTURES")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
