"""Whether the lender's records are recent enough to speak of an instant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from disputes.policy.packs import Pack


def feeds_behind(*, pack: Pack, reached: Mapping[str, datetime], at: datetime) -> tuple[str, ...]:
    """The feeds that are behind `at` (aware) by more than the pack allows, in the order of their names.

    `reached`: feed → the instant up to which it is complete. A feed that never sent a watermark is behind; where the
    pack says that the lender sends none, no feed is.
    """
    if not pack.records.watermarks:
        return ()
    lag = timedelta(hours=pack.records.max_lag_hours)
    return tuple(feed for feed in pack.records.feeds if feed not in reached or at - reached[feed] > lag)
