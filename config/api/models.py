"""The edge's own tables: idempotency keys, and the systems that may call."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from oauth2_provider.models import AbstractApplication

from config.fields import DigestField, IdField, SealedTextField


class IdempotencyKey(models.Model):
    """A key that was used, with the answer that it replays.

    `caller` and `key` name it; `request_digest` tells whether the same request came again; `body` is sealed, since an
    answer can quote what a customer wrote.
    """

    id = IdField()
    caller = models.CharField(max_length=300)
    key = models.CharField(max_length=255)
    request_digest = DigestField()
    status = models.PositiveSmallIntegerField()
    headers = models.JSONField(default=dict)
    body = SealedTextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["caller", "key"], name="idempotency_key_of_caller")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_key_by_age")]

    def __str__(self) -> str:
        return f"{self.caller} {self.key}"


class Client(AbstractApplication):  # type: ignore[misc]
    """A system of the lender's that may call: OAuth 2.0 client credentials and nothing else.

    `scopes` is the most that a token of it can have.
    """

    scopes = ArrayField(models.CharField(max_length=40), default=list, blank=True)

    class Meta(AbstractApplication.Meta):  # type: ignore[misc]
        swappable = "OAUTH2_PROVIDER_APPLICATION_MODEL"

    def allows_grant_type(self, *grant_types: str) -> bool:
        return self.GRANT_CLIENT_CREDENTIALS in grant_types

    def save(self, *args: Any, **kwargs: Any) -> None:
        # The one grant there is, whatever a form or a script asks for; a secret is never kept in the clear.
        self.authorization_grant_type = self.GRANT_CLIENT_CREDENTIALS
        self.client_type = self.CLIENT_CONFIDENTIAL
        self.hash_client_secret = True
        super().save(*args, **kwargs)
