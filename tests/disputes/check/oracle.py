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


def figures(history: History, at: datetime, known_at: datetime | None = None, *, places: int = 0) -> dict:
    """Everything that an account says, amounts in the currency's smallest unit, of which a whole one has 10**places.

    days_past_due, delinquent_days, overdue_amount, oldest_unpaid_due_on, next_due_on, next_due_amount, due_today,
    outstanding, overpaid, settled; by instalment id: paid, and parts: component → (paid, outstanding).
    """
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
            buckets = _buckets(row, terms.allocation if terms else (), places)
            lines.append((row.due_on, row.number, name, buckets))
    lines.sort(key=lambda line: line[:3])

    overpaid = 0
    for _ in range(_money(history, at, known_at, dead, places)):
        for bucket in (bucket for line in lines for bucket in line[3]):
            if bucket["left"]:
                bucket["left"] -= 1
                bucket["paid"] += 1
                break
        else:
            overpaid += 1

    over = dated is not None and any(
        day is not None and day <= today for day in (dated.settled_on, dated.written_off_on)
    )
    for bucket in (bucket for line in lines for bucket in line[3]):
        if over:
            bucket["left"] = 0
    left = [(due_on, sum(bucket["left"] for bucket in buckets)) for due_on, _, _, buckets in lines]
    tolerance = _units(terms.tolerance, places) if terms else 0
    oldest: date | None = None
    overdue = 0
    for due_on, unpaid in left:
        if due_on < today:
            overdue += unpaid
            if overdue > tolerance and oldest is None:
                oldest = due_on
    days, delinquent = _days(oldest, today, dated.pauses if dated else ())
    next_due = _next_due(left, today)
    return {
        "days_past_due": days,
        "delinquent_days": max(0, delinquent - (terms.grace_days if terms else 0)),
        "overdue_amount": overdue if oldest else 0,
        "oldest_unpaid_due_on": oldest,
        "next_due_on": next_due,
        "next_due_amount": sum(unpaid for due_on, unpaid in left if due_on == next_due),
        "due_today": sum(unpaid for due_on, unpaid in left if due_on == today),
        "outstanding": sum(unpaid for _, unpaid in left),
        "overpaid": overpaid,
        "settled": over,
        "paid": {name: sum(bucket["paid"] for bucket in buckets) for _, _, name, buckets in lines},
        "parts": {
            name: {bucket["part"]: (bucket["paid"], bucket["left"]) for bucket in buckets}
            for _, _, name, buckets in lines
        },
    }


def _units(amount, places: int) -> int:
    units = amount * 10**places
    assert units == int(units), (amount, places)
    return int(units)


def _buckets(row, allocation, places: int) -> list[dict]:
    """The components of an instalment in the order in which money fills them; the last holds what they leave."""
    wanted = [part for part in allocation if getattr(row, part) is not None]
    for part in ("penalties", "fees", "interest", "principal"):
        if getattr(row, part) is not None and part not in wanted:
            wanted.append(part)
    buckets = [{"part": part, "left": 0, "paid": 0, "wants": _units(getattr(row, part), places)} for part in wanted]
    rest = {"part": "other", "left": 0, "paid": 0}
    for _ in range(_units(row.amount, places)):
        bucket = next((one for one in buckets if one["left"] < one["wants"]), rest)
        bucket["left"] += 1
    return [*buckets, rest] if rest["left"] else buckets


def _money(history: History, at: datetime, known_at: datetime | None, dead: set, places: int) -> int:
    """What came in and stands."""
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
            money += _units(row.amount, places)
    return money


def _days(oldest: date | None, today: date, pauses) -> tuple[int, int]:
    """Days past due, and those of them that no pause covers."""
    days = delinquent = 0
    walk = oldest
    while walk is not None and walk < today:
        days += 1
        if not any(one.first <= walk and (one.until is None or walk < one.until) for one in pauses):
            delinquent += 1
        walk += timedelta(days=1)
    return days, delinquent


def _next_due(left: list[tuple[date, int]], today: date) -> date | None:
    """Looks at every day from today on."""
    last = max((due_on for due_on, _ in left), default=today)
    walk = today
    while walk <= last:
        if any(due_on == walk and unpaid for due_on, unpaid in left):
            return walk
        walk += timedelta(days=1)
    return None
