"""The schema says what the API does, and no call that it allows, or forbids, breaks the service."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest
import schemathesis
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from config.api.callers import SCOPES
from config.api.idempotency import HEADER
from tests.callers import client_token, customer_token
from tests.lender import RECORDS, small_lender

pytestmark = pytest.mark.django_db

EXAMPLES = 15
"""How many requests an operation, a caller and a kind of data (right and wrong)."""

TOKENS = "POST /oauth/token"


@schemathesis.serializer("application/x-ndjson")
def write_lines(context: Any, value: Any) -> bytes:
    """An import's body: what was made up, then a line that is in order."""
    made_up = value if isinstance(value, str) else json.dumps(value)
    return made_up.encode(errors="surrogatepass") + b"\n" + json.dumps(RECORDS[0]).encode()


@schemathesis.serializer("text/csv")
def write_table(context: Any, value: Any) -> bytes:
    """An import's body: a header that is in order, and what was made up below it."""
    made_up = value if isinstance(value, str) else json.dumps(value)
    return b"type,external_id,feed,complete_until\n" + made_up.encode(errors="surrogatepass")


def test_the_schema_is_made_without_a_warning() -> None:
    errors = StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call_command("spectacular", "--validate", "--fail-on-warn", stdout=StringIO(), stderr=errors)
    assert errors.getvalue() == ""


@pytest.mark.parametrize(
    ("query", "accept", "content_type"),
    [
        ("", "*/*", "application/json"),
        ("", "text/html", "application/json"),
        ("?format=json", "*/*", "application/json"),
        ("?format=yaml", "*/*", "application/yaml"),
        ("?format=nonsense", "*/*", "application/json"),
        ("", "application/yaml", "application/yaml"),
        ("", "application/vnd.oai.openapi+json", "application/vnd.oai.openapi+json"),
    ],
)
def test_the_schema_is_json_or_yaml(client: Client, query: str, accept: str, content_type: str) -> None:
    answer = client.get(f"/api/schema/{query}", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer["Content-Type"].partition(";")[0] == content_type
    if content_type.endswith("json"):
        assert answer.json()["openapi"].startswith("3.")


def test_the_schema_and_the_docs_are_open_and_ask_nothing_of_the_internet(client: Client) -> None:
    schema = client.get("/api/schema/")
    docs = client.get("/api/docs/")
    assert (schema.status_code, docs.status_code) == (200, 200)
    page = docs.content.decode()
    assert "swagger-ui" in page
    outside = [part.split('"')[0] for part in page.split('src="')[1:] + page.split('href="')[1:]]
    assert [address for address in outside if address.startswith(("http:", "https:", "//"))] == []


@contextmanager
def kept_connection() -> Iterator[None]:
    """The WSGI application closes its connections after a request, and so would end the test's transaction; Django's
    own test client keeps them in the same way."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


def operations(mode: GenerationMode) -> Iterator[tuple[str, Any]]:
    """Each operation's label with a strategy for requests to it."""
    schema = schemathesis.openapi.from_wsgi("/api/schema/", get_wsgi_application())
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        yield operation.label, operation.as_strategy(generation_mode=mode)


AS_DESCRIBED = [response_schema_conformance, status_code_conformance, content_type_conformance]
"""An answer's status, type and body are as the schema says."""

REAL_FIELDS: dict[str, dict[str, Any]] = {
    "POST /api/v1/disputes": {
        "message": {"external_id": "M2"},
        "customer": "C1",
        "claimed_payments": [{"amount": {"amount": "12.50", "currency": "CNY"}, "paid_on": "2026-02-01"}],
    },
    "POST /api/v1/opt-outs": {"phone": "+8613812340002"},
    "POST /api/v1/opt-ins": {"phone": "+8613812340002"},
    "POST /api/v1/webhook-endpoints": {"url": "http://127.0.0.1:9/hook"},
    "POST /api/v1/delivery-receipts": {"at": "2026-03-01T10:00:00Z"},
}
"""Fields that invented data would hardly ever fill as they must be; the rest of the body stays invented."""


def send_some(requests: Any, token: str, known: Mapping[str, str]) -> Counter[int]:
    """Sends requests of one operation. Returns how often which status was answered; fails where the service breaks.

    Every other request asks for what is really there, which an invented id would never find.
    """
    statuses: Counter[int] = Counter()

    @hypothesis_settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=requests)
    def send(case: Any) -> None:
        if statuses.total() % 2:
            real = {name: known.get(name, value) for name, value in (case.path_parameters or {}).items()}
            case.path_parameters = real
            if HEADER in (case.headers or {}):
                case.headers[HEADER] = f"{case.operation.label} {statuses.total()}"
            if isinstance(case.body, dict):
                case.body = case.body | REAL_FIELDS.get(case.operation.label, {})
                if token.count(".") == 2:  # a customer acts for nobody else
                    case.body.pop("customer", None)
        answer = case.call(headers={"Authorization": f"Bearer {token}"})
        statuses[answer.status_code] += 1
        case.validate_response(answer, checks=AS_DESCRIBED)
        assert answer.status_code < 500, f"{answer.status_code}: {case.as_curl_command()}"

    send()
    return statuses


def known_in(label: str, places: Mapping[str, str]) -> dict[str, str]:
    """What stands in the path parameters of an operation, by their names."""
    return {
        "key": places["endpoint" if "/webhook-endpoints/" in label else "dispute"],
        "type": "loan",
        "external_id": places["loan"],
        "loan": places["loan"],
        "message": places["message"],
        "permit": places["permit"],
        "survey": places["survey"],
        "wave": places["wave"],
        "token": places["token"],
        "id": places["permit" if "/permits/" in label else "message"],
    }


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize(
    "token_of", [lambda: client_token(*SCOPES), lambda: customer_token("C1")], ids=["system", "customer"]
)
def test_no_request_breaks_the_service(token_of: Callable[[], str], mode: GenerationMode, settings: Any) -> None:
    settings.CALLS_PER_MINUTE = {}
    settings.BULK_CALLS = 1000  # the application's client closes no answer, and so leaves no place
    places = small_lender()
    token = token_of()
    answered: dict[str, Counter[int]] = {}
    with kept_connection():
        for label, requests in operations(mode):
            try:
                answered[label] = send_some(requests, token, known_in(label, places))
            except Unsatisfiable:  # nothing about this operation can be wrong: it takes nothing
                assert mode is GenerationMode.NEGATIVE
    assert answered
    for label, statuses in answered.items():
        # Wrong data may spoil the token as well, but never each time.
        assert label == TOKENS or statuses[401] < statuses.total(), label
        assert statuses[429] == 0, label
