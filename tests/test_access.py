"""Who may call what: every endpoint × (no token, each scope, its owner, another customer), in one table.

`scope`: the scope that a system needs, or ``any`` (none is needed), or ``-`` (systems may not call it, whatever they
may otherwise). The last three columns are the status that answers a system with that scope, the customer C1, to whom
what is asked for belongs (tests/lender.py), and the customer C2. A ``*`` behind C2's status: the answer must not name
anything of C1's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from config.api.callers import SCOPES
from tests import callers
from tests.callers import Api
from tests.lender import GATE_ITEMS, small_lender

pytestmark = pytest.mark.django_db

TABLE = """
method  endpoint                       scope              system  C1   C2

POST    records/import                 records:write      200     403  403
GET     records/loan/{loan}            records:read       200     403  403
GET     messages                       -                  403     200  200*
GET     messages/{message}             -                  403     200  404
GET     loans                          -                  403     200  200*
GET     loans/{loan}                   -                  403     200  404

POST    disputes                       disputes:write     201     201  404
GET     disputes                       disputes:read      200     200  200*
GET     disputes/{dispute}             disputes:read      200     200  404
GET     disputes/{dispute}/events      disputes:read      200     200  404
GET     disputes/{dispute}/comments    disputes:read      200     200  404
POST    disputes/{dispute}/comments    disputes:write     201     201  404
POST    disputes/{dispute}/withdraw    disputes:write     200     200  404

POST    gate/decisions                 gate               200     403  403
POST    gate/permits/{permit}/unused   gate               200     403  403
GET     suppressions                   suppressions:read  200     403  403
GET     suppressions/changes           suppressions:read  200     403  403
POST    opt-outs                       optouts:write      201     403  403
POST    opt-ins                        optouts:write      201     403  403
"""

DISPUTE = {"message": {"external_id": "M2"}, "ground": "already_paid"}
BODIES: dict[str, Any] = {
    "POST records/import": {"type": "watermark", "feed": "messages", "complete_until": "2026-01-01T00:00:00Z"},
    "POST disputes/{dispute}/comments": {"text": "I paid on the third."},
    "POST gate/decisions": GATE_ITEMS,
    "POST opt-outs": {"phone": "+8613812340001", "source": "test"},
    "POST opt-ins": {"phone": "+8613812340001", "source": "test"},
}
"""What is sent, by method and endpoint; nothing where it is not named here."""


@dataclass(frozen=True, kw_only=True)
class Row:
    method: str
    endpoint: str
    scope: str
    system: int
    owner: int
    other: int
    names_nothing: bool

    @property
    def label(self) -> str:
        return f"{self.method} {self.endpoint}"


def read_table() -> list[Row]:
    rows = []
    for line in TABLE.strip().splitlines()[1:]:
        if line.strip():
            method, endpoint, scope, system, owner, other = line.split()
            rows.append(
                Row(
                    method=method,
                    endpoint=endpoint,
                    scope=scope,
                    system=int(system),
                    owner=int(owner),
                    other=int(other.removesuffix("*")),
                    names_nothing=other.endswith("*"),
                )
            )
    return rows


ROWS = read_table()
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)


def endpoints() -> Iterator[tuple[str, str]]:
    """(method, path below /api/v1/) of everything that Django would route there."""

    def walk(patterns: list[Any], before: str) -> Iterator[tuple[str, Any]]:
        for pattern in patterns:
            address = before + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, address)
            elif isinstance(pattern, URLPattern):
                yield address, pattern.callback

    for address, view in walk(get_resolver().url_patterns, ""):
        if address.startswith("api/v1/"):
            methods = [*view.cls().allowed_methods] if hasattr(view, "cls") else [*view.required_scopes]
            for method in methods:
                if method != "HEAD":
                    yield method, address.removeprefix("api/v1/")


def test_every_endpoint_is_in_the_table() -> None:
    def shape(path: str) -> str:
        return re.sub(r"<[^>]*>|\{[^}]*\}", "*", path)

    # A part of a path that a row fills in by hand ("records/loan/…") stands for the parameter that is there.
    routed = {(method, shape(path)) for method, path in endpoints()}
    listed = {(row.method, shape(row.endpoint).replace("records/loan/", "records/*/")) for row in ROWS}
    assert listed == routed


@pytest.fixture
def places() -> dict[str, str]:
    """What stands for each name in the table."""
    return small_lender()


def call(api: Api, row: Row, places: dict[str, str]) -> Any:
    address = f"/api/v1/{row.endpoint.format(**places)}"
    if row.method == "GET":
        return api.get(address)
    body = BODIES.get(row.label, {})
    if row.label == "POST disputes":
        body = DISPUTE | ({"customer": "C1"} if api.is_system else {})
        if not api.is_system:
            # By id: another's message is not there. By the other forms it would open a dispute of one's own.
            body = body | {"message": {"id": places["message"]}}
    if row.endpoint == "records/import":
        body, content_type = json.dumps(body).encode() + b"\n", "application/x-ndjson"
    else:
        content_type = "application/json"
    return api.post(address, body, content_type=content_type, Idempotency_Key="k1")


def said_by(answer: Any) -> str:
    content: bytes = b"".join(answer) if answer.streaming else answer.content
    return content.decode()


@each_row
def test_without_a_token(row: Row, places: dict[str, str]) -> None:
    answer = call(callers.anybody(), row, places)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")


@each_row
def test_by_a_system(row: Row, places: dict[str, str]) -> None:
    for scope in SCOPES:
        answer = call(callers.system(scope), row, places)
        allowed = row.scope in (scope, "any")
        assert answer.status_code == (row.system if allowed else 403), f"{scope}: {said_by(answer)}"
    answer = call(callers.system(*(set(SCOPES) - {row.scope})), row, places)
    assert answer.status_code == (row.system if row.scope == "any" else 403)


@each_row
def test_by_its_owner(row: Row, places: dict[str, str]) -> None:
    answer = call(callers.customer("C1"), row, places)
    assert answer.status_code == row.owner, said_by(answer)


@each_row
def test_by_another_customer(row: Row, places: dict[str, str]) -> None:
    answer = call(callers.customer("C2"), row, places)
    said = said_by(answer)
    assert answer.status_code == row.other, said
    if row.names_nothing or row.other >= 400:
        named = {"C1", "L1", "M1", "M2", *places.values()}
        assert [name for name in named if f'"{name}"' in said] == []
