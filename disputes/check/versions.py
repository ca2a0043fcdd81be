"""Versions on two clocks: which of a record's versions the records knew at K, and which of those was true at T.

Known at K: the highest (`version`, `posted_at`, `content`) of those posted by K. Since when true, for records that use
`effective_at`: that instant; none: the version posted first always was, any other from its `posted_at`. First means
earliest *posted*: with the lowest number instead, a later posting would change what was known earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from disputes.check.facts import (
    History,
    InstalmentVersion,
    LoanVersion,
    RepaymentVersion,
    ReversalVersion,
    SendingRuleVersion,
    Version,
    VoidVersion,
)

V = TypeVar("V", bound=Version)
Voided = frozenset[tuple[str, str]]
NOTHING: Voided = frozenset()


def _rank(version: Version) -> tuple[int, datetime, bytes]:
    return (version.version, version.posted_at, version.content)


def _posting_order(version: Version) -> tuple[datetime, int, bytes]:
    return (version.posted_at, version.version, version.content)


def group(versions: Iterable[V]) -> dict[str, list[V]]:
    """The versions by their record, in any order."""
    groups: dict[str, list[V]] = {}
    for version in versions:
        groups.setdefault(version.external_id, []).append(version)
    return groups


def known(versions: Sequence[V], known_at: datetime | None) -> V | None:
    """The version of one record that the records knew at `known_at` (None: that they know today)."""
    if known_at is not None:
        versions = [version for version in versions if version.posted_at <= known_at]
    if not versions:
        return None
    return versions[0] if len(versions) == 1 else max(versions, key=_rank)


def true_at(versions: Sequence[V], at: datetime, known_at: datetime | None) -> V | None:
    """The version of one record, as known at `known_at`, that was true at `at`."""
    if len(versions) == 1:
        only = versions[0]
        if only.effective_at is not None and only.effective_at > at:
            return None
        return only if known_at is None or only.posted_at <= known_at else None
    first = min(versions, key=_posting_order)
    true = [version for version in versions if _was_true(version, at, first=version is first)]
    return known(true, known_at)


def _was_true(version: Version, at: datetime, *, first: bool) -> bool:
    if version.effective_at is not None:
        return version.effective_at <= at
    return first or version.posted_at <= at


def voided(voids: Iterable[VoidVersion], known_at: datetime | None) -> Voided:
    """(type, external id) of every record that was void, as known at `known_at`.

    A void of a void counts only where it was posted after it (ties by id), so one pass from the newest to the oldest
    decides: when a void's turn comes, whatever could void it has been decided already.
    """
    if not voids:
        return NOTHING
    standing = [void for versions in group(voids).values() if (void := known(versions, known_at)) is not None]
    standing.sort(key=lambda void: (void.posted_at, void.external_id), reverse=True)
    dead: set[tuple[str, str]] = set()
    for void in standing:
        if ("void", void.external_id) not in dead:
            dead.add((void.target_type, void.target))
    return frozenset(dead)


class StandingRepayment(NamedTuple):
    """A repayment true at the instant asked about; `reversed_at`: when it was undone by then (None: it stands)."""

    version: RepaymentVersion
    reversed_at: datetime | None


class View(NamedTuple):
    """One loan's records at `at`, as known at `known_at` (None: today).

    `terms`: grace, tolerance, zone and allocation that were true; `dated`: the newest known version, whose dates
    (settlement, pauses, arrangements) count whenever it was made true; `instalments`: by due date; `repayments`: made
    by `at`, by value date.
    """

    loan: str
    at: datetime
    known_at: datetime | None
    terms: LoanVersion | None
    dated: LoanVersion | None
    voided: bool
    instalments: tuple[InstalmentVersion, ...]
    repayments: tuple[StandingRepayment, ...]
    time_zone: str


def view_of(*, history: History, at: datetime, known_at: datetime | None = None) -> View:
    """The loan's records on both clocks.

    A record that once named another loan is picked by its clocks first and asked for its loan afterwards. A loan that
    was voided owes nothing; its payments stay visible.
    """
    dead = voided(history.voids, known_at)
    loan_dead = ("loan", history.loan) in dead
    loans = [version for version in history.loans if version.external_id == history.loan]
    terms = true_at(loans, at, known_at) if loans and not loan_dead else None
    dated = known(loans, known_at) if loans and not loan_dead else None
    instalments = []
    if not loan_dead:
        for external_id, versions in group(history.instalments).items():
            picked = true_at(versions, at, known_at)
            if picked is not None and picked.loan == history.loan and ("instalment", external_id) not in dead:
                instalments.append(picked)
        instalments.sort(key=lambda one: (one.due_on, one.number, one.external_id))
    zone = terms.time_zone if terms is not None else None
    return View(
        loan=history.loan,
        at=at,
        known_at=known_at,
        terms=terms,
        dated=dated,
        voided=loan_dead,
        instalments=tuple(instalments),
        repayments=_repayments(history, at, known_at, dead),
        time_zone=zone or history.lender_time_zone,
    )


def _repayments(
    history: History, at: datetime, known_at: datetime | None, dead: Voided
) -> tuple[StandingRepayment, ...]:
    undone = _reversals(history.reversals, known_at, dead)
    rows = []
    for external_id, versions in group(history.repayments).items():
        picked = known(versions, known_at)
        if picked is None or picked.loan != history.loan or picked.paid_at > at or ("repayment", external_id) in dead:
            continue
        reversed_at = undone.get(external_id)
        if reversed_at is not None and reversed_at > at:
            reversed_at = None
        rows.append(StandingRepayment(version=picked, reversed_at=reversed_at))
    rows.sort(key=lambda row: (row.version.paid_at, row.version.external_id))
    return tuple(rows)


def _reversals(reversals: Iterable[ReversalVersion], known_at: datetime | None, dead: Voided) -> dict[str, datetime]:
    """By repayment: when it was undone. Of several reversals the earliest counts."""
    undone: dict[str, datetime] = {}
    for external_id, versions in group(reversals).items():
        picked = known(versions, known_at)
        if picked is None or ("reversal", external_id) in dead:
            continue
        earlier = undone.get(picked.repayment)
        if earlier is None or picked.reversed_at < earlier:
            undone[picked.repayment] = picked.reversed_at
    return undone


def sending_rule_of(
    *, history: History, sending_rule: str | None, at: datetime, known_at: datetime | None
) -> SendingRuleVersion | None:
    """The sending rule as the records knew it at `known_at` and as it was true at `at`; None where there is none."""
    if sending_rule is None:
        return None
    if history.voids and ("sending_rule", sending_rule) in voided(history.voids, known_at):
        return None
    versions = [version for version in history.sending_rules if version.external_id == sending_rule]
    return true_at(versions, at, known_at) if versions else None
