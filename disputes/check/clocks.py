"""The account at the instant sent, on three clocks of knowledge, worked out once where they do not differ.

Most accounts have one version a record, nothing reversed and nothing void. Of these one pass gives the figures of every
clock, and only a repayment that was posted late sets the clocks apart; all else takes the way through `view_of`. Both
give the same, and the lines of an account are made only where somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import accumulate
from operator import attrgetter

from disputes.check.facts import ALWAYS, History, InstalmentVersion, LoanVersion, Position, RepaymentVersion
from disputes.check.standing import ZERO, stands, zone_named
from disputes.check.versions import StandingRepayment, View, known, true_at, view_of

_by_value_date = attrgetter("paid_at", "external_id")
_by_due_date = attrgetter("due_on", "number", "external_id")


class Books:
    """What the clocks of a matter have in common, where only repayments set them apart; else one clock's own.

    `terms`, `dated`, `instalments` and `time_zone` as in `View`; `due`, `sums`: the instalments as the figures need
    them (as in `stands`); `repayments`: those from which `counted` is made; `local`: `at` in the loan's zone, `day` its
    day.
    """

    __slots__ = (
        "_counted",
        "at",
        "dated",
        "day",
        "due",
        "instalments",
        "loan",
        "local",
        "repayments",
        "sums",
        "terms",
        "time_zone",
    )

    def __init__(
        self,
        loan: str,
        at: datetime,
        terms: LoanVersion | None,
        dated: LoanVersion | None,
        time_zone: str,
        instalments: tuple[InstalmentVersion, ...],
        due: Sequence[date],
        sums: Sequence[Decimal],
        repayments: Sequence[RepaymentVersion],
    ) -> None:
        self.loan = loan
        self.at = at
        self.terms = terms
        self.dated = dated
        self.time_zone = time_zone
        self.local = local = at.astimezone(zone_named(time_zone))
        self.day = local.date()
        self.instalments = instalments
        self.due = due
        self.sums = sums
        self.repayments = repayments
        self._counted: list[RepaymentVersion] | None = None

    @property
    def counted(self) -> list[RepaymentVersion]:
        """The repayments that stand with all that is known, by value date."""
        if self._counted is None:
            at = self.at
            self._counted = [one for one in self.repayments if one.paid_at <= at]
            self._counted.sort(key=_by_value_date)
        return self._counted


class Clock:
    """The account at the instant sent, with what was known at `known_at` (None: all that is known today).

    `paid`: the sum of what stands; `missing`: the repayments that count today and that this clock did not know, by
    value date, where nothing else sets the clocks apart (None: more may). Equal clocks of one matter are one object.
    """

    __slots__ = ("_position", "_view", "books", "known_at", "missing", "paid", "standing")

    def __init__(
        self,
        books: Books,
        known_at: datetime | None,
        paid: Decimal,
        missing: tuple[RepaymentVersion, ...] | None,
        view: View | None = None,
    ) -> None:
        self.books = books
        self.known_at = known_at
        self.paid = paid
        self.missing = missing
        self.standing = stands(books.day, books.due, books.sums, paid, books.terms, books.dated)
        self._view = view
        self._position: Position | None = None

    @property
    def at(self) -> datetime:
        return self.books.at

    @property
    def terms(self) -> LoanVersion | None:
        return self.books.terms

    @property
    def dated(self) -> LoanVersion | None:
        return self.books.dated

    @property
    def time_zone(self) -> str:
        return self.books.time_zone

    @property
    def instalments(self) -> tuple[InstalmentVersion, ...]:
        return self.books.instalments

    @property
    def currency(self) -> str:
        terms = self.books.terms
        return terms.currency if terms is not None else ""

    @property
    def tolerance(self) -> Decimal:
        terms = self.books.terms
        return terms.tolerance if terms is not None else ZERO

    @property
    def counted(self) -> Sequence[RepaymentVersion]:
        """The repayments that stand, by value date."""
        if not self.missing:
            return self.books.counted
        gone = {one.external_id for one in self.missing}
        return [one for one in self.books.counted if one.external_id not in gone]

    @property
    def view(self) -> View:
        """The records line by line."""
        if self._view is None:
            books = self.books
            self._view = View(
                loan=books.loan,
                at=books.at,
                known_at=self.known_at,
                terms=books.terms,
                dated=books.dated,
                voided=False,
                instalments=books.instalments,
                repayments=tuple([StandingRepayment(one, None) for one in self.counted]),
                time_zone=books.time_zone,
            )
        return self._view

    @property
    def position(self) -> Position:
        """What a position would keep of these records."""
        if self._position is None:
            terms, dated = self.books.terms, self.books.dated
            self._position = Position(
                currency=self.currency,
                time_zone=self.time_zone,
                grace_days=terms.grace_days if terms is not None else 0,
                tolerance=self.tolerance,
                settled_on=dated.settled_on if dated is not None else None,
                written_off_on=dated.written_off_on if dated is not None else None,
                pauses=dated.pauses if dated is not None else (),
                arrangements=dated.arrangements if dated is not None else (),
                due_on=tuple([one.due_on for one in self.books.instalments]),
                amounts=tuple([one.amount for one in self.books.instalments]),
                paid=self.paid,
            )
        return self._position

    def with_more_paid(self, more: Decimal) -> Clock:
        """The same records, with so much more paid."""
        return Clock(self.books, self.known_at, self.paid + more, self.missing, self._view)

    def again(self) -> Clock:
        """The same clock as another object, of which nothing is known to be missing."""
        return Clock(self.books, self.known_at, self.paid, None, self._view)

    def without(self, missing: Sequence[RepaymentVersion], *, known_at: datetime) -> Clock:
        """The clock of a moment that knew all of this one but the repayments `missing`, by value date."""
        paid = self.paid
        for one in missing:
            paid -= one.amount
        return Clock(self.books, known_at, paid, tuple(missing))


class Clocks:
    """`was`: with all that is known today; `listed`: as known at the list; `sent`: as known at the instant sent."""

    __slots__ = ("_late", "_sent", "listed", "was")

    def __init__(self, was: Clock, listed: Clock, sent: Clock | None, late: Sequence[RepaymentVersion] = ()) -> None:
        self.was = was
        self.listed = listed
        self._sent = sent
        self._late = late

    @property
    def sent(self) -> Clock:
        if self._sent is None:
            self._sent = self.was.without(self._late, known_at=self.was.at)
        return self._sent


def clocks_of(*, history: History, at: datetime, listed_at: datetime) -> Clocks:
    """The clocks of a message that was sent at `at` from a list made at `listed_at`, which is not later."""
    return _plain_clocks(history, at, listed_at) or clocks_by_version(history=history, at=at, listed_at=listed_at)


def clock_of(view: View) -> Clock:
    """The clock of a view: the long way, on which every version, reversal and void was looked at."""
    counted = [row.version for row in view.repayments if row.reversed_at is None]
    books = Books(
        view.loan,
        view.at,
        view.terms,
        view.dated,
        view.time_zone,
        view.instalments,
        [one.due_on for one in view.instalments],
        list(accumulate([one.amount for one in view.instalments])),
        counted,
    )
    return Clock(books, view.known_at, sum([one.amount for one in counted], ZERO), None, view)


def clocks_by_version(*, history: History, at: datetime, listed_at: datetime) -> Clocks:
    """The same as `clocks_of`, the long way for every account."""
    latest = _latest_posting(history)
    was = clock_of(view_of(history=history, at=at, known_at=None))
    sent = was if latest <= at else clock_of(view_of(history=history, at=at, known_at=at))
    if latest <= listed_at:
        listed = was
    elif listed_at == at:
        listed = sent
    else:
        listed = clock_of(view_of(history=history, at=at, known_at=listed_at))
    return Clocks(was, listed, sent)


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
    read = _plain_money(history, at, listed_at)
    schedule = _plain_schedule(history, at, listed_at)
    if read is None or schedule is None:
        return None
    for version in history.loans:
        if version.posted_at > listed_at or version.external_id != history.loan:
            return None
    late, paid = read
    instalments, due, sums = schedule
    terms = true_at(history.loans, at, None) if history.loans else None
    zone = (terms.time_zone if terms is not None else None) or history.lender_time_zone
    books = Books(history.loan, at, terms, known(history.loans, None), zone, instalments, due, sums, history.repayments)
    was = Clock(books, None, paid, ())
    if not late:
        return Clocks(was, was, was)
    listed = was.without(late, known_at=listed_at)
    after = late if listed_at == at else [one for one in late if one.posted_at > at]
    if len(after) == len(late):
        return Clocks(was, listed, listed)
    return Clocks(was, listed, None if after else was, after)


def _plain_money(history: History, at: datetime, listed_at: datetime) -> tuple[list[RepaymentVersion], Decimal] | None:
    """The repayments made by `at` that the list did not know, by value date, and the sum of all that were."""
    loan, paid = history.loan, ZERO
    late: list[RepaymentVersion] = []
    for one in history.repayments:
        if one.loan != loan:
            return None
        if one.paid_at <= at:
            paid += one.amount
            if one.posted_at > listed_at:
                late.append(one)
    if len({one.external_id for one in history.repayments}) < len(history.repayments):
        return None
    if late:
        late.sort(key=_by_value_date)
    return late, paid


def _plain_schedule(
    history: History, at: datetime, listed_at: datetime
) -> tuple[tuple[InstalmentVersion, ...], list[date], list[Decimal]] | None:
    """The instalments in their order, their due dates, and what was owed with each."""
    loan, owed = history.loan, ZERO
    due: list[date] = []
    sums: list[Decimal] = []
    before, in_order = date.min, True
    for one in history.instalments:
        if one.loan != loan or one.posted_at > listed_at or (one.effective_at is not None and one.effective_at > at):
            return None
        due_on = one.due_on
        if due_on <= before:
            in_order = False
        before = due_on
        owed += one.amount
        due.append(due_on)
        sums.append(owed)
    if len({one.external_id for one in history.instalments}) < len(sums):
        return None
    if in_order:
        return history.instalments, due, sums
    ordered = tuple(sorted(history.instalments, key=_by_due_date))
    return ordered, [one.due_on for one in ordered], list(accumulate([one.amount for one in ordered]))
