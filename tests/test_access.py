"""Who may call what: every endpoint × (no token, each scope, its owner, another customer), in one table.

`scope`: the scope that a system needs, or ``any`` (none is needed), or ``-`` (systems may not call it, whatever they
may otherwise), or ``everybody`` (what is asked for proves itself; a token is not looked at). The last three columns are
the status that answers a system with that scope (a new one, to which nobody granted the permit), the customer C1, to
whom what is asked for belongs (tests/lender.py), and the customer C2. A ``*`` behind C2's status: the answer must not
name anything of C1's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver

from config.api.callers import SCOPES
from tests import callers
from tests.callers import Api
from tests.lender import GATE_ITEMS, SURVEY, small_lender

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
POST    disputes/{dispute}/appeal      disputes:write     409     409  404
GET     disputes/{dispute}/letter      disputes:read      409     409  404

POST    gate/decisions                 gate               200     403  403
POST    gate/screenings                gate               200     403  403
POST    gate/permits/{permit}/unused   gate               404     403  403
GET     suppressions                   suppressions:read  200     403  403
GET     suppressions/changes           suppressions:read  200     403  403
POST    opt-outs                       optouts:write      201     403  403
POST    opt-ins                        optouts:write      201     403  403

POST    delivery-receipts              inbound:write      200     403  403
POST    inbound-messages               inbound:write      201     403  403
GET     webhook-endpoints              webhooks:write     200     403  403
POST    webhook-endpoints              webhooks:write     201     403  403
GET     webhook-endpoints/{endpoint}   webhooks:write     200     403  403
PATCH   webhook-endpoints/{endpoint}   webhooks:write     200     403  403
DELETE  webhook-endpoints/{endpoint}   webhooks:write     204     403  403
POST    surveys                        surveys:write      201     403  403
GET     surveys                        surveys:read       200     403  403
GET     surveys/{survey}               surveys:read       200     403  403
GET     surveys/{survey}/versions      surveys:read       200     403  403
POST    surveys/{survey}/versions      surveys:write      201     403  403
GET     surveys/{survey}/waves         surveys:read       200     403  403
POST    surveys/{survey}/waves         surveys:write      201     403  403
GET     surveys/{survey}/trend         surveys:read       200     403  403
GET     waves/{wave}                   surveys:read       200     403  403
GET     waves/{wave}/summary           surveys:read       200     403  403
POST    waves/{wave}/close             surveys:write      200     403  403
GET     invitations/{token}            everybody          200     200  200*
POST    invitations/{token}            everybody          200     200  200*

POST    webhook-endpoints/{endpoint}/secret  webhooks:write  201  403  403
"""

DISPUTE = {"message": {"external_id": "M2"}, "ground": "already_paid"}
BODIES: dict[str, Any] = {
    "POST records/import": {"type": "watermark", "feed": "messages", "complete_until": "2026-01-01T00:00:00Z"},
    "POST disputes/{dispute}/comments": {"text": "I paid on the third."},
    "POST gate/decisions": GATE_ITEMS,
    "POST gate/screenings": GATE_ITEMS["items"][0],
    "POST opt-outs": {"phone": "+8613812340001", "source": "test"},
    "POST opt-ins": {"phone": "+8613812340001", "source": "test"},
    "POST inbound-messages": {
        "id": "1",
        "phone": "+8613812340001",
        "text": "STOP",
        "received_at": "2026-03-01T10:00:00Z",
    },
    "POST delivery-receipts": {"status": "delivered", "at": "2026-03-01T10:00:00Z"},
    "POST surveys": SURVEY | {"name": "Another"},
    "POST surveys/{survey}/versions": SURVEY,
    "POST surveys/{survey}/waves": {
        "audience": "messaged",
        "period_from": "2026-02-01T00:00:00Z",
        "period_until": "2026-03-01T00:00:00Z",
    },
    "POST invitations/{token}": {"answers": {"recommend": 9}},
    "POST webhook-endpoints": {"url": "http://127.0.0.1:9/hook"},
    "PATCH webhook-endpoints/{endpoint}": {"enabled": False},
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
    if row.method != "POST":
        return api.request(row.method, address, json.dumps(body).encode() if body else b"")
    if row.label == "POST disputes":
        body = DISPUTE | ({"customer": "C1"} if api.is_system else {})
        if not api.is_system:
            # By id: another's message is not there. By the other forms it would open a dispute of one's own.
            body = body | {"message": {"id": places["message"]}}
    if row.endpoint == "delivery-receipts":
        body = body | {"id": places["notice"]}
    if row.endpoint in ("records/import", "gate/screenings"):
        body, content_type = json.dumps(body).encode() + b"\n", "application/x-ndjson"
    else:
        content_type = "application/json"
    return api.post(address, body, content_type=content_type, Idempotency_Key="k1")


def said_by(answer: Any) -> str:
    content: bytes = b"".join(answer) if answer.streaming else answer.content
    return content.decode()


@contextmanager
def undone() -> Iterator[None]:
    """What a call changes is taken back, so that the next one finds everything as it was."""
    # As the test's own transaction: a call may open its outermost one inside.
    around: Any = transaction.atomic()
    around._from_testcase = True
    with around:
        yield
        transaction.set_rollback(True)


def surprises(
    who: str, api: Api, places: dict[str, str], expected: Callable[[Row], int], *, secret: bool = False
) -> list[str]:
    """Calls every endpoint. Returns where the answer was not as expected, or (`secret`) named something of C1's."""
    found = []
    for row in ROWS:
        with undone():
            answer = call(api, row, places)
            said = said_by(answer)
        if answer.status_code != expected(row):
            found.append(f"{row.label} by {who}: {answer.status_code}, not {expected(row)}: {said[:200]}")
        elif secret and (row.names_nothing or row.other >= 400):
            found += [f"{row.label} names {name} to {who}" for name in named(places) if f'"{name}"' in said]
    return found


def named(places: dict[str, str]) -> set[str]:
    return {"C1", "L1", "M1", "M2", *places.values()}


def test_nobody_gets_in_without_a_token(places: dict[str, str]) -> None:
    def expected(row: Row) -> int:
        return row.system if row.scope == "everybody" else 401

    assert surprises("nobody", callers.anybody(), places, expected) == []


@pytest.mark.parametrize("scope", SCOPES)
def test_a_system_gets_what_its_scope_is_for_and_nothing_else(places: dict[str, str], scope: str) -> None:
    def expected(row: Row) -> int:
        return row.system if row.scope in (scope, "any", "everybody") else 403

    assert surprises(f"a system with {scope}", callers.system(scope), places, expected) == []


def test_all_the_other_scopes_together_are_not_the_one_that_is_needed(places: dict[str, str]) -> None:
    for needed in SCOPES:
        api = callers.system(*(scope for scope in SCOPES if scope != needed))
        rows = [row for row in ROWS if row.scope == needed]
        with undone():
            assert [row.label for row in rows if call(api, row, places).status_code != 403] == []


def test_a_customer_gets_what_is_theirs(places: dict[str, str]) -> None:
    assert surprises("C1", callers.customer("C1"), places, lambda row: row.owner) == []


def test_another_customer_neither_gets_it_nor_learns_that_it_is_there(places: dict[str, str]) -> None:
    assert surprises("C2", callers.customer("C2"), places, lambda row: row.other, secret=True) == []
