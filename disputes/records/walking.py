"""Deciding what each line is beside what is stored: in order, line by line, as if each came alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection

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


@dataclass(slots=True)
class Record:
    """What is known of one record. `under`: everything that its versions have named."""

    ranks: set[Rank] = field(default_factory=set)
    under: set[str] = field(default_factory=set)

    def highest(self, version: int | None = None) -> Rank | None:
        ranks = self.ranks if version is None else {rank for rank in self.ranks if rank[0] == version}
        return max(ranks, default=None)


@dataclass(slots=True)
class Loans:
    """When loans were first received (None: not yet), and their zones."""

    received: dict[str, datetime | None]
    zones: dict[str, str]


@dataclass(slots=True)
class Outcome:
    """A line with its result; `posted_at` where a version is to be added (None: nothing is). `first`: of its record.

    `under`: everything that the record's versions have named, this one's included.
    """

    line: Line
    result: str
    posted_at: datetime | None = None
    first: bool = False
    under: frozenset[str] = frozenset()


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
        for type_, wanted in ids.items():
            under = UNDER.get(type_, "NULL")
            cursor.execute(
                f"SELECT external_id, version, posted_at, content, {under} FROM {VERSIONS[type_]._meta.db_table} "
                "WHERE external_id = ANY(%s)",
                [list(wanted)],
            )
            for external_id, version, posted_at, content, named in cursor.fetchall():
                record = by_key.setdefault((type_, external_id), Record())
                record.ranks.add((version, posted_at, bytes(content)))
                if named is not None:
                    record.under.add(named)
    undated = {line.fields["loan"] for line in lines if line.type == "repayment" and line.posted_at is None}
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
    record = records.by_key.setdefault((line.type, line.external_id), Record())
    highest = record.highest()
    if line.posted_at is None and _says_nothing_new(line, record, highest):
        return Outcome(line=line, result="unchanged")
    posted_at = line.posted_at or _posting_date(line, record=record, loans=records.loans, now=now)
    rank: Rank = (line.version, posted_at, line.content)
    if rank in record.ranks:
        return Outcome(line=line, result="unchanged")
    result = "created" if highest is None else "updated" if rank > highest else "stale"
    record.ranks.add(rank)
    if line.type in UNDER:
        record.under.add(line.fields[UNDER[line.type]])
    if line.type == "loan" and records.loans.received.get(line.external_id) is None:
        records.loans.received[line.external_id] = now
    return Outcome(line=line, result=result, posted_at=posted_at, first=highest is None, under=frozenset(record.under))


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
