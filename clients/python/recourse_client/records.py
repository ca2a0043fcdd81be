"""Telling the service what was sent: the line that brings a permit back, and the import of such lines."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from recourse_client.messages import Failed, Item, Permit, Reason
from recourse_client.reading import Line, read_lines
from recourse_client.service import Service

MOST_LINES = 500
MOST_BYTES = 512 * 1024
"""Of one call: well below what the service counts as a bulk import, of which it takes few at once."""
WORTH_ANOTHER_TRY = frozenset(
    {Reason.UNREACHABLE, Reason.TIMEOUT, Reason.SERVER_ERROR, Reason.BAD_ANSWER, Reason.THROTTLED}
)


def message_record(
    *,
    external_id: str,
    item: Item,
    permit: Permit | str,
    sent_at: datetime,
    body: str | None = None,
    **more: Any,
) -> str:
    """The NDJSON line of a message that was sent, without a line's end.

    `external_id`: the sender's own id of the message, the same whenever it is reported; `sent_at`: aware, when the
    carrier took it. `more`: further fields of the type `message` (``list_built_at`` ``campaign`` ``short_ref``
    ``claimed_amount`` ``claimed_days_past_due`` ``delivery_status`` ``posted_at``), as the service reads them. Raises
    ValueError.
    """
    if sent_at.tzinfo is None:
        raise ValueError("sent_at has a zone")
    line = {
        "type": "message",
        "external_id": external_id,
        "loan": item.loan,
        "phone": item.phone,
        "channel": item.channel,
        "category": item.category,
        "sending_rule": item.sending_rule,
        "vendor": item.vendor,
        "sent_at": sent_at.isoformat(),
        "permit": permit.id if isinstance(permit, Permit) else permit,
        "body": body,
        **more,
    }
    return json.dumps({name: value for name, value in line.items() if value is not None}, ensure_ascii=False)


def report(
    service: Service, messages: Iterable[str], *, tries: int = 5, pause_seconds: float = 0.5, answer_seconds: float = 30
) -> list[Line]:
    """Imports the lines (scope `records:write`), some hundreds a call, and returns what became of each, in order.

    Tried again where no whole answer came, `tries` times a call, after pauses that double: the same line twice changes
    nothing. Raises Failed once that is to no avail; what was reported until then stays, and everything may be reported
    again.
    """
    results: list[Line] = []
    for part in _parts(messages):
        body = "\n".join(part).encode() + b"\n"
        for attempt in range(1, tries + 1):
            try:
                answer = service.call(
                    "POST",
                    "/records/import",
                    body=body,
                    content_type="application/x-ndjson",
                    answer_seconds=answer_seconds,
                )
                told = read_lines(answer.body, asked=len(part))
                results += [replace(one, line=len(results) + one.line) for one in told]
                break
            except Failed as failed:
                if failed.reason not in WORTH_ANOTHER_TRY or attempt == tries:
                    raise
                time.sleep(max(pause_seconds * 2 ** (attempt - 1), failed.retry_after or 0.0))
    return results


def _parts(messages: Iterable[str]) -> Iterable[Sequence[str]]:
    part: list[str] = []
    size = 0
    for message in messages:
        if "\n" in message:
            raise ValueError("a record is one line")
        length = len(message.encode()) + 1
        if part and (len(part) == MOST_LINES or size + length > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(message)
        size += length
    if part:
        yield part
