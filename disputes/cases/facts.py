"""What opening a dispute reads under its lanes."""

from __future__ import annotations

import json
import uuid
from datetime import date
from typing import Any

from config.statements import Statement
from disputes.cases.models import Dispute
from disputes.notices.webhooks import Listeners
from disputes.records import queries as records
from disputes.records.models import MessagePersonal
from disputes.records.reaching import Reaching
from disputes.routing.deadlines import Calendars


class Facts:
    """What is `asked`, by one function that keeps its plan (migration 0015), to be run in one call with others; what it
    answered, once `tell` was called: `standing`, the open dispute of the same person about the same message and ground;
    how the customer is reached; the queues' calendars; the endpoints that hear of events; `number` and `language`, of
    the message and of the customer, None where they are not known."""

    def __init__(self, dispute: Dispute) -> None:
        self._customer, self._message = dispute.customer, dispute.message
        self.asked = Statement(
            f"SELECT {', '.join(_ANSWERED)} FROM disputes_opening_facts(%s, %s, %s, %s, %s::uuid)",
            [
                dispute.person,
                dispute.message_key,
                dispute.ground,
                dispute.customer,
                self._message.version_id if self._message else None,
            ],
        )
        self.standing: uuid.UUID | None = None
        self.reaching = Reaching([dispute.customer] if dispute.customer else [])
        self.calendars, self.listeners = Calendars(), Listeners()
        self.number: str | None = None

    def tell(self) -> None:
        """Hands what was read to those who know what it means."""
        said: dict[str, Any] = dict(zip(_ANSWERED, self.asked.rows[0], strict=True))
        self.standing = said["standing"]
        self.calendars.told(queues=said["queues"], calendars=said["calendars"])
        self.listeners.told([(uuid.UUID(one), events) for one, events in json.loads(said["listeners"] or "[]")])
        if self._customer is not None:
            known = [] if said["version"] is None else [(said["language"], said["version"], said["sealed"])]
            self.reaching.told(
                known=[(self._customer, *row) for row in known],
                phones=[(self._customer, *_phone(*row)) for row in json.loads(said["phones"] or "[]")],
            )
        if self._message is not None and said["texted"] is not None:
            version = self._message.version_id
            told = records.open_personal(said["texted"], model=MessagePersonal, version=version)
            self.number = told.get("phone")

    @property
    def language(self) -> str | None:
        """Of the customer."""
        return self.reaching.language_of(self._customer) if self._customer else None


_ANSWERED = ("standing", "language", "version", "sealed", "phones", "queues", "calendars", "listeners", "texted")


def _phone(digest: str, first: str | None, until: str | None) -> tuple[bytes, date | None, date | None]:
    return bytes.fromhex(digest), _day(first), _day(until)


def _day(said: str | None) -> date | None:
    return None if said is None else date.fromisoformat(said)
