"""A second, slow way to an account, that shares no line with the first: it replays every version, pays unit by unit
and counts days one by one. Amounts are whole units."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from disputes.check.facts import History


def _highest(rows):
    best = None
    for row in rows:
        if best is None or (row.version, row.posted_at, row.content) >= (best.version, best.posted_at, best.content):
            best = row
    return best


def _known(rows, known_at):
    return [row for row in rows if known_at is None or not row.posted_at > known_at]


def _dead(history: History, known_at) -> set[tuple[str, str]]:
    """Asks each void anew whether it stands, by recursion, rather than in one pass."""
    picked = {}
    for name in {void.external_id for void in history.voids}:
        best = _highest(_known([void for void in history.voids if void.external_id == name], known_at))
        if best is not None:
            picked[name] = best

    def stands(void) -> bool:
        return not any(
            other.target_type == "void"
            and other.target == void.external_id
            and (other.posted_at, other.external_id) > (void.posted_at, void.external_id)
            and stands(other)
            for other in picked.values()
        )

    return {(void.target_type, void.target) for void in picked.values() if stands(void)}


def _true_pick(rows, at, known_at):
    order = sorted(rows, key=lambda row: (row.posted_at, row.version, row.content))
    true = []
    for place, row in enumerate(order):
        since = row.effective_at if row.effective_at is not None else (None if place == 0 else row.posted_at)
        if since is None or since <= at:
            true.append(row)
    return _highest(_known(true, known_at))


def figures(history: History, at: datetime, known_at: datetime | None = None) -> dict:
    """days_past_due, delinquent_days, overdue_amount, outstanding, overpaid, paid (by instalment id)."""
    dead = _dead(history, known_at)
    whole = ("loan", history.loan) not in dead
    terms = _true_pick(history.loans, at, known_at) if whole and history.loans else None
    dated = _highest(_known(history.loans, known_at)) if whole else None
    zone = ZoneInfo((terms.time_zone if terms else None) or history.lender_time_zone)
    today = at.astimezone(zone).date()

    lines = []
    for name in sorted({row.external_id for row in history.instalments}) if whole else []:
        row = _true_pick([one for one in history.instalments if one.external_id == name], at, known_at)
        if row is not None and row.loan == history.loan and ("instalment", name) not in dead:
            lines.append([row.due_on, row.number, name, int(row.amount), 0])
    lines.sort()

    money = 0
    for name in {row.external_id for row in history.repayments}:
        row = _highest(_known([one for one in history.repayments if one.external_id == name], known_at))
        if row is None or row.loan != history.loan or ("repayment", name) in dead or row.paid_at > at:
            continue
        undone = False
        for other in {one.external_id for one in history.reversals}:
            turn = _highest(_known([one for one in history.reversals if one.external_id == other], known_at))
            if turn and turn.repayment == name and turn.reversed_at <= at and ("reversal", other) not in dead:
                undone = True
        if not undone:
            money += int(row.amount)

    overpaid = 0
    for _ in range(money):
        for line in lines:
            if line[4] < line[3]:
                line[4] += 1
                break
        else:
            overpaid += 1

    over = dated is not None and any(
        day is not None and day <= today for day in (dated.settled_on, dated.written_off_on)
    )
    tolerance = int(terms.tolerance) if terms else 0
    oldest: date | None = None
    overdue = outstanding = 0
    for due_on, _, _, amount, paid in lines:
        unpaid = 0 if over else amount - paid
        outstanding += unpaid
        if due_on < today:
            overdue += unpaid
            if overdue > tolerance and oldest is None:
                oldest = due_on
    pauses = dated.pauses if dated else ()
    days = delinquent = 0
    if oldest is not None:
        walk = oldest
        while walk < today:
            days += 1
            if not any(p.first <= walk and (p.until is None or walk < p.until) for p in pauses):
                delinquent += 1
            walk += timedelta(days=1)
    grace = terms.grace_days if terms else 0
    return {
        "days_past_due": days,
        "delinquent_days": max(0, delinquent - grace),
        "overdue_amount": overdue if oldest else 0,
        "outstanding": outstanding,
        "overpaid": overpaid,
        "paid": {line[2]: line[4] for line in lines},
    }
