"""Who calls in tests: made as an operator makes them, with tokens from the real endpoint or the local issuer."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import Client

from config.api.clients import create_client
from config.api.customer_tokens import issue_customer_token


class Api:
    """Django's test client with a bearer token; errors of the server are answers, as a caller sees them.

    Headers are keywords with underscores: ``api.post("/api/v1/disputes", {…}, Idempotency_Key="k1")``.
    """

    def __init__(self, token: str | None) -> None:
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.http = Client(raise_request_exception=False)

    @property
    def is_system(self) -> bool:
        """Whether the token is a client's: a customer's is a JWT."""
        return self.headers.get("Authorization", "..").count(".") == 0

    def get(self, address: str, **headers: str) -> Any:
        return self.http.get(address, headers=self.headers | _spelt(headers))

    def post(self, address: str, body: Any = None, *, content_type: str = "application/json", **headers: str) -> Any:
        return self.http.post(address, body, content_type=content_type, headers=self.headers | _spelt(headers))

    def request(self, method: str, address: str, body: bytes = b"", **headers: str) -> Any:
        return self.http.generic(
            method, address, body, content_type="application/json", headers=self.headers | _spelt(headers)
        )


def _spelt(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def basic(client_id: str, secret: str) -> str:
    """The header of HTTP Basic."""
    return "Basic " + b64encode(f"{client_id}:{secret}".encode()).decode()


def client_token(*scopes: str) -> str:
    """An access token for a new client with these scopes, from POST /oauth/token."""
    client_id, secret = create_client(name="probe", scopes=scopes)
    answer = Client().post(
        "/oauth/token",
        "grant_type=client_credentials",
        content_type="application/x-www-form-urlencoded",
        headers={"Authorization": basic(client_id, secret)},
    )
    assert answer.status_code == 200, answer.content
    return str(answer.json()["access_token"])


def customer_token(external_id: str) -> str:
    """A token of the local issuer, good for an hour."""
    return issue_customer_token(external_id=external_id, good_for=timedelta(hours=1), now=datetime.now(tz=UTC))


def system(*scopes: str) -> Api:
    """A system of the lender's with these scopes."""
    return Api(client_token(*scopes))


def customer(external_id: str) -> Api:
    """A customer who is logged in to the lender's app."""
    return Api(customer_token(external_id))


def anybody() -> Api:
    """Somebody without a token."""
    return Api(None)
