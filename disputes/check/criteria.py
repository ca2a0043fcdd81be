"""The criteria of a message: each looks at one thing and answers with a finding, or with nothing.

In the order of `CRITERIA`. A finding says for whom it speaks, the facts that it used, and the sentence (a key of
`sentences` and its parameters) in which it is told. Facts and parameters are JSON-ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from disputes.check import amounts, changes, claims, contacts
from disputes.check.account import render_day
from disputes.check.causes import UNCOLLECTING, presses_before_due, reminds_of_nothing, stale_detail, stale_records
from disputes.check.finding import CUSTOMER, LENDER, NOBODY, Finding, money, repayment_facts, sent_on
from disputes.check.matter import Matter, change_since_list, faults, left_of
from disputes.check.permitting import unauthorised
from disputes.check.recipient import whose_phone
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
    was = matter.was.standing
    if not matter.tells or matter.needs == 0:
        return None
    facts = {
        "days_past_due": was.days_past_due,
        "overdue_amount": money(was.overdue_amount, matter),
        "oldest_unpaid_due_on": render_day(was.oldest_unpaid_due_on),
        "next_due_on": render_day(was.next_due_on),
        "needed": matter.needs,
        "aim": matter.aim,
    }
    params = {"day": sent_on(matter), "days": was.days_past_due, "needed": matter.needs}
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
    facts = {"instalment": one.number, "due_on": one.due_on.isoformat(), "left": money(left, matter)}
    params = {"due_on": facts["due_on"], "amount": facts["left"], "day": sent_on(matter)}
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
    turned = stale_records(matter) and stale_detail(matter) in ("late_posting", "stale_list")
    text = stale_detail(matter) if turned else "late_but_changed_nothing"
    # Of a stale list the sentence counts what the records showed when the message went out, and nothing later.
    told = change_since_list(matter=matter, clock=matter.sent) if text == "stale_list" else change
    last_paid = max(row.version.paid_at for row in told.posted)
    last_posted = max(row.version.posted_at for row in told.posted)
    return Finding(
        name="paid_before_posted_after",
        speaks_for=CUSTOMER if turned else NOBODY,
        facts={"repayments": [repayment_facts(row, matter) for row in change.posted], "turned_it": turned},
        text=text,
        params={
            "amount": money(told.posted_more, matter),
            "paid_on": local_day(last_paid, matter.was.time_zone).isoformat(),
            "posted_on": local_day(last_posted, matter.was.time_zone).isoformat(),
            "sent_on": sent_on(matter),
        },
    )


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


def findings_of(
    matter: Matter, criteria: Iterable[Callable[[Matter], Finding | None]] = CRITERIA
) -> tuple[Finding, ...]:
    """What every criterion found, in their order."""
    return tuple(found for criterion in criteria if (found := criterion(matter)) is not None)
