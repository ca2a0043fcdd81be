"""The two clocks of this machine: one that only goes forward, and one that tells the date."""

from __future__ import annotations

import time
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Clock:
    """What a permit's life is measured on. Every process of a machine sees the same `steady`."""

    def steady(self) -> float:
        """Seconds that only grow, whatever is done to the date.

        Where the system has it (Linux), a clock that goes on while the machine sleeps: a permit must not live on
        through a night in which the lid was shut.
        """
        boot_time = getattr(time, "CLOCK_BOOTTIME", None)
        return time.monotonic() if boot_time is None else time.clock_gettime(boot_time)

    def wall(self) -> float:
        """Seconds since 1970 in UTC, as this machine believes; it may be wrong, and may jump."""
        return time.time()

    def boot(self) -> str:
        """What tells the machine's present run from others, in which `steady` began anew; "" where nothing does."""
        try:
            return _BOOT.read_text().strip()
        except OSError:
            return ""


SYSTEM = Clock()
