"""Opening a dispute for somebody who called."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django import forms
from django.core.validators import ProhibitNullCharactersValidator

from disputes.cases.finding import MessageNotFound, Selector
from disputes.cases.models import Channel, Ground, Language
from disputes.cases.opening import AlreadyOpen, NobodyToActFor, Opening, open_dispute
from disputes.cases.transactions import in_transaction
from disputes.desk.acts import Refused
from disputes.desk.forms import WordsField
from disputes.desk.viewing import Viewer
from disputes.desk.words import GROUNDS

LANGUAGES = [(Language.ZH_HANS.value, "Chinese"), (Language.EN.value, "English")]


class LineField(forms.CharField):
    """One line, as an id is: at most 120 letters."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=120, validators=[ProhibitNullCharactersValidator()], **kwargs)


class CallForm(forms.Form):
    """Who calls, which message, and what they say."""

    customer = LineField(label="Customer", help_text="The number under which the lender knows them.")
    short_ref = LineField(label="Reference in the message", required=False, help_text="As the text shows it.")
    external_id = LineField(label="Or the message's id", required=False)
    ground = forms.ChoiceField(choices=[(one, GROUNDS[one]) for one in Ground.values])
    statement = WordsField(label="In their words", rows=4)
    language = forms.ChoiceField(choices=LANGUAGES)

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        if bool(said.get("short_ref")) == bool(said.get("external_id")) and not self.errors:
            self.add_error("short_ref", "Name the message by its reference or by its id: by one of them.")
        return said


def open_for_caller(*, said: dict[str, Any], viewer: Viewer, now: datetime) -> uuid.UUID:
    """Opens the dispute and returns its id; where the same one is open already, that one's. Opens its transaction.
    Raises Refused."""
    if not viewer.works:
        raise Refused("Opening a dispute needs the group of agents or of supervisors.")
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
        raise Refused("There is no such message of this customer's.") from None
