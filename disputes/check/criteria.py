"""The criteria of a message: each looks at one thing and answers with a finding, or with nothing.

In the order of `CRITERIA`. A finding says for whom it speaks, the facts that it used, and the sentence (a key of
`sentences` and its parameters) in which it is told. Facts and parameters are JSON-ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from config.values.money import render_amount
from disputes.check.account import parts_left, render_day, render_instant, shown_at
from disputes.check.causes import (
    UNCOLLECTING,
    amount_differs,
    amounts_that_fit,
    days_differ,
    presses_before_due,
    stale_detail,
)
from disputes.check.claimed import Match, match_claims
from disputes.check.matter import Matter, change_since_list, faults, left_of
from disputes.check.standing import ZERO, covers, local_day
from disputes.check.versions import StandingRepayment

CUSTOMER = "customer"
LENDER = "lender"
NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """`speaks_for`: ``customer`` ``lender`` ``nobody``; `text`: a key of `sentences.SENTENCES`; `params`: what it
    names."""

    name: str
    speaks_for: str
    facts: dict[str, Any] = field(default_factory=dict)
    text: str
    params: dict[str, Any] = field(default_factory=dict)

    def render(self) -> dict[str, Any]:
        """JSON-ready; `sentences.sentence_of` makes the sentence from it in any language."""
        return {
            "name": self.name,
            "speaks_for": self.speaks_for,
            "facts": self.facts,
            "text": self.text,
            "params": self.params,
        }


def _money(amount: Decimal, matter: Matter) -> dict[str, str]:
    return {"amount": render_amount(amount, matter.currency), "currency": matter.currency}


def _day(matter: Matter) -> str:
    return matter.was.standing.day.isoformat()


def records_missing(matter: Matter) -> Finding | None:
    """The records do not hold the account, or not its schedule."""
    if matter.tells:
        return None
    return Finding(
        name="records_missing", speaks_for=NOBODY, facts={"loan": matter.message.loan}, text="records_missing"
    )


def settled(matter: Matter) -> Finding | None:
    """The loan was settled or written off when the message went out."""
    if not matter.tells or matter.message.category in UNCOLLECTING:
        return None
    for clock in (matter.listed, matter.was):
        if clock.standing.settled:
            days = [day for day in (clock.position.settled_on, clock.position.written_off_on) if day is not None]
            facts = {
                "settled_on": render_day(clock.position.settled_on),
                "written_off_on": render_day(clock.position.written_off_on),
                "known_at_list": matter.listed.standing.settled,
            }
            params = {"settled_on": min(days).isoformat(), "day": _day(matter)}
            return Finding(name="settled", speaks_for=CUSTOMER, facts=facts, text="settled", params=params)
    return None


def arrears(matter: Matter) -> Finding | None:
    """Nothing was overdue; or fewer days than the sending rule needs; or enough."""
    was = matter.was.standing
    if not matter.tells or matter.needs == 0:
        return None
    facts = {
        "days_past_due": was.days_past_due,
        "overdue_amount": _money(was.overdue_amount, matter),
        "oldest_unpaid_due_on": render_day(was.oldest_unpaid_due_on),
        "next_due_on": render_day(was.next_due_on),
        "needed": matter.needs,
        "aim": matter.aim,
    }
    params = {"day": _day(matter), "days": was.days_past_due, "needed": matter.needs}
    if was.days_past_due == 0:
        return Finding(name="nothing_overdue", speaks_for=CUSTOMER, facts=facts, text="nothing_overdue", params=params)
    params |= {"amount": facts["overdue_amount"], "due_on": render_day(was.oldest_unpaid_due_on)}
    if was.days_past_due < matter.needs:
        return Finding(name="fewer_days", speaks_for=CUSTOMER, facts=facts, text="fewer_days", params=params)
    return Finding(name="was_overdue", speaks_for=LENDER, facts=facts, text="was_overdue", params=params)


def reminded_instalment(matter: Matter) -> Finding | None:
    """Whether something was left of the instalment that a reminder was about."""
    if not matter.tells or matter.reminded is None:
        return None
    one = next(row for row in matter.listed.view.instalments if row.external_id == matter.reminded)
    left = left_of(matter.was.view.instalments, matter.was.position, matter.reminded)
    left = ZERO if matter.was.standing.settled else left
    facts = {"instalment": one.number, "due_on": one.due_on.isoformat(), "left": _money(left, matter)}
    params = {"due_on": facts["due_on"], "amount": facts["left"], "day": _day(matter)}
    if faults(matter=matter, clock=matter.was):
        return Finding(name="instalment_paid", speaks_for=CUSTOMER, facts=facts, text="instalment_paid", params=params)
    return Finding(name="instalment_open", speaks_for=LENDER, facts=facts, text="instalment_open", params=params)


def paid_before_posted_after(matter: Matter) -> Finding | None:
    """Payments made before the message that the records showed only after the list, or after the message."""
    if not matter.tells:
        return None
    change = change_since_list(matter=matter, clock=matter.was)
    if not change.posted:
        return None
    turned = _turned(matter) and stale_detail(matter) in ("late_posting", "stale_list")
    text = stale_detail(matter) if turned else "late_but_changed_nothing"
    last = change.posted[-1]
    return Finding(
        name="paid_before_posted_after",
        speaks_for=CUSTOMER if turned else NOBODY,
        facts={"repayments": [_repayment(row, matter) for row in change.posted], "turned_it": turned},
        text=text,
        params={
            "amount": _money(change.posted_more, matter),
            "paid_on": local_day(last.version.paid_at, matter.was.view.time_zone).isoformat(),
            "posted_on": local_day(last.version.posted_at, matter.was.view.time_zone).isoformat(),
            "sent_on": _day(matter),
        },
    )


def _turned(matter: Matter) -> bool:
    return bool(faults(matter=matter, clock=matter.was)) and not faults(matter=matter, clock=matter.listed)


def _repayment(row: StandingRepayment, matter: Matter) -> dict[str, Any]:
    return {
        "external_id": row.version.external_id,
        "amount": _money(row.version.amount, matter),
        "paid_at": render_instant(row.version.paid_at),
        "posted_at": render_instant(shown_at(row.version.posted_at)),
    }


def reversal_taken_back(matter: Matter) -> Finding | None:
    """A payment that the records showed as reversed at the list, and whose reversal was taken back."""
    if not matter.tells:
        return None
    change = change_since_list(matter=matter, clock=matter.was)
    if not change.revived:
        return None
    turned = _turned(matter) and stale_detail(matter) == "reversal_voided"
    return Finding(
        name="reversal_taken_back",
        speaks_for=CUSTOMER if turned else NOBODY,
        facts={"repayments": [_repayment(row, matter) for row in change.revived], "turned_it": turned},
        text="reversal_taken_back",
        params={"amount": _money(change.revived_more, matter)},
    )


def changed_afterwards(matter: Matter) -> Finding | None:
    """The records were changed afterwards for the time before: a due date, an amount, a settlement, a pause."""
    if not matter.tells or not _turned(matter) or stale_detail(matter) != "backdated_change":
        return None
    facts = {"now": list(faults(matter=matter, clock=matter.was))}
    return Finding(name="changed_afterwards", speaks_for=CUSTOMER, facts=facts, text="changed_afterwards")


def inside_grace(matter: Matter) -> Finding | None:
    """Overdue, but by no more than the grace days."""
    if not matter.tells or matter.needs == 0:
        return None
    for clock, name in ((matter.was, "as_it_was"), (matter.listed, "as_known_at_list")):
        if clock.standing.within_grace:
            facts = {
                "days_past_due": clock.standing.days_past_due,
                "grace_days": clock.position.grace_days,
                "clock": name,
            }
            params = {"days": facts["days_past_due"], "grace_days": facts["grace_days"]}
            return Finding(name="inside_grace", speaks_for=CUSTOMER, facts=facts, text="inside_grace", params=params)
    return None


def arrangement_kept(matter: Matter) -> Finding | None:
    """An arrangement ran on the day of the message and had been kept."""
    if not matter.tells or matter.needs == 0:
        return None
    for clock, name in ((matter.was, "as_it_was"), (matter.listed, "as_known_at_list")):
        if clock.standing.arrangement_kept:
            day = clock.standing.day
            rows = [one for one in clock.position.arrangements if covers(one, day)]
            facts = {
                "arrangements": [{"from": one.first.isoformat(), "until": render_day(one.until)} for one in rows],
                "clock": name,
            }
            params = {"day": _day(matter)}
            return Finding(name="arrangement", speaks_for=CUSTOMER, facts=facts, text="arrangement", params=params)
    return None


def paused(matter: Matter) -> Finding | None:
    """Collection was paused on the day of the message."""
    if not matter.tells or matter.needs == 0:
        return None
    for clock, name in ((matter.was, "as_it_was"), (matter.listed, "as_known_at_list")):
        if clock.standing.paused:
            rows = [one for one in clock.position.pauses if covers(one, clock.standing.day)]
            facts = {
                "pauses": [{"from": one.first.isoformat(), "until": render_day(one.until)} for one in rows],
                "clock": name,
            }
            params = {"day": _day(matter)}
            return Finding(name="pause", speaks_for=CUSTOMER, facts=facts, text="pause", params=params)
    return None


def pre_due_rule(matter: Matter) -> Finding | None:
    """An urge or a warning from a rule that sends before due dates, with no arrears."""
    if not matter.tells or not presses_before_due(matter):
        return None
    facts = {"sending_rule": matter.message.sending_rule, "category": matter.message.category}
    return Finding(name="pre_due_rule", speaks_for=CUSTOMER, facts=facts, text="pre_due_rule")


def risk_rule(matter: Matter) -> Finding | None:
    """A rule that sends by risk, with no arrears."""
    if not matter.tells or matter.aim != "risk" or matter.was.standing.days_past_due:
        return None
    return Finding(
        name="risk_rule",
        speaks_for=CUSTOMER,
        facts={"sending_rule": matter.message.sending_rule},
        text="risk_rule",
    )


def _claimed(matter: Matter, status: str, speaks_for: str) -> Finding | None:
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
    found = rows[0].found
    if found is not None and shown_at(found.version.posted_at) is not None:
        params["posted_on"] = local_day(found.version.posted_at, matter.was.view.time_zone).isoformat()
    name = f"claimed_payment_{status}"
    return Finding(
        name=name,
        speaks_for=speaks_for,
        facts={"payments": [_match(row, matter) for row in rows]},
        text=name,
        params=params,
    )


def _match(match: Match, matter: Matter) -> dict[str, Any]:
    claimed = match.claimed
    return {
        "amount": {"amount": render_amount(claimed.amount, claimed.currency), "currency": claimed.currency},
        "paid_on": claimed.paid_on.isoformat(),
        "by": match.by,
        "repayment": None if match.found is None else _repayment(match.found, matter),
    }


def claimed_payment_found(matter: Matter) -> Finding | None:
    """Payments that the customer names and the records showed in time."""
    return _claimed(matter, "found", NOBODY)


def claimed_payment_found_late(matter: Matter) -> Finding | None:
    """Payments that the customer names and the records showed only after the list."""
    return _claimed(matter, "found_late", CUSTOMER)


def claimed_payment_made_later(matter: Matter) -> Finding | None:
    """Payments that the customer names and that came in after the message."""
    return _claimed(matter, "made_later", NOBODY)


def claimed_payment_reversed(matter: Matter) -> Finding | None:
    """Payments that the customer names and that were undone before the message."""
    return _claimed(matter, "reversed", LENDER)


def claimed_payment_not_found(matter: Matter) -> Finding | None:
    """Payments that the customer names and the records do not show: a receipt may, so it speaks for nobody."""
    return _claimed(matter, "not_found", NOBODY)


def claimed_amount(matter: Matter) -> Finding | None:
    """The amount that the message named, beside the records."""
    claimed = matter.message.claimed_amount
    if not matter.tells or claimed is None:
        return None
    fits = amounts_that_fit(matter)
    facts = {
        "claimed": _money(claimed, matter),
        "records": [_money(amount, matter) for amount in dict.fromkeys(fits)],
        "tolerance": _money(matter.was.position.tolerance, matter),
        "by_component": _components(matter),
    }
    params = {"claimed": facts["claimed"], "amount": _money(fits[0], matter)}
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
                    "left": {part: _money(amount, matter) for part, amount in left.items()},
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


def records_stale(matter: Matter) -> Finding | None:
    """The feeds are behind the message by more than the policy allows, so silence of the records proves nothing."""
    if not matter.tells or not matter.behind:
        return None
    facts = {"feeds": list(matter.behind), "max_lag_hours": matter.pack.records.max_lag_hours}
    return Finding(
        name="records_stale", speaks_for=NOBODY, facts=facts, text="records_stale", params={"day": _day(matter)}
    )


CRITERIA: tuple[Callable[[Matter], Finding | None], ...] = (
    records_missing,
    settled,
    arrears,
    reminded_instalment,
    paid_before_posted_after,
    reversal_taken_back,
    changed_afterwards,
    inside_grace,
    arrangement_kept,
    paused,
    pre_due_rule,
    risk_rule,
    claimed_payment_found,
    claimed_payment_found_late,
    claimed_payment_made_later,
    claimed_payment_reversed,
    claimed_payment_not_found,
    claimed_amount,
    claimed_days,
    records_stale,
)


def findings_of(
    matter: Matter, criteria: Iterable[Callable[[Matter], Finding | None]] = CRITERIA
) -> tuple[Finding, ...]:
    """What every criterion found, in their order."""
    return tuple(found for criterion in criteria if (found := criterion(matter)) is not None)
