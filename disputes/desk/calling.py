"""Opening a dispute for somebody who called."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from disputes.cases.finding import MessageNotFound, Selector
from disputes.cases.models import Channel, Ground, Language
from disputes.cases.opening import AlreadyOpen, NobodyToActFor, Opening, open_dispute
from disputes.cases.transactions import in_transaction
from disputes.desk.acts import Refused
from disputes.desk.forms import LineField, WordsField
from disputes.desk.viewing import Viewer
from disputes.desk.words import GROUNDS

LANGUAGES = [(Language.ZH_HANS.value, _("Chinese")), (Language.EN.value, _("English"))]


class CallForm(forms.Form):
    """Who calls, which message, and what they say."""

    customer = LineField(label=_("Customer"), help_text=_("The number under which the lender knows them."))
    short_ref = LineField(label=_("Reference in the message"), required=False, help_text=_("As the text shows it."))
    external_id = LineField(label=_("Or the message's id"), required=False)
    ground = forms.ChoiceField(label=_("Ground"), choices=GROUNDS.only(Ground.values).lazily())
    statement = WordsField(label=_("In their words"), rows=4)
    language = forms.ChoiceField(label=_("Language"), choices=LANGUAGES)

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        if bool(said.get("short_ref")) == bool(said.get("external_id")) and not self.errors:
            self.add_error("short_ref", gettext("Name the message by its reference or by its id: by one of them."))
        return said


def open_for_caller(*, said: dict[str, Any], viewer: Viewer, now: datetime) -> uuid.UUID:
    """Opens the dispute and returns its id; where the same one is open already, that one's. Opens its transaction.
    Raises Refused."""
    if not viewer.works:
        raise Refused(gettext("Opening a dispute needs the group of agents or of supervisors."))
    asked = Opening(
        actor=viewer.actor,
        customer=said["customer"],
        phone=None,
        selector=Selector(short_ref=said["short_ref"] or None, external_id=said["external_id"] or None),
        ground=said["ground"],
        statement=said["statement"],
        claimed_payments=[],
        language=said["language"],
        channel=Channel.PHONE,
    )
    try:
        return in_transaction(lambda: open_dispute(asked=asked, now=now)).dispute.pk
    except AlreadyOpen as error:
        return error.dispute.pk
    except (MessageNotFound, NobodyToActFor):
        raise Refused(gettext("There is no such message of this customer's.")) from None
