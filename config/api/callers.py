"""Who calls: a system of the lender's, a customer, or somebody who has proved to hold a phone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

SCOPES: dict[str, str] = {
    "records:read": "Read what is stored of the lender's records",
    "records:write": "Import records",
    "gate": "Ask the gate whether a message may go out",
    "suppressions:read": "Read what is held, and the feed of its changes",
    "optouts:write": "Record opt-outs",
    "disputes:read": "Read disputes",
    "disputes:write": "Open and change disputes on behalf of a customer",
    "surveys:read": "Read surveys and their figures",
    "responses:read": "Read whole responses",
    "surveys:write": "Change surveys",
    "webhooks:write": "Manage webhook endpoints",
    "inbound:write": "Deliver what customers text back, and delivery receipts",
    "insight:read": "Read which rules and causes the wrong messages come from",
}
"""Every scope that a client can have, with what it allows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who an authenticated request comes from.

    `kind`: ``client`` (a system, by OAuth), ``customer`` (by the lender's identity provider), ``phone`` (a verified
    phone) or ``link`` (whoever has a private link); `id`: the client id, the customer's external id, the id of the
    phone's verification, or a digest of the link's token; `scopes`: of a client, empty for the others; `customer`: the
    external id of a customer; `phone_digest`: of a verified phone.
    """

    kind: Literal["client", "customer", "phone", "link"]
    id: str
    scopes: frozenset[str] = frozenset()
    customer: str | None = None
    phone_digest: bytes | None = None

    @property
    def key(self) -> str:
        """One text for who calls, under which idempotency keys and call rates are kept."""
        return f"{self.kind}:{self.id}"

    @property
    def is_authenticated(self) -> bool:
        """What REST framework asks of a request's user."""
        return True


def caller_of(request: Any) -> Caller:
    """The caller of a request that a ServiceView has let in."""
    caller = request.auth
    if not isinstance(caller, Caller):
        raise TypeError("nobody has been authenticated")
    return caller
