"""What the criteria look at: one message, what the customer says, and the account on three clocks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from disputes.check.clocks import Clock, Clocks, clocks_of
from disputes.check.facts import (
    Claim,
    CollectionMessage,
    History,
    InstalmentVersion,
    Position,
    SendingRuleVersion,
)
from disputes.check.standing import ZERO
from disputes.check.versions import StandingRepayment, known, sending_rule_of, view_of, voided
from disputes.policy.freshness import feeds_behind
from disputes.policy.packs import Pack

PRESUPPOSING = frozenset({"urge", "warning"})
"""Categories that presuppose arrears."""

END_OF_TIME = datetime(9000, 1, 1, tzinfo=UTC)


class Matter:
    """One message and all that the criteria need, worked out once, and only what they ask for.

    `was`: with all that is known today; `sent`: as known at the instant sent; `listed`: as known at the sender's
    list.

    `rule`: the sending rule as known at the list (else as it was); `needs`: the days past due that the message
    presupposes by it (0: none); `needs_was`: by the rule as it was, which may have been corrected since; `reminded`:
    the instalment (external id) that a reminder is about, as known at the list; `tells`: whether the records hold this
    account at all; `behind`: the feeds that are too far behind the message to speak against the customer; `kept`: what
    `once` has worked out.
    """

    __slots__ = (
        "_changes",
        "_clocks",
        "_faults",
        "_payments",
        "aim",
        "behind",
        "claim",
        "currency",
        "history",
        "kept",
        "listed",
        "message",
        "needs",
        "needs_was",
        "pack",
        "reminded",
        "rule",
        "tells",
        "was",
    )

    def __init__(
        self, *, history: History, message: CollectionMessage, claim: Claim, pack: Pack, clocks: Clocks
    ) -> None:
        self.history = history
        self.message = message
        self.claim = claim
        self.pack = pack
        self.was = was = clocks.was
        self.listed = listed = clocks.listed
        self._clocks = clocks
        self.kept: dict[Callable[..., object], Any] = {}
        self._faults: dict[Clock, tuple[str, ...]] = {}
        self._changes: dict[Clock, Change] = {}
        self._payments: tuple[StandingRepayment, ...] | None = None
        self.currency: str = was.currency or listed.currency
        self.rule = rule = _rule(history, message)
        self.aim: str | None = rule.aim if rule is not None else None
        self.needs: int = days_needed(
            category=message.category, aim=self.aim, min_dpd=rule.min_dpd if rule is not None else None
        )
        self.needs_was: int = self.needs
        if rule is not None and len(history.sending_rules) > 1:
            self.needs_was = _needs_as_it_was(history, message, self.needs)
            if self.needs_was != self.needs and listed is was:
                # What the list knew of the account was all, but not what it knew of the rule.
                self.listed = listed = was.again()
        self.reminded: str | None = (
            _reminded(listed, rule) if self.needs == 0 and message.category == "reminder" else None
        )
        self.tells: bool = _tells(history, message)
        self.behind: tuple[str, ...] = _behind(history, pack, message.sent_at)

    @property
    def sent(self) -> Clock:
        return self._clocks.sent

    @property
    def payments(self) -> tuple[StandingRepayment, ...]:
        """Every repayment known today, those made after the message too."""
        if self._payments is None:
            self._payments = _all_payments(self.history, self.message.sent_at, self.was)
        return self._payments


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
    """Everything that the criteria need."""
    clocks = clocks_of(history=history, at=message.sent_at, listed_at=list_of(message))
    return Matter(history=history, message=message, claim=claim, pack=pack, clocks=clocks)


def list_of(message: CollectionMessage) -> datetime:
    """When the sender's list was made; never after the message."""
    listed_at, at = message.list_built_at, message.sent_at
    return at if listed_at is None or listed_at > at else listed_at


def _rule(history: History, message: CollectionMessage) -> SendingRuleVersion | None:
    """The sending rule as known at the list; else, where they heard of it only later, as it was."""
    name, at = message.sending_rule, message.sent_at
    if name is None or not history.sending_rules:
        return None
    known_then = sending_rule_of(history=history, sending_rule=name, at=at, known_at=list_of(message))
    return known_then or sending_rule_of(history=history, sending_rule=name, at=at, known_at=None)


def _needs_as_it_was(history: History, message: CollectionMessage, needs: int) -> int:
    """The days past due that the message presupposes by the rule as it was when the list was made, with all that is
    known today; `needs` where the rule is none any more. A rule that asks for more from a later instant on was in order
    until then."""
    rule = sending_rule_of(history=history, sending_rule=message.sending_rule, at=list_of(message), known_at=None)
    if rule is None:
        return needs
    return days_needed(category=message.category, aim=rule.aim, min_dpd=rule.min_dpd)


def _all_payments(history: History, at: datetime, was: Clock) -> tuple[StandingRepayment, ...]:
    """Those made by `at` as they stood then, and after them those made later, as they stand today."""
    by_then = {row.version.external_id for row in was.view.repayments}
    ever = view_of(history=history, at=END_OF_TIME).repayments
    return (*was.view.repayments, *(row for row in ever if row.version.external_id not in by_then))


def _tells(history: History, message: CollectionMessage) -> bool:
    """Whether the records hold the account: the loan, and either its schedule or the word that it is over.

    A loan that they hold as void tells that nothing is owed. One that never came, or came without its schedule, tells
    nothing.
    """
    if message.loan is None or not history.loans:
        return False
    if history.instalments or ("loan", history.loan) in voided(history.voids, None):
        return True
    newest = known(history.loans, None)
    return newest is not None and (newest.settled_on is not None or newest.written_off_on is not None)


def _behind(history: History, pack: Pack, at: datetime) -> tuple[str, ...]:
    if not pack.records.watermarks:
        return ()
    reached = _reached(history)
    for feed in pack.records.feeds:
        if feed not in reached or reached[feed] < at:
            return feeds_behind(pack=pack, reached=reached, at=at)
    return ()


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


NO_ARREARS = ("no_arrears",)


def faults(*, matter: Matter, clock: Clock) -> tuple[str, ...]:
    """Why the message was not in order on this clock; empty: it was.

    ``no_arrears`` ``not_enough`` ``grace`` ``arrangement`` ``pause``; for a reminder ``nothing_left``.
    """
    found = matter._faults.get(clock)
    if found is None:
        found = matter._faults[clock] = _faults(matter, clock)
    return found


def _faults(matter: Matter, clock: Clock) -> tuple[str, ...]:
    stands = clock.standing
    days, needs = stands.days_past_due, matter.needs_was if clock is matter.was else matter.needs
    if needs and not (stands.arrangement_kept or stands.paused):
        # Nearly always: only the days tell.
        if days == 0:
            return NO_ARREARS
        if days >= needs and not stands.within_grace:
            return ()
    if needs == 0:
        if matter.reminded is None:
            return ()
        left = ZERO if stands.settled else left_of(clock.view.instalments, clock.position, matter.reminded)
        return () if left > clock.tolerance else ("nothing_left",)
    found = []
    if days == 0:
        found.append("no_arrears")
    elif days < needs:
        found.append("not_enough")
    if stands.within_grace:
        found.append("grace")
    if stands.arrangement_kept:
        found.append("arrangement")
    if stands.paused:
        found.append("pause")
    return tuple(found)


class Change(NamedTuple):
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
    found = matter._changes.get(clock)
    if found is None:
        found = matter._changes[clock] = _change(matter, clock)
    return found


def _change(matter: Matter, clock: Clock) -> Change:
    missed, still = matter.listed.missing, clock.missing
    if missed is None or still is None:
        return _change_by_version(matter, clock)
    # Where the clocks differ by repayments alone, what the list missed and this clock knew is all that changed.
    posted = tuple([StandingRepayment(one, None) for one in missed if one not in still])
    more = ZERO
    for row in posted:
        more += row.version.amount
    return Change(posted, more, (), ZERO)


def _change_by_version(matter: Matter, clock: Clock) -> Change:
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
    return clock.with_more_paid(more)
