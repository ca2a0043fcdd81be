"""What a dispute waits to hear of from the import: its loan's records, or a message that nobody could find yet; once it
is closed, records of its loan by which it would have ended otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from disputes.cases.models import Dispute
from disputes.records import watching
from disputes.records.watching import AFTER

LET_GO_AT_ONCE = 500


def watch_for(*, dispute: Dispute, keys: Sequence[str]) -> None:
    """Adds keys to what the dispute watches for. Needs the dispute's transaction; the caller saves `watching`."""
    new = [key for key in keys if key not in dispute.watching]
    watching.watch(keys=new)
    dispute.watching = [*dispute.watching, *new]


def unwatch_dispute(*, dispute: Dispute) -> None:
    """Lets go of all that the dispute watched for while it was open. Needs its transaction."""
    kept = [key for key in dispute.watching if key.startswith(AFTER)]
    watching.unwatch(keys=[key for key in dispute.watching if key not in kept])
    dispute.watching = kept
    dispute.save(update_fields=["watching"])


def watch_closed(*, dispute: Dispute, until: datetime) -> None:
    """From its closing on: late records of its loan, up to `until`. Needs the transaction that closes it, with the
    loan's row locked: an import that comes after it then sees the watch, and one before it has moved the revision."""
    watch_for(dispute=dispute, keys=[AFTER + str(dispute.loan)])
    dispute.watched_until = until
    dispute.save(update_fields=["watching", "watched_until"])


def unwatch_closed(*, dispute: Dispute) -> None:
    """Lets go of the late records. Needs its transaction, and comes after the loan's own key was taken, so that two
    disputes about one loan take the keys in one order. The caller saves `watching` and `watched_until`."""
    late = [key for key in dispute.watching if key.startswith(AFTER)]
    watching.unwatch(keys=late)
    dispute.watching = [key for key in dispute.watching if key not in late]
    dispute.watched_until = None
