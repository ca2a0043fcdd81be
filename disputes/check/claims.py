"""Criteria of the payments that the customer names."""

from __future__ import annotations

from typing import Any

from config.values.money import render_amount
from disputes.check.account import shown_at
from disputes.check.claimed import Match, match_claims, nearest_alike, reaches
from disputes.check.facts import RepaymentVersion
from disputes.check.finding import CUSTOMER, LENDER, NOBODY, Finding, money, repayment_facts
from disputes.check.matter import Matter
from disputes.check.standing import local_day


def _of_status(matter: Matter, status: str, speaks_for: str) -> Finding | None:
    """The claimed payments of one status, as one finding."""
    if not matter.claim.claimed_payments or not matter.tells:
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
        params["posted_on"] = local_day(max(shown), matter.was.time_zone).isoformat()
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
    """Payments that the customer names and the records do not show: a receipt may, so it speaks for nobody.

    A receipt is asked for only where the records could have shown them all and hold nothing alike: else a person looks
    first.
    """
    finding = _of_status(matter, "not_found", NOBODY)
    if finding is None:
        return None
    missing = [match.claimed for match in match_claims(matter) if match.status == "not_found"]
    alike = [row for claimed in missing if (row := nearest_alike(matter, claimed)) is not None]
    unreached = not all(reaches(matter, claimed) for claimed in missing)
    facts = finding.facts | {
        "alike": [_version_facts(row, matter) for row in alike],
        "records_reach_that_day": not unreached,
    }
    text, params = finding.text, finding.params
    if unreached:
        text += "_yet"
    elif alike and alike[0].loan != matter.history.loan:
        text += "_elsewhere"
    elif alike:
        text += "_alike"
        params = params | {"other": money(alike[0].amount, matter), "other_on": _paid_on(alike[0], matter)}
    return Finding(name=finding.name, speaks_for=finding.speaks_for, facts=facts, text=text, params=params)


def _version_facts(row: RepaymentVersion, matter: Matter) -> dict[str, Any]:
    """Of a payment that the records have on another loan by now, which may be another person's, its id alone."""
    if row.loan != matter.history.loan:
        return {"external_id": row.external_id, "on_this_loan": False}
    return {
        "external_id": row.external_id,
        "amount": money(row.amount, matter),
        "paid_on": _paid_on(row, matter),
        "on_this_loan": True,
    }


def _paid_on(row: RepaymentVersion, matter: Matter) -> str:
    return local_day(row.paid_at, matter.was.time_zone).isoformat()
