"""Putting together what the check of a message reads: the account's history, and what bears on the sending."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from django.conf import settings

from disputes.check.facts import CollectionMessage, History
from disputes.holds.policies import pack_in_force
from disputes.holds.sending import holds_over, permits_of
from disputes.policy.packs import Pack
from disputes.records import queries as records
from disputes.records.histories import read_watermarks_at
from disputes.records.models import Message
from disputes.records.surroundings import read_surroundings


@dataclass(frozen=True, kw_only=True, slots=True)
class Assembled:
    """All that `disputes.check.judging.judge` reads of one message, but what the customer says."""

    history: History
    message: CollectionMessage
    pack: Pack


def assemble(*, messages: Sequence[Message]) -> dict[uuid.UUID, Assembled]:
    """By message, in a number of statements that does not depend on how many there are.

    Every message was sent (`sent_at`). Raises ValueError for one that was not.
    """
    loans = {one.loan for one in messages if one.loan}
    rules = {loan: {one.sending_rule for one in messages if one.loan == loan and one.sending_rule} for loan in loans}
    return around(messages=messages, histories=records.histories(loans=loans, sending_rules=rules))


def around(*, messages: Sequence[Message], histories: Mapping[str, History]) -> dict[uuid.UUID, Assembled]:
    """The same, where the accounts' histories have been read already (their watermarks count for nothing)."""
    packs = {one.pk: pack_in_force(at=one.sent_at) for one in messages if one.sent_at is not None}
    same_within = {pk: timedelta(hours=pack.same_message_hours) for pk, pack in packs.items()}
    surroundings = read_surroundings(
        messages=messages,
        histories=histories,
        look_back={pk: max(pack.look_back(), same_within[pk]) for pk, pack in packs.items()},
        same_within=same_within,
    )
    marks = read_watermarks_at(instants=[one.sent_at for one in messages])
    permits = permits_of(messages=messages)
    gated = [one for one in messages if _is_gated(one)]
    holds = holds_over(messages=gated, histories=histories) if gated else {}
    blank = History(loan="", lender_time_zone=settings.LENDER_TIME_ZONE)
    found = {}
    for one in messages:
        near = surroundings[one.pk]
        account = histories.get(one.loan or "", blank)
        history = replace(
            account,
            # A loan's history may name the rules of several messages.
            sending_rules=tuple(rule for rule in account.sending_rules if rule.external_id == one.sending_rule),
            voids=(*account.voids, *near.voids),
            watermarks=marks[one.sent_at],
            customers=near.customers,
            sent=near.sent,
            permits=permits.get(one.pk, ()),
            holds=holds.get(one.pk, ()),
            gate_required_from=settings.GATE_REQUIRED_FROM,
        )
        found[one.pk] = Assembled(
            history=history,
            message=replace(records.collection_message(one), text=near.text),
            pack=packs[one.pk],
        )
    return found


def _is_gated(message: Message) -> bool:
    """Whether the lender sent nothing without a permit by then."""
    since = settings.GATE_REQUIRED_FROM
    return since is not None and message.sent_at is not None and message.sent_at >= since
