"""The criteria of a message: each looks at one thing and answers with a finding, or with nothing.

In the order of `CRITERIA`. A finding says for whom it speaks, the facts that it used, and the sentence (a key of
`sentences` and its parameters) in which it is told. Facts and parameters are JSON-ready.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from disputes.check import amounts, changes, claims, contacts
from disputes.check.causes import UNCOLLECTING, presses_before_due, reminds_of_nothing, stale_detail, stale_records
from disputes.check.finding import CUSTOMER, LENDER, NOBODY, Finding, Told, money, repayment_facts, sent_on
from disputes.check.matter import Matter, change_since_list, faults, left_of
from disputes.check.permitting import unauthorised
from disputes.check.presence import (
    ACCOUNT,
    AIMED,
    AMOUNT,
    BEHIND,
    CHANGED,
    DAYS,
    EVERYTHING,
    GATED,
    HOUR_ASKED,
    LATE,
    NO_ACCOUNT,
    OFTEN_ASKED,
    OTHERS,
    OVER,
    OWNERS,
    PAYMENTS,
    PRESSES,
    REPROACHED,
    SPARED,
)
from disputes.check.recipient import whose_phone
from disputes.check.rendering import render_day
from disputes.check.standing import ZERO, covers, local_day


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
            params = {"settled_on": min(days).isoformat(), "day": sent_on(matter)}
            return Finding(name="settled", speaks_for=CUSTOMER, facts=facts, text="settled", params=params)
    return None


def paid_off(matter: Matter) -> Finding | None:
    """A reminder of a loan on which everything had been paid."""
    if not matter.tells or matter.was.standing.settled or not reminds_of_nothing(matter):
        return None
    facts = {"outstanding": money(matter.was.standing.outstanding, matter)}
    return Finding(name="paid_off", speaks_for=CUSTOMER, facts=facts, text="paid_off", params={"day": sent_on(matter)})


def arrears(matter: Matter) -> Finding | None:
    """Nothing was overdue; or fewer days than the sending rule needs; or enough."""
    if not matter.tells or matter.needs_was == 0:
        return None
    days = matter.was.standing.days_past_due
    if days >= matter.needs_was:
        return Finding(name="was_overdue", speaks_for=LENDER, text="was_overdue", tells=_arrears_told, matter=matter)
    name = "fewer_days" if days else "nothing_overdue"
    return Finding(name=name, speaks_for=CUSTOMER, text=name, tells=_arrears_told, matter=matter)


def _arrears_told(matter: Matter) -> Told:
    was = matter.was.standing
    facts = {
        "days_past_due": was.days_past_due,
        "overdue_amount": money(was.overdue_amount, matter),
        "oldest_unpaid_due_on": render_day(was.oldest_unpaid_due_on),
        "next_due_on": render_day(was.next_due_on),
        "needed": matter.needs_was,
        "aim": matter.aim,
    }
    params = {"day": sent_on(matter), "days": was.days_past_due, "needed": matter.needs_was}
    if was.days_past_due:
        params |= {"amount": facts["overdue_amount"], "due_on": facts["oldest_unpaid_due_on"]}
    return facts, params


def reminded_instalment(matter: Matter) -> Finding | None:
    """Whether something was left of the instalment that a reminder was about."""
    if not matter.tells or matter.reminded is None:
        return None
    one = next(row for row in matter.listed.view.instalments if row.external_id == matter.reminded)
    left = left_of(matter.was.view.instalments, matter.was.position, matter.reminded)
    left = ZERO if matter.was.standing.settled else left
    facts = {"instalment": one.number, "due_on": one.due_on.isoformat(), "left": money(left, matter)}
    params = {"due_on": facts["due_on"], "amount": facts["left"], "day": sent_on(matter)}
    if faults(matter=matter, clock=matter.was):
        return Finding(name="instalment_paid", speaks_for=CUSTOMER, facts=facts, text="instalment_paid", params=params)
    return Finding(name="instalment_open", speaks_for=LENDER, facts=facts, text="instalment_open", params=params)


def paid_before_posted_after(matter: Matter) -> Finding | None:
    """Payments made before the message that the records showed only after the list, or after the message."""
    if not matter.tells:
        return None
    if not matter.listed.missing and not change_since_list(matter=matter, clock=matter.was).posted:
        return None
    turned = stale_records(matter) and stale_detail(matter) in ("late_posting", "stale_list")
    return Finding(
        name="paid_before_posted_after",
        speaks_for=CUSTOMER if turned else NOBODY,
        text=stale_detail(matter) if turned else "late_but_changed_nothing",
        tells=_turned_told if turned else _late_told,
        matter=matter,
    )


def _turned_told(matter: Matter) -> Told:
    return _posted_after(matter, turned=True)


def _late_told(matter: Matter) -> Told:
    return _posted_after(matter, turned=False)


def _posted_after(matter: Matter, *, turned: bool) -> Told:
    change = change_since_list(matter=matter, clock=matter.was)
    # Of a stale list the sentence counts what the records showed when the message went out, and nothing later.
    stale_list = turned and stale_detail(matter) == "stale_list"
    told = change_since_list(matter=matter, clock=matter.sent) if stale_list else change
    last_paid = max(row.version.paid_at for row in told.posted)
    last_posted = max(row.version.posted_at for row in told.posted)
    facts = {"repayments": [repayment_facts(row, matter) for row in change.posted], "turned_it": turned}
    params = {
        "amount": money(told.posted_more, matter),
        "paid_on": local_day(last_paid, matter.was.time_zone).isoformat(),
        "posted_on": local_day(last_posted, matter.was.time_zone).isoformat(),
        "sent_on": sent_on(matter),
    }
    return facts, params


def reversal_taken_back(matter: Matter) -> Finding | None:
    """A payment that the records showed as reversed at the list, and whose reversal was taken back."""
    if not matter.tells:
        return None
    change = change_since_list(matter=matter, clock=matter.was)
    if not change.revived:
        return None
    turned = stale_records(matter) and stale_detail(matter) == "reversal_voided"
    return Finding(
        name="reversal_taken_back",
        speaks_for=CUSTOMER if turned else NOBODY,
        facts={"repayments": [repayment_facts(row, matter) for row in change.revived], "turned_it": turned},
        text="reversal_taken_back",
        params={"amount": money(change.revived_more, matter)},
    )


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
            params = {"day": sent_on(matter)}
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
            params = {"day": sent_on(matter)}
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


def records_stale(matter: Matter) -> Finding | None:
    """The feeds are behind the message by more than the policy allows, so silence of the records proves nothing."""
    if not matter.tells or not matter.behind:
        return None
    facts = {"feeds": list(matter.behind), "max_lag_hours": matter.pack.records.max_lag_hours}
    return Finding(
        name="records_stale", speaks_for=NOBODY, facts=facts, text="records_stale", params={"day": sent_on(matter)}
    )


CRITERIA: tuple[Callable[[Matter], Finding | None], ...] = (
    records_missing,
    whose_phone,
    settled,
    paid_off,
    arrears,
    reminded_instalment,
    paid_before_posted_after,
    reversal_taken_back,
    changes.changed_afterwards,
    inside_grace,
    arrangement_kept,
    paused,
    pre_due_rule,
    risk_rule,
    contacts.same_message_twice,
    contacts.above_cap,
    contacts.within_caps,
    contacts.outside_hours,
    contacts.inside_hours,
    unauthorised,
    claims.claimed_payment_found,
    claims.claimed_payment_found_late,
    claims.claimed_payment_made_later,
    claims.claimed_payment_reversed,
    claims.claimed_payment_not_found,
    amounts.claimed_amount,
    amounts.amount_of_the_list,
    amounts.claimed_days,
    records_stale,
)


Criterion = Callable[[Matter], Finding | None]

NEEDS: Mapping[Criterion, int] = {
    records_missing: NO_ACCOUNT,
    whose_phone: OWNERS | REPROACHED,
    contacts.outside_hours: REPROACHED,
    settled: ACCOUNT | OVER,
    paid_off: ACCOUNT | OVER,
    arrears: ACCOUNT | PRESSES,
    reminded_instalment: ACCOUNT | OVER,
    paid_before_posted_after: ACCOUNT | LATE,
    reversal_taken_back: ACCOUNT | CHANGED,
    changes.changed_afterwards: ACCOUNT | CHANGED,
    inside_grace: ACCOUNT | PRESSES | SPARED,
    arrangement_kept: ACCOUNT | PRESSES | SPARED,
    paused: ACCOUNT | PRESSES | SPARED,
    pre_due_rule: ACCOUNT | AIMED,
    risk_rule: ACCOUNT | AIMED,
    contacts.same_message_twice: OTHERS | REPROACHED,
    contacts.above_cap: OTHERS | REPROACHED,
    contacts.within_caps: OFTEN_ASKED,
    contacts.inside_hours: HOUR_ASKED,
    unauthorised: GATED | REPROACHED,
    claims.claimed_payment_found: ACCOUNT | PAYMENTS,
    claims.claimed_payment_found_late: ACCOUNT | PAYMENTS,
    claims.claimed_payment_made_later: ACCOUNT | PAYMENTS,
    claims.claimed_payment_reversed: ACCOUNT | PAYMENTS,
    claims.claimed_payment_not_found: ACCOUNT | PAYMENTS,
    amounts.claimed_amount: ACCOUNT | AMOUNT,
    amounts.amount_of_the_list: ACCOUNT | AMOUNT | LATE,
    amounts.claimed_days: ACCOUNT | DAYS,
    records_stale: ACCOUNT | BEHIND,
}
"""The facts without which a criterion finds nothing; one that is not here is always asked."""


def findings_of(matter: Matter, bits: int = EVERYTHING) -> tuple[Finding, ...]:
    """What every criterion found, in their order. `bits`: what bears on the matter, where that is known."""
    rows = _worth_asking(bits)
    return tuple([found for criterion in rows if (found := criterion(matter)) is not None])


@lru_cache(maxsize=4096)
def _worth_asking(bits: int) -> tuple[Criterion, ...]:
    """The criteria that could find something where these kinds of facts are there."""
    return tuple([criterion for criterion in CRITERIA if not NEEDS.get(criterion, 0) & ~bits])
