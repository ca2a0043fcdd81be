"""The gate: may this message go out? Every message that is sent has been asked for here."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest

import msgspec
import structlog
from django.db import transaction
from django.utils import timezone

from disputes.holds import calls, reading
from disputes.holds.permits import Grant, new_permit_id, write_grants
from disputes.holds.policies import pack_in_force
from disputes.holds.tallying import tally_denials
from disputes.holds.walking import Decision, GateItem, Walk, request_of

log = structlog.get_logger(__name__)

CHUNK = 2000
"""Items decided in one transaction."""
PART = 500
"""Items whose facts are read in one go: while one part is decided, the database reads the next."""
FIRST_PART = 125
"""Of several parts the first and the last are smaller: while they are read, or written, nobody decides."""
WAIT = 2.0
"""Seconds for which a chunk tries to get the locks of its items; then those left are `busy`."""
_NAP = (0.002, 0.006)


class Permitted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The permit of an item that is allowed. `id` None: a dry run grants none."""

    id: uuid.UUID
    expires_at: datetime


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the gate says of one item."""

    reasons: tuple[str, ...]
    next_allowed_at: datetime | None = None
    permit: Permitted | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """In the order asked. `decided_at`: the database's clock, of the last chunk."""

    decided_at: datetime
    answers: tuple[Answer, ...]


MALFORMED = Answer(reasons=("malformed",))
BUSY = Answer(reasons=("busy",))
UNDECIDABLE = Answer(reasons=("undecidable",))


def decide(
    *, items: Sequence[GateItem | None], caller: str, permit_seconds: int, dry_run: bool, wait: float = WAIT
) -> Answers:
    """Decides every item, and grants a permit for each that is allowed. None stands for one that could not be read.

    Opens its transactions, one for each chunk and round: call it outside of any. Whatever goes wrong with an item
    denies that item alone. The answer keeps the order asked; with a cap, a later item may have taken the slot of an
    earlier one whose locks were in use. `caller`: under whose name request ids are kept. `dry_run`: nothing is locked
    or written.
    """
    answers: list[Answer] = [MALFORMED] * len(items)
    decided_at: datetime | None = None
    places = [place for place, item in enumerate(items) if item is not None]
    for first in range(0, len(places), CHUNK):
        chunk = {place: item for place in places[first : first + CHUNK] if (item := items[place]) is not None}
        job = _Chunk(chunk=chunk, caller=caller, seconds=permit_seconds, dry_run=dry_run)
        try:
            job.run(wait=wait)
        except Exception as error:  # what cannot be decided is denied, and never takes the batch with it
            log.exception("gate_chunk_failed", items=len(job.left), error=type(error).__name__)
        for place in chunk:
            answers[place] = job.answers.get(place, UNDECIDABLE)
        decided_at = job.decided_at or decided_at
    at = decided_at or timezone.now()
    tally_denials(items=items, reasons=[answer.reasons for answer in answers], at=at, dry_run=dry_run)
    return Answers(decided_at=at, answers=tuple(answers))


class _Chunk:
    """Up to CHUNK items, decided in rounds: those whose locks were all got, committed; then the rest again."""

    def __init__(self, *, chunk: dict[int, GateItem], caller: str, seconds: int, dry_run: bool) -> None:
        self.left = dict(chunk)
        self.caller = caller
        self.good_for = timedelta(seconds=seconds)
        self.dry_run = dry_run
        self.answers: dict[int, Answer] = {}
        self.decided_at: datetime | None = None
        self.found: dict[int, Answer] = {}
        """What the round that is being decided answers."""
        self.given: dict[str, Grant] = {}
        """Its permits, by the request."""

    def run(self, *, wait: float) -> None:
        until = time.monotonic() + wait
        while self.left:
            if self.dry_run:
                self._settle(self._decide(None))
                return
            # Read before the lanes, to know which they are; a round that finds another owner under them leaves the
            # item. Of a single item the database looks them up itself.
            items = list(self.left.values())
            owners = reading.read_owners(items) if len(items) > 1 else None
            with transaction.atomic(durable=True):
                found = self._decide(owners)
            # Only what has been committed is an answer.
            self._settle(found)
            if self.left:
                if time.monotonic() >= until:
                    self._settle(dict.fromkeys(self.left, BUSY))
                    return
                time.sleep(random.uniform(*_NAP))  # noqa: S311 (jitter, no secret)

    def _settle(self, found: dict[int, Answer]) -> None:
        self.answers.update(found)
        for place in found:
            del self.left[place]

    def _decide(self, owners: reading.Owners | None) -> dict[int, Answer]:
        """One round. Needs a transaction, which frees the lanes. `owners`: as they were before it.

        1. lanes and locks of sending rules without waiting, and in later statements the facts; 2. the items whose locks
        were all got, and whose owners are who they were before, one by one in the order asked; 3. their permits, in one
        statement.
        """
        parts = _parts(list(self.left))
        if len(parts) == 1:
            return self._go(owners, parts)
        with reading.ahead():
            return self._go(owners, parts)

    def _go(self, owners: reading.Owners | None, parts: Sequence[Sequence[int]]) -> dict[int, Answer]:
        """Part by part. While one is decided, the database writes the permits of the part before it and then reads the
        facts of the next: they tell of every permit of the round but those of the part that is being decided."""
        self.found, self.given = {}, {}
        walk: Walk | None = None
        grants: list[Grant] = []
        asked = self._prepare(parts[0], owners)
        asked.ask()
        for part, following in zip_longest(parts, parts[1:]):
            here = asked
            if following is not None:  # worked out while the database still reads this part
                asked = self._prepare(following, owners)
            here.wait()
            self._write(grants)
            if following is not None:
                asked.ask()
            read = reading.read(here)
            self.decided_at = read.facts.at
            if walk is None:
                walk = Walk(read.facts)
            else:
                walk.go_on(read.facts, tells_of_earlier=not self.dry_run)
            grants = self._decide_part(walk, part, read, owners)
        self._write(grants)
        return self.found

    def _prepare(self, part: Sequence[int], owners: reading.Owners | None) -> reading.Asked:
        """What is asked of a part: the locks and the facts."""
        items = [self.left[place] for place in part]
        lanes: calls.Lanes = None
        if not self.dry_run:
            lanes = calls.OWN_LANES if owners is None else sorted(owners.lanes_of(items))
        return reading.prepare(
            items=items, lanes=lanes, caller=self.caller, pack_at=lambda at: pack_in_force(at=at), now=timezone.now()
        )

    def _write(self, grants: Sequence[Grant]) -> None:
        if grants and not self.dry_run:
            write_grants(caller=self.caller, grants=grants)

    def _decide_part(
        self, walk: Walk, part: Sequence[int], read: reading.Reading, owners: reading.Owners | None
    ) -> list[Grant]:
        """Answers those items of the part whose locks were got; returns the permits to be written."""
        items = [self.left[place] for place in part]
        locked = [True] * len(items) if self.dry_run else read.locked(items, read.before or owners)
        grants: list[Grant] = []
        for place, item, is_locked in zip(part, items, locked):
            if not is_locked:
                continue
            same = self.given.get(item.request_id) if item.request_id else None
            if same is not None:
                self.found[place] = self._same_request(item, same)
                continue
            decision = self._one(walk, item)
            if decision is None:
                self.found[place] = UNDECIDABLE
                continue
            grant = self._grant(item, decision, read.facts.at)
            if grant is not None:
                grants.append(grant)
                if item.request_id:
                    self.given[item.request_id] = grant
            self.found[place] = self._answer(decision, grant)
        return grants

    def _one(self, walk: Walk, item: GateItem) -> Decision | None:
        """The decision; None where the item's own facts cannot be read."""
        try:
            return walk.decide(item)
        except Exception as error:  # a record that nobody foresaw must not stop the batch, nor let the message out
            log.exception("gate_item_undecidable", loan=item.loan, error=type(error).__name__)
            return None

    def _grant(self, item: GateItem, decision: Decision, at: datetime) -> Grant | None:
        if not decision.allowed or decision.permit is not None:
            return None
        return Grant(
            id=new_permit_id(),
            item=item,
            customer=decision.customer,
            reply_to=item.reply_to if decision.answers else None,
            granted_at=at,
            expires_at=at + self.good_for,
        )

    def _answer(self, decision: Decision, grant: Grant | None) -> Answer:
        if not decision.allowed:
            return Answer(reasons=decision.reasons, next_allowed_at=decision.next_allowed_at)
        if self.dry_run:
            return Answer(reasons=())
        given = decision.permit or grant
        if given is None:
            raise RuntimeError("an item was allowed without a permit")
        return Answer(reasons=(), permit=Permitted(id=given.id, expires_at=given.expires_at))

    def _same_request(self, item: GateItem, grant: Grant) -> Answer:
        """The same request twice in one batch is one message: it has one permit. Another message by the same id is a
        slip."""
        if request_of(item.request_id, grant.item) != request_of(item.request_id, item):
            return MALFORMED
        if self.dry_run:
            return Answer(reasons=())
        return Answer(reasons=(), permit=Permitted(id=grant.id, expires_at=grant.expires_at))


def _parts(places: Sequence[int]) -> list[Sequence[int]]:
    """The places in parts: growing from a small one, and shrinking again to a small one."""
    parts: list[Sequence[int]] = []
    done, count = 0, len(places)
    while done < count:
        size = count if count <= PART else min(PART, FIRST_PART + done, max(FIRST_PART, (count - done) // 2))
        parts.append(places[done : done + size])
        done += size
    return parts
