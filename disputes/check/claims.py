"""Criteria of what is claimed: the payments that the customer names, the amount and the days that the message named."""

from __future__ import annotations

from datetime import date
from typing import Any

from config.values.money import render_amount
from disputes.check.account import parts_left, shown_at
from disputes.check.causes import amount_differs, amounts_that_fit, days_differ
from disputes.check.claimed import Match, match_claims
from disputes.check.finding import CUSTOMER, LENDER, NOBODY, Finding, money, repayment_facts
from disputes.check.matter import Matter
from disputes.check.standing import ZERO, local_day


def _of_status(matter: Matter, status: str, speaks_for: str) -> Finding | None:
    """The claimed payments of one status, as one finding."""
    if not matter.tells:
        return None
    rows = [match for match in match_claims(matter) if match.status == status]
    if not rows:
        return None
    claimed = rows[0].claimed
    params: dict[str, Any] = {
        "count": len(rows),
        "amount": {"amount": render_amount(claimed.amount, claimed.currency), "currency": claimed.currency},
        "paid_on": claimed.paid_on.isoformat(),
    }
    shown = [at for row in rows if row.found is not None and (at := shown_at(row.found.version.posted_at)) is not None]
    if shown:
        params["posted_on"] = local_day(max(shown), matter.was.view.time_zone).isoformat()
    name = f"claimed_payment_{status}"
    return Finding(
        name=name,
        speaks_for=speaks_for,
        facts={"payments": [_match(row, matter) for row in rows]},
        text=name if len(rows) == 1 else f"claimed_payments_{status}",
        params=params,
    )


def _match(match: Match, matter: Matter) -> dict[str, Any]:
    claimed = match.claimed
    return {
        "amount": {"amount": render_amount(claimed.amount, claimed.currency), "currency": claimed.currency},
        "paid_on": claimed.paid_on.isoformat(),
        "by": match.by,
        "repayment": None if match.found is None else repayment_facts(match.found, matter),
    }


def claimed_payment_found(matter: Matter) -> Finding | None:
    """Payments that the customer names and the records showed in time."""
    return _of_status(matter, "found", NOBODY)


def claimed_payment_found_late(matter: Matter) -> Finding | None:
    """Payments that the customer names and the records showed only after the list."""
    return _of_status(matter, "found_late", CUSTOMER)


def claimed_payment_made_later(matter: Matter) -> Finding | None:
    """Payments that the customer names and that came in after the message."""
    return _of_status(matter, "made_later", NOBODY)


def claimed_payment_reversed(matter: Matter) -> Finding | None:
    """Payments that the customer names and that were undone before the message."""
    return _of_status(matter, "reversed", LENDER)


def claimed_payment_not_found(matter: Matter) -> Finding | None:
    """Payments that the customer names and the records do not show: a receipt may, so it speaks for nobody."""
    return _of_status(matter, "not_found", NOBODY)


def claimed_amount(matter: Matter) -> Finding | None:
    """The amount that the message named, beside the records."""
    claimed = matter.message.claimed_amount
    if not matter.tells or claimed is None:
        return None
    fits = amounts_that_fit(matter)
    facts = {
        "claimed": money(claimed, matter),
        "records": [money(amount, matter) for amount in dict.fromkeys(fits)],
        "tolerance": money(matter.was.position.tolerance, matter),
        "by_component": _components(matter),
    }
    params = {"claimed": facts["claimed"], "amount": money(fits[0], matter)}
    if amount_differs(matter):
        return Finding(name="amount_differs", speaks_for=CUSTOMER, facts=facts, text="amount_differs", params=params)
    return Finding(name="amount_agrees", speaks_for=LENDER, facts=facts, text="amount_agrees", params=params)


def _components(matter: Matter) -> list[dict[str, Any]]:
    """What was left of each instalment due by that day (where none was: of the next), by component, as it was."""
    was, rows = matter.was, []
    stands = was.standing
    if stands.settled:
        return []
    last: date | None = stands.day if stands.overdue_amount > ZERO else stands.next_due_on
    order = was.view.terms.allocation if was.view.terms else ()
    paid = was.position.paid
    for one in was.view.instalments:
        covered = max(ZERO, min(paid, one.amount))
        paid -= covered
        if covered < one.amount and last is not None and one.due_on <= last:
            left = parts_left(instalment=one, paid=covered, allocation=order)
            rows.append(
                {
                    "instalment": one.number,
                    "due_on": one.due_on.isoformat(),
                    "left": {part: money(amount, matter) for part, amount in left.items()},
                }
            )
    return rows


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
