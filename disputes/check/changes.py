"""What a correction changed: the loan as known at the sender's list beside the loan as it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from disputes.check.causes import stale_detail, stale_records
from disputes.check.facts import Arrangement, InstalmentVersion, Period
from disputes.check.finding import CUSTOMER, Finding, money
from disputes.check.matter import Matter, faults
from disputes.check.rendering import render_day

TOLD = 3
"""So many changes stand in the sentence; the facts have them all."""

Change = Mapping[str, Any]


def changed_afterwards(matter: Matter) -> Finding | None:
    """The records were changed afterwards for the time before: a due date, an amount, a settlement, a pause."""
    if not matter.tells or not stale_records(matter) or stale_detail(matter) != "backdated_change":
        return None
    changes = changes_since_list(matter)
    facts = {"now": list(faults(matter=matter, clock=matter.was)), "changes": changes}
    phrases = [_phrase(change) for change in changes[:TOLD]] or [_said("change_terms", {})]
    if len(changes) > TOLD:
        phrases.append({"text": "change_more", "params": {"count": len(changes) - TOLD}})
    params = {"changes": phrases}
    return Finding(
        name="changed_afterwards", speaks_for=CUSTOMER, facts=facts, text="changed_afterwards_so", params=params
    )


def changes_since_list(matter: Matter) -> list[dict[str, Any]]:
    """Every change as ``{"what", "before", "after"}``, and for an instalment ``number`` and ``due_on``: what the list
    could know, and what was so. `what`: ``voided`` ``settled_on`` ``written_off_on`` ``pauses`` ``arrangements``
    ``grace_days`` ``time_zone`` ``tolerance`` ``days_needed`` (by the sending rule) ``instalment_due_on``
    ``instalment_amount`` ``instalment_added`` ``instalment_removed``."""
    before, after = matter.listed, matter.was
    if after.view.voided and not before.view.voided:
        return [{"what": "voided", "before": False, "after": True}]
    rows = [
        ("settled_on", render_day(before.position.settled_on), render_day(after.position.settled_on)),
        ("written_off_on", render_day(before.position.written_off_on), render_day(after.position.written_off_on)),
        ("pauses", _periods(before.position.pauses), _periods(after.position.pauses)),
        ("arrangements", _periods(before.position.arrangements), _periods(after.position.arrangements)),
        ("grace_days", before.position.grace_days, after.position.grace_days),
        ("time_zone", before.time_zone, after.time_zone),
        ("tolerance", money(before.tolerance, matter), money(after.tolerance, matter)),
        ("days_needed", matter.needs, matter.needs_was),
    ]
    found = [{"what": what, "before": old, "after": new} for what, old, new in rows if old != new]
    return found + _instalment_changes(matter)


def _periods(periods: Iterable[Period | Arrangement]) -> list[dict[str, Any]]:
    rows = []
    for one in periods:
        row = {"from": one.first.isoformat(), "until": render_day(one.until)}
        if isinstance(one, Arrangement):
            row["kept_until"] = render_day(one.kept_until)
        rows.append(row)
    return rows


def _instalment_changes(matter: Matter) -> list[dict[str, Any]]:
    before = {one.external_id: one for one in matter.listed.instalments}
    after = {one.external_id: one for one in matter.was.instalments}
    rows: list[dict[str, Any]] = []
    for external_id in {**before, **after}:
        old, new = before.get(external_id), after.get(external_id)
        if new is None and old is not None:
            rows.append(_row("instalment_removed", old, money(old.amount, matter), None))
        elif old is None and new is not None:
            rows.append(_row("instalment_added", new, None, money(new.amount, matter)))
        elif old is not None and new is not None:
            if old.due_on != new.due_on:
                rows.append(_row("instalment_due_on", new, old.due_on.isoformat(), new.due_on.isoformat()))
            if old.amount != new.amount:
                rows.append(_row("instalment_amount", new, money(old.amount, matter), money(new.amount, matter)))
    return rows


def _row(what: str, one: InstalmentVersion, before: Any, after: Any) -> dict[str, Any]:
    return {"what": what, "number": one.number, "due_on": one.due_on.isoformat(), "before": before, "after": after}


def _phrase(change: Change) -> dict[str, Any]:
    """A change in words."""
    what, before, after = change["what"], change["before"], change["after"]
    params: dict[str, Any] = {}
    if what == "time_zone" or (what in ("settled_on", "written_off_on") and after is None):
        return _said("change_terms", params)
    if what in ("settled_on", "written_off_on"):
        params = {"day": after}
    elif what in ("pauses", "arrangements"):
        return _phrase_of_period(what, [one for one in after if one not in before])
    elif what in ("grace_days", "tolerance", "days_needed", "instalment_due_on"):
        params = {"before": before, "after": after}
    elif what == "instalment_amount":
        params = {"due_on": change["due_on"], "before": before, "after": after}
    elif what in ("instalment_added", "instalment_removed"):
        params = {"due_on": change["due_on"], "amount": after or before}
    return _said(f"change_{what}", params)


def _phrase_of_period(what: str, new: list[dict[str, Any]]) -> dict[str, Any]:
    """The first pause or arrangement that the list did not know."""
    if not new:
        return _said("change_terms", {})
    first, until = new[0]["from"], new[0]["until"]
    if until is None:
        return _said(f"change_{what}_open", {"first": first})
    return _said(f"change_{what}", {"first": first, "until": until})


def _said(text: str, params: Change) -> dict[str, Any]:
    return {"text": text, "params": params}
