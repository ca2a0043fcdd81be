"""The service that is killed: web and worker on a PostgreSQL and a Valkey of their own, with a pack of the tests'."""

from __future__ import annotations

import shutil
from pathlib import Path

from disputes.policy.packs import SHIPPED
from tests.clients.crashing import CrashingStack

PACK = """
name = "faults"
extends = "house"
[[version]]
version = "1"
contact_hours = { value = "any", clause = "the test", force = "own", read = "yes" }
[version.cap.loan-a-day]
none = true
clause = "the test"
force = "own"
read = "yes"
[version.cap.customer-a-week]
none = true
clause = "the test"
force = "own"
read = "yes"
[version.cap.one-reminder]
count = 1
rolling_hours = 24
per = ["customer"]
channel = "sms"
categories = ["reminder"]
clause = "the test"
force = "own"
read = "yes"
"""
"""At any hour; reminders are capped at one a customer, nothing else is."""


class FaultsStack(CrashingStack):
    """`planted`: the fault with which web and worker start next (tests/faults/planted.py); "" for none."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.planted = ""
        self.stops = self.home / "stops"
        self.packs = self.home / "packs"

    def environ(self) -> dict[str, str]:
        return super().environ() | {
            "DJANGO_SETTINGS_MODULE": "tests.faults.planted",
            "FAULTS_PLANTED": self.planted,
            "FAULTS_STOPS": str(self.stops),
            "POLICY_PACK": "faults",
            "POLICY_DIRECTORY": str(self.packs),
        }

    def start(self) -> None:
        for directory in (self.stops, self.packs):
            directory.mkdir(parents=True, exist_ok=True)
        shutil.copy(SHIPPED / "house.toml", self.packs / "house.toml")
        (self.packs / "faults.toml").write_text(PACK)
        super().start()

    def plant(self, fault: str) -> None:
        """Starts the web server anew with this fault."""
        self.kill_web()
        self.planted = fault
        self.start_web()
