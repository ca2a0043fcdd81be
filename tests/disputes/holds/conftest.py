"""Packs of a test: the house's, at any hour of the day, with the caps that the test is about; races that are judged by
the order of commits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from disputes.policy.packs import SHIPPED

_ANY_HOUR = 'contact_hours = { value = "any", clause = "the test", force = "own", read = "yes" }\n'
_CAP = """
[version.cap.{name}]
count = {count}
rolling_hours = 24
per = ["{per}"]
channel = "sms"
categories = ["reminder", "urge", "warning"]
clause = "the test"
force = "own"
read = "yes"
"""
_NO_CAP = """
[version.cap.{name}]
none = true
clause = "the test"
force = "own"
read = "yes"
"""


@pytest.fixture
def any_hour(settings: Any, tmp_path: Path) -> Callable[..., None]:
    """Works under a pack without contact hours and with no caps but those named: ``any_hour(customer=1, loan=2)``."""

    def use(**caps: int) -> None:
        shutil.copy(SHIPPED / "house.toml", tmp_path / "house.toml")
        text = 'name = "open"\nextends = "house"\n[[version]]\nversion = "1"\n' + _ANY_HOUR
        text += "".join(_NO_CAP.format(name=name) for name in ("loan-a-day", "customer-a-week"))
        text += "".join(_CAP.format(name=f"by-{per}", count=count, per=per) for per, count in caps.items())
        directory = tmp_path / "-".join(f"{per}{count}" for per, count in sorted(caps.items())) / "packs"
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copy(SHIPPED / "house.toml", directory / "house.toml")
        (directory / "open.toml").write_text(text)
        settings.POLICY_DIRECTORY = str(directory)
        settings.POLICY_PACK = "open"

    use()
    return use


@pytest.fixture
def commit_order() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW track_commit_timestamp")
        if cursor.fetchone()[0] != "on":
            pytest.skip("this PostgreSQL does not track when transactions commit (track_commit_timestamp)")
