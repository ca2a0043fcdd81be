"""Reading a carrier's delivery file: CSV with a header, or NDJSON; a send a line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from django.conf import settings

from config.fields import phone_digest
from config.values.phone import mask_phone, parse_phone
from disputes.holds.reconciling import Send

Format = Literal["csv", "ndjson"]
REQUIRED = ("phone", "sent_at")
COLUMNS = (*REQUIRED, "id", "vendor", "permit", "short_ref", "status")
LONGEST = 200


class BadFile(ValueError):
    """The file cannot be read at all; the message says why."""


def read_sends(
    *, lines: Iterable[bytes], form: Format, zone: str, carrier_ahead: timedelta = timedelta(0)
) -> Iterator[Send | int]:
    """The sends, in the file's order; the number of a line that cannot be read in its place.

    `zone`: of instants without an offset; `carrier_ahead`: how far the carrier's clock is ahead of the service's.
    Raises BadFile.
    """
    place = ZoneInfo(zone)
    for number, row in _csv_rows(lines) if form == "csv" else _ndjson_rows(lines):
        send = None if row is None else _read(number, row, place, carrier_ahead)
        yield number if send is None else send


def _csv_rows(lines: Iterable[bytes]) -> Iterator[tuple[int, Mapping[str, Any] | None]]:
    reader = csv.reader(
        line.decode("utf-8-sig" if place == 0 else "utf-8", "replace") for place, line in enumerate(lines)
    )
    try:
        names = [name.strip() for name in next(reader, [])]
        if missing := [name for name in REQUIRED if name not in names]:
            raise BadFile(f"The first line must name the columns {', '.join(REQUIRED)}; it lacks {', '.join(missing)}.")
        for row in reader:
            if row:
                yield reader.line_num, dict(zip(names, row)) if len(row) == len(names) else None
    except csv.Error as error:
        raise BadFile(f"Line {reader.line_num} is no CSV: {error}.") from error


def _ndjson_rows(lines: Iterable[bytes]) -> Iterator[tuple[int, Mapping[str, Any] | None]]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield number, decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            yield number, None


def _read(number: int, row: Mapping[str, Any], zone: ZoneInfo, ahead: timedelta) -> Send | None:
    said = {name: row.get(name) for name in COLUMNS}
    said["status"] = said["status"] or row.get("delivery_status")
    texts = {name: "" if value is None else str(value).strip() for name, value in said.items()}
    if any(len(text) > LONGEST or "\0" in text or "\ufffd" in text for text in texts.values()):
        return None
    try:
        phone = parse_phone(texts["phone"], region=settings.DEFAULT_REGION)
        at = datetime.fromisoformat(texts["sent_at"])
        at = (at if at.tzinfo else at.replace(tzinfo=zone)) - ahead
    except (ValueError, OverflowError):
        return None
    return Send(
        line=number,
        phone=phone_digest(phone),
        masked=mask_phone(phone),
        at=at,
        id=texts["id"],
        vendor=texts["vendor"],
        permit=texts["permit"],
        short_ref=texts["short_ref"],
        status=texts["status"],
    )
