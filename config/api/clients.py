"""The lender's systems as clients: making one, its scopes, its secret."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from django.contrib.auth.hashers import BasePasswordHasher
from oauth2_provider.scopes import BaseScopes

from config.api.callers import SCOPES
from config.api.models import Client
from config.values.ids import new_token


def create_client(*, name: str, scopes: Iterable[str]) -> tuple[str, str]:
    """Makes a client and returns (client id, secret). The secret is shown here once: only its hash is stored.

    Raises ValueError for an unknown scope. Opens no transaction: one INSERT.
    """
    wanted = sorted(set(scopes))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown:
        raise ValueError(f"unknown scopes: {', '.join(unknown)}")
    secret = new_token()
    client = Client.objects.create(name=name, client_id=secrets.token_urlsafe(18), client_secret=secret, scopes=wanted)
    return client.client_id, secret


def change_client_secret(*, client: Client) -> str:
    """Gives a client another secret, and returns it; the old one ends at once."""
    secret = new_token()
    client.client_secret = secret
    client.save(update_fields=["client_secret", "updated"])
    return secret


class ClientScopes(BaseScopes):  # type: ignore[misc]
    """A token may have what its client may have; asked for nothing, it has all of it."""

    def get_all_scopes(self) -> dict[str, str]:
        return dict(SCOPES)

    def get_available_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        return list(SCOPES) if application is None else [scope for scope in application.scopes if scope in SCOPES]

    def get_default_scopes(self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any) -> list[str]:
        return self.get_available_scopes(application, request)


class RandomSecretHasher(BasePasswordHasher):
    """A salted SHA-256, for secrets that this service makes itself (256 random bits).

    A slow hash protects what people choose and others can guess; here it would only stop a web process for a third of a
    second at each token.
    """

    algorithm = "random_secret"

    def encode(self, password: str, salt: str) -> str:
        return f"{self.algorithm}${salt}${sha256((salt + password).encode()).hexdigest()}"

    def decode(self, encoded: str) -> dict[str, Any]:
        algorithm, salt, hashed = encoded.split("$", 2)
        return {"algorithm": algorithm, "salt": salt, "hash": hashed}

    def verify(self, password: str, encoded: str) -> bool:
        return hmac.compare_digest(self.encode(password, self.decode(encoded)["salt"]), encoded)

    def must_update(self, encoded: str) -> bool:
        return False

    def harden_runtime(self, password: str, encoded: str) -> None:
        """Nothing: the time does not tell a guesser anything about 256 random bits."""

    def safe_summary(self, encoded: str) -> dict[Any, Any]:
        return {"algorithm": self.algorithm}
