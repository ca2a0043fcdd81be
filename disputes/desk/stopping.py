"""Stopping messages by hand and letting them go on, away from a dispute: holds, sending rules, opt-outs.

Each act calls one function of the rooms below, in a transaction that is opened here; whoever posts a form twice acts
once.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.core.validators import ProhibitNullCharactersValidator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.fields import phone_digest
from config.values.phone import parse_phone
from disputes.cases.transactions import in_transaction
from disputes.desk.acts import Refused, once_only
from disputes.desk.forms import ActForm, LineField, WhyField
from disputes.desk.viewing import Viewer
from disputes.holds import by_hand
from disputes.holds.models import Hold, HoldCover, Scope, Source
from disputes.holds.opting_out import OptedOut, opt_in, opt_out
from disputes.records.models import Customer, Loan

COVERS: Mapping[str, Any] = {
    "phone": gettext_lazy("a phone number"),
    "loan": gettext_lazy("a loan"),
    "customer": gettext_lazy("everything of a customer's"),
}
OUT, IN = "out", "in"


def read_phone(text: str) -> str:
    """The number in E.164, read as the gate reads one. Raises ValidationError."""
    try:
        return parse_phone(text, region=settings.DEFAULT_REGION)
    except ValueError:
        raise forms.ValidationError(_("This is no phone number.")) from None


class PlaceForm(ActForm):
    """What to hold, and why. A loan or a customer must be in the records: a hold on an id that was mistyped would hold
    nothing."""

    covers = forms.ChoiceField(label=gettext_lazy("Stop messages about"), choices=list(COVERS.items()))
    which = LineField(
        label=gettext_lazy("Which"),
        help_text=gettext_lazy("The number, the loan's id, or the id under which the lender knows the customer."),
    )
    why = WhyField(label=gettext_lazy("Why"))

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        covers, which = said.get("covers"), said.get("which")
        if covers == "phone" and which:
            try:
                said["which"] = read_phone(which)
            except forms.ValidationError as error:
                self.add_error("which", error)
        elif covers == "loan" and which and not Loan.objects.filter(pk=which).exists():
            self.add_error("which", _("The records know no such loan."))
        elif covers == "customer" and which and not Customer.objects.filter(pk=which).exists():
            self.add_error("which", _("The records know no such customer."))
        return said


class EndForm(ActForm):
    """Why a hold ends."""

    why = WhyField(label=gettext_lazy("Why"))


class SwitchOnForm(EndForm):
    """`seen`: the pauses that stood when the page was made. One that came since is not lifted unseen."""

    seen = forms.CharField(widget=forms.HiddenInput, max_length=4000)

    def clean_seen(self) -> list[uuid.UUID]:
        try:
            return [uuid.UUID(one) for one in self.cleaned_data["seen"].split(",")]
        except ValueError:
            raise forms.ValidationError(_("Look at it again.")) from None


class OptInForm(ActForm):
    """Where it was said that messages are wanted again."""

    source = WhyField(
        label=gettext_lazy("Where it was said"),
        help_text=gettext_lazy("A call, a letter, a form, with its day. Stays with the opt-out: no names or numbers."),
    )


class OptForm(OptInForm):
    """A number whose holder said that they want no messages, or want them again."""

    phone = forms.CharField(label=gettext_lazy("Number"), max_length=40, validators=[ProhibitNullCharactersValidator()])
    says = forms.ChoiceField(
        label=gettext_lazy("Its holder"),
        choices=[(OUT, gettext_lazy("wants no more messages")), (IN, gettext_lazy("wants messages again"))],
    )
    field_order = ("phone", "says", "source")

    def clean_phone(self) -> str:
        return read_phone(self.cleaned_data["phone"])


# --- the acts ---


def place(*, said: Mapping[str, Any], viewer: Viewer, now: datetime) -> Hold | None:
    """Places a hold by hand; None where this form came before. Raises Refused."""
    _needs_work(viewer)
    which = phone_digest(said["which"]) if said["covers"] == "phone" else said["which"]
    act: dict[str, Any] = {said["covers"]: which, "why": said["why"], "actor": viewer.actor, "now": now}
    placed = once_only(viewer=viewer, once=said["once"], act=lambda: in_transaction(lambda: by_hand.place(**act)))
    return placed.hold if placed else None


def why_not_lift(hold: Hold, *, viewer: Viewer) -> str:
    """Why the viewer may not lift a hold from its own page; empty where they may."""
    if hold.released_at is not None:
        return _("It was released.")
    if not viewer.works:
        return _("Lifting a hold needs the group of agents or of supervisors.")
    if hold.source == Source.OPT_OUT:
        return _("An opt-out ends when its person opts in again.")
    if hold.dispute is not None:
        return _("It belongs to a dispute: it is lifted on the dispute's page.")
    if hold.reason in by_hand.SUPERVISORS and not viewer.supervises:
        return _("Only a supervisor lifts this hold.")
    return ""


def lift(*, hold: Hold, said: Mapping[str, Any], viewer: Viewer, now: datetime) -> str:
    """Lifts a hold that belongs to no dispute; returns a sentence. Raises Refused."""
    if refusal := why_not_lift(hold, viewer=viewer):
        raise Refused(refusal)
    lifted = once_only(viewer=viewer, once=said["once"], act=lambda: _lift(hold.pk, said["why"], viewer, now))
    return _("Lifted.") if lifted else _("It was lifted before.")


def _lift(hold: uuid.UUID, why: str, viewer: Viewer, now: datetime) -> bool:
    act: dict[str, Any] = {"hold_id": hold, "why": why, "actor": viewer.actor, "supervisor": viewer.supervises}
    return in_transaction(lambda: by_hand.lift(**act, now=now))


def pause_rule(*, rule: str, said: Mapping[str, Any], viewer: Viewer, now: datetime) -> Hold | None:
    """Pauses a sending rule; None where this form came before. Raises Refused."""
    act: dict[str, Any] = {"rule": rule, "why": said["why"], "actor": viewer.actor, "supervisor": viewer.supervises}
    placed = once_only(
        viewer=viewer,
        once=said["once"],
        act=lambda: in_transaction(lambda: by_hand.pause_rule(**act, now=now)),
    )
    return placed.hold if placed else None


def switch_on(*, rule: str, said: Mapping[str, Any], viewer: Viewer, now: datetime) -> int:
    """Lifts the pauses of a sending rule that the viewer has seen, each in a transaction of its own, since no lane may
    be taken after the feed's number. Returns how many it lifted. Raises Refused."""
    if not viewer.supervises:
        raise Refused(_("Only a supervisor switches a sending rule on again."))
    seen = [hold.pk for hold in pauses_of(rule) if hold.pk in said["seen"]]

    def act() -> int:
        return sum(_lift(hold, said["why"], viewer, now) for hold in seen)

    return once_only(viewer=viewer, once=said["once"], act=act) or 0


def pauses_of(rule: str) -> Sequence[Hold]:
    """The holds of a sending rule that stand, oldest first. One query."""
    covers = HoldCover.objects.filter(key=f"r:{rule}", released_at__isnull=True)
    return list(Hold.objects.filter(pk__in=covers.values("hold"), scope=Scope.SENDING_RULE).order_by("pk"))


def note_opt_out(*, said: Mapping[str, Any], viewer: Viewer, now: datetime) -> OptedOut | None:
    """Records an opt-out; None where this form came before. Raises Refused."""
    _needs_work(viewer)
    act: dict[str, Any] = {"phone": phone_digest(said["phone"]), "source": said["source"], "actor": viewer.actor}
    return once_only(viewer=viewer, once=said["once"], act=lambda: in_transaction(lambda: opt_out(**act, now=now)))


def note_opt_in(*, phone: bytes, said: Mapping[str, Any], viewer: Viewer, now: datetime) -> int:
    """Takes a number's opt-outs back (its digest), naming where that was said. Returns how many stood. Raises
    Refused."""
    _needs_work(viewer)
    act: dict[str, Any] = {"phone": phone, "source": said["source"], "actor": viewer.actor, "now": now}
    taken = once_only(viewer=viewer, once=said["once"], act=lambda: in_transaction(lambda: opt_in(**act)))
    return len(taken or ())


def phone_of(hold: Hold) -> bytes | None:
    """The digest of the number that an opt-out is about. One query."""
    key = HoldCover.objects.filter(hold=hold, key__startswith="p:").values_list("key", flat=True).first()
    return bytes.fromhex(key.partition(":")[2]) if key else None


def _needs_work(viewer: Viewer) -> None:
    if not viewer.works:
        raise Refused(_("This needs the group of agents or of supervisors."))
