"""The two sides of benchmarks/importing.py, and where our time goes. Needs Django set up."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection, transaction

from benchmarks.rounds import compare
from disputes.records import importing, settling
from disputes.records.importing import import_lines

NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
STEPS: tuple[tuple[str, Any, str], ...] = (
    ("parse", importing, "read_line"),
    ("seal", importing, "seal_personal"),
    ("locks", importing, "take_import_locks"),
    ("look-up", importing, "read_records"),
    ("walk", importing, "walk"),
    ("copy", importing, "write_versions"),
    ("first mentions", settling, "_mention"),
    ("lanes", settling, "take_lanes"),
    ("loan rows locked", settling, "lock_loans"),
    ("sums paid", settling, "add_paid"),
    ("loan rows", settling, "refresh_loans"),
    ("customer rows", settling, "refresh_customers"),
    ("new customers", settling, "make_customers"),
    ("hooks", settling, "_call_hooks"),
    ("rest of what follows", importing, "settle"),
    ("commit", connection, "commit"),
)
"""Name, where it stands, what it is called: each without those that it calls itself."""


class Profile:
    """Seconds by step while it is on."""

    def __init__(self) -> None:
        self.took: dict[str, float] = {}
        self.inside: list[float] = []

    def timed(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **arguments: Any) -> Any:
            began = perf_counter()
            self.inside.append(0.0)
            try:
                return act(*args, **arguments)
            finally:
                took = perf_counter() - began
                self.took[name] = self.took.get(name, 0.0) + took - self.inside.pop()
                if self.inside:
                    self.inside[-1] += took

        return call

    @contextmanager
    def on(self) -> Iterator[None]:
        before = [(place, called, getattr(place, called)) for _, place, called in STEPS]
        for (name, place, called), (*_, act) in zip(STEPS, before, strict=True):
            setattr(place, called, self.timed(name, act))
        try:
            yield
        finally:
            for place, called, act in before:
                setattr(place, called, act)

    def tell(self, *, whole: float, count: int) -> None:
        rest = whole - sum(self.took.values())
        steps = [(name, self.took[name]) for name, *_ in STEPS if name in self.took]
        print(f"  {whole / count * 1e6:.1f} µs a line: ", end="")
        print(", ".join(f"{name} {took / count * 1e6:.1f}" for name, took in [*steps, ("rest and results", rest)]))


Line = Callable[[int], bytes]


def run(lines: list[bytes], *, expected: str) -> float:
    """Seconds."""
    began = perf_counter()
    others = sum(1 for one in import_lines(lines=lines, now=NOW) if one.result != expected)
    took = perf_counter() - began
    if others:
        raise SystemExit(f"{others} lines were not {expected}")
    return took


class Bare:
    """COPY of what ours has stored into a staging table, and one INSERT from there into a table like the versions'."""

    def __init__(self, *, name: str, letter: str, select: str, more: str = "") -> None:
        self.name, self.letter, self.select = name, letter, select
        with psycopg.connect(settings.OWNER_URL, autocommit=True) as made:
            for table, what in ((f"bare_{name}", "ALL"), (f"staging_{name}", "DEFAULTS")):
                made.execute(f"CREATE TABLE {table} (LIKE disputes_{name} INCLUDING {what})")  # type: ignore[call-overload]
                if more:
                    made.execute(f"ALTER TABLE {table} {more}")  # type: ignore[call-overload]
                made.execute(f"GRANT ALL ON {table} TO PUBLIC")  # type: ignore[call-overload]

    def run(self, *, first: int, count: int, known: bool = False) -> float:
        """Seconds, of the rows of so many records from `first` on."""
        low, high = f"{self.letter}{first:09}", f"{self.letter}{first + count:09}"
        with connection.cursor() as cursor:
            select = f"{self.select} WHERE v.external_id >= '{low}' AND v.external_id < '{high}'"
            with cursor.copy(f"COPY ({select}) TO STDOUT") as copy:
                rows = b"".join(copy)
            cursor.execute(f"TRUNCATE staging_{self.name}")
        began = perf_counter()
        with transaction.atomic(), connection.cursor() as cursor:
            with cursor.copy(f"COPY staging_{self.name} FROM STDIN") as copy:
                copy.write(rows)
            cursor.execute(f"INSERT INTO bare_{self.name} SELECT * FROM staging_{self.name} ON CONFLICT DO NOTHING")
            written = cursor.rowcount
        took = perf_counter() - began
        if written != (0 if known else count):
            raise SystemExit(f"the bare side wrote {written} rows")
        return took


BARE: dict[str, Any] = {
    "P": {"name": "repaymentversion", "select": "SELECT v.* FROM disputes_repaymentversion v"},
    "C": {
        "name": "customerversion",
        "select": "SELECT v.*, p.sealed, "
        "(SELECT string_agg(h::text, '/') FROM disputes_customerphoneversion h WHERE h.version_id = v.id) "
        "FROM disputes_customerversion v JOIN disputes_customerpersonal p ON p.version_id = v.id",
        "more": "ADD COLUMN sealed bytea, ADD COLUMN phones text",
    },
}
"""By the first letter of the records' ids. One row a line: a customer's blob and phones stand in columns of it."""


def measure_new(*, name: str, letter: str, line: Line, count: int, bar: float) -> Bare:
    """Lines that are new each time. The bare side runs one round behind, on the rows that ours wrote."""
    bare = Bare(letter=letter, **BARE[letter])
    done = {"ours": 0, "bare": 0}

    def ours() -> float:
        lines = [line(done["ours"] + n) for n in range(count)]
        done["ours"] += count
        return count / run(lines, expected="created")

    def theirs() -> float:
        done["bare"] += count
        return count / bare.run(first=done["bare"] - count, count=count)

    ours()
    compare(name=name, ours=ours, bare=theirs, bar=bar, most=False)
    lines = [line(done["ours"] + n) for n in range(count)]
    profile = Profile()
    with profile.on():
        profile.tell(whole=run(lines, expected="created"), count=count)
    return bare


def measure_known(*, name: str, bare: Bare, line: Line, count: int, bar: float) -> None:
    lines = [line(n) for n in range(count)]
    compare(
        name=name,
        ours=lambda: count / run(lines, expected="unchanged"),
        bare=lambda: count / bare.run(first=0, count=count, known=True),
        bar=bar,
        most=False,
    )
    profile = Profile()
    with profile.on():
        profile.tell(whole=run(lines, expected="unchanged"), count=count)


def set_loans(count: int) -> None:
    """Loans with a schedule of 12 lines each, as an import would leave their rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO disputes_loan (external_id, revision, first_received_at, customer, product, currency, time_zone,
                grace_days, tolerance, pauses, arrangements, due_on, amount, paid)
            SELECT 'L' || lpad(n::text, 7, '0'), 1, now(), 'B' || n, 'instalment loan', 'CNY', 'Asia/Shanghai',
                3, 0, '[]', '[]', d.days, d.amounts, 0
            FROM generate_series(0, %s - 1) AS n, LATERAL (
                SELECT array_agg(date '2026-01-15' + 30 * k) AS days, array_agg(850.25) AS amounts
                FROM generate_series(0, 11 + n * 0) AS k
            ) d
            """,
            [count],
        )


def peak_kib(lines: Iterable[bytes]) -> int:
    """KiB of this process at its most, once the lines are imported."""
    for result in import_lines(lines=lines, now=NOW):
        if result.result != "created":
            raise SystemExit(f"line {result.line}: {result.result}")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
