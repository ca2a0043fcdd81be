"""What the page of one dispute shows: gathered in a fixed number of queries, whatever the dispute holds."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from config.values.phone import mask_phone
from disputes.cases.models import Comment, Decision, DecisionState, Dispute, Status
from disputes.cases.queries import SILENT_GROUNDS, comments_of, flag_of
from disputes.cases.reading import read_payments, read_selector, render_payment
from disputes.desk import words
from disputes.desk.accounts import BothClocks, both_clocks, local_instant, written_money
from disputes.desk.findings import ShownFinding, shown_findings
from disputes.desk.naming import names_of, said_by
from disputes.holds.by_hand import SUPERVISORS
from disputes.holds.models import Hold, SuppressionChange
from disputes.holds.policies import pack_in_force
from disputes.journal.models import Event
from disputes.records.queries import text_of_message
from disputes.routing.models import Clock, ClockKind

EVENTS_SHOWN = 100
COMMENTS_SHOWN = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownHold:
    """A hold of the dispute. `for_supervisors`: agents cannot lift it; `permits_out`: granted before it, and alive by
    the last word of the feed."""

    id: uuid.UUID
    stands: bool
    for_supervisors: bool
    covers: str
    reason: str
    why: str
    placed: str
    released: str
    permits_out: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """What records that came after the closing say, where a person must look."""

    id: uuid.UUID
    raised: str
    verdict: str
    code: str
    cause: str
    detail: str
    findings: tuple[ShownFinding, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """An event or written words, on the lender's clock. `who`: a user's name, else the kind of caller."""

    at: str
    who: str
    what: str
    more: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DisputePage:
    """All that an agent reads of a dispute. Phones are masked; times are written on the lender's clock."""

    dispute: Dispute
    title: str
    ground: str
    status: str
    outcome: str
    is_silent: bool
    language: str
    payments: tuple[str, ...]
    selector: Mapping[str, Any]
    message: Mapping[str, str] | None
    verdict: str
    cause: str
    detail: str
    findings: tuple[ShownFinding, ...]
    checked: str
    account: BothClocks | None
    holds: tuple[ShownHold, ...]
    deadlines: tuple[tuple[str, str, str, bool], ...]
    timeline: tuple[Moment, ...]
    timeline_cut: bool
    comments: tuple[Moment, ...]
    notes: tuple[Moment, ...]
    doubt: Doubt | None
    waiting: Decision | None
    decided: tuple[Decision, ...]
    hold_note: str


def page_of(*, dispute: Dispute, now: datetime) -> DisputePage:
    """The page of a dispute that was read with its message and last check. Ten queries at most."""
    check = dispute.last_check
    holds = _holds_of(dispute)
    events = _newest(_events(dispute, holds), EVENTS_SHOWN)
    comments = _newest(comments_of(dispute, internal=True), COMMENTS_SHOWN)
    names = _names(events, comments)
    decisions = list(Decision.objects.filter(dispute=dispute).select_related("decided_by", "second_by").order_by("-id"))
    written = [(one.internal, _comment(one, names)) for one in comments]
    return DisputePage(
        dispute=dispute,
        title=dispute.reference,
        ground=words.GROUNDS[dispute.ground],
        status=words.STATUSES[dispute.status],
        outcome=words.OUTCOMES.get(dispute.outcome or "", ""),
        is_silent=dispute.ground in SILENT_GROUNDS,
        language=words.LANGUAGES.get(dispute.language, dispute.language),
        payments=tuple(_payment(render_payment(row)) for row in read_payments(dispute.claimed_payments)),
        selector=_described(dispute),
        message=_message(dispute),
        verdict=words.VERDICTS.get(check.verdict, "") if check else _("Not checked yet"),
        cause=words.CAUSES.get(check.cause or "", words.plain(check.cause)) if check else "",
        detail=words.DETAILS.get(check.detail or "", words.plain(check.detail)) if check else "",
        findings=shown_findings(check.findings) if check else (),
        checked=local_instant(check.checked_at) if check else "",
        account=both_clocks(check.facts) if check else None,
        holds=tuple(_shown_holds(holds, now)),
        deadlines=tuple(
            (label, local_instant(at), words.due_in(at, now=now), at < now) for label, at in running_deadlines(dispute)
        ),
        timeline=tuple(_event(event, names) for event in events[-EVENTS_SHOWN:]),
        timeline_cut=len(events) > EVENTS_SHOWN,
        comments=tuple(moment for internal, moment in written if not internal),
        notes=tuple(moment for internal, moment in written if internal),
        doubt=_doubt(dispute),
        waiting=next((one for one in decisions if one.state == DecisionState.WAITING_SECOND), None),
        decided=tuple(one for one in decisions if one.state != DecisionState.WAITING_SECOND),
        hold_note=_hold_note(dispute, holds),
    )


def _doubt(dispute: Dispute) -> Doubt | None:
    flag = flag_of(dispute) if dispute.status == Status.CLOSED else None
    if flag is None:
        return None
    check = flag.check_found
    return Doubt(
        id=flag.pk,
        raised=local_instant(flag.raised_at),
        verdict=words.VERDICTS.get(check.verdict, ""),
        code=check.verdict,
        cause=words.CAUSES.get(check.cause or "", words.plain(check.cause)),
        detail=words.DETAILS.get(check.detail or "", words.plain(check.detail)),
        findings=shown_findings(check.findings),
    )


def running_deadlines(dispute: Dispute) -> list[tuple[str, datetime]]:
    """The deadlines that still run, as the dispute keeps them. One query."""
    stopped = dict(Clock.objects.filter(dispute=dispute.pk).values_list("kind", "stopped_at"))
    if dispute.status == Status.CLOSED:
        return []
    rows = [(_("First answer"), ClockKind.FIRST_ANSWER, dispute.first_answer_by)]
    rows.append((_("Decision"), ClockKind.DECIDE, dispute.decide_by))
    return [(label, at) for label, kind, at in rows if stopped.get(kind) is None]


def _newest(rows: Any, count: int) -> list[Any]:
    """The newest `count` rows and one more, oldest first: the one more tells that there are others."""
    return list(reversed(rows.order_by("-id")[: count + 1]))


def _names(events: Sequence[Event], comments: Sequence[Comment]) -> dict[str, str]:
    """The user's name by the id that events and words carry."""
    ids = {one.actor_id for one in events if one.actor_type == "user"}
    ids |= {one.author_id for one in comments if one.author_type == "user"}
    ids |= {str(event.data["user"]) for event in events if event.data.get("user")}
    return names_of(ids)


def _event(event: Event, names: Mapping[str, str]) -> Moment:
    more = ", ".join(f"{words.plain(key)}: {_said(key, value, names)}" for key, value in _telling(event.data))
    return Moment(
        at=local_instant(event.at),
        who=said_by(event.actor_type, event.actor_id, names),
        what=words.event_words(event.kind),
        more=more,
    )


def _telling(data: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What an event says beside ids, which tell a person nothing."""
    ids = ("agent", "to", "queue")
    return [(key, value) for key, value in data.items() if key not in ids and value and not _is_id(value)]


def _said(key: str, value: Any, names: Mapping[str, str]) -> str:
    """A datum of an event in words: users by name, instants on the lender's clock."""
    if key == "user":
        return names.get(str(value), _("a colleague"))
    if key == "why":
        return words.GROUNDS.get(str(value)) or words.plain(str(value))
    try:
        return local_instant(datetime.fromisoformat(value)) if "T" in str(value) else words.plain(str(value))
    except ValueError:
        return str(value)


def _is_id(value: Any) -> bool:
    if isinstance(value, (dict, list)):
        return True
    try:
        uuid.UUID(str(value))
    except ValueError:
        return False
    return True


def _comment(comment: Comment, names: Mapping[str, str]) -> Moment:
    who = said_by(comment.author_type, comment.author_id, names)
    return Moment(at=local_instant(comment.at), who=who, what=comment.text, more="")


def _payment(payment: Mapping[str, Any]) -> str:
    said = {"amount": written_money(payment["amount"]), "day": payment["paid_on"], "reference": payment["reference"]}
    if payment["reference"]:
        return _("%(amount)s on %(day)s, reference %(reference)s") % said
    return _("%(amount)s on %(day)s") % said


def _described(dispute: Dispute) -> Mapping[str, Any]:
    """How the customer described a message that nobody has found."""
    if dispute.message is not None:
        return {}
    said = read_selector(dispute.selector)
    if said.get("phone"):
        said["phone"] = mask_phone(said["phone"])
    if said.get("received_at"):
        said["received_at"] = local_instant(said["received_at"])
    return {words.plain(name): value for name, value in said.items()}


def _message(dispute: Dispute) -> Mapping[str, str] | None:
    message = dispute.message
    if message is None:
        return None
    personal = text_of_message(message)
    return {
        "text": personal.get("body") or _("The text is not in the records."),
        "phone": mask_phone(personal["phone"]) if personal.get("phone") else _("a number that was erased"),
        "sent": local_instant(message.sent_at),
        "list": local_instant(message.list_built_at),
        "category": message.category,
        "channel": message.channel,
        "rule": message.sending_rule or "",
        "vendor": message.vendor or "",
        "loan": message.loan or "",
        "external_id": message.external_id,
    }


def _holds_of(dispute: Dispute) -> list[Hold]:
    """The dispute's holds and those that were placed at it by hand, newest first."""
    return list(Hold.objects.filter(dispute=dispute.pk).order_by("-placed_at", "-id")[:20])


def _events(dispute: Dispute, holds: Sequence[Hold]) -> QuerySet[Event]:
    """The dispute's time line, with what became of its holds."""
    of_holds = Q(subject_type="hold", subject_id__in=[hold.pk for hold in holds])
    return Event.objects.filter(Q(subject_type="dispute", subject_id=dispute.pk) | of_holds)


def _hold_note(dispute: Dispute, rows: Sequence[Hold]) -> str:
    """What the pack has to say while messages are held; empty: nothing, or none is."""
    stands = any(row.released_at is None for row in rows)
    return pack_in_force(at=dispute.opened_at).hold_note if stands else ""


def _shown_holds(rows: Sequence[Hold], now: datetime) -> list[ShownHold]:
    out = _permits_out([row.pk for row in rows], now)
    return [
        ShownHold(
            id=row.pk,
            stands=row.released_at is None,
            for_supervisors=row.reason in SUPERVISORS,
            covers=words.SCOPES[row.scope],
            reason=words.HOLD_REASONS.get(row.reason, words.plain(row.reason)),
            why=words.GROUNDS.get(row.why, row.why),
            placed=local_instant(row.placed_at),
            released=local_instant(row.released_at),
            permits_out=out.get(row.pk, 0),
        )
        for row in rows
    ]


def _permits_out(holds: Sequence[uuid.UUID], now: datetime) -> dict[uuid.UUID, int]:
    """How many permits that the feed listed for recall still live, by hold."""
    alive: dict[uuid.UUID, set[str]] = {}
    for hold, permits in SuppressionChange.objects.filter(hold__in=list(holds)).values_list("hold", "permits_out"):
        ends = {row["id"] for row in permits if datetime.fromisoformat(str(row["expires_at"])) > now}
        alive.setdefault(hold, set()).update(ends)
    return {hold: len(ids) for hold, ids in alive.items()}
