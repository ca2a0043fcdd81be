"""The account at the instant sent, on three clocks of knowledge, worked out once where they do not differ.

Most accounts have one version a record, nothing reversed and nothing void. Of these one pass gives the figures of every
clock, and only a repayment that was posted late makes the clocks differ; all else takes the way through `view_of`. Both
give the same, and the lines of an account are made only where somebody asks for them.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from disputes.check.facts import ALWAYS, History, InstalmentVersion, LoanVersion, Position, RepaymentVersion
from disputes.check.standing import ZERO, Line, Standing, local_day, stands
from disputes.check.versions import StandingRepayment, View, known, true_at, view_of


class Clock:
    """The account at the instant sent, with what was known at `known_at` (None: all that is known today).

    `terms`, `dated` and `instalments` as in `View`; `lines`: theirs, as the figures need them; `paid`: the sum of what
    stands. Equal clocks of one matter are one object. The view and the position are made when they are asked for first.
    """

    __slots__ = (
        "_position",
        "_view",
        "at",
        "dated",
        "history",
        "instalments",
        "known_at",
        "lines",
        "paid",
        "standing",
        "terms",
    )

    def __init__(
        self,
        *,
        history: History,
        at: datetime,
        known_at: datetime | None,
        terms: LoanVersion | None,
        dated: LoanVersion | None,
        day: date,
        instalments: tuple[InstalmentVersion, ...],
        lines: list[Line],
        paid: Decimal,
        view: View | None = None,
    ) -> None:
        self.history = history
        self.at = at
        self.known_at = known_at
        self.terms = terms
        self.dated = dated
        self.instalments = instalments
        self.lines = lines
        self.paid = paid
        self.standing: Standing = stands(day=day, lines=lines, paid=paid, terms=terms, dated=dated)
        self._view = view
        self._position: Position | None = None

    @property
    def view(self) -> View:
        """The records line by line."""
        if self._view is None:
            self._view = _plain_view(self)
        return self._view

    @property
    def position(self) -> Position:
        """What a position would keep of these records."""
        if self._position is None:
            dated = self.dated
            self._position = Position(
                currency=self.currency,
                time_zone=self.time_zone,
                grace_days=self.terms.grace_days if self.terms is not None else 0,
                tolerance=self.tolerance,
                settled_on=dated.settled_on if dated is not None else None,
                written_off_on=dated.written_off_on if dated is not None else None,
                pauses=dated.pauses if dated is not None else (),
                arrangements=dated.arrangements if dated is not None else (),
                lines=tuple(self.lines),
                paid=self.paid,
            )
        return self._position

    @property
    def currency(self) -> str:
        return self.terms.currency if self.terms is not None else ""

    @property
    def tolerance(self) -> Decimal:
        return self.terms.tolerance if self.terms is not None else ZERO

    @property
    def time_zone(self) -> str:
        return (self.terms.time_zone if self.terms is not None else None) or self.history.lender_time_zone

    def with_more_paid(self, more: Decimal) -> Clock:
        """The same records, with so much more paid."""
        return Clock(
            history=self.history,
            at=self.at,
            known_at=self.known_at,
            terms=self.terms,
            dated=self.dated,
            day=self.standing.day,
            instalments=self.instalments,
            lines=self.lines,
            paid=self.paid + more,
            view=self._view,
        )


class Clocks:
    """`was`: with all that is known today; `listed`: as known at the list; `sent`: as known at the instant sent."""

    __slots__ = ("_sent", "_unknown", "listed", "was")

    def __init__(self, *, was: Clock, listed: Clock, sent: Clock | None, unknown: Decimal = ZERO) -> None:
        self.was = was
        self.listed = listed
        self._sent = sent
        self._unknown = unknown

    @property
    def sent(self) -> Clock:
        if self._sent is None:
            self._sent = _later(self.was, known_at=self.was.at, unknown=self._unknown)
        return self._sent


def clocks_of(*, history: History, at: datetime, listed_at: datetime) -> Clocks:
    """The clocks of a message that was sent at `at` from a list made at `listed_at`, which is not later."""
    return _plain_clocks(history, at, listed_at) or _clocks_by_version(history, at, listed_at)


def clock_by_version(*, history: History, at: datetime, known_at: datetime | None) -> Clock:
    """One clock the long way: every version, reversal and void is looked at."""
    view = view_of(history=history, at=at, known_at=known_at)
    return Clock(
        history=history,
        at=at,
        known_at=known_at,
        terms=view.terms,
        dated=view.dated,
        day=local_day(at, view.time_zone),
        instalments=view.instalments,
        lines=[(one.due_on, one.amount) for one in view.instalments],
        paid=sum((row.version.amount for row in view.repayments if row.reversed_at is None), ZERO),
        view=view,
    )


def _clocks_by_version(history: History, at: datetime, listed_at: datetime) -> Clocks:
    latest = _latest_posting(history)
    was = clock_by_version(history=history, at=at, known_at=None)
    sent = was if latest <= at else clock_by_version(history=history, at=at, known_at=at)
    if latest <= listed_at:
        listed = was
    elif listed_at == at:
        listed = sent
    else:
        listed = clock_by_version(history=history, at=at, known_at=listed_at)
    return Clocks(was=was, listed=listed, sent=sent)


def _latest_posting(history: History) -> datetime:
    """When the records last showed anything new of the account: from then on, every clock reads the same."""
    kinds = (history.loans, history.instalments, history.repayments, history.reversals, history.voids)
    return max((version.posted_at for kind in kinds for version in kind), default=ALWAYS)


def _plain_clocks(history: History, at: datetime, listed_at: datetime) -> Clocks | None:
    """The clocks in one pass; None where a record has a history of its own that only the long way reads.

    That is: a reversal or a void; two versions of an instalment or a repayment; one that names another loan; terms or a
    schedule that the list did not know, or that were not true yet.
    """
    if history.reversals or history.voids:
        return None
    loan = history.loan
    paid = ZERO
    late: list[RepaymentVersion] = []
    for one in history.repayments:
        if one.loan != loan:
            return None
        if one.paid_at <= at:
            paid += one.amount
            if one.posted_at > listed_at:
                late.append(one)
    lines: list[Line] = []
    before, in_order = date.min, True
    for line in history.instalments:
        if line.loan != loan or line.posted_at > listed_at:
            return None
        if line.effective_at is not None and line.effective_at > at:
            return None
        due_on = line.due_on
        if due_on <= before:
            in_order = False
        before = due_on
        lines.append((due_on, line.amount))
    if len({one.external_id for one in history.repayments}) < len(history.repayments):
        return None
    if len({line.external_id for line in history.instalments}) < len(lines):
        return None
    for version in history.loans:
        if version.posted_at > listed_at or version.external_id != loan:
            return None
    terms = true_at(history.loans, at, None) if history.loans else None
    dated = known(history.loans, None)
    instalments = history.instalments
    if not in_order:
        instalments = tuple(sorted(instalments, key=_by_due_date_and_number))
        lines = [(line.due_on, line.amount) for line in instalments]
    zone = (terms.time_zone if terms is not None else None) or history.lender_time_zone
    was = Clock(
        history=history,
        at=at,
        known_at=None,
        terms=terms,
        dated=dated,
        day=local_day(at, zone),
        instalments=instalments,
        lines=lines,
        paid=paid,
    )
    if not late:
        return Clocks(was=was, listed=was, sent=was)
    listed = _later(was, known_at=listed_at, unknown=sum((one.amount for one in late), ZERO))
    if listed_at == at:
        return Clocks(was=was, listed=listed, sent=listed)
    after = [one.amount for one in late if one.posted_at > at]
    return Clocks(was=was, listed=listed, sent=None if after else was, unknown=sum(after, ZERO))


def _later(was: Clock, *, known_at: datetime, unknown: Decimal) -> Clock:
    """The clock of a moment that knew all of `was` but `unknown` of its repayments."""
    return Clock(
        history=was.history,
        at=was.at,
        known_at=known_at,
        terms=was.terms,
        dated=was.dated,
        day=was.standing.day,
        instalments=was.instalments,
        lines=was.lines,
        paid=was.paid - unknown,
    )


def _plain_view(clock: Clock) -> View:
    """The view of a clock that `_plain_clocks` made: every repayment stands, and every line of the schedule counts."""
    history, known_at = clock.history, clock.known_at
    repayments = [
        StandingRepayment(one, None)
        for one in sorted(history.repayments, key=_by_value_date)
        if one.paid_at <= clock.at and (known_at is None or one.posted_at <= known_at)
    ]
    return View(
        loan=history.loan,
        at=clock.at,
        known_at=known_at,
        terms=clock.terms,
        dated=clock.dated,
        voided=False,
        instalments=clock.instalments,
        repayments=tuple(repayments),
        time_zone=clock.time_zone,
    )


def _by_value_date(one: RepaymentVersion) -> tuple[datetime, str]:
    return (one.paid_at, one.external_id)


def _by_due_date_and_number(one: InstalmentVersion) -> tuple[date, int, str]:
    return (one.due_on, one.number, one.external_id)
