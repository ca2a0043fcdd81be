"""The gate over HTTP against the bare thing: one decision, a batch, a dry run, and one decision over a long history.

granian with two web processes, the same token check, database and settings on both sides (`benchmarks.gate_server`).

    python -m benchmarks.gate [--full]

`--full`: also one decision with ten million permits and messages stored against ten thousand.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
import uuid
from http.client import HTTPConnection

from benchmarks.gate_serving import Service, serving
from benchmarks.gate_world import fill_contacts, fill_history, fill_holds, fill_lender, number
from benchmarks.rounds import compare
from config.fields import phone_digest

CUSTOMERS = 40_000
"""Few enough for their pages to stay in the database's own memory, so that both sides are measured and not the disk."""
BATCH = 10_000
SECONDS = 3.0
WARM = 300
DECISIONS = "/api/v1/gate/decisions"

_next_customer = itertools.cycle(range(CUSTOMERS))


def forget(service: Service) -> None:
    """No permit is left, so that nobody is at a cap."""
    service.database.execute("TRUNCATE disputes_permit")


def item(n: int) -> dict[str, str]:
    return {"request_id": uuid.uuid4().hex, "phone": number(n), "loan": f"L{n}", "channel": "sms", "category": "urge"}


def one_decision(service: Service) -> None:
    def ask(address: str, connection: HTTPConnection) -> None:
        body = json.dumps({"items": [item(next(_next_customer))]}).encode()
        if b'"allow"' not in service.post(connection, address, body):
            raise SystemExit("a decision was not allowed")

    def rate(side: str, address: str) -> float:
        forget(service)
        return service.rate(side, lambda one: ask(address, one), seconds=SECONDS)

    compare(
        name="one decision, rate",
        ours=lambda: rate("gate", DECISIONS),
        bare=lambda: rate("bare", "/bare/decision"),
        bar=0.6,
        most=False,
    )
    service.tell_latencies()


def batches(service: Service) -> None:
    connection = service.connect()

    def some() -> list[int]:
        forget(service)
        return list(itertools.islice(_next_customer, BATCH))

    def gate(address: str) -> float:
        body = json.dumps({"items": [item(n) for n in some()]}).encode()
        began = time.perf_counter()
        said = service.post(connection, address, body)
        taken = time.perf_counter() - began
        if said.count(b'"allow"') != BATCH:
            raise SystemExit("not all of a batch were allowed")
        return taken

    def bare(address: str) -> float:
        from config.values.ids import new_id

        rows = [
            {
                "id": str(new_id()),
                "request_id": uuid.uuid4().hex,
                "phone": phone_digest(number(n)).hex(),
                "loan": f"L{n}",
            }
            for n in some()
        ]
        body = json.dumps(rows).encode()
        began = time.perf_counter()
        said = service.post(connection, address, body)
        taken = time.perf_counter() - began
        if int(said) != BATCH:
            raise SystemExit(f"the bare statement allowed {said!r}")
        return taken

    granting = "/bare/statement?grant=1"
    compare(
        name="batch of 10,000, granted", ours=lambda: gate(DECISIONS), bare=lambda: bare(granting), bar=2.2, rounds=5
    )
    compare(
        name="batch of 10,000, dry run",
        ours=lambda: gate(f"{DECISIONS}?dry_run=true"),
        bare=lambda: bare(granting),
        bar=2.0,
        rounds=5,
    )


def median_decision(service: Service) -> float:
    """p50 of one decision, warm, in seconds, one after the other."""
    connection, taken = service.connect(), []
    for _ in range(WARM * 2):
        body = json.dumps({"items": [item(next(_next_customer))]}).encode()
        began = time.perf_counter()
        service.post(connection, DECISIONS, body)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[WARM:])


def long_history(service: Service) -> None:
    """The two histories cannot stand in turn, so that the ratio has no rounds: medians of several goes each."""
    few = [median_decision(service) for _ in range(5)]
    fill_history(service.database, rows=10_000_000)
    many = [median_decision(service) for _ in range(5)]
    ratio = statistics.median(many) / statistics.median(few)
    print(f"one decision, p50, 10 million permits and messages / 10,000: {ratio:.2f}, bar <= 1.3")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true")
    full = parser.parse_args().full

    def fill(database: object) -> None:
        fill_lender(database, customers=CUSTOMERS)  # type: ignore[arg-type]
        fill_holds(database, holds=10_000)  # type: ignore[arg-type]
        fill_contacts(database, permits=0, messages=10_000, first=CUSTOMERS, among=20_000)  # type: ignore[arg-type]

    with serving(fill) as service:
        os.sched_setaffinity(0, {0})
        one_decision(service)
        batches(service)
        if full:
            long_history(service)


if __name__ == "__main__":
    main()
