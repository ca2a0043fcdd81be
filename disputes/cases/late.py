"""Records that come after a dispute was closed: which of them cast doubt on its outcome.

Few do. So the import names the loans, one statement finds the closed disputes on whose instant a new version bears, and
these alone are judged again. Where the records now say otherwise, a flag asks a person to look; nothing else changes.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from django.db import transaction
from django.db.models import QuerySet

from disputes.cases import lifecycle
from disputes.cases.bearing import bearing_disputes
from disputes.cases.models import Check, Dispute, FlagEnd, Outcome, OutcomeFlag, Status
from disputes.cases.transactions import in_transaction
from disputes.cases.watching import unwatch_closed
from disputes.cases.weighing import TRIES, RecordsKeptChanging, Weighed, weigh, weigh_many
from disputes.journal.recording import SERVICE, Actor
from disputes.records import queries as records

AT_ONCE = 200

FAVOUR: Mapping[str, int] = {
    "lender_right": 0,
    "partly_right": 1,
    "customer_right": 2,
    Outcome.REJECTED: 0,
    Outcome.PARTLY_UPHELD: 1,
    Outcome.UPHELD: 2,
}
"""How much of the customer's word a verdict, or an outcome, finds right. `inconclusive` says nothing."""


def doubts(*, outcome: str | None, before: str | None, after: str) -> bool:
    """Whether the records by now cast doubt on an outcome. `before`: the verdict that lay before whoever decided.

    | outcome | verdict before | doubted by |
    | --- | --- | --- |
    | rejected | lender_right, inconclusive, none | partly_right, customer_right |
    | rejected | partly_right | customer_right |
    | rejected | customer_right | none: it was rejected against it |
    | partly_upheld | partly_right, inconclusive, none | lender_right, customer_right |
    | partly_upheld | lender_right | customer_right |
    | partly_upheld | customer_right | lender_right |
    | upheld | customer_right, inconclusive, none | lender_right, partly_right |
    | upheld | partly_right | lender_right |
    | upheld | lender_right | none: it was upheld against it |

    So: where they stand further from the outcome than they did, or on the other side of it. A withdrawal and a merger
    found nothing, and `inconclusive` says nothing.
    """
    if outcome is None or outcome not in FAVOUR or after not in FAVOUR:
        return False
    away = FAVOUR[after] - FAVOUR[outcome]
    was_away = FAVOUR[before] - FAVOUR[outcome] if before is not None and before in FAVOUR else 0
    return abs(away) > abs(was_away) or away * was_away < 0


def hear_late_records(*, loans: Sequence[str], received_at: datetime, now: datetime) -> int:
    """Records of these loans were received at `received_at` or since. Opens its transactions; may be called again.
    Returns how many disputes were judged. Raises RecordsKeptChanging."""
    ids = bearing_disputes(loans=loans, received_at=received_at)
    for start in range(0, len(ids), AT_ONCE):
        disputes = list(_with_message().filter(pk__in=ids[start : start + AT_ONCE]).order_by("pk"))
        found = weigh_many(disputes=disputes, now=now)
        for dispute in disputes:
            _note(dispute, found[dispute.pk], now=now)
    return len(ids)


def _with_message() -> QuerySet[Dispute]:
    return Dispute.objects.filter(message__isnull=False).select_related("message")


def _note(dispute: Dispute, weighed: Weighed, *, now: datetime) -> None:
    for _ in range(TRIES):
        if in_transaction(partial(record_late, weighed=weighed, now=now)):
            return
        again = _with_message().get(pk=dispute.pk)
        assert again.message is not None
        weighed = weigh(dispute=again, message=again.message, now=now)
    raise RecordsKeptChanging(str(dispute.pk))


def record_late(*, weighed: Weighed, now: datetime) -> bool:
    """Writes what a closed dispute's late check means for its outcome. Needs the outermost transaction. False: the
    loan's records moved on, and nothing was written.

    1. the loan's row: another revision than the check read → nothing; 2. the dispute's row: open again → nothing, its
    own check sees the records; 3. a doubt that is new: check, flag and event, in place of a flag that stood; 4. no
    doubt (any more): a flag that stood ends.
    """
    check = weighed.check
    if records.lock_loan(loan=weighed.loan) != check.loan_revision:
        transaction.set_rollback(True)
        return False
    dispute = lifecycle.lock_dispute(check.dispute_id)
    if dispute.status != Status.CLOSED or dispute.outcome not in lifecycle.TOLD:
        return True
    standing = dispute.flags.filter(resolved_at__isnull=True).select_related("check_found").first()
    before = _last_looked_at(dispute)
    if not doubts(outcome=dispute.outcome, before=before.verdict if before else None, after=check.verdict):
        if standing is not None:
            _end(standing, how=FlagEnd.TURNED_BACK, now=now)
            _note_end(dispute, standing, actor=SERVICE, now=now)
        return True
    if standing is not None and _same(standing.check_found, check):
        return True
    if standing is not None:
        _end(standing, how=FlagEnd.OVERTAKEN, now=now)
    _raise_flag(dispute, check, now=now)
    return True


def _last_looked_at(dispute: Dispute) -> Check | None:
    """The check that a person, or the machine, last left the outcome at."""
    dismissed = dispute.flags.filter(how=FlagEnd.DISMISSED, raised_at__gte=dispute.closed_at).order_by("-raised_at")
    last = dismissed.select_related("check_found").first()
    return last.check_found if last is not None else dispute.last_check


def _same(one: Check, other: Check) -> bool:
    return (one.records_digest, one.engine_version) == (other.records_digest, other.engine_version)


def _raise_flag(dispute: Dispute, check: Check, *, now: datetime) -> None:
    known = Check.objects.filter(
        dispute=dispute, records_digest=check.records_digest, engine_version=check.engine_version
    ).first()
    if known is None:
        check.save(force_insert=True)
    else:
        check = known
    outcome = str(dispute.outcome)
    # Records that came, went and came again have had their flag: it stands again.
    flag, _ = OutcomeFlag.objects.update_or_create(
        dispute=dispute,
        check_found=check,
        defaults={
            "outcome": outcome,
            "for_customer": FAVOUR[check.verdict] > FAVOUR[outcome],
            "raised_at": now,
            "resolved_at": None,
            "resolved_by": None,
            "how": None,
        },
    )
    data = {"flag": str(flag.pk), "check": str(check.pk), "verdict": check.verdict, "cause": check.cause}
    lifecycle.note(dispute=dispute, kind="dispute.outcome_doubted", actor=SERVICE, at=now, data=data)


def dismiss_flag(
    *, dispute_id: uuid.UUID, flag_id: uuid.UUID, why: str, actor: Actor, user_id: int, now: datetime
) -> None:
    """A person has looked, and leaves the outcome as it is. Needs a transaction. Raises Dispute.DoesNotExist,
    OutcomeFlag.DoesNotExist, WrongState (it was answered before, or by the records)."""
    dispute = lifecycle.lock_dispute(dispute_id)
    flag = OutcomeFlag.objects.get(pk=flag_id, dispute=dispute)
    if flag.resolved_at is not None:
        raise lifecycle.WrongState(status=f"no longer in doubt ({flag.how})", act="left as it is")
    flag.why = why
    _end(flag, how=FlagEnd.DISMISSED, now=now, user_id=user_id)
    _note_end(dispute, flag, actor=actor, now=now)


def end_flags(*, dispute: Dispute, how: str, now: datetime, user_id: int | None = None) -> None:
    """The dispute is judged anew, so no flag stands any more. Needs its row locked."""
    for flag in dispute.flags.filter(resolved_at__isnull=True):
        _end(flag, how=how, now=now, user_id=user_id)


def _end(flag: OutcomeFlag, *, how: str, now: datetime, user_id: int | None = None) -> None:
    flag.resolved_at, flag.how, flag.resolved_by_id = now, how, user_id
    flag.save(update_fields=["resolved_at", "how", "resolved_by", "why"])


def _note_end(dispute: Dispute, flag: OutcomeFlag, *, actor: Actor, now: datetime) -> None:
    data = {"flag": str(flag.pk), "how": flag.how}
    lifecycle.note(dispute=dispute, kind="dispute.doubt_ended", actor=actor, at=now, data=data)


def let_go(*, now: datetime, at_once: int = AT_ONCE) -> int:
    """Stops watching for late records of disputes that were closed long enough ago. Opens its transactions; returns
    how many."""
    due = Dispute.objects.filter(watched_until__lte=now).order_by("watched_until")
    ids = list(due.values_list("pk", flat=True)[:at_once])

    def work(pk: uuid.UUID) -> None:
        dispute = lifecycle.lock_dispute(pk)
        if dispute.watched_until is not None and dispute.watched_until <= now:
            unwatch_closed(dispute=dispute)
            dispute.save(update_fields=["watching", "watched_until"])

    for pk in ids:
        in_transaction(partial(work, pk))
    return len(ids)
