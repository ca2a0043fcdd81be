"""Reading a carrier's delivery file: CSV with a header, or NDJSON; a send a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from django.conf import settings
from msgspec.structs import replace

from config.api.fields import FIRST_YEAR, LAST_YEAR
from config.fields import phone_digest
from config.values.phone import mask_phone, parse_phone
from disputes.holds.reconciling import Send
from disputes.records.csv_reading import whole_rows
from disputes.records.feeding import Piece, split_lines

Format = Literal["csv", "ndjson"]
REQUIRED = ("phone", "sent_at")
COLUMNS = (*REQUIRED, "id", "vendor", "permit", "short_ref", "status")
LONGEST = 200
GZIP = b"\x1f\x8b"


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
    pieces = split_lines(_unpacked(lines))
    for number, row in _csv_rows(pieces) if form == "csv" else _ndjson_rows(pieces):
        send = None if row is None else _read(number, row, place, carrier_ahead)
        yield number if send is None else send


def _unpacked(lines: Iterable[bytes]) -> Iterator[bytes]:
    for place, line in enumerate(lines):
        if place == 0 and line.startswith(GZIP):
            raise BadFile("The file is compressed: unpack it first.")
        yield line


def _csv_rows(pieces: Iterable[Piece]) -> Iterator[tuple[int, Mapping[str, Any] | None]]:
    # In place of what is no UTF-8 stands a mark: it spoils its own cell, and that alone where it is one of ours.
    rows = whole_rows(replace(one, raw=one.raw.decode("utf-8", "replace").encode()) for one in pieces)
    header = next(rows, None)
    names = [] if header is None else [name.strip() for name in header.cells]
    if missing := [name for name in REQUIRED if name not in names]:
        raise BadFile(f"The first line must name the columns {', '.join(REQUIRED)}; it lacks {', '.join(missing)}.")
    for row in rows:
        whole = row.refused is None and len(row.cells) == len(names)
        yield row.first.number, dict(zip(names, row.cells)) if whole else None


def _ndjson_rows(pieces: Iterable[Piece]) -> Iterator[tuple[int, Mapping[str, Any] | None]]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for one in pieces:
        if not one.raw.strip():
            continue
        try:
            yield one.number, decode(one.raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            yield one.number, None


def _read(number: int, row: Mapping[str, Any], zone: ZoneInfo, ahead: timedelta) -> Send | None:
    said = {name: row.get(name) for name in COLUMNS}
    said["status"] = said["status"] or row.get("delivery_status")
    texts = {name: "" if value is None else str(value).strip() for name, value in said.items()}
    if any(len(text) > LONGEST or "\0" in text or "\ufffd" in text for text in texts.values()):
        return None
    try:
        phone = parse_phone(texts["phone"], region=settings.DEFAULT_REGION)
        at = datetime.fromisoformat(texts["sent_at"])
        # In UTC: the database knows no offset of 16 hours or more.
        at = (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC) - ahead
    except (ValueError, OverflowError):
        return None
    if not FIRST_YEAR < at.year < LAST_YEAR:
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
