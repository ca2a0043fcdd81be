"""What a caller is told while the service cannot reach its database: 503 and when to come again, never 500 or leave."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.faults.service import FaultsStack

ITEM = {"request_id": "away-1", "phone": "+8613800138000", "loan": "L-away", "channel": "sms", "category": "urge"}
LINE = '{"type": "loan", "external_id": "L-away", "customer": "C-away", "currency": "CNY", "version": 1}'
ROWS = b"phone,channel,category,loan\n+8613800138000,sms,urge,L-away\n"


@pytest.fixture
def away(service: FaultsStack) -> Iterator[httpx.Client]:
    """A client whose token was good a moment ago, when the database has just been killed."""
    with service.client() as api:
        assert api.get("/suppressions").status_code == 200
        service.kill_postgres()
        try:
            yield api
        finally:
            service.start_postgres()


def is_told_to_come_again(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["X-Request-Id"]
    told = answer.json()
    assert told["type"] == "server_error"
    assert [error["code"] for error in told["errors"]] == ["unavailable"]


def is_refused(answer: httpx.Response) -> None:
    """By the gate: it may find out only while it decides, and then the item is denied."""
    if answer.status_code == 200:
        assert [decision["reasons"] for decision in answer.json()["decisions"]] == [["undecidable"]]
    else:
        is_told_to_come_again(answer)


def test_every_call_says_that_it_is_for_a_while(away: httpx.Client) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    for _ in range(3):  # both web processes, with a connection that is dead and with none
        is_refused(away.post("/gate/decisions", json={"items": [ITEM]}))
        is_told_to_come_again(away.get("/suppressions"))
        is_told_to_come_again(away.post("/disputes", json={"message": {"external_id": "m"}}, headers=key))
        is_told_to_come_again(away.post("/records/import", content=LINE.encode()))
        is_told_to_come_again(away.post("/gate/screenings", content=ROWS, headers={"Content-Type": "text/csv"}))


def test_the_service_goes_on_by_itself_when_the_database_is_back(service: FaultsStack) -> None:
    with service.client() as api:
        service.kill_postgres()
        is_told_to_come_again(api.get("/suppressions"))
        service.start_postgres()
        service.wait_for(lambda: all(api.get("/suppressions").status_code == 200 for _ in range(6)))
        decided = api.post("/gate/decisions", json={"items": [ITEM]}).json()["decisions"]
    assert [decision["reasons"] for decision in decided] == [["unknown_loan"]]
