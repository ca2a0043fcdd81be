"""What can be done to a dispute at the desk: one row an act, each of which calls one function of the room below.

Whoever posts the same form twice acts once: `once` of the form is taken before the act, and given back where the act is
refused.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import structlog
from django.core.cache import caches
from django.core.exceptions import ObjectDoesNotExist
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from disputes.cases import deciding, late, releasing, reopening, talking
from disputes.cases.lifecycle import TOLD, WrongState
from disputes.cases.models import DecisionState, Dispute, Status
from disputes.cases.opening import AlreadyOpen
from disputes.cases.queries import flag_of
from disputes.cases.transactions import in_transaction
from disputes.desk import forms
from disputes.desk.viewing import Viewer, agent_of, why_not
from disputes.holds import by_hand
from disputes.routing import assigning
from disputes.routing.models import Agent, Queue

log = structlog.get_logger(__name__)

ONCE_FOR = 3600
"""Seconds that a form is remembered."""
DONE_ALREADY = gettext_lazy("This was done already.")

Said = Mapping[str, Any]

Done = TypeVar("Done")


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """`form`: makes it, unbound or bound to what was posted; `run` does the act and returns what to tell the user;
    `supervisor`: it is a supervisor's alone; `when`: whether the dispute's state has room for it."""

    form: Callable[..., forms.ActForm]
    run: Callable[..., str]
    when: Callable[[Dispute], bool]
    supervisor: bool = False


class Refused(Exception):
    """The act was not done; the message says why, and what to do, for the user to read."""


def perform(*, name: str, said: Said, dispute: Dispute, viewer: Viewer, now: datetime) -> str:
    """Does an act whose form was valid. The functions called open or need transactions; this opens what they need.

    1. may the viewer; 2. is it the first time that this form comes; 3. the act. Raises Refused; returns a sentence.
    """
    act = ACTS[name]
    refusal = why_not(viewer, dispute=dispute, agent=agent_of(dispute), supervisor=act.supervisor)
    if refusal:
        raise Refused(refusal)
    told = once_only(
        viewer=viewer, once=said["once"], act=lambda: act.run(said=said, dispute=dispute, viewer=viewer, now=now)
    )
    return str(DONE_ALREADY) if told is None else told


def once_only(*, viewer: Viewer, once: uuid.UUID, act: Callable[[], Done]) -> Done | None:
    """Does what a form asks for and returns what `act` does; None where this form came before. Raises Refused, also for
    what the rooms below refuse: then the form may come again."""
    key = f"desk:once:{viewer.user.pk}:{once}"
    if not _take(key):
        return None
    try:
        return act()
    except Refused:
        _give_back(key)
        raise
    except Exception as error:
        _give_back(key)
        told = explain(error)
        if told is None:
            raise
        raise Refused(told) from error


def explain(error: Exception) -> str | None:
    """A refusal of the rooms below in words; None for what is no refusal."""
    if isinstance(error, deciding.StaleCheck):
        return _("The records changed while you looked, and the check ran again. Look at it again, then decide.")
    if isinstance(error, deciding.SamePerson):
        return _("Somebody other than who decided must agree.")
    if isinstance(error, deciding.DecidedBefore):
        return _("You decided this dispute before. Somebody else must decide it now: hand it on.")
    if isinstance(error, deciding.NotYours):
        return _("This case is another agent's by now.")
    if isinstance(error, deciding.WrongReason):
        return _("This reason does not go with this outcome. Choose another.")
    if isinstance(error, AlreadyOpen):
        said = _("The customer has opened another dispute about it meanwhile: %(reference)s. Work on that one.")
        return said % {"reference": error}
    if isinstance(error, ObjectDoesNotExist):
        return _("What you chose is not there any more. Look at it again.")
    if isinstance(error, WrongState):
        return _wrong_state(error)
    if isinstance(error, (assigning.CannotHandOn, by_hand.CannotHold)):
        return _(str(error))
    return None


def _wrong_state(error: WrongState) -> str:
    if error.status == Status.CLOSED:
        return _("The dispute was closed meanwhile. Look at it again.")
    return _("%(what)s. Look at it again.") % {"what": _(str(error)).capitalize()}


def _take(key: str) -> bool:
    """True the first time. Without a cache every time is the first: the act's own rules still hold."""
    try:
        return bool(caches["default"].add(key, 1, timeout=ONCE_FOR))
    except Exception as error:  # a cache's client raises of many families
        log.warning("cache_unreachable", error=type(error).__name__)
        return True


def _give_back(key: str) -> None:
    try:
        caches["default"].delete(key)
    except Exception as error:
        log.warning("cache_unreachable", error=type(error).__name__)


# --- the acts ---


def _decide(*, said: Said, dispute: Dispute, viewer: Viewer, now: datetime) -> str:
    decision = deciding.decide(
        dispute_id=dispute.pk,
        outcome=said["outcome"],
        reason=said["reason"],
        explanation=said["explanation"],
        check_id=said["check_id"],
        actor=viewer.actor,
        user_id=viewer.user.pk,
        any_case=viewer.supervises,
        now=now,
    )
    if decision.state == DecisionState.WAITING_SECOND:
        return _("Your decision speaks against the check, so it waits for a second person.")
    return _("Decided. The customer is told, and the letter is there.")


def _approve(*, said: Said, dispute: Dispute, viewer: Viewer, now: datetime) -> str:
    deciding.approve(decision_id=said["decision"], actor=viewer.actor, user_id=viewer.user.pk, now=now)
    return _("Agreed. The dispute is decided.")


def _decline(*, said: Said, dispute: Dispute, viewer: Viewer, now: datetime) -> str:
    if not said["why"]:
        raise Refused(_("Say why not, for whoever decided."))
    act: dict[str, Any] = {"decision_id": said["decision"], "actor": viewer.actor, "user_id": viewer.user.pk}
    deciding.decline(**act, why=said["why"], now=now)
    return _("Not agreed. The case is open for another decision.")


def _ask(*, said: Said, dispute: Dispute, viewer: Viewer, now: datetime) -> str:
    act: dict[str, Any] = {"actor": viewer.actor, "user_id": viewer.user.pk, "any_case": viewer.supervises}
    talking.ask_customer(dispute_id=dispute.pk, text=said["text"], **act, now=now)
    return _("The customer is asked. The case comes back when they answer, or when the time to answer is over.")


def _note(*, said: Said, dispute: Dispute, viewer: Viewer, now: datetime) -> str:
    talking.write_note(dispute_id=dispute.pk, text=said["text"], actor=viewer.actor, now=now)
    return _("Noted.")


def _hand_on(*, said: Said, dispute: Dispute, viewer: Viewer, now: datetime) -> str:
    kind, _point, pk = said["to"].partition(":")
    assigning.hand_on(
        dispute=dispute.pk,
        actor=viewer.actor,
        now=now,
        agent_id=int(pk) if kind == "agent" else None,
        queue_id=int(pk) if kind == "queue" else None,
        from_agent=None if viewer.supervises or viewer.agent is None else viewer.agent.pk,
    )
    # Why is free text: it stands sealed among the notes, not in the journal, which is for ever.
    talking.write_note(dispute_id=dispute.pk, text=f"Handed on: {said['why']}", actor=viewer.actor, now=now)
    return _("Handed on.")


def _hold(*, said: Said, dispute: Dispute, viewer: Viewer, now: datetime) -> str:
    covers = _covers(dispute, said["covers"])
    in_transaction(lambda: by_hand.place(**covers, why=said["why"], actor=viewer.actor, dispute=dispute.pk, now=now))
    return _("Held. Nothing that it covers goes out any more.")


def _lift(*, said: Said, dispute: Dispute, viewer: Viewer, now: datetime) -> str:
    act: dict[str, Any] = {"hold_id": said["hold"], "why": said["why"], "supervisor": viewer.supervises}
    lifted = in_transaction(lambda: by_hand.lift(**act, dispute=dispute.pk, actor=viewer.actor, now=now))
    return _("Lifted.") if lifted else _("It was lifted before.")


def _undeliverable(*, said: Said, dispute: Dispute, viewer: Viewer, now: datetime) -> str:
    act: dict[str, Any] = {"dispute_id": dispute.pk, "why": said["why"], "actor": viewer.actor, "now": now}
    in_transaction(lambda: releasing.say_undeliverable(**act))
    return _("Noted: the outcome cannot be delivered. The hold waits for it no longer.")


def _lift_correction(*, said: Said, dispute: Dispute, viewer: Viewer, now: datetime) -> str:
    act: dict[str, Any] = {"dispute_id": dispute.pk, "why": said["why"], "actor": viewer.actor, "now": now}
    in_transaction(lambda: releasing.note_corrected(**act, by="supervisor"))
    return _("The hold waits for the correction no longer.")


def _dismiss(*, said: Said, dispute: Dispute, viewer: Viewer, now: datetime) -> str:
    act: dict[str, Any] = {"dispute_id": dispute.pk, "flag_id": said["flag"], "why": said["why"], "now": now}
    in_transaction(lambda: late.dismiss_flag(**act, actor=viewer.actor, user_id=viewer.user.pk))
    return _("The outcome stays as it is.")


def _reopen(*, said: Said, dispute: Dispute, viewer: Viewer, now: datetime) -> str:
    act: dict[str, Any] = {"dispute_id": dispute.pk, "why": said["why"], "now": now}
    in_transaction(lambda: reopening.reopen(**act, actor=viewer.actor, user_id=viewer.user.pk))
    return _("Reopened, with a new hold. Somebody other than who decided it is given the case.")


# --- what they need ---


def _covers(dispute: Dispute, what: str) -> dict[str, Any]:
    found = {
        "loan": dispute.loan,
        "customer": dispute.customer,
        "phone": dispute.message.phone_digest if dispute.message else dispute.phone_digest,
    }
    return {what: found[what]}


def coverable(dispute: Dispute) -> list[tuple[str, str]]:
    """What a hold by hand can be about, for a choice."""
    rows = [("loan", _("the loan %(loan)s") % {"loan": dispute.loan})] if dispute.loan else []
    rows += [("phone", _("the number of the message"))] if dispute.message or dispute.phone_digest else []
    return [*rows, ("customer", _("everything of the customer's"))] if dispute.customer else rows


def receivers(*, but: int | None) -> list[tuple[str, str]]:
    """Who a case can be handed on to: agents on duty first, then the queues."""
    agents = Agent.objects.exclude(pk__in=[but] if but else []).select_related("user").order_by("user__username")[:200]
    queues = Queue.objects.order_by("name")[:100]
    return [
        *((f"agent:{one.pk}", f"{one.user.get_full_name() or one.user.username}") for one in agents),
        *((f"queue:{one.pk}", _("Queue: %(name)s") % {"name": one.name}) for one in queues),
    ]


def _open(dispute: Dispute) -> bool:
    return dispute.status != Status.CLOSED


def _told(dispute: Dispute) -> bool:
    return dispute.status == Status.CLOSED and dispute.outcome in TOLD


def _undelivered(dispute: Dispute) -> bool:
    return _told(dispute) and dispute.outcome_delivered_at is None


ACTS: Mapping[str, Act] = {
    "decide": Act(form=forms.DecideForm, run=_decide, when=_open),
    "approve": Act(form=forms.SecondForm, run=_approve, when=_open, supervisor=True),
    "decline": Act(form=forms.SecondForm, run=_decline, when=_open, supervisor=True),
    "ask": Act(form=forms.AskForm, run=_ask, when=lambda dispute: dispute.status == Status.IN_REVIEW),
    "note": Act(form=forms.NoteForm, run=_note, when=lambda dispute: True),
    "hand_on": Act(form=forms.HandOnForm, run=_hand_on, when=_open),
    "hold": Act(form=forms.HoldForm, run=_hold, when=lambda dispute: bool(coverable(dispute))),
    "lift": Act(form=forms.LiftForm, run=_lift, when=lambda dispute: True),
    "undeliverable": Act(form=forms.WhyForm, run=_undeliverable, when=_undelivered),
    "dismiss": Act(form=forms.FlagForm, run=_dismiss, when=lambda dispute: flag_of(dispute) is not None),
    "reopen": Act(form=forms.WhyForm, run=_reopen, when=_told),
    "lift_correction": Act(
        form=forms.WhyForm, run=_lift_correction, when=lambda dispute: dispute.awaits_correction, supervisor=True
    ),
}


def form_of(
    name: str,
    *,
    dispute: Dispute,
    data: Any = None,
    waiting: uuid.UUID | None = None,
    owner: int | None = None,
    hold: uuid.UUID | None = None,
    flag: uuid.UUID | None = None,
) -> forms.ActForm:
    """The form of an act on this dispute, bound to `data` where something was posted."""
    more: dict[str, Any] = {}
    if name == "ask":
        more["language"] = dispute.language
    elif name == "hand_on":
        more["receivers"] = receivers(but=owner)
    elif name == "hold":
        more["covers"] = coverable(dispute)
    elif name == "decide":
        more["initial"] = {"check_id": dispute.last_check_id}
    elif name in ("approve", "decline"):
        more["initial"] = {"decision": waiting}
    elif name == "lift":
        more["initial"] = {"hold": hold}
    elif name == "dismiss":
        more["initial"] = {"flag": flag}
    return ACTS[name].form(data, act=name, **more)
