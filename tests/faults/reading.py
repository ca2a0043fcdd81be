"""What a run left, as a history: the callers' logs, and the tables of the service."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg

from config.api.models import IdempotencyKey
from config.fields import Sealed, phone_digest
from tests.faults.history import (
    Asked,
    HandedBack,
    Held,
    History,
    Kept,
    KeptChange,
    KeptDispute,
    KeptHold,
    KeptPermit,
    Read,
    Released,
)


def rows_of(logs: Iterable[Path]) -> list[dict[str, Any]]:
    """A line that is being written is left for the next time."""
    return [
        json.loads(line) for log in logs if log.exists() for line in log.read_text().rpartition("\n")[0].splitlines()
    ]


def history_of(rows: list[dict[str, Any]]) -> History:
    """Phones become their digests, as the database's keys have them."""
    of: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        of[row.pop("kind")].append(row)
    return History(
        asked=[_asked(row) for row in of["asked"]],
        handed_back=[HandedBack(**row) for row in of["back"]],
        held=[_held(row) for row in of["held"]],
        released=[Released(**row | {"name": _key(row["name"])}) for row in of["released"]],
        read=[Read(**row | {"numbers": tuple(row["numbers"])}) for row in of["read"]],
    )


def _asked(row: dict[str, Any]) -> Asked:
    keys = {f"l:{row['loan']}", f"p:{row['phone']}"} | ({f"c:{row['customer']}"} if row["customer"] else set())
    names = ("who", "invoked", "answered", "request", "permit", "expires")
    return Asked(
        keys=frozenset(map(_key, keys)),
        capped=row["customer"] if row["category"] == "reminder" else None,
        **{name: row[name] for name in names if name in row},
    )


def _held(row: dict[str, Any]) -> Held:
    out = row.get("out", [])
    changed = {"keys": frozenset(map(_key, row["keys"])), "out": None if out is None else frozenset(out)}
    return Held(**row | changed | ({"name": _key(row["name"])} if "name" in row else {}))


def _key(key: str) -> str:
    kind, _, rest = key.partition(":")
    return f"{kind}:{phone_digest(rest).hex()}" if kind in ("p", "o") else key


def kept_by(database: psycopg.Connection[Any]) -> Kept:
    """Everything, so for a service of a test's own."""
    answers = _answers(database)
    return Kept(
        permits=[
            KeptPermit(
                id=pk,
                request=request,
                keys=frozenset({f"l:{loan}", f"c:{customer}", f"p:{bytes(phone).hex()}"}),
                granted_at=granted,
                expires_at=expires,
                unused_at=unused,
                capped=customer if category == "reminder" else None,
            )
            for pk, request, loan, customer, phone, category, granted, expires, unused in database.execute(
                "SELECT id::text, request_id, loan, customer, phone_digest, category, granted_at, expires_at, unused_at"
                " FROM disputes_permit"
            )
        ],
        holds=_holds(database),
        feed=[
            KeptChange(number=number, hold=hold, kind=kind, out=frozenset(permit["id"] for permit in out))
            for number, hold, kind, out in database.execute(
                "SELECT number, hold_id::text, kind, permits_out FROM disputes_suppressionchange"
            )
        ],
        disputes=[
            KeptDispute(id=pk, closed=status == "closed", one_of=f"{person} {message} {ground}", answers=answers[pk])
            for pk, status, person, message, ground in database.execute(
                "SELECT id::text, status, person, message_key, ground FROM disputes_dispute"
            )
        ],
    )


def _answers(database: psycopg.Connection[Any]) -> Counter[str]:
    """By dispute: how many idempotency keys replay an answer that opened it."""
    found: Counter[str] = Counter()
    for pk, body in database.execute("SELECT id, body FROM api_idempotencykey WHERE status = 201"):
        said = json.loads(IdempotencyKey(id=pk, body=Sealed(bytes(body))).body)
        if "permits_out" in said and "status" in said:
            found[said["id"]] += 1
    return found


def _holds(database: psycopg.Connection[Any]) -> list[KeptHold]:
    covers: dict[str, dict[str, Any]] = defaultdict(dict)
    for hold, key, since in database.execute("SELECT hold_id::text, key, since FROM disputes_holdcover"):
        covers[hold][key] = since
    events: dict[tuple[str, str], int] = {
        (hold, kind): number
        for hold, kind, number in database.execute(
            "SELECT subject_id::text, kind, count(*) FROM disputes_event WHERE subject_type = 'hold' GROUP BY 1, 2"
        )
    }
    found = []
    for pk, source, dispute, placed_at, released_at in database.execute(
        "SELECT id::text, source, dispute::text, placed_at, released_at FROM disputes_hold"
    ):
        phone = next((key[2:] for key in covers[pk] if key.startswith("p:")), "")
        name = {"dispute": f"d:{dispute}", "opt_out": f"o:{phone}"}.get(source, f"h:{pk}")
        found.append(
            KeptHold(
                id=pk,
                name=name,
                placed_at=placed_at,
                released_at=released_at,
                covers=covers[pk],
                dispute=dispute,
                placed_events=events.get((pk, "hold.placed"), 0),
                released_events=events.get((pk, "hold.released"), 0),
            )
        )
    return found
