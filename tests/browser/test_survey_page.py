"""The survey page in a real browser, on a phone and on a desk. Skipped where there is no Chromium."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from feedback.waves.models import Invitation
from tests.browser import chromium
from tests.feedback.scene import NPS, WAYS, invite, messaged, survey, text, wave_of

pytestmark = pytest.mark.django_db(transaction=True)

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
SHOTS = os.environ.get("SURVEY_SHOTS", "")
"""A directory for pictures, to look at; none are taken without it."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # Playwright's loop runs in this thread, which Django takes for an asynchronous one.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with chromium.browser() as started:
            yield started
    finally:
        os.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)


def opened_page(browser: Any, address: str, size: Any) -> Any:
    """A page without script, as the strictest in-app browser would show it."""
    context = browser.new_context(viewport=size, java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(address)
    return page


def picture(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


@pytest.fixture
def link(live_server: Any) -> str:
    messaged(1)
    now = timezone.now()
    token = invite(wave_of(survey(), now=now), now=now)["C1"]
    return f"{live_server.url}/s/{token}"


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_person_answers_without_script(browser: Any, link: str, size: Any, language: str) -> None:
    name = f"{language}-{size['width']}"
    page = opened_page(browser, f"{link}?language={language}", size)
    picture(page, f"{name}-1-asked")
    page.locator("label.pick", has_text="3").first.click()
    page.locator("#ease label.pick", has_text="6").click()
    page.locator("#ways label.line").first.click()
    page.locator("button").click()
    page.locator("#why textarea").wait_for()
    page.locator("[role=status]").wait_for()
    page.locator("button").click()
    page.locator("fieldset.fault").wait_for()
    assert page.locator("fieldset.fault").count() == 1
    picture(page, f"{name}-2-lacking")
    page.locator("#why textarea").fill("It took a week.")
    page.locator("button").click()
    assert page.locator(".plain h1").inner_text() in ("Thank you!", "谢谢您!")
    picture(page, f"{name}-3-thanks")
    assert Invitation.objects.get().state == "answered"
    page.goto(link)
    picture(page, f"{name}-4-used")
    assert page.locator("form").count() == 0


def test_nothing_is_wider_than_a_phone_and_every_target_is_large_enough(browser: Any, link: str) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 640})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(link)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    targets = page.locator("label.pick, label.line, button")
    sizes = [targets.nth(place).bounding_box() for place in range(targets.count())]
    assert min(size["height"] for size in sizes) >= 44
    assert min(size["width"] for size in sizes) >= 32
    assert [address for address in asked if address != link] == []
    page.locator("a.switch").click()
    page.locator('html[lang="zh-Hans"]').wait_for(state="attached")


def test_a_word_without_an_end_breaks_inside_the_page(browser: Any, live_server: Any) -> None:
    endless = "W" * 200
    ways = WAYS | {"options": [{"key": key, "text": text(endless)} for key in ("app", "phone")]}
    version = survey(title=text(endless), questions=[NPS | {"text": text(endless), "low": text(endless)}, ways])
    messaged(1)
    now = timezone.now()
    token = invite(wave_of(version, now=now), now=now)["C1"]
    page = browser.new_context(viewport=PHONE).new_page()
    page.goto(f"{live_server.url}/s/{token}")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
