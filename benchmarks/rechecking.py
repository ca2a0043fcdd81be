"""Bulk re-check of open disputes, end to end, against its bare parts.

Ours: two workers take chunks of 500 and run `check_many`: disputes, messages, histories and all that bears on the
sending are read, judged, the canonical inputs made and sealed, and every check written with its dispute, its event and
its topic. Bare: two workers judge as many messages whose facts stand in memory, fetch as many histories (one json_agg
a loan, not decoded), and COPY the same check rows into a table with the same indexes. Loans of 12 instalments and 12
repayments; the bar is 1.8.

    python -m benchmarks.rechecking           # 10,000 disputes, about two minutes
    python -m benchmarks.rechecking --full    # 100,000; or any number
"""

from __future__ import annotations

import sys
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

from benchmarks.book import analyse, connect, fill, own_database
from benchmarks.rounds import compare

BAR = 1.8
CHUNK = 500
SOME, MANY = 10_000, 100_000
WORKERS = 2
ROUNDS = 5


def worker(pipe: Connection, place: int) -> None:
    """Does what it is told: (what, round) → seconds, until it is told nothing."""
    connect()
    side = _Side(place)
    while (told := pipe.recv()) is not None:
        began = perf_counter()
        getattr(side, told[0])(told[1])
        pipe.send(perf_counter() - began)


class _Side:
    """One worker's share of the disputes: every second chunk."""

    def __init__(self, place: int) -> None:
        from disputes.cases.models import Dispute

        ids = list(Dispute.objects.order_by("pk").values_list("pk", flat=True))
        chunks = [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]
        self.chunks = chunks[place::WORKERS]
        self.prepared: list[Any] = []
        self.rows: list[Any] = []

    def ours(self, number: int) -> None:
        from django.utils import timezone

        from disputes.cases import bulk, weighing

        # Another engine each round: every dispute has a new check.
        weighing.ENGINE_VERSION = f"bench-{number}"
        for chunk in self.chunks:
            done = bulk.check_many(dispute_ids=chunk, now=timezone.now())
            if done.written != len(chunk):
                raise SystemExit(f"not all were written: {done}")

    def prepare(self, number: int) -> None:
        """Facts of one chunk, and its rows as ours writes them."""
        from django.utils import timezone

        from disputes.cases import bulk, weighing
        from disputes.cases.assembling import assemble
        from disputes.cases.reading import claim_of

        disputes = bulk._read(self.chunks[0])
        read = assemble(messages=[one.message for one in disputes])
        self.prepared = [(read[one.message.pk], claim_of(one)) for one in disputes]
        found = weighing.weigh_many(disputes=disputes, now=timezone.now())
        self.rows = [self._row(one.check) for one in found.values()]

    @staticmethod
    def _row(check: Any) -> tuple[Any, ...]:
        from psycopg.types.json import Jsonb

        from config.fields import keyring
        from config.values.ciphertext import seal
        from disputes.cases.bulk import _CHECK

        row = {name: getattr(check, name) for name in _CHECK}
        row["input"] = seal(keyring(), check.input.encode(), place=b"")
        return tuple(Jsonb(one) if isinstance(one, (dict, list)) else one for one in row.values())

    def bare(self, number: int) -> None:
        self.judge(number)
        self.fetch(number)
        self.copy(number)

    def judge(self, number: int) -> None:
        from disputes.check.judging import judge

        for _ in self.chunks:
            for read, claim in self.prepared:
                found = judge(history=read.history, message=read.message, claim=claim, pack=read.pack)
                found.render()

    def fetch(self, number: int) -> None:
        from django.db import connection

        from disputes.records.gathering import _GATHER

        with connection.cursor() as cursor:
            for chunk in self.chunks:
                cursor.execute("SELECT loan FROM disputes_dispute WHERE id = ANY(%s)", [chunk])
                cursor.execute(_GATHER, {"loans": [loan for (loan,) in cursor.fetchall()]})
                cursor.fetchall()

    def copy(self, number: int) -> None:
        from django.db import connection, transaction

        from config.values.ids import new_id
        from disputes.cases.bulk import _CHECK

        names = ", ".join(_CHECK)
        for _ in self.chunks:
            with (
                transaction.atomic(),
                connection.cursor() as cursor,
                cursor.copy(f"COPY bare_check ({names}) FROM STDIN") as copy,
            ):
                for row in self.rows:
                    copy.write_row((new_id(), new_id(), *row[2:]))


class Workers:
    """Two processes that do the same at once; the slower one counts."""

    def __init__(self) -> None:
        context = get_context("spawn")
        self.pipes = []
        for place in range(WORKERS):
            here, there = context.Pipe()
            context.Process(target=worker, args=(there, place), daemon=True).start()
            self.pipes.append(here)
        self.number = 0

    def do(self, what: str) -> float:
        self.number += 1
        began = perf_counter()
        for pipe in self.pipes:
            pipe.send((what, self.number))
        for pipe in self.pipes:
            pipe.recv()
        return perf_counter() - began

    def end(self) -> None:
        for pipe in self.pipes:
            pipe.send(None)


def take_back() -> None:
    """The rows of a round go, outside of what is measured: else each would write to a larger table."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE disputes_dispute SET last_check_id = NULL; DELETE FROM disputes_check; "
            "TRUNCATE disputes_event, disputes_outboxtopic, bare_check;"
        )
    analyse()


def main() -> None:
    count = MANY if "--full" in sys.argv else next(map(int, filter(str.isdigit, sys.argv)), SOME)
    with own_database():
        from django.db import connection

        began = perf_counter()
        fill(loans=count)
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE bare_check (LIKE disputes_check INCLUDING ALL)")
            for table in ("check", "event"):
                cursor.execute(f"ALTER TABLE disputes_{table} DISABLE TRIGGER USER")
        print(f"{count:,} open disputes, made in {perf_counter() - began:.0f} s", flush=True)
        workers = Workers()
        workers.do("prepare")
        parts: dict[str, list[float]] = {}

        def side(name: str, *whats: str) -> float:
            took = 0.0
            for what in whats:
                took += (once := workers.do(what))
                parts.setdefault(what, []).append(once)
            take_back()
            return took

        try:
            compare(
                name=f"bulk re-check of {count:,}, two workers / judging + fetch + write, two workers",
                ours=lambda: side("ours", "ours"),
                bare=lambda: side("bare", "judge", "fetch", "copy"),
                bar=BAR,
                rounds=ROUNDS,
            )
        finally:
            workers.end()
        for what, rounds in parts.items():
            print(f"  {what}: {sorted(rounds)[len(rounds) // 2] / count * 1e6:.0f} µs a dispute (two workers)")


if __name__ == "__main__":
    main()
