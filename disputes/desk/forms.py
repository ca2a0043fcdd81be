"""The forms of the desk: what an act needs, checked for form alone. Whether it may be done now is the act's rule."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.core.validators import ProhibitNullCharactersValidator

from disputes.cases.deciding import REASONS
from disputes.cases.models import DecisionReason, Outcome
from disputes.desk.questions import TITLES, question
from disputes.desk.words import plain

LONGEST = 5000


def _named(outcome: str) -> list[tuple[str, str]]:
    """The reasons that go with an outcome, but for the one that names nothing."""
    reasons = [DecisionReason(code) for code in REASONS[outcome]]
    return [(reason.value, str(reason.label)) for reason in reasons if reason != DecisionReason.OTHER]


CHOICES: list[tuple[str, Any]] = [
    ("", "Choose a reason"),
    ("For the customer", _named(Outcome.UPHELD)),
    ("Against the customer", _named(Outcome.REJECTED)),
    ("Neither", [(DecisionReason.OTHER.value, "Another, in the words below")]),
]


class WordsField(forms.CharField):
    """Words of at most LONGEST letters, on several lines."""

    def __init__(self, *, rows: int = 3, placeholder: str = "", **kwargs: Any) -> None:
        kwargs.setdefault("max_length", LONGEST)
        widget = forms.Textarea(attrs={"rows": rows, "placeholder": placeholder})
        super().__init__(widget=widget, validators=[ProhibitNullCharactersValidator()], **kwargs)


class WhyField(WordsField):
    """A reason that stands in the journal: short, and without personal data."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 150)
        kwargs.setdefault("help_text", "Stays in the time line: no names, numbers or amounts.")
        super().__init__(rows=1, **kwargs)


class ActForm(forms.Form):
    """What every form of the desk has. `once`: made with the page, so that the same click twice acts once."""

    once = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)

    def __init__(self, *args: Any, act: str, **kwargs: Any) -> None:
        kwargs["auto_id"] = f"{act}-%s"
        super().__init__(*args, **kwargs)


class DecideForm(ActForm):
    outcome = forms.ChoiceField(
        choices=[(value, plain(value)) for value in (Outcome.UPHELD, Outcome.PARTLY_UPHELD, Outcome.REJECTED)]
    )
    check_id = forms.UUIDField(required=False, widget=forms.HiddenInput)
    reason = forms.ChoiceField(choices=CHOICES)
    explanation = WordsField(
        label="Words to the customer", rows=4, placeholder="What was found, and what it rests on. The letter quotes it."
    )

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        outcome, reason = said.get("outcome"), said.get("reason")
        if outcome and reason and reason not in REASONS[outcome]:
            self.add_error("reason", f"This is no reason for {plain(outcome)!r}. Choose another.")
        return said


class AskForm(ActForm):
    template = forms.ChoiceField(
        label="Begin with", required=False, choices=[("", "Words of your own"), *TITLES.items()]
    )
    text = WordsField(label="Question", required=False, max_length=500)

    def __init__(self, *args: Any, language: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.language = language
        self.fields["template"].widget.attrs["data-fills"] = "ask-text"

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        if not said.get("text") and said.get("template"):
            said["text"] = question(said["template"], language=self.language)
        if not said.get("text") and not self.errors:
            self.add_error("text", "Write the question, or choose one.")
        return said


class NoteForm(ActForm):
    text = WordsField(label="Note", placeholder="For colleagues. The customer never sees it.")


class HandOnForm(ActForm):
    to = forms.ChoiceField(label="To")
    why = WhyField(label="Why")

    def __init__(self, *args: Any, receivers: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["to"].choices = [("", "Choose an agent or a queue"), *receivers]  # type: ignore[attr-defined]


class HoldForm(ActForm):
    covers = forms.ChoiceField(label="Stop messages about")
    why = WhyField(label="Why")

    def __init__(self, *args: Any, covers: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["covers"].choices = covers  # type: ignore[attr-defined]


class LiftForm(ActForm):
    hold = forms.UUIDField(widget=forms.HiddenInput)
    why = WhyField(label="Why")


class SecondForm(ActForm):
    decision = forms.UUIDField(widget=forms.HiddenInput)
    why = WhyField(label="Why not", required=False, help_text="Needed to say no.")


class FlagForm(ActForm):
    flag = forms.UUIDField(widget=forms.HiddenInput)
    why = WhyField(label="Why", help_text="Stays among the notes: what speaks for the outcome all the same.")


class WhyForm(ActForm):
    why = WhyField(label="Why")
