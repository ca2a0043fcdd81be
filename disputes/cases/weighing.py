"""Judging disputes' messages by the records as they are now: one, or many in a few statements. Writes nothing."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from disputes.cases.assembling import Assembled, around, assemble
from disputes.cases.models import Check, Dispute
from disputes.cases.reading import claim_of
from disputes.check import canonical
from disputes.check.judging import ENGINE_VERSION, judge
from disputes.policy.packs import Pack
from disputes.records import queries as records
from disputes.records.gathering import gather_histories
from disputes.records.models import Message

TRIES = 8
"""How often a dispute is weighed anew where its loan's records changed meanwhile."""


class RecordsKeptChanging(Exception):
    """The loan's records changed during each of the tries; the outbox tries again later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighed:
    """`check`: as it would be written now, unsaved; `loan`: what it rests on (empty: none); `pack`: by which."""

    check: Check
    loan: str
    pack: Pack


def weigh(*, dispute: Dispute, message: Message, now: datetime) -> Weighed:
    """One dispute. The loan's revision is read before its history, so that the history is never older than it."""
    revision = records.revision_of_loan(loan=message.loan)
    read = assemble(messages=[message])[message.pk]
    return weighed(dispute=dispute, message=message, read=read, revision=revision, now=now)


def weigh_many(*, disputes: Sequence[Dispute], now: datetime) -> dict[uuid.UUID, Weighed]:
    """Disputes with a message, read with it; by dispute, in a fixed number of statements. As `weigh` otherwise."""
    messages = {one.message.pk: one.message for one in disputes if one.message is not None}
    loans = {one.loan for one in messages.values() if one.loan}
    revisions = _revisions(loans)
    rules: dict[str, set[str]] = {loan: set() for loan in loans}
    for message in messages.values():
        if message.loan and message.sending_rule:
            rules[message.loan].add(message.sending_rule)
    with collector_off():
        histories = gather_histories(loans=loans, sending_rules=rules)
        read = around(messages=list(messages.values()), histories=histories)
        return {
            one.pk: weighed(
                dispute=one,
                message=one.message,
                read=read[one.message.pk],
                revision=revisions.get(one.message.loan or "", 0),
                now=now,
            )
            for one in disputes
            if one.message is not None
        }


def _revisions(loans: Iterable[str]) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT external_id, revision FROM disputes_loan WHERE external_id = ANY(%s)", [sorted(loans)])
        return dict(cursor.fetchall())


@contextmanager
def collector_off() -> Iterator[None]:
    """Without the cyclic garbage collector, which would look again and again at thousands of values that stay."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def weighed(*, dispute: Dispute, message: Message, read: Assembled, revision: int, now: datetime) -> Weighed:
    """Judges what was read. Pure but for what the dispute's sealed words need to be opened."""
    history, facts, pack = read.history, read.message, read.pack
    claim = claim_of(dispute)
    judgement = judge(history=history, message=facts, claim=claim, pack=pack)
    text = canonical.dump_input(
        history=history, message=facts, claim=claim, pack_name=pack.name, pack_version=pack.version
    )
    check = Check(
        dispute=dispute,
        checked_at=now,
        engine_version=ENGINE_VERSION,
        policy_name=pack.name,
        policy_version=pack.version,
        policy_digest=pack.digest,
        loan_revision=revision,
        input=text.decode(),
        records_digest=canonical.input_digest(text),
        verdict=judgement.verdict,
        cause=judgement.cause,
        detail=judgement.detail,
        facts=judgement.facts,
        findings=[finding.render() for finding in judgement.findings],
    )
    return Weighed(check=check, loan=message.loan or "", pack=pack)
