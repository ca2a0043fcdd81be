"""The policy packs in a real browser: what was read in part says so, on a wide and on a narrow screen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.browser.chromium import NARROW, WIDE, browser, problems_of, too_wide
from tests.browser.test_desk import log_in
from tests.stack import Stack


def test_a_supervisor_reads_the_packs_at_every_width(stack: Stack) -> None:
    with browser() as chromium:
        for name, viewport in (("wide", WIDE), ("narrow", NARROW)):
            page = chromium.new_page(viewport=viewport)
            problems = problems_of(page)
            log_in(page, stack, "supervisor")
            page.goto(f"{stack.base_url}/admin/disputes/dispute/desk/packs/?pack=cn")
            page.wait_for_selector("h1:has-text('Policy pack cn')")
            _keep_picture(page, name)
            assert page.locator("dd:has-text('CBIRC order 2020 no. 3, art. 18'):not(:has-text('read in part'))").count()
            assert page.locator("dd:has-text('China Banking Association'):has-text('read in part')").count()
            assert not too_wide(page)
            page.click(".choice a:text-is('us')")
            page.wait_for_selector("h1:has-text('Policy pack us')")
            page.click(".versions a:has-text('0+house')")
            page.wait_for_selector("text=Not the version in force")
            assert not too_wide(page)
            assert problems == []
            page.close()


def _keep_picture(page: Any, name: str) -> None:
    """Where a folder for pictures is named, one is put there to look at."""
    folder = os.environ.get("PICTURES")
    if folder:
        page.screenshot(path=str(Path(folder) / f"packs-{name}.png"), full_page=True)
