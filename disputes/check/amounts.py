"""Criteria of the amount and the days that the message named, beside the records, explained to the cent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from disputes.check.account import OTHER, parts_left
from disputes.check.causes import amount_differs, amounts_that_fit, days_differ, fitting_amounts
from disputes.check.clocks import Clock
from disputes.check.facts import InstalmentVersion
from disputes.check.finding import CUSTOMER, LENDER, NOBODY, Finding, Told, money
from disputes.check.matter import Matter
from disputes.check.standing import ZERO

Parts = Mapping[str, Decimal]


def claimed_amount(matter: Matter) -> Finding | None:
    """The amount that the message named, beside the records: what differs, and what the records' amount is made of."""
    claimed = matter.message.claimed_amount
    if not matter.tells or claimed is None:
        return None
    if not amount_differs(matter):
        return Finding(name="amount_agrees", speaks_for=LENDER, text="amount_agrees", tells=_amount_told, matter=matter)
    text = "amount_of_nothing"
    fits = amounts_that_fit(matter)[0]
    if fits != ZERO:
        text = "amount_too_high" if claimed > fits else "amount_too_low"
        if _is_said_by_parts(asked_parts(matter.was)):
            text += "_parts"
    return Finding(name="amount_differs", speaks_for=CUSTOMER, text=text, tells=_difference_told, matter=matter)


def _amount_told(matter: Matter) -> Told:
    fits = amounts_that_fit(matter)
    claimed = matter.message.claimed_amount or ZERO
    facts: dict[str, Any] = {
        "claimed": money(claimed, matter),
        "records": [money(amount, matter) for amount in dict.fromkeys(fits)],
        "tolerance": money(matter.was.tolerance, matter),
        "by_component": [
            {"instalment": one.number, "due_on": one.due_on.isoformat(), "left": _money_of(left, matter)}
            for one, left in _open_parts(matter.was)
        ],
    }
    return facts, {"claimed": facts["claimed"], "amount": money(fits[0], matter)}


def _difference_told(matter: Matter) -> Told:
    fits = amounts_that_fit(matter)[0]
    differs = (matter.message.claimed_amount or ZERO) - fits
    facts, params = _amount_told(matter)
    facts["difference"] = money(differs, matter)
    params["difference"] = money(abs(differs), matter)
    parts = asked_parts(matter.was)
    if fits != ZERO and _is_said_by_parts(parts):
        params["parts"] = [
            {"text": f"part_{part}", "params": {"amount": money(amount, matter)}}
            for part, amount in parts.items()
            if amount > ZERO
        ]
    return facts, params


def amount_of_the_list(matter: Matter) -> Finding | None:
    """A wrong amount that the records themselves showed when the list was made: what changed since, by component."""
    claimed = matter.message.claimed_amount
    if claimed is None or not matter.tells or matter.listed is matter.was or not amount_differs(matter):
        return None
    listed = fitting_amounts(matter.listed)
    if all(abs(claimed - amount) > matter.listed.tolerance for amount in listed):
        return None
    before, now = asked_parts(matter.listed), asked_parts(matter.was)
    changed = {part: before.get(part, ZERO) - now.get(part, ZERO) for part in {**before, **now}}
    facts = {
        "list": [money(amount, matter) for amount in dict.fromkeys(listed)],
        "records": money(fitting_amounts(matter.was)[0], matter),
        "difference_by_component": _money_of({part: amount for part, amount in changed.items() if amount}, matter),
    }
    params = {"claimed": money(claimed, matter)}
    return Finding(name="amount_of_the_list", speaks_for=NOBODY, facts=facts, text="amount_of_the_list", params=params)


def asked_parts(clock: Clock) -> dict[str, Decimal]:
    """What `amounts_that_fit` first names, by component: it is their sum."""
    stands = clock.standing
    overdue = stands.overdue_amount > ZERO
    total: dict[str, Decimal] = {}
    for one, left in _open_parts(clock):
        if one.due_on < stands.day if overdue else one.due_on == stands.next_due_on:
            for part, amount in left.items():
                total[part] = total.get(part, ZERO) + amount
    return total


def _open_parts(clock: Clock) -> list[tuple[InstalmentVersion, Parts]]:
    """What was left of each instalment due by that day (where none was: of the next), by component."""
    stands = clock.standing
    if stands.settled:
        return []
    last: date | None = stands.day if stands.overdue_amount > ZERO else stands.next_due_on
    order = clock.terms.allocation if clock.terms is not None else ()
    paid = clock.paid
    rows: list[tuple[InstalmentVersion, Parts]] = []
    for one in clock.instalments:
        covered = max(ZERO, min(paid, one.amount))
        paid -= covered
        if covered < one.amount and last is not None and one.due_on <= last:
            rows.append((one, parts_left(instalment=one, paid=covered, allocation=order)))
    return rows


def _money_of(parts: Parts, matter: Matter) -> dict[str, dict[str, str]]:
    return {part: money(amount, matter) for part, amount in parts.items()}


def _is_said_by_parts(parts: Parts) -> bool:
    """Whether the schedule states of what an amount is made."""
    return any(amount > ZERO and part != OTHER for part, amount in parts.items())


def claimed_days(matter: Matter) -> Finding | None:
    """The days past due that the message named, beside the records."""
    claimed = matter.message.claimed_days_past_due
    if not matter.tells or claimed is None:
        return None
    facts = {"claimed": claimed, "records": matter.was.standing.days_past_due}
    params = {"claimed": claimed, "days": facts["records"]}
    if days_differ(matter):
        return Finding(name="days_differ", speaks_for=CUSTOMER, facts=facts, text="days_differ", params=params)
    return Finding(name="days_agree", speaks_for=LENDER, facts=facts, text="days_agree", params=params)
