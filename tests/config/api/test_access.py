"""Who may call: tokens of systems and of customers, and what is refused."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from oauth2_provider.models import get_access_token_model

from config.api import customer_tokens
from config.api.callers import SCOPES
from config.api.client_tokens import forget_cached_tokens
from config.api.clients import change_client_secret, create_client
from config.api.models import Client as ClientModel
from tests.callers import Api, basic
from tests.races import PATIENCE

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.config.api.probe")]

FORM = "application/x-www-form-urlencoded"


def ask_token(body: str, **headers: str) -> Any:
    return Client(raise_request_exception=False).post("/oauth/token", body, content_type=FORM, headers=headers)


# --- Systems -------------------------------------------------------------


def test_a_client_gets_a_token_by_http_basic_or_in_the_body() -> None:
    client_id, secret = create_client(name="gateway", scopes=["gate"])
    by_header = ask_token("grant_type=client_credentials", Authorization=basic(client_id, secret))
    by_body = ask_token(f"grant_type=client_credentials&client_id={client_id}&client_secret={secret}")
    for answer in (by_header, by_body):
        assert answer.status_code == 200
        assert answer.json()["token_type"] == "Bearer"
        assert answer.json()["scope"] == "gate"
        assert answer.json()["expires_in"] == 3600
        assert "refresh_token" not in answer.json()
        assert answer["Cache-Control"] == "no-store"


def test_asked_for_no_scope_a_token_has_all_of_its_clients_and_no_more() -> None:
    client_id, secret = create_client(name="desk", scopes=["disputes:read", "disputes:write"])
    answer = ask_token("grant_type=client_credentials", Authorization=basic(client_id, secret))
    assert set(answer.json()["scope"].split()) == {"disputes:read", "disputes:write"}


def test_a_token_may_have_some_of_its_clients_scopes_but_no_other(system: Any) -> None:
    client_id, secret = create_client(name="desk", scopes=["disputes:read", "disputes:write"])
    some = ask_token("grant_type=client_credentials&scope=disputes:read", Authorization=basic(client_id, secret))
    assert some.json()["scope"] == "disputes:read"
    assert Api(some.json()["access_token"]).get("/api/v1/probes").status_code == 200
    assert Api(some.json()["access_token"]).post("/api/v1/probes", {}).status_code == 403
    for scope in ("gate", "disputes:read gate", "nonsense"):
        other = ask_token(f"grant_type=client_credentials&scope={scope}", Authorization=basic(client_id, secret))
        assert (other.status_code, other.json()["error"]) == (400, "invalid_scope")


@pytest.mark.parametrize("grant", ["password", "authorization_code", "refresh_token", "implicit", "", "urn:x"])
def test_no_other_grant_is_given(grant: str) -> None:
    client_id, secret = create_client(name="desk", scopes=["gate"])
    answer = ask_token(f"grant_type={grant}&username=a&password=b", Authorization=basic(client_id, secret))
    assert answer.status_code == 400
    assert answer.json()["error"] in ("unsupported_grant_type", "invalid_request")


def test_a_wrong_secret_or_an_unknown_client_gets_401() -> None:
    client_id, secret = create_client(name="desk", scopes=["gate"])
    for who in (
        basic(client_id, "wrong"),
        basic("nobody", secret),
        basic("", ""),
        basic("a\0", "b\0"),
        "Basic !!!",
        "Basic",
    ):
        answer = ask_token("grant_type=client_credentials", Authorization=who)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), who


@pytest.mark.parametrize(
    "body", ["", "%", "grant_type", "grant_type=client_credentials&client_id=%00", "&&&=", "a=%ff%fe", "grant_type=%00"]
)
def test_a_body_that_cannot_be_read_is_refused_and_never_a_500(body: str) -> None:
    assert ask_token(body).status_code in (400, 401)


def test_the_token_endpoint_takes_forms_alone_and_only_posts() -> None:
    http = Client(raise_request_exception=False)
    assert http.post("/oauth/token", {}, content_type="application/json").status_code == 400
    other = http.get("/oauth/token")
    assert (other.status_code, other["Allow"]) == (405, "POST")
    assert other.json()["errors"][0]["code"] == "method_not_allowed"


def test_neither_tokens_nor_secrets_are_in_the_database(token_for: Callable[..., str]) -> None:
    token = token_for("gate")
    client_id, secret = create_client(name="desk", scopes=["gate"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT t::text FROM oauth2_provider_accesstoken t UNION ALL SELECT c::text FROM api_client c")
        stored = "\n".join(row[0] for row in cursor.fetchall())
    assert client_id in stored
    assert token not in stored
    assert secret not in stored


def test_another_secret_ends_the_old_one() -> None:
    client_id, old = create_client(name="desk", scopes=["gate"])
    new = change_client_secret(client=ClientModel.objects.get(client_id=client_id))
    ask = "grant_type=client_credentials"
    assert ask_token(ask, Authorization=basic(client_id, old)).status_code == 401
    assert ask_token(ask, Authorization=basic(client_id, new)).status_code == 200


def test_an_unknown_scope_makes_no_client() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        create_client(name="desk", scopes=["gate", "nonsense"])
    with pytest.raises(CommandError, match="nonsense"):
        call_command("create_client", "desk", "--scopes", "nonsense")


def test_an_operator_makes_a_client_by_a_command_that_shows_its_secret_once() -> None:
    out = StringIO()
    call_command("create_client", "desk", "--scopes", "gate", "disputes:read", stdout=out)
    said = dict(line.split(": ", 1) for line in out.getvalue().splitlines() if ": " in line)
    answer = ask_token("grant_type=client_credentials", Authorization=basic(said["client_id"], said["client_secret"]))
    assert set(answer.json()["scope"].split()) == {"gate", "disputes:read"}


def test_the_checks_of_one_token_are_cached_for_a_moment(
    system: Callable[..., Api], django_assert_num_queries: Any, settings: Any
) -> None:
    api = system("gate")
    settings.CLIENT_TOKEN_CACHE_SECONDS = 600
    with django_assert_num_queries(1):
        assert api.post("/api/v1/plain", {}).status_code == 200
        assert api.post("/api/v1/plain", {}).status_code == 200
    forget_cached_tokens()
    settings.CLIENT_TOKEN_CACHE_SECONDS = 0
    with django_assert_num_queries(2):
        api.post("/api/v1/plain", {})
        api.post("/api/v1/plain", {})


def test_an_expired_or_deleted_token_is_refused(system: Callable[..., Api]) -> None:
    tokens = get_access_token_model().objects
    api = system("gate")
    tokens.update(expires=timezone.now() - timedelta(seconds=1))
    assert api.post("/api/v1/plain", {}).status_code == 401
    other = system("gate")
    ClientModel.objects.all().delete()
    assert other.post("/api/v1/plain", {}).status_code == 401


def test_a_scope_taken_from_a_client_is_gone_from_its_living_tokens(system: Callable[..., Api]) -> None:
    api = system("gate", "disputes:read")
    ClientModel.objects.update(scopes=["disputes:read"])
    assert api.post("/api/v1/plain", {}).status_code == 403
    assert api.get("/api/v1/probes").status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Bearer a.b.c",
        "Bearer ..",
        "Bearer " + "x" * 9000,
        "Bearer tök",
        "bearer x",
    ],
)
def test_a_bad_token_gets_401_with_a_challenge(anybody: Api, header: str) -> None:
    for answer in (
        anybody.get("/api/v1/probes", Authorization=header),
        anybody.post("/api/v1/plain", {}, Authorization=header),
    ):
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == 'Bearer realm="recourse", error="invalid_token"'
        assert answer.json()["errors"][0]["code"] == "invalid_token"


@pytest.mark.parametrize("header", ["", "Basic YTpi", "Token x", "Digest x"])
def test_no_bearer_token_gets_401_with_a_challenge(anybody: Api, header: str) -> None:
    for answer in (
        anybody.get("/api/v1/probes", Authorization=header),
        anybody.post("/api/v1/plain", {}, Authorization=header),
    ):
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == 'Bearer realm="recourse"'
        assert answer.json()["errors"][0]["code"] == "not_authenticated"


@pytest.mark.parametrize("scope", sorted(set(SCOPES) - {"disputes:read"}))
def test_a_token_without_the_scope_gets_403_that_names_it(system: Callable[..., Api], scope: str) -> None:
    answer = system(scope).get("/api/v1/probes")
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["code"] == "insufficient_scope"
    assert 'error="insufficient_scope", scope="disputes:read"' in answer["WWW-Authenticate"]


def test_a_method_that_is_not_there_gets_405_but_only_from_a_known_caller(
    system: Callable[..., Api], anybody: Api
) -> None:
    for address, allowed in (("/api/v1/probes", "GET, POST, HEAD"), ("/api/v1/plain", "POST")):
        assert anybody.request("DELETE", address).status_code == 401
        for method in ("DELETE", "PUT", "OPTIONS"):
            answer = system("gate").request(method, address)
            assert answer.status_code == 405
            assert answer["Allow"] == allowed
            assert answer.json()["errors"][0]["code"] == "method_not_allowed"


# --- Customers -----------------------------------------------------------


def test_a_customer_may_call_what_is_for_customers_alone(customer: Callable[..., Api]) -> None:
    api = customer("C1")
    assert api.post("/api/v1/probes", {"name": "one"}, Idempotency_Key="k").status_code == 201
    assert api.get("/api/v1/probes").status_code == 403
    assert api.post("/api/v1/plain", {}).status_code == 403


def test_the_command_prints_a_token_as_its_last_line() -> None:
    out = StringIO()
    call_command("issue_customer_token", "客户 1", stdout=out)
    caller = customer_tokens.caller_of_customer_token(out.getvalue().splitlines()[-1])
    assert caller is not None
    assert (caller.kind, caller.customer, caller.scopes) == ("customer", "客户 1", frozenset())


def test_the_command_refuses_elsewhere_than_on_the_embedded_set_up(settings: Any) -> None:
    settings.EMBEDDED = False
    with pytest.raises(CommandError, match="identity provider"):
        call_command("issue_customer_token", "C1")


def test_the_local_issuers_tokens_are_nothing_elsewhere(customer: Callable[..., Api], settings: Any) -> None:
    api = customer("C1")
    settings.EMBEDDED = False
    assert api.post("/api/v1/probes", {"name": "one"}, Idempotency_Key="k").status_code == 401


def test_the_local_key_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path, settings: Any) -> None:
    settings.LOCAL_ISSUER_KEY = tmp_path / "below" / "issuer.pem"
    made: list[bytes] = []

    def make() -> None:
        customer_tokens._local_private_key(settings.LOCAL_ISSUER_KEY)
        made.append(settings.LOCAL_ISSUER_KEY.read_bytes())

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1
    assert settings.LOCAL_ISSUER_KEY.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in settings.LOCAL_ISSUER_KEY.parent.iterdir()] == ["issuer.pem"]


class Provider:
    """An identity provider on loopback: its keys, and how often it was asked for them."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.p384 = ec.generate_private_key(ec.SECP384R1())
        self.asked = 0
        self.body: bytes | None = None
        provider = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                body = provider.key_set() if provider.body is None else provider.body
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def key_set(self) -> bytes:
        keys = [
            {**jwt.algorithms.RSAAlgorithm.to_jwk(self.rsa.public_key(), as_dict=True), "kid": "r", "use": "sig"},
            {**jwt.algorithms.ECAlgorithm.to_jwk(self.ec.public_key(), as_dict=True), "kid": "e", "alg": "ES256"},
            {**jwt.algorithms.ECAlgorithm.to_jwk(self.p384.public_key(), as_dict=True), "kid": "p", "alg": "ES384"},
            {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "o"},
        ]
        return json.dumps({"keys": keys}).encode()

    def token(self, key: Any = None, *, kid: str | None = "r", algorithm: str = "RS256", **claims: Any) -> str:
        now = datetime.now(tz=UTC)
        said = {"sub": "C1", "iss": "https://id.lender.example", "aud": "recourse", "exp": now + timedelta(hours=1)}
        said = {name: value for name, value in (said | claims).items() if value is not None}
        headers = {} if kid is None else {"kid": kid}
        return jwt.encode(said, key or self.rsa, algorithm=algorithm, headers=headers)


@pytest.fixture
def provider(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    provider = Provider()
    # It answers out of this process: where the machine stands still, both do.
    monkeypatch.setattr(customer_tokens, "_FETCH_TIMEOUT", PATIENCE)
    monkeypatch.setattr(customer_tokens, "_ASK_AGAIN_AFTER", 10 * PATIENCE)
    settings.CUSTOMER_JWKS_URL = provider.url
    settings.CUSTOMER_JWT_ISSUER = "https://id.lender.example"
    settings.CUSTOMER_JWT_AUDIENCE = "recourse"
    yield provider
    provider.server.shutdown()
    provider.server.server_close()


def who(token: str) -> str | None:
    caller = customer_tokens.caller_of_customer_token(token)
    return None if caller is None else caller.customer


def test_a_token_of_the_lenders_provider_names_its_customer(provider: Provider) -> None:
    assert who(provider.token()) == "C1"
    assert who(provider.token(provider.ec, kid="e", algorithm="ES256")) == "C1"
    assert who(provider.token(aud=["other", "recourse"])) == "C1"
    assert provider.asked == 1


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"exp": datetime.now(tz=UTC) - timedelta(days=1)},
        {"exp": None},
        {"exp": "tomorrow"},
        {"nbf": datetime.now(tz=UTC) + timedelta(days=1)},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\0b"},
        {"sub": "x" * 121},
    ],
)
def test_a_claim_that_is_missing_or_wrong_is_refused(provider: Provider, claims: dict[str, Any]) -> None:
    assert who(provider.token(**claims)) is None


def test_the_algorithm_is_the_keys_own_whatever_the_token_says(provider: Provider) -> None:
    pem = provider.rsa.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head, body, signature = provider.token().split(".")

    def with_header(**header: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=") + f".{body}.{signature}"

    import hashlib
    import hmac

    confused_head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "r"}).encode()).decode().rstrip("=")
    mac = hmac.digest(pem, f"{confused_head}.{body}".encode(), hashlib.sha256)
    confused = f"{confused_head}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
    forged = [
        confused,
        with_header(alg="none", kid="r"),
        with_header(alg="none", kid="r").rsplit(".", 1)[0] + ".",
        with_header(alg="RS512", kid="r"),
        with_header(alg="RS256", kid=["r"]),
        with_header(alg="RS256", kid="e"),
        with_header(kid="r"),
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
        provider.token(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        provider.token(provider.rsa, algorithm="RS512"),
        provider.token(provider.p384, kid="p", algorithm="ES384"),
        provider.token(b"secret-secret-secret-secret-secret", kid="o", algorithm="HS256"),
    ]
    assert [who(token) for token in forged] == [None] * len(forged)


def test_without_an_id_a_key_is_only_found_where_there_is_one(provider: Provider) -> None:
    assert who(provider.token(kid=None)) is None
    customer_tokens._key_set.cache_clear()
    provider.body = json.dumps({"keys": json.loads(provider.key_set())["keys"][:1]}).encode()
    assert who(provider.token(kid=None)) == "C1"


def test_invented_key_ids_do_not_make_us_ask_the_provider_again_and_again(provider: Provider) -> None:
    assert who(provider.token()) == "C1"
    for number in range(20):
        assert who(provider.token(kid=f"made up {number}")) is None
    assert provider.asked == 1


def test_a_new_key_is_found_once_the_pause_is_over(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    assert who(provider.token()) == "C1"
    monkeypatch.setattr(customer_tokens, "_ASK_AGAIN_AFTER", 0.0)
    keys = json.loads(provider.key_set())["keys"]
    keys[0]["kid"] = "r2"
    provider.body = json.dumps({"keys": keys}).encode()
    assert who(provider.token(kid="r2")) == "C1"
    assert who(provider.token(kid="r")) is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys": []}', b"\xff", b" " * 300_000])
def test_a_provider_that_says_nonsense_is_503_not_500(
    provider: Provider, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.body = body
    api = Api(provider.token())
    answer = api.post("/api/v1/probes", {"name": "one"}, Idempotency_Key="k")
    assert answer.status_code == 503
    assert answer.json()["errors"][0]["code"] == "identity_provider_unreachable"
    assert "Retry-After" in answer


def test_known_keys_are_good_while_the_provider_is_away(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    assert who(provider.token()) == "C1"
    monkeypatch.setattr(customer_tokens, "_FRESH_FOR", -1.0)
    monkeypatch.setattr(customer_tokens, "_ASK_AGAIN_AFTER", 0.0)
    provider.body = b"out of order"
    assert who(provider.token()) == "C1"
    assert provider.asked >= 2
