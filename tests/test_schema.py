"""The schema says what the API does, and no call that it allows, or forbids, breaks the service."""

from __future__ import annotations

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
from schemathesis.generation import GenerationMode

from config.api.callers import SCOPES
from tests.callers import client_token, customer_token
from tests.lender import small_lender

pytestmark = pytest.mark.django_db

EXAMPLES = 15
"""How many requests an operation, a caller and a kind of data (right and wrong)."""

TOKENS = "POST /oauth/token"


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
        operation = found.ok()
        yield operation.label, operation.as_strategy(generation_mode=mode)


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
        answer = case.call(headers={"Authorization": f"Bearer {token}"})
        statuses[answer.status_code] += 1
        assert answer.status_code < 500, f"{answer.status_code}: {case.as_curl_command()}"

    send()
    return statuses


def known_in(label: str, places: Mapping[str, str]) -> dict[str, str]:
    """What stands in the path parameters of an operation, by their names."""
    return {
        "key": places["dispute"],
        "type": "loan",
        "external_id": places["loan"],
        "loan": places["loan"],
        "message": places["message"],
        "permit": places["permit"],
        "id": places["permit" if "/permits/" in label else "message"],
    }


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize(
    "token_of", [lambda: client_token(*SCOPES), lambda: customer_token("C1")], ids=["system", "customer"]
)
def test_no_request_breaks_the_service(token_of: Callable[[], str], mode: GenerationMode, settings: Any) -> None:
    settings.CALLS_PER_MINUTE = {}
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
    assert sum(statuses[401] + statuses[429] for label, statuses in answered.items() if label != TOKENS) == 0
