"""Screening a campaign file of a million rows, against the same rows copied in, joined with what is held and read back.

Ours is `manage.py screen FILE --out FILE`: CSV read, phones digested, every reason of the gate's worked out, answers
written in order; parts of half a million rows, two at once, each on a connection of its own. The bare side has nothing
to read or to reason about: phone digests and loans stand in a file as COPY wants them, are copied into a temporary
table on one connection, kept where no hold that stands covers loan or phone, and copied out in the order of the
campaign. A hundredth of the campaign is held; everybody's accounts have twelve lines, and nobody has been written to
lately. Both sides are the service's role, and run in turn.

Then the memory that a process of its own takes at most (the bar is 300 MiB), and the time with so many holds that
stand (five million) against that with 10,000, in two databases of one server (the bar is 1.5). Fewer rows than a
million are one part, or two of different sizes, and say little about the bar.

    python -m benchmarks.screening                    # a quarter of an hour, most of it to fill the tables
    python -m benchmarks.screening --holds 500000     # what `make bench` runs: about half as long
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import django
import psycopg

from benchmarks.gate_serving import PACK
from benchmarks.gate_world import fill_holds, fill_lender, number
from benchmarks.rounds import compare
from config.embedded import Home, Postgres, in_use
from config.environment import ROOT

FACTOR, FLAT, MOST_MEMORY = 4.0, 1.5, 300
"""The bars: times the bare side; with many holds against few; MiB."""
ROWS, FEW, MANY = 1_000_000, 10_000, 5_000_000
EVERY = 100
"""Every hundredth row of the campaign is held."""
ROUNDS = 5
CHUNK = 1024 * 1024
BARE = """
SELECT n FROM bare
WHERE NOT EXISTS (
        SELECT FROM disputes_holdcover AS cover WHERE cover.key = 'l:' || bare.loan AND cover.released_at IS NULL)
    AND NOT EXISTS (
        SELECT FROM disputes_holdcover AS cover
        WHERE cover.key = 'p:' || encode(bare.phone, 'hex') AND cover.released_at IS NULL)
ORDER BY n
"""


class Campaign:
    """One campaign: as a lender's system writes it, and as the bare side has it. `rows`: how many."""

    def __init__(self, directory: Path, *, rows: int) -> None:
        from config.fields import phone_digest

        self.rows = rows
        self.file = directory / "campaign.csv"
        self.prepared = directory / "campaign.copy"
        self.answers = directory / "answers.csv"
        with open(self.file, "w") as file, open(self.prepared, "w") as prepared:
            file.write("request_id,phone,loan,channel,category,sending_rule,vendor\n")
            for n in range(rows):
                # As a list of a campaign is: in no order of the lender's tables.
                one = n * 7_919 % rows
                phone = number(one)
                file.write(f"spring-{n:07},{phone},L{one},sms,urge,,vendor-a\n")
                prepared.write(f"{n}\t\\\\x{phone_digest(phone).hex()}\tL{one}\n")

    def screen(self) -> float:
        """Seconds that the command takes in this process, on its connection."""
        from django.core.management import call_command

        with open(os.devnull, "w") as nowhere:
            began = time.perf_counter()
            call_command("screen", str(self.file), "--out", str(self.answers), stderr=nowhere)
            taken = time.perf_counter() - began
        self.check()
        return taken

    def check(self) -> None:
        """Raises SystemExit where the answers are not those that the lender's records call for."""
        with open(self.answers, "rb") as answers:
            said = answers.read()
        held, answered = said.count(b",deny,dispute_pending,"), said.count(b"\n") - 1
        if (answered, held) != (self.rows, -(-self.rows // EVERY)):
            raise SystemExit(f"{answered:,} rows were answered, {held:,} of them held")

    def join(self, database: psycopg.Connection[Any]) -> float:
        """Seconds that the bare side takes."""
        with open(self.prepared, "rb") as prepared, tempfile.TemporaryFile() as kept:
            began = time.perf_counter()
            with database.transaction(), database.cursor() as cursor:
                _join(cursor, prepared, kept)
            taken = time.perf_counter() - began
            kept.seek(0)
            if sum(chunk.count(b"\n") for chunk in iter(lambda: kept.read(CHUNK), b"")) != self.rows - -(
                -self.rows // EVERY
            ):
                raise SystemExit("the bare side kept another number of rows")
        return taken


def _join(cursor: psycopg.Cursor[Any], prepared: BinaryIO, kept: BinaryIO) -> None:
    cursor.execute('CREATE TEMP TABLE bare (n int, phone bytea, loan text COLLATE "C") ON COMMIT DROP')
    with cursor.copy("COPY bare FROM STDIN") as copy:
        for chunk in iter(lambda: prepared.read(CHUNK), b""):
            copy.write(chunk)
    cursor.execute("ANALYZE bare")
    with cursor.copy(f"COPY ({BARE}) TO STDOUT") as copy:
        for block in copy:
            kept.write(block)


def in_database(name: str) -> None:
    """Turns this process's connection to another database of the same server."""
    from django.db import connection

    if connection.settings_dict["NAME"] != name:
        connection.close()
        connection.settings_dict["NAME"] = name


@contextmanager
def bare_connection() -> Iterator[psycopg.Connection[Any]]:
    """A connection of the bare side's own, to this process's database, as the same role."""
    from django.db import connection

    connection.ensure_connection()
    given = {name: value for name, value in connection.get_connection_params().items() if name in _PLACE}
    with psycopg.connect(**given, autocommit=True) as database:
        yield database


_PLACE = ("host", "port", "dbname", "user", "password")


def against_bare(campaign: Campaign, *, name: str, bar: float | None, rounds: int = ROUNDS) -> None:
    costs: dict[str, float] = {}

    def side(which: str, cost: float) -> float:
        costs[which] = cost
        return cost

    with bare_connection() as database:
        compare(
            name=name,
            ours=lambda: side("ours", campaign.screen()),
            bare=lambda: side("bare", campaign.join(database)),
            bar=bar,
            rounds=rounds,
        )
    print(f"  the last round: {costs['ours']:.1f} s and {costs['bare']:.1f} s", flush=True)


def memory(campaign: Campaign) -> None:
    """The peak of a process of its own, as the kernel counts it. A process is at least as big as what it was forked
    from, so that it is started from a small one."""
    words = [sys.executable, "-c", _MEASURED, sys.executable, "manage.py", "screen", str(campaign.file)]
    words += ["--out", str(campaign.answers)]
    said = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, timeout=600)
    campaign.check()
    most = int(said.stdout) / 1024
    met = "met" if most <= MOST_MEMORY else "NOT MET"
    print(f"memory of {campaign.rows:,} rows: {most:.0f} MiB, bar <= {MOST_MEMORY} {met}", flush=True)


_MEASURED = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
print(used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def with_many_holds(campaign: Campaign, *, many: int, server: Postgres) -> None:
    """In turn, in a database with few holds and in a copy of it where many stand."""
    _copy_database(server)
    with server.connect(database=MANY_HOLDS) as database:
        database.autocommit = True
        # Each cover is written with its hold: to look every one of them up again takes as long as all else.
        database.execute("SET session_replication_role = replica")
        fill_holds(database, holds=many - FEW)

    def side(database: str) -> float:
        in_database(database)
        return campaign.screen()

    compare(
        name=f"screening with {many:,} holds that stand / with {FEW:,}",
        ours=lambda: side(MANY_HOLDS),
        bare=lambda: side(FEW_HOLDS),
        bar=FLAT,
        rounds=ROUNDS,
    )
    for name in (MANY_HOLDS, FEW_HOLDS):
        in_database(name)
        against_bare(campaign, name=f"screening / bare, in the database {name}", bar=None, rounds=1)


FEW_HOLDS, MANY_HOLDS = "recourse", "many"


def _copy_database(server: Postgres) -> None:
    """A database is copied while nobody is in it."""
    from django.db import connection

    connection.close()
    with server.connect() as database:
        database.autocommit = True
        database.execute(f"CREATE DATABASE {MANY_HOLDS} TEMPLATE {FEW_HOLDS} STRATEGY file_copy")


@contextmanager
def own_lender(directory: Path, *, customers: int) -> Iterator[Postgres]:
    """A server of its own with a lender of so many customers, in this process's settings; nothing is refused by the
    hour."""
    home = Home(directory=directory / "r")
    home.directory.mkdir()
    directory.chmod(0o711)
    packs = directory / "packs"
    packs.mkdir()
    shutil.copy(ROOT / "disputes/policy/packs/house.toml", packs)
    (packs / "open.toml").write_text(PACK)
    os.environ |= {
        "RECOURSE_ENV": "embedded",
        "RECOURSE_HOME": str(home.directory),
        "LOG_LEVEL": "ERROR",
        "POLICY_DIRECTORY": str(packs),
        "POLICY_PACK": "open",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    with in_use(home):
        words = [sys.executable, "manage.py", "set_up_embedded", "--no-demo", "--verbosity", "0"]
        subprocess.run(words, cwd=ROOT, check=True, timeout=180)
        django.setup()
        with home.postgres.connect(database=FEW_HOLDS) as database:
            database.autocommit = True
            fill_lender(database, customers=customers)
            fill_holds(database, holds=FEW, covering=range(0, customers, EVERY))
        yield home.postgres


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--holds", type=int, default=MANY)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="recourse-bench-", ignore_cleanup_errors=True) as name,
        own_lender(Path(name), customers=options.rows) as server,
    ):
        campaign = Campaign(Path(name), rows=options.rows)
        against_bare(campaign, name=f"screening {options.rows:,} rows / bare", bar=FACTOR)
        memory(campaign)
        with_many_holds(campaign, many=options.holds, server=server)


if __name__ == "__main__":
    main()
