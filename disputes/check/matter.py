"""What the criteria look at: one message, what the customer says, and the account on three clocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from disputes.check.facts import (
    ALWAYS,
    Claim,
    CollectionMessage,
    History,
    InstalmentVersion,
    Position,
    SendingRuleVersion,
)
from disputes.check.standing import ZERO, Standing, position_of_view, standing
from disputes.check.versions import StandingRepayment, View, known, sending_rule_of, view_of, voided
from disputes.policy.freshness import feeds_behind
from disputes.policy.packs import Pack

PRESUPPOSING = frozenset({"urge", "warning"})
"""Categories that presuppose arrears."""

END_OF_TIME = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """The account at the instant sent, with what was known at one other instant."""

    view: View
    position: Position
    standing: Standing


@dataclass(frozen=True, kw_only=True, slots=True)
class Matter:
    """`was`: with all that is known today; `sent`: as known at the instant sent; `listed`: as known at the sender's
    list.

    `rule`: the sending rule as known at the list (else as it was); `needs`: the days past due that the message
    presupposes (0: none); `reminded`: the instalment (external id) that a reminder is about, as known at the list;
    `tells`: whether the records hold this account at all; `behind`: the feeds that are too far behind the message to
    speak against the customer; `payments`: every repayment known today, those made after the message too.
    """

    history: History
    message: CollectionMessage
    claim: Claim
    pack: Pack
    rule: SendingRuleVersion | None
    needs: int
    was: Clock
    sent: Clock
    listed: Clock
    reminded: str | None
    tells: bool
    behind: tuple[str, ...]
    payments: tuple[StandingRepayment, ...]

    @property
    def currency(self) -> str:
        return self.was.position.currency or self.listed.position.currency

    @property
    def aim(self) -> str | None:
        """The aim of the sending rule, where it has one."""
        return self.rule.aim if self.rule else None


def days_needed(*, category: str, aim: str | None, min_dpd: int | None) -> int:
    """The days past due that a message presupposes; 0: no arrears.

    ``urge``, ``warning`` and the aim ``risk`` presuppose one day, the aim ``overdue`` its `min_dpd`, at least one. A
    reminder before the due date presupposes none. Where several apply, the most.
    """
    needs = 1 if category in PRESUPPOSING or aim == "risk" else 0
    if aim == "overdue":
        needs = max(needs, min_dpd or 1, 1)
    return needs


def matter_of(*, history: History, message: CollectionMessage, claim: Claim, pack: Pack) -> Matter:
    """Everything that the criteria need, worked out once."""
    at = message.sent_at
    listed_at = min(message.list_built_at or at, at)
    latest = _latest_posting(history)
    was = _clock(history, at, None)
    sent = was if latest <= at else _clock(history, at, at)
    listed = was if latest <= listed_at else sent if listed_at == at else _clock(history, at, listed_at)
    rule = _rule(history, message, listed_at)
    needs = days_needed(
        category=message.category, aim=rule.aim if rule else None, min_dpd=rule.min_dpd if rule else None
    )
    return Matter(
        history=history,
        message=message,
        claim=claim,
        pack=pack,
        rule=rule,
        needs=needs,
        was=was,
        sent=sent,
        listed=listed,
        reminded=_reminded(listed, rule) if message.category == "reminder" and needs == 0 else None,
        tells=_tells(history, message),
        behind=feeds_behind(pack=pack, reached=_reached(history), at=at),
        payments=_all_payments(history, at, was) if claim.claimed_payments else (),
    )


def _rule(history: History, message: CollectionMessage, listed_at: datetime) -> SendingRuleVersion | None:
    """The sending rule as known at the list; else, where they heard of it only later, as it was."""
    name, at = message.sending_rule, message.sent_at
    known_then = sending_rule_of(history=history, sending_rule=name, at=at, known_at=listed_at)
    return known_then or sending_rule_of(history=history, sending_rule=name, at=at, known_at=None)


def _clock(history: History, at: datetime, known_at: datetime | None) -> Clock:
    view = view_of(history=history, at=at, known_at=known_at)
    position = position_of_view(view)
    return Clock(view=view, position=position, standing=standing(position=position, at=at))


def _all_payments(history: History, at: datetime, was: Clock) -> tuple[StandingRepayment, ...]:
    """Those made by `at` as they stood then, and after them those made later, as they stand today."""
    by_then = {row.version.external_id for row in was.view.repayments}
    ever = view_of(history=history, at=END_OF_TIME).repayments
    return (*was.view.repayments, *(row for row in ever if row.version.external_id not in by_then))


def _latest_posting(history: History) -> datetime:
    """When the records last showed anything new: after that, every clock of knowledge reads the same."""
    kinds = (
        history.loans,
        history.instalments,
        history.repayments,
        history.reversals,
        history.sending_rules,
        history.voids,
    )
    return max((version.posted_at for kind in kinds for version in kind), default=ALWAYS)


def _tells(history: History, message: CollectionMessage) -> bool:
    """Whether the records hold the account: the loan, and either its schedule or the word that it is over.

    A loan that they hold as void tells that nothing is owed. One that never came, or came without its schedule, tells
    nothing.
    """
    if message.loan is None or not history.loans:
        return False
    if ("loan", history.loan) in voided(history.voids, None):
        return True
    if history.instalments:
        return True
    newest = known(list(history.loans), None)
    return newest is not None and (newest.settled_on is not None or newest.written_off_on is not None)


def _reached(history: History) -> dict[str, datetime]:
    """Up to when each feed is complete, by its furthest watermark."""
    reached: dict[str, datetime] = {}
    for mark in history.watermarks:
        if mark.feed not in reached or mark.complete_until > reached[mark.feed]:
            reached[mark.feed] = mark.complete_until
    return reached


def _reminded(listed: Clock, rule: SendingRuleVersion | None) -> str | None:
    """The instalment that a reminder is about, as known at the list.

    The first with something left; of a rule whose aim is before the due date, of those not yet past due, where one is.
    """
    open_ones = [
        one
        for one in listed.view.instalments
        if left_of(listed.view.instalments, listed.position, one.external_id) > ZERO
    ]
    if listed.standing.settled or not open_ones:
        return None
    ahead = [one for one in open_ones if one.due_on >= listed.standing.day]
    if rule is not None and rule.aim == "pre_due" and ahead:
        return ahead[0].external_id
    return open_ones[0].external_id


def left_of(instalments: tuple[InstalmentVersion, ...], position: Position, external_id: str) -> Decimal:
    """What is left of one instalment; zero where it is not there (any more)."""
    paid = position.paid
    for one in instalments:
        if one.external_id == external_id:
            return max(ZERO, one.amount - max(ZERO, paid))
        paid -= one.amount
    return ZERO


def faults(*, matter: Matter, clock: Clock) -> tuple[str, ...]:
    """Why the message was not in order on this clock; empty: it was.

    ``no_arrears`` ``not_enough`` ``grace`` ``arrangement`` ``pause``; for a reminder ``nothing_left``.
    """
    stands = clock.standing
    if matter.needs == 0:
        if matter.reminded is None:
            return ()
        left = ZERO if stands.settled else left_of(clock.view.instalments, clock.position, matter.reminded)
        return () if left > clock.position.tolerance else ("nothing_left",)
    found = []
    if stands.days_past_due == 0:
        found.append("no_arrears")
    elif stands.days_past_due < matter.needs:
        found.append("not_enough")
    if stands.within_grace:
        found.append("grace")
    if stands.arrangement_kept:
        found.append("arrangement")
    if stands.paused:
        found.append("pause")
    return tuple(found)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Repayments that count as it was and did not, or with less, as known at the list."""

    posted: tuple[StandingRepayment, ...]
    """The records showed them (so) only after the list."""
    posted_more: Decimal
    revived: tuple[StandingRepayment, ...]
    """The records knew them at the list, but as reversed, and the reversal was taken back."""
    revived_more: Decimal


NO_CHANGE = Change(posted=(), posted_more=ZERO, revived=(), revived_more=ZERO)


def change_since_list(*, matter: Matter, clock: Clock) -> Change:
    """What repayments of `clock` (as known at the instant sent, or as it was) add to what the list could know.

    A payment that was undone meanwhile adds nothing.
    """
    if clock is matter.listed:
        return NO_CHANGE
    listed = {row.version.external_id: row for row in matter.listed.view.repayments}
    stand = {row.version.external_id for row in matter.was.view.repayments if row.reversed_at is None}
    posted, revived = [], []
    posted_more = revived_more = ZERO
    for row in clock.view.repayments:
        if row.reversed_at is not None or row.version.external_id not in stand:
            continue
        before = listed.get(row.version.external_id)
        if before is not None and before.reversed_at is not None:
            revived.append(row)
            revived_more += row.version.amount
        elif before is None and row.version.posted_at > (matter.listed.view.known_at or matter.message.sent_at):
            posted.append(row)
            posted_more += row.version.amount
        elif before is not None and row.version.amount > before.version.amount:
            posted.append(row)
            posted_more += row.version.amount - before.version.amount
    return Change(posted=tuple(posted), posted_more=posted_more, revived=tuple(revived), revived_more=revived_more)


def with_more_paid(*, clock: Clock, more: Decimal, at: datetime) -> Clock:
    """The same records, with so much more paid."""
    position = replace(clock.position, paid=clock.position.paid + more)
    return Clock(view=clock.view, position=position, standing=standing(position=position, at=at))
