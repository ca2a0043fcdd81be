"""One stored check laid open: what it read, on every clock, and what it made of it. Nothing is read but the check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from disputes.cases.models import Check
from disputes.check import canonical
from disputes.check.account import account_at
from disputes.check.causes import causes_of
from disputes.check.facts import CollectionMessage
from disputes.check.judging import ENGINE_VERSION, judge
from disputes.check.matter import list_of, matter_of
from disputes.check.rendering import render
from disputes.check.sentences import sentence_of
from disputes.holds.policies import packs

CLOCKS = ("as it was", "as known when sent", "as known at the list")

FIGURES: Mapping[str, str] = {
    "days_past_due": "Days past due",
    "delinquent_days": "Delinquent days",
    "overdue_amount": "Overdue",
    "oldest_unpaid_due_on": "Oldest unpaid, due on",
    "next_due_on": "Next due on",
    "outstanding": "Outstanding",
    "overpaid": "Overpaid",
    "settled": "Settled",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A thing on the three clocks, in the order of CLOCKS, in words. `label`: what it is."""

    label: tuple[str, ...]
    on: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.on)) > 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """`message`: what it was, by name; `zone`: of every time shown; `figures`, `instalments` (label: number, due on,
    amount; paid on each clock) and `repayments` (label: id, paid, posted, reversed; the amount that counts on each
    clock); `findings`: (name, for whom it speaks, sentence); `causes`: that hold, in the table's order, with the
    grounds that they answer; `ends`: verdict and what it rests on; `now`: what this engine answers, where it is another
    answer.
    """

    title: str
    message: tuple[tuple[str, str], ...]
    zone: str
    currency: str
    figures: tuple[Shown, ...]
    instalments: tuple[Shown, ...]
    repayments: tuple[Shown, ...]
    findings: tuple[tuple[str, str, str], ...]
    causes: tuple[tuple[str, str], ...]
    ends: tuple[tuple[str, str], ...]
    now: str


def explain_check(*, check: Check, language: str) -> Explained:
    """Raises UnreadableInput, CannotOpen; KeyError where the pack that it names is not there."""
    stored = canonical.load_input(check.input.encode())
    pack = packs().version(stored.pack_name, stored.pack_version)
    history, message = stored.history, stored.message
    known = (None, message.sent_at, list_of(message))
    accounts = [account_at(history=history, at=message.sent_at, known_at=at) for at in known]
    rendered = [render(account) for account in accounts]
    zone = accounts[0].time_zone or history.lender_time_zone
    matter = matter_of(history=history, message=message, claim=stored.claim, pack=pack)
    again = judge(history=history, message=message, claim=stored.claim, pack=pack)
    answer, answered = (again.verdict, again.cause, again.detail), (check.verdict, check.cause, check.detail)
    return Explained(
        title=f"{check.dispute.reference}: check {check.pk} of {_at(check.checked_at, zone)}",
        message=_message(message, ground=stored.claim.ground, zone=zone),
        zone=zone,
        currency=accounts[0].currency,
        figures=tuple(
            Shown(label=(label,), on=tuple(_plain(one[name]) for one in rendered)) for name, label in FIGURES.items()
        ),
        instalments=_instalments(rendered),
        repayments=_repayments(rendered, zone),
        findings=tuple((row["name"], row["speaks_for"], sentence_of(row, language=language)) for row in check.findings),
        causes=tuple((cause.name, ", ".join(sorted(cause.answers)) or "none alone") for cause in causes_of(matter)),
        ends=(
            ("Verdict", check.verdict),
            ("Cause", _joined(check.cause, check.detail)),
            ("Policy", f"{check.policy_name} {check.policy_version}{_edited(check, pack.digest)}"),
            ("Engine", check.engine_version),
            ("Digest", check.records_digest),
        ),
        now="" if answer == answered else f"engine {ENGINE_VERSION}: {_joined(*answer)}",
    )


def _edited(check: Check, digest: str) -> str:
    if check.policy_digest is None:
        return ""
    return f" ({check.policy_digest})" if check.policy_digest == digest else " (edited since)"


def _joined(*parts: str | None) -> str:
    return " / ".join(part for part in parts if part) or "none"


def _message(message: CollectionMessage, *, ground: str, zone: str) -> tuple[tuple[str, str], ...]:
    claimed = "" if message.claimed_amount is None else f"{message.claimed_amount.normalize():f}"
    days = "" if message.claimed_days_past_due is None else str(message.claimed_days_past_due)
    rows = (
        ("Message", message.external_id),
        ("Loan", message.loan or ""),
        ("Kind", f"{message.category}, {message.channel}"),
        ("Sent", _at(message.sent_at, zone)),
        ("List made", _at(message.list_built_at, zone)),
        ("Sending rule", message.sending_rule or ""),
        ("Campaign", message.campaign),
        ("Vendor", message.vendor),
        ("Claimed amount", claimed),
        ("Claimed days past due", days),
        ("Permit", message.permit or ""),
        ("Ground", ground),
    )
    return tuple((name, value) for name, value in rows if value)


def _instalments(rendered: list[dict[str, Any]]) -> tuple[Shown, ...]:
    rows = [{_line_key(one): one for one in side["instalments"]} for side in rendered]
    return tuple(Shown(label=key, on=tuple(_paid(side.get(key)) for side in rows)) for key in _every(rows))


def _line_key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return str(row["number"]), row["due_on"], _plain(row["amount"])


def _paid(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "not known"
    done = f" on {row['paid_off_on']}" if row["paid_off_on"] else ""
    return f"{_plain(row['paid'])}{done}"


def _repayments(rendered: list[dict[str, Any]], zone: str) -> tuple[Shown, ...]:
    rows = [{one["external_id"]: one for one in side["repayments"]} for side in rendered]
    found = []
    for key in _every(rows):
        one = next(side[key] for side in rows if key in side)
        dates = (_instant(one[name], zone) for name in ("paid_at", "posted_at", "reversed_at"))
        found.append(Shown(label=(key, *dates), on=tuple(_counted(side.get(key)) for side in rows)))
    return tuple(found)


def _counted(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "not known"
    return "reversed" if row["reversed_at"] else _plain(row["amount"])


def _every(rows: list[dict[Any, Any]]) -> list[Any]:
    """Each key once, in the order of the fuller reading."""
    return list(dict.fromkeys(key for side in rows for key in side))


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value["amount"])
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else str(value)


def _instant(text: str | None, zone: str) -> str:
    return "" if text is None else _at(datetime.fromisoformat(text), zone)


def _at(instant: datetime | None, zone: str) -> str:
    if instant is None:
        return ""
    local = instant.astimezone(ZoneInfo(zone))
    return f"{local:%Y-%m-%d %H:%M}" if local.second == 0 else f"{local:%Y-%m-%d %H:%M:%S}"
