"""What an open dispute waits to hear of from the import: its loan's records, or a message that nobody could find
yet."""

from __future__ import annotations

from collections.abc import Sequence

from disputes.cases.models import Dispute
from disputes.records import watching


def watch_for(*, dispute: Dispute, keys: Sequence[str]) -> None:
    """Adds keys to what the dispute watches for. Needs the dispute's transaction; the caller saves `watching`."""
    new = [key for key in keys if key not in dispute.watching]
    watching.watch(keys=new)
    dispute.watching = [*dispute.watching, *new]


def unwatch_dispute(*, dispute: Dispute) -> None:
    """Lets go of all that the dispute watched for. Needs its transaction."""
    watching.unwatch(keys=dispute.watching)
    dispute.watching = []
    dispute.save(update_fields=["watching"])
