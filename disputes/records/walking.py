"""Deciding what each line is beside what is stored: in order, line by line, as if each came alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
from django.conf import settings
from django.db import connection
from psycopg.types.datetime import TimestamptzLoader

from disputes.check.facts import ALWAYS, NO_VERSION
from disputes.records.models import VERSIONS, Loan
from disputes.records.reading import DATED_TYPES, Line

Rank = tuple[int, datetime, bytes]
"""(version, posted_at, content): the highest is the version in force."""
Key = tuple[str, str]
"""(type, external id)."""

UNDER = {"instalment": "loan", "repayment": "loan", "reversal": "repayment"}
"""What a type's records stand under."""
_TICK = timedelta(microseconds=1)


class Record(msgspec.Struct, gc=False):
    """What is known of one record. `under`: everything that its versions have named."""

    ranks: set[Rank] = msgspec.field(default_factory=set)
    under: set[str] = msgspec.field(default_factory=set)

    def highest(self, version: int | None = None) -> Rank | None:
        ranks = self.ranks if version is None else {rank for rank in self.ranks if rank[0] == version}
        return max(ranks, default=None)


@dataclass(slots=True)
class Loans:
    """When loans were first received (None: not yet), and their zones."""

    received: dict[str, datetime | None]
    zones: dict[str, str]


class Outcome(msgspec.Struct, gc=False):
    """A line with its result; `posted_at` where a version is to be added (None: nothing is). `first`: of its record.

    `moved`: everything that the record's versions have named, this one's included, where that is more than one thing.
    """

    line: Line
    result: str
    posted_at: datetime | None = None
    first: bool = False
    moved: frozenset[str] = frozenset()


@dataclass(slots=True)
class Records:
    """What is stored of the records that a batch names."""

    by_key: dict[Key, Record]
    loans: Loans


def read_records(lines: Sequence[Line]) -> Records:
    """One look-up a type, and one of the loans of repayments that do not say when they were posted."""
    ids: dict[str, set[str]] = {}
    for line in lines:
        ids.setdefault(line.type, set()).add(line.external_id)
    by_key: dict[Key, Record] = {}
    with connection.cursor() as cursor:
        # Django's own reads every instant in Python; the time zone of a connection is UTC either way.
        cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
        for type_, wanted in ids.items():
            cursor.execute(
                f"SELECT external_id, version, posted_at, content, {UNDER.get(type_, 'NULL')} "
                f"FROM {VERSIONS[type_]._meta.db_table} WHERE external_id = ANY(string_to_array(%s, ' '))",
                [" ".join(wanted)],  # an id has no space in it; one text costs a tenth of an array of them
            )
            for external_id, version, posted_at, content, named in cursor.fetchall():
                record = by_key.get((type_, external_id))
                if record is None:
                    record = by_key[type_, external_id] = Record()
                record.ranks.add((version, posted_at, content))
                if named is not None:
                    record.under.add(named)
    undated = {line.fields["loan"] for line in lines if line.posted_at is None and line.type == "repayment"}
    return Records(by_key=by_key, loans=_read_loans(undated))


def _read_loans(ids: Iterable[str]) -> Loans:
    wanted = sorted(ids)
    rows = (
        Loan.objects.filter(external_id__in=wanted).values_list("external_id", "first_received_at", "time_zone")
        if wanted
        else ()
    )
    loans = Loans(received={}, zones={})
    for external_id, received_at, zone in rows:
        loans.received[external_id], loans.zones[external_id] = received_at, zone
    return loans


def walk(lines: Iterable[Line], *, records: Records, now: datetime) -> list[Outcome]:
    """The outcome of each line, in order. `records` grows with the lines, so that a later one sees an earlier one."""
    return [_decide(line, records=records, now=now) for line in lines]


def _decide(line: Line, *, records: Records, now: datetime) -> Outcome:
    key = (line.type, line.external_id)
    record = records.by_key.get(key)
    if record is None:
        record = records.by_key[key] = Record()
    posted_at = line.posted_at
    if posted_at is None:
        highest = record.highest()
        if _says_nothing_new(line, record, highest):
            return Outcome(line, "unchanged")
        posted_at = _posting_date(line, record=record, loans=records.loans, now=now)
    rank: Rank = (line.version, posted_at, line.content)
    ranks = record.ranks
    if rank in ranks:
        return Outcome(line, "unchanged")
    result = "created" if not ranks else "updated" if rank > max(ranks) else "stale"
    ranks.add(rank)
    moved: frozenset[str] = frozenset()
    if line.type in UNDER:
        under = record.under
        under.add(line.fields[UNDER[line.type]])
        if len(under) > 1:
            moved = frozenset(under)
    elif line.type == "loan" and records.loans.received.get(line.external_id) is None:
        records.loans.received[line.external_id] = now
    return Outcome(line, result, posted_at, result == "created", moved)


def _says_nothing_new(line: Line, record: Record, highest: Rank | None) -> bool:
    """A line that does not say when it was posted repeats what is in force, or the version of its number."""
    if highest is None:
        return False
    if line.version == NO_VERSION and highest[2] == line.content:
        return True
    same_number = record.highest(line.version)
    return same_number is not None and same_number[2] == line.content


def _posting_date(line: Line, *, record: Record, loans: Loans, now: datetime) -> datetime:
    """When the lender's records first showed a line that does not say so.

    Now, but: the first line received of a customer, loan, instalment or sending rule was always known; a repayment paid
    before its loan was first received counts as posted when it was paid. Always after the record's other versions of
    that number, since lines are applied in the order in which they come.
    """
    posted_at = now
    if line.type in DATED_TYPES and not record.ranks:
        posted_at = ALWAYS
    elif line.type == "repayment":
        received_at = loans.received.get(line.fields["loan"])
        paid_at = _paid_at(line, loans)
        if received_at is None or paid_at < received_at:
            posted_at = min(paid_at, now)
    before = record.highest(line.version)
    return posted_at if before is None else max(posted_at, before[1] + _TICK)


def _paid_at(line: Line, loans: Loans) -> datetime:
    at: datetime | None = line.fields["paid_at"]
    if at is not None:
        return at
    zone = ZoneInfo(loans.zones.get(line.fields["loan"]) or settings.LENDER_TIME_ZONE)
    return datetime.combine(line.fields["paid_on"], time(0), tzinfo=zone).astimezone(UTC)
