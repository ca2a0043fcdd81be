"""`make pictures`: the pictures of the README, taken in headless Chromium from a service of their own.

The service has a home and a port of its own, so that no picture shows what somebody has done in theirs, and ends with
the last picture. Nothing secret is in view: no login, no token that opens anything that lives on.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from config.environment import ROOT

PICTURES = ROOT / "docs" / "pictures"
MOST_BYTES = 300_000
START_WITHIN = 300.0
NAMES = ("chromium", "chromium-browser", "google-chrome")
DESKTOP: dict[str, Any] = {"viewport": {"width": 1320, "height": 800}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}


class CannotPicture(Exception):
    """No picture could be taken; the message says why."""


def main() -> None:
    chromium = next((found for name in NAMES if (found := shutil.which(name))), None)
    if chromium is None:
        raise SystemExit(f"make pictures needs Chromium on the PATH ({', '.join(NAMES)}): apt-get install chromium")
    PICTURES.mkdir(parents=True, exist_ok=True)
    try:
        with own_service() as known:
            # Asked before the browser: beside its event loop Django asks no database.
            shown = _pages()
            with sync_playwright() as playwright:
                how = ["--no-sandbox", "--headless", "--disable-gpu"]
                take(playwright.chromium.launch(executable_path=chromium, args=how), known, shown)
    except CannotPicture as error:
        raise SystemExit(f"make pictures: {error}") from None


@contextmanager
def own_service() -> Iterator[dict[str, Any]]:
    """A service in a temporary home, with the demo lender. Yields what its credentials.json holds."""
    with tempfile.TemporaryDirectory(prefix="recourse-pictures-") as home, socket.socket() as probe:
        os.chmod(home, 0o755)  # noqa: S103 - the embedded PostgreSQL runs as another user where we are root
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        environ = {**os.environ, "RECOURSE_HOME": home, "PORT": str(port)}
        child = subprocess.Popen(
            [sys.executable, "-m", "config.running"],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        os.environ.update(RECOURSE_HOME=home, PORT=str(port))
        try:
            _wait_for(child)
            yield json.loads((Path(home) / "credentials.json").read_text())
        finally:
            child.terminate()
            child.wait(30)


def _wait_for(child: subprocess.Popen[str]) -> None:
    started, last = threading.Event(), [""]

    def read() -> None:
        for line in child.stdout or ():
            last[0] = line.rstrip()
            if "Recourse runs at" in line:
                started.set()

    threading.Thread(target=read, daemon=True).start()
    until = time.monotonic() + START_WITHIN
    while not started.wait(0.5):
        if child.poll() is not None or time.monotonic() > until:
            raise CannotPicture(f"the service did not start: {last[0]}")


def _pages() -> dict[str, str]:
    """What there is to show, from the service's own database."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from demo import to_show

    try:
        return to_show.pages()
    except to_show.NothingToShow as error:
        raise CannotPicture(f"the demo lender has not got {error}") from None


def take(browser: Browser, known: dict[str, Any], shown: dict[str, str]) -> None:
    """Takes every picture. Raises CannotPicture where a page is not what it should be."""
    base = known["base_url"]
    for role, name in (("agent", "desk-queue"), ("supervisor", "desk-supervisor")):
        page = _logged_in(browser, known, role)
        _save(page, f"{base}/admin/", name)
        if role == "agent":
            _save(page, base + shown["desk-dispute"], "desk-dispute", whole=True)
    _save(_logged_in(browser, known, "admin"), base + shown["wave-results"], "wave-results", whole=True)
    for name, locale in (("letter-zh-hans", "zh-CN"), ("letter-en", "en"), ("survey-phone", "zh-CN")):
        _save(_page(browser, PHONE | {"locale": locale}), base + shown[name], name, whole=True)


def _page(browser: Browser, how: dict[str, Any]) -> Page:
    return browser.new_context(**how).new_page()


def _logged_in(browser: Browser, known: dict[str, Any], role: str) -> Page:
    user = next(row for row in known["users"] if row["role"] == role)
    page = _page(browser, DESKTOP)
    page.goto(f"{known['base_url']}/admin/login/")
    page.fill("input[name=username]", user["username"])
    page.fill("input[name=password]", user["password"])
    page.click("[type=submit]")
    page.wait_for_load_state("networkidle")
    if "/login/" in page.url:
        raise CannotPicture(f"the {role} cannot log in")
    return page


def _save(page: Page, address: str, name: str, *, whole: bool = False) -> None:
    """A picture of the page; `whole`: of as much as two screens of it. Raises CannotPicture for one too large."""
    answer = page.goto(address)
    if answer is None or answer.status != 200:
        raise CannotPicture(f"{name}: the page answered {answer.status if answer else 'nothing'}")
    page.wait_for_load_state("networkidle")
    path = PICTURES / f"{name}.png"
    size = page.viewport_size or {"width": 1320, "height": 800}
    if whole:
        # Not `full_page`: what sticks to the window's edge would stand in the middle of the picture.
        tall = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": size["width"], "height": min(tall, 2 * size["height"])})
    page.screenshot(path=path)
    if path.stat().st_size > MOST_BYTES:
        raise CannotPicture(f"{name} has {path.stat().st_size} bytes, of {MOST_BYTES} at most")
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
