"""Opening a dispute over HTTP against a bare create of one row by REST framework.

granian with two web processes, the same token check, throttle, database and flush on both sides
(`benchmarks.gate_server`). Each opening is about a message of its own, of a loan and a customer of its own that came by
the import, and writes dispute, hold, event, topics, clocks, acknowledgement and the feed's row.

    python -m benchmarks.opening
"""

from __future__ import annotations

import itertools
import json
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any

from benchmarks.gate_serving import Service, serving
from benchmarks.gate_world import analyze, number
from benchmarks.rounds import compare

CUSTOMERS = 6_000
"""More than are disputed in all rounds together."""
SECONDS = 1.0
BAR = 0.4


def lines(customers: int) -> Iterator[dict[str, Any]]:
    """The lender's records: customer ``C7`` owes the loan ``L7`` since some months and was sent the message ``M7``."""
    now = datetime.now(tz=UTC)
    sent, due = (now - timedelta(hours=2)).isoformat(), (now - timedelta(days=60)).date().isoformat()
    opened = (now - timedelta(days=120)).date().isoformat()
    for n in range(customers):
        phone = number(n)
        own = {"number": phone, "role": "own"}
        yield {"type": "customer", "external_id": f"C{n}", "name": "A B", "phones": [own], "language": "zh-Hans"}
        loan = {"customer": f"C{n}", "currency": "CNY", "principal": "1000.00", "opened_on": opened, "product": "cash"}
        yield {"type": "loan", "external_id": f"L{n}", "time_zone": "Asia/Shanghai", **loan}
        line = {"loan": f"L{n}", "number": 1, "due_on": due, "amount": "1000.00", "principal": "1000.00"}
        yield {"type": "instalment", "external_id": f"I{n}", **line}
        message = {"loan": f"L{n}", "phone": phone, "channel": "sms", "category": "urge", "sent_at": sent}
        yield {"type": "message", "external_id": f"M{n}", "body": "please pay", **message}


def import_records(service: Service) -> None:
    body = "".join(json.dumps(line) + "\n" for line in lines(CUSTOMERS)).encode()
    said = service.post(service.connect(), "/api/v1/records/import", body, form="application/x-ndjson")
    if said.count(b'"created"') != 4 * CUSTOMERS:
        raise SystemExit(f"the records did not all come in: {said[:300]!r}")
    analyze(service.database, "customer", "customerphone", "loan", "message", "messagepersonal", "customerpersonal")


def main() -> None:
    with serving(lambda database: None) as service:
        import_records(service)
        os.sched_setaffinity(0, {0})
        undisputed = itertools.count()

        def open_one(connection: HTTPConnection) -> None:
            n = next(undisputed)
            if n >= CUSTOMERS:
                raise SystemExit("more were opened than there are messages: raise CUSTOMERS")
            asked = {"message": {"external_id": f"M{n}"}, "ground": "already_paid", "statement": "I paid on the 3rd."}
            said = service.post(connection, "/api/v1/disputes", json.dumps(asked).encode(), key=uuid.uuid4().hex)
            if b'"permits_out"' not in said:
                raise SystemExit(f"no dispute: {said[:300]!r}")

        def create_one(connection: HTTPConnection) -> None:
            row = {"kind": "k", "subject_type": "dispute", "subject_id": str(uuid.uuid4()), "actor_type": "client"}
            service.post(connection, "/bare/create", json.dumps(row).encode())

        compare(
            name="opening a dispute, rate",
            ours=lambda: service.rate("opening", open_one, seconds=SECONDS),
            bare=lambda: service.rate("bare create", create_one, seconds=SECONDS),
            bar=BAR,
            most=False,
        )
        service.tell_latencies()


if __name__ == "__main__":
    main()
