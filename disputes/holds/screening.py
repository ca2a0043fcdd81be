"""Screening: what the gate would say of a whole campaign, without granting anything.

Rows are decided a chunk at a time, each of one snapshot. Most rows of a campaign differ in nothing that the gate looks
at: no hold covers them, nothing was sent to them lately, the account is plainly overdue or plainly not. One statement
sorts such rows into classes; one row of each class is decided by the gate's own walk, and its answer is the class's.
Every other row is walked by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.db import DataError, ProgrammingError, connection, transaction
from django.utils import timezone

from config.values.ids import floor_of
from disputes.check.matter import days_needed
from disputes.holds import reading
from disputes.holds.gate import MALFORMED, UNDECIDABLE, Answer
from disputes.holds.permits import CLOCKS_DIFFER, COUNTS_FOR
from disputes.holds.policies import pack_in_force
from disputes.holds.walking import COLLECTING, GateItem, Walk
from disputes.records.models import SendingRule

log = structlog.get_logger(__name__)

ROWS = 20_000
"""Rows of one chunk: enough for the database to join rather than to look up, few enough for memory to stay flat."""
WALKED = 500
"""Rows whose facts are read in one call."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What rows of a campaign share."""

    channel: str
    category: str
    sending_rule: str | None


@dataclass(kw_only=True, slots=True)
class Rows:
    """The rows of one chunk, as columns of one length. `phones`: digests, None where the row cannot be read; `loans`:
    None where it names none; `kinds`: places in `kind_list`."""

    numbers: list[int] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    phones: list[bytes | None] = field(default_factory=list)
    loans: list[str | None] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    kind_list: list[Kind] = field(default_factory=list)
    _places: dict[tuple[str, str, str | None], int] = field(default_factory=dict)

    def kind_of(self, channel: str, category: str, sending_rule: str | None) -> int:
        """The place of such a kind, made where there is none yet."""
        key = (channel, category, sending_rule)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self.kind_list)
            self.kind_list.append(Kind(channel, category, sending_rule))
        return place

    def add(self, *, number: int, request_id: str, phone: bytes | None, loan: str | None, kind: int) -> None:
        self.numbers.append(number)
        self.requests.append(request_id)
        self.phones.append(phone)
        self.loans.append(loan)
        self.kinds.append(kind)

    def item(self, place: int) -> GateItem:
        """The row as the gate is asked it. Not for one that cannot be read."""
        kind, phone = self.kind_list[self.kinds[place]], self.phones[place]
        if phone is None:
            raise ValueError("this row could not be read")
        return GateItem(
            request_id=self.requests[place],
            phone=phone,
            loan=self.loans[place],
            channel=kind.channel,
            category=kind.category,
            sending_rule=kind.sending_rule,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Screened:
    """`at`: the database's clock, no later than the snapshot that the answers are true of. `answers`: one a row;
    equal ones may be the same object."""

    at: datetime
    answers: Sequence[Answer]


def screen_rows(rows: Rows, *, caller: str) -> Screened:
    """What the gate would say of each row by itself: a screening takes no slot, so no row stands in another's way.

    `caller`: under whose name request ids are kept. Locks and writes nothing. Opens a transaction, whose one snapshot
    (repeatable read) is no older than the call; inside another transaction it reads what that one sees. Raises what
    the database raises where it cannot be reached.
    """
    answers: list[Answer] = [MALFORMED] * len(rows.phones)
    places = [place for place, phone in enumerate(rows.phones) if phone is not None]
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        with connection.cursor() as cursor:
            if outermost:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            # The statement's beginning: its snapshot is taken after it.
            cursor.execute("SELECT statement_timestamp()")
            at: datetime = cursor.fetchone()[0].astimezone(UTC)
        classes = _classes(rows, places=places, at=at, caller=caller)
        decided = _walk(
            rows, places=[*(members[0] for members in classes.members), *classes.left], at=at, caller=caller
        )
    for members in classes.members:
        answer = decided[members[0]]
        for place in members:
            answers[place] = answer
    for place in classes.left:
        answers[place] = decided[place]
    return Screened(at=at, answers=answers)


@dataclass(frozen=True, kw_only=True, slots=True)
class Classes:
    """`members`: places of rows that must be answered alike; `left`: places of rows to walk one by one."""

    members: Sequence[Sequence[int]]
    left: Sequence[int]


def _walk(rows: Rows, *, places: Sequence[int], at: datetime, caller: str) -> dict[int, Answer]:
    """The gate's own answers, place by place."""
    found: dict[int, Answer] = {}
    now = timezone.now()
    for begin in range(0, len(places), WALKED):
        asked = {place: rows.item(place) for place in places[begin : begin + WALKED]}
        read = reading.read_facts(
            items=list(asked.values()),
            lanes=None,
            caller=caller,
            pack_at=lambda at: pack_in_force(at=at),
            now=now,
            at=at,
        )
        walk = Walk(read.facts)
        for place, item in asked.items():
            try:
                decision = walk.look(item)
            except Exception as error:  # as in the gate: one record that nobody foresaw spoils its own row alone
                log.exception("screening_row_undecidable", loan=item.loan, error=type(error).__name__)
                found[place] = UNDECIDABLE
                continue
            found[place] = Answer(reasons=decision.reasons, next_allowed_at=decision.next_allowed_at)
    return found


# What makes a class, by the closed form of `disputes.check.standing`: a schedule without amounts below zero has been
# overdue for `needs` days where what fell due until then, less what was paid, is beyond the tolerance. `first_day`
# and `last_day` are the earliest and the latest local date on earth, so that an account near its bound is walked.
_FELL_DUE = "(SELECT coalesce(sum(a), 0) FROM unnest(loan.due_on, loan.amount) AS line (d, a) WHERE d <= {day})"
_PERMIT = """SELECT n FROM disputes_permit AS permit JOIN named ON {on}
        WHERE permit.id BETWEEN %(floor)s AND %(ceiling)s AND permit.unused_at IS NULL AND """
_COUNTS = _PERMIT + "permit.granted_at > %(day_before)s AND permit.message IS NULL"
_LATELY = "message.sent_at > %(look_back)s AND NOT message.voided"
_CLASSES = f"""
WITH named AS MATERIALIZED (
    SELECT asked.n, asked.kind, asked.loan, asked.phone, asked.request, loan.customer,
        CASE WHEN loan.customer IS NULL OR needs.days = 0 THEN '' ELSE loan.time_zone END AS zone,
        CASE
            WHEN loan.customer IS NULL THEN 'unknown'
            WHEN needs.days = 0 THEN 'any'
            WHEN loan.settled_on IS NOT NULL OR loan.written_off_on IS NOT NULL OR loan.pauses <> '[]'
                OR loan.arrangements <> '[]' OR 0 > ANY (loan.amount) THEN NULL
            WHEN {_FELL_DUE.format(day="%(first_day)s::date - greatest(needs.days, loan.grace_days + 1)")}
                > loan.paid + loan.tolerance THEN 'overdue'
            WHEN {_FELL_DUE.format(day="%(last_day)s::date - 1")} <= loan.paid + loan.tolerance THEN 'paid'
        END AS account
    FROM screened AS asked
    JOIN unnest(%(needs)s::int[]) WITH ORDINALITY AS needs (days, place) ON needs.place = asked.kind + 1
    LEFT JOIN disputes_loan AS loan ON loan.external_id = asked.loan
), near AS (
    SELECT n FROM (
        SELECT n, 'l:' || loan AS key FROM named
        UNION ALL SELECT n, 'c:' || customer FROM named WHERE customer IS NOT NULL
        UNION ALL SELECT n, 'p:' || encode(phone, 'hex') FROM named
    ) AS keys JOIN disputes_holdcover AS cover ON cover.key = keys.key AND cover.released_at IS NULL
    UNION {_COUNTS.format(on="permit.loan = named.loan")}
    UNION {_COUNTS.format(on="permit.customer = named.customer")}
    UNION {_COUNTS.format(on="permit.phone_digest = named.phone")}
    UNION SELECT n FROM disputes_permit AS permit JOIN named ON permit.request_id = named.request
        WHERE permit.id BETWEEN %(floor)s AND %(ceiling)s AND permit.caller = %(caller)s
            AND (permit.expires_at > %(at)s OR permit.message IS NOT NULL)
    UNION SELECT n FROM disputes_message AS message JOIN named ON message.phone_digest = named.phone WHERE {_LATELY}
    UNION SELECT n FROM disputes_message AS message JOIN named ON message.loan = named.loan WHERE {_LATELY}
    UNION
    SELECT n FROM disputes_message AS message JOIN disputes_loan AS loan ON loan.external_id = message.loan
        JOIN named ON named.customer = loan.customer WHERE {_LATELY}
)
SELECT array_agg(named.n), named.kind, named.account, named.zone, customer.time_zones,
    EXISTS (
        SELECT FROM disputes_customerphone AS phone
        WHERE phone.digest = named.phone AND phone.customer = named.customer
            AND phone.first IS NULL AND phone.until IS NULL
    ) AS theirs
FROM named LEFT JOIN near ON near.n = named.n
LEFT JOIN disputes_customer AS customer ON customer.external_id = named.customer
WHERE named.account IS NOT NULL AND near.n IS NULL
    AND (customer.contact_preferences = '{{}}' OR named.customer IS NULL)
    AND NOT EXISTS (
        SELECT FROM disputes_customerphone AS phone
        WHERE phone.digest = named.phone AND phone.customer = named.customer
            AND (phone.first IS NOT NULL OR phone.until IS NOT NULL)
    )
GROUP BY named.kind, named.account, named.zone, customer.time_zones, theirs
"""

_TABLE = """
CREATE TEMP TABLE screened (n int, kind int, loan text COLLATE "C", phone bytea, request text COLLATE "C")
    ON COMMIT DROP;
SET LOCAL jit = off
"""
_ESCAPED = re.compile(r"[\\\\\t\n\r]")
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def _copied(rows: Rows, places: Sequence[int]) -> str:
    """The rows as COPY reads them. An empty request is never granted."""
    kinds, loans, phones, requests = rows.kinds, rows.loans, rows.phones, rows.requests
    lines = []
    for place in places:
        loan, request = loans[place] or "", requests[place]
        if _ESCAPED.search(loan) or _ESCAPED.search(request):
            loan, request = (_ESCAPED.sub(lambda found: _ESCAPES[found[0]], text) for text in (loan, request))
        lines.append(f"{place}\t{kinds[place]}\t{loan}\t\\\\x{(phones[place] or b'').hex()}\t{request}\n")
    return "".join(lines)


def _classes(rows: Rows, *, places: Sequence[int], at: datetime, caller: str) -> Classes:
    """Sorts rows into classes. What no class takes is left: a row that a hold covers, or that something was sent to
    lately; one without a loan; a survey, which hangs on the persons behind a phone; one whose account is near a bound
    or has pauses or arrangements."""
    plain = [
        place
        for place in places
        if rows.loans[place] is not None and rows.kind_list[rows.kinds[place]].category != "survey"
    ]
    if not plain:
        return Classes(members=(), left=places)
    asked: dict[str, Any] = {
        "needs": _needs(rows.kind_list),
        "first_day": (at - timedelta(hours=12)).date(),
        "last_day": (at + timedelta(hours=14)).date(),
        "day_before": at - COUNTS_FOR,
        "look_back": at - pack_in_force(at=at).look_back(),
        "floor": floor_of(at - COUNTS_FOR - CLOCKS_DIFFER),
        "ceiling": floor_of(at + CLOCKS_DIFFER),
        "caller": caller,
        "at": at,
    }
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_TABLE)
            with cursor.copy("COPY screened FROM STDIN") as copy:
                copy.write(_copied(rows, plain))
            cursor.execute("ANALYZE screened")
            cursor.execute(_CLASSES, asked)
            members = [row[0] for row in cursor.fetchall()]
            cursor.execute("DROP TABLE screened")
    except (DataError, ProgrammingError) as error:
        # A row that the statement cannot take, or a role that may make no temporary table: the walk needs neither.
        log.exception("screening_classes_failed", rows=len(plain), error=type(error).__name__)
        members = []
    taken = {place for places in members for place in places}
    return Classes(members=members, left=[place for place in places if place not in taken])


def _needs(kinds: Sequence[Kind]) -> list[int]:
    """Days past due that each kind presupposes, by the check's own code; 0: the account is not asked."""
    names = {kind.sending_rule for kind in kinds if kind.sending_rule is not None}
    rules = {rule.pk: rule for rule in SendingRule.objects.filter(pk__in=names)} if names else {}
    found = []
    for kind in kinds:
        rule = rules.get(kind.sending_rule) if kind.sending_rule is not None else None
        needs = days_needed(
            category=kind.category, aim=(rule.aim or None) if rule else None, min_dpd=rule.min_dpd if rule else None
        )
        found.append(needs if kind.category in COLLECTING else 0)
    return found
