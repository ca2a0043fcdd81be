"""Loading the demo lender through the import, and keeping its feeds as fresh as a lender's own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from demo.calendar import ZONE
from demo.lender import FEEDS, demo_lines, watermark
from disputes.records.importing import import_lines
from disputes.records.models import Loan, WatermarkVersion

FRESH_FOR = timedelta(hours=3)
"""How old the newest watermark may be before another is sent; the house's policy allows a day."""


class Refused(Exception):
    """The import took some of the demo lender's lines for wrong: a fault of ours."""


def day_made() -> date | None:
    """The local date on which the demo lender was made, or begun; None where there is none."""
    begun = WatermarkVersion.objects.filter(external_id__startswith="messages-demo-began-").order_by("id").first()
    return None if begun is None else datetime.strptime(begun.external_id[-8:], "%Y%m%d").date()  # noqa: DTZ007 - a date


def is_loaded() -> bool:
    """Whether all of it is there."""
    return WatermarkVersion.objects.filter(external_id__startswith="messages-demo-loaded-").exists()


def is_alive() -> bool:
    """Whether the last weeks of the demo lender have been told."""
    return WatermarkVersion.objects.filter(external_id__startswith="messages-demo-alive-").exists()


def note_alive(*, now: datetime) -> None:
    """They have. Opens its transactions."""
    until = now.astimezone(UTC).replace(microsecond=0)
    _import([watermark("messages", name=f"demo-alive-{until:%Y%m%d}", until=until.isoformat())], now=now)


def load(*, now: datetime) -> int:
    """Imports the demo lender and returns how many lines it has; goes on where an earlier load was cut short, and does
    nothing where it is there. Opens its transactions. Raises Refused.

    A database with the ten stories of an earlier release keeps them as they are.
    """
    if is_loaded():
        return 0
    begun = day_made()
    today = begun or now.astimezone(ZoneInfo(ZONE)).date()
    stories = begun is not None or not Loan.objects.filter(external_id="L-1001").exists()
    return _import(demo_lines(today=today, stories=stories), now=now)


def refresh(*, now: datetime) -> bool:
    """Sends watermarks up to now where those of the demo lender have grown old, as a lender's nightly feeds do. False:
    there was nothing to send. Opens its transactions."""
    if not is_loaded():
        return False
    newest = WatermarkVersion.objects.filter(feed="repayments").order_by("-complete_until").first()
    if newest is not None and now - newest.complete_until < FRESH_FOR:
        return False
    until = now.astimezone(UTC).replace(microsecond=0)
    _import((watermark(feed, name=f"{until:%Y%m%dT%H%M}", until=until.isoformat()) for feed in FEEDS), now=now)
    return True


def _import(lines: Iterable[dict[str, Any]], *, now: datetime) -> int:
    results = list(import_lines(lines=_encoded(lines), dry_run=False, now=now))
    failed = [result for result in results if result.result == "error"]
    if failed:
        raise Refused(f"{len(failed)} of {len(results)} lines were refused; the first: {failed[0]}")
    return len(results)


def _encoded(lines: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    for line in lines:
        yield json.dumps(line, ensure_ascii=False).encode()
