"""The import, against a bare COPY of the same rows and one INSERT ... ON CONFLICT.

Ours is `import_lines` from bytes to committed results, in one process, on an embedded PostgreSQL with fsync on. The
bare side has nothing to read: its rows are those that ours has stored, as text, copied into a logged staging table and
inserted from there into a table with the same columns, constraints and indexes as the versions, in one transaction.
Three bars, of lines a second: repayments with the positions of 16,384 loans of 12 instalments kept; customers with two
phones, sealed, with their lanes taken (the bare side writes one row a line, with its blob); lines that are known
already. After each, where our time goes, by step.

    python -m benchmarks.importing            # about two minutes
    python -m benchmarks.importing --memory   # peak of 100,000 and of 1,000,000 lines, each in a process of its own
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import django

from config.embedded import Home, in_use
from config.environment import ROOT

LOANS = 16_384
REPAYMENTS, CUSTOMERS = 20_000, 8_000
"""Lines a round."""
SMALL, LARGE = 100_000, 1_000_000
GROWTH, ROOM = 1.1, 20 * 1024
"""Bar of the peak at LARGE: GROWTH times that at SMALL, and ROOM KiB more."""
NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)


def repayment(number: int) -> bytes:
    rng = random.Random(number)
    paid_at = NOW - timedelta(minutes=rng.randrange(2, 200_000))
    line = {
        "type": "repayment",
        "external_id": f"P{number:09}",
        "loan": f"L{rng.randrange(LOANS):07}",
        "amount": f"{rng.randrange(1, 300_000) / 100:.2f}",
        "paid_at": paid_at.isoformat(),
        "posted_at": (paid_at + timedelta(seconds=rng.randrange(60))).isoformat(),
        "version": 1,
        "method": "bank transfer",
        "reference": f"TX-{rng.randrange(10**9):09}",
    }
    return json.dumps(line).encode()


def customer(number: int) -> bytes:
    line = {
        "type": "customer",
        "external_id": f"C{number:09}",
        "posted_at": (NOW - timedelta(minutes=number % 100_000)).isoformat(),
        "version": 1,
        "name": f"王芳 {number}",
        "email": f"person{number}@example.com",
        "language": "zh-hans",
        "time_zones": ["Asia/Shanghai"],
        "segment": "new",
        "phones": [
            {"number": f"+86138{number % 10**8:08}", "role": "own"},
            {"number": f"+86139{number % 10**8:08}", "role": "contact", "from": "2026-01-01"},
        ],
    }
    return json.dumps(line, ensure_ascii=False).encode()


def in_a_database(what: str, *, stdout: int | None = None) -> str:
    """Runs this module in a process of its own, on a new database; what it printed, where `stdout` is a pipe."""
    with tempfile.TemporaryDirectory(prefix="recourse-bench-", ignore_cleanup_errors=True) as directory:
        home = Home(directory=Path(directory) / "r")
        home.directory.mkdir()
        Path(directory).chmod(0o711)
        environ = {
            **os.environ,
            "RECOURSE_ENV": "embedded",
            "RECOURSE_HOME": str(home.directory),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "LOG_LEVEL": "ERROR",
        }
        with in_use(home):
            set_up = ["manage.py", "set_up_embedded", "--no-demo", "--verbosity", "0"]
            subprocess.run([sys.executable, *set_up], cwd=ROOT, env=environ, check=True, timeout=120)
            words = [sys.executable, "-m", "benchmarks.importing", what]
            return subprocess.run(words, cwd=ROOT, env=environ, check=True, stdout=stdout, text=True).stdout or ""


def measure() -> None:
    from benchmarks import importing_sides as sides

    sides.set_loans(LOANS)
    bare = sides.measure_new(name="repayments, positions kept", letter="P", line=repayment, count=REPAYMENTS, bar=0.25)
    sides.measure_known(name="lines known already", bare=bare, line=repayment, count=REPAYMENTS, bar=0.5)
    sides.measure_new(name="customers, two phones, sealed", letter="C", line=customer, count=CUSTOMERS, bar=0.14)


def print_peak(count: int) -> None:
    from benchmarks import importing_sides as sides

    sides.set_loans(LOANS)
    print(sides.peak_kib(repayment(n) for n in range(count)))


def compare_peaks() -> None:
    small, large = (int(in_a_database(f"--peak={count}", stdout=subprocess.PIPE)) for count in (SMALL, LARGE))
    most = GROWTH * small + ROOM
    print(
        f"peak: {small / 1024:.0f} MiB at {SMALL:,} lines, {large / 1024:.0f} MiB at {LARGE:,}, "
        f"bar <= {most / 1024:.0f} MiB {'met' if large <= most else 'NOT MET'}"
    )


def main(words: list[str]) -> None:
    if not words:
        in_a_database("--measure")
    elif words == ["--memory"]:
        compare_peaks()
    else:
        # In the process that has a database: what it uses can be imported once Django is set up.
        django.setup()
        if words == ["--measure"]:
            measure()
        else:
            print_peak(int(words[0].removeprefix("--peak=")))


if __name__ == "__main__":
    main(sys.argv[1:])
