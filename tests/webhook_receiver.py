"""What a lender's system does with a webhook: checks the signature with the specification's own library, and reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from standardwebhooks import Webhook

from tests.callers import Api, system
from tests.http_receiver import Received, Receiver, listening


def verified(request: Received, secret: str) -> dict[str, Any]:
    """The event of a request. Raises WebhookVerificationError where the signature is not of this secret, or old."""
    event: dict[str, Any] = Webhook(secret).verify(request.body, request.headers)
    return event


class Subscription:
    """An endpoint that was registered over HTTP, with the server that stands behind it."""

    def __init__(self, *, api: Api, receiver: Receiver, registered: dict[str, Any]) -> None:
        self.api = api
        self.receiver = receiver
        self.id: str = registered["id"]
        self.secret: str = registered["secret"]

    @property
    def address(self) -> str:
        return f"/api/v1/webhook-endpoints/{self.id}"

    def events(self) -> list[dict[str, Any]]:
        """What came in, in order, each with its signature checked."""
        return [verified(request, self.secret) for request in list(self.receiver.received)]


def register(receiver: Receiver, *, events: tuple[str, ...] = ()) -> Subscription:
    """Registers the receiver as an endpoint."""
    api = system("webhooks:write")
    answer = api.post("/api/v1/webhook-endpoints", {"url": receiver.url, "events": list(events)})
    assert answer.status_code == 201, answer.content
    return Subscription(api=api, receiver=receiver, registered=answer.json())


@contextmanager
def subscribed(*, events: tuple[str, ...] = ()) -> Iterator[Subscription]:
    """A receiver that is registered for these events (none: all)."""
    with listening() as receiver:
        yield register(receiver, events=events)
