"""A real Chromium for tests, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

WIDE = {"width": 1440, "height": 900}
USUAL = {"width": 1280, "height": 800}
"""A laptop's window."""
NARROW = {"width": 390, "height": 844}


def chromium() -> str:
    """Where it is. Skips the test, with a clear word, where it or Playwright is missing."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    return found


@contextmanager
def browser() -> Iterator[Any]:
    """A headless browser. Its pages fail the test for nothing by themselves: ask `problems_of`."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--headless", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        try:
            yield started
        finally:
            started.close()


def problems_of(page: Any) -> list[str]:
    """What goes wrong in the page from now on: errors of scripts, and files that are not there."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("response", lambda answer: problems.append(answer.url) if answer.status in (404, 500) else None)
    return problems


def too_wide(page: Any) -> bool:
    """Whether the page has to be moved sideways to be read."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth + 1"))


def cut_off(page: Any) -> list[str]:
    """What stands in cells that something has to be moved sideways for: of the window, or of a box that scrolls."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('th, td')].filter(cell => {
            const {right, width} = cell.getBoundingClientRect();
            if (!width) return false;
            let edge = document.documentElement.clientWidth;
            for (let box = cell.parentElement; box; box = box.parentElement)
                if (getComputedStyle(box).overflowX !== 'visible') {
                    const {left} = box.getBoundingClientRect();
                    edge = Math.min(edge, left + box.clientLeft + box.clientWidth);
                }
            return right > edge + 1;
        }).map(cell => cell.innerText)"""
    )
    return found
