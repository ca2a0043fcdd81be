"""What higher rooms do inside an import's transaction, since records may not call upward.

The lists are filled once, when the app starts (disputes/apps.py). Everything in them is called inside the import's
transaction, last, with the lanes of all customers, loans and phones concerned taken already: so it may write rows of
holds and number the feed, and must take no lane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from disputes.records.models import Message


class OwnersChanged(Protocol):
    def __call__(
        self, *, customer_phones: Sequence[tuple[str, bytes]], loans_moved: Sequence[tuple[str, str]]
    ) -> object:
        """`customer_phones`: (customer, phone digest) newly theirs; `loans_moved`: (loan, its new customer)."""


on_owners_changed: list[OwnersChanged] = []
on_messages_arrived: list[Callable[[Sequence[Message]], object]] = []
"""Called with new, changed and voided messages, whether they name a permit or not."""
