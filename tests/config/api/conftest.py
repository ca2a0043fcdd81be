"""Callers for the tests of the edge: made as an operator makes them, with tokens from the real endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from config.api.client_tokens import forget_cached_tokens
from config.api.clients import create_client
from config.api.customer_tokens import issue_customer_token
from tests.config.api.probe import Probes


class Api:
    """Django's test client with a bearer token; errors of the server are answers, as a caller sees them."""

    def __init__(self, token: str | None) -> None:
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.http = Client(raise_request_exception=False)

    def get(self, address: str, **headers: str) -> Any:
        return self.http.get(address, headers=self.headers | _spelt(headers))

    def post(self, address: str, body: Any = None, *, content_type: str = "application/json", **headers: str) -> Any:
        return self.http.post(address, body, content_type=content_type, headers=self.headers | _spelt(headers))

    def request(self, method: str, address: str, **headers: str) -> Any:
        return self.http.generic(method, address, headers=self.headers | _spelt(headers))


def _spelt(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    forget_cached_tokens()
    cache.clear()
    Probes.begin_again = 0
    yield
    forget_cached_tokens()


@pytest.fixture
def token_for() -> Callable[..., str]:
    """An access token for a new client with these scopes, from POST /oauth/token."""

    def make(*scopes: str) -> str:
        client_id, secret = create_client(name="probe", scopes=scopes)
        answer = Client().post(
            "/oauth/token",
            "grant_type=client_credentials",
            content_type="application/x-www-form-urlencoded",
            headers={"Authorization": basic(client_id, secret)},
        )
        assert answer.status_code == 200, answer.content
        return str(answer.json()["access_token"])

    return make


@pytest.fixture
def system(token_for: Callable[..., str]) -> Callable[..., Api]:
    """A system of the lender's with these scopes."""
    return lambda *scopes: Api(token_for(*scopes))


@pytest.fixture
def customer() -> Callable[..., Api]:
    """A customer with a token of the local issuer."""

    def make(external_id: str = "C1") -> Api:
        return Api(issue_customer_token(external_id=external_id, good_for=timedelta(hours=1), now=datetime.now(tz=UTC)))

    return make


@pytest.fixture
def anybody() -> Api:
    return Api(None)


def basic(client_id: str, secret: str) -> str:
    from base64 import b64encode

    return "Basic " + b64encode(f"{client_id}:{secret}".encode()).decode()
