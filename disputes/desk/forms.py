"""The forms of the desk: what an act needs, checked for form alone. Whether it may be done now is the act's rule."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.core.validators import ProhibitNullCharactersValidator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from disputes.cases.deciding import REASONS
from disputes.cases.models import DecisionReason, Outcome
from disputes.desk.questions import TITLES, question
from disputes.desk.words import OUTCOMES

LONGEST = 5000


def _named(outcome: str) -> list[tuple[str, Any]]:
    """The reasons that go with an outcome, but for the one that names nothing."""
    reasons = [DecisionReason(code) for code in REASONS[outcome]]
    return [(reason.value, _(str(reason.label))) for reason in reasons if reason != DecisionReason.OTHER]


CHOICES: list[tuple[Any, Any]] = [
    ("", _("Choose a reason")),
    (_("For the customer"), _named(Outcome.UPHELD)),
    (_("Against the customer"), _named(Outcome.REJECTED)),
    (_("Neither"), [(DecisionReason.OTHER.value, _("Another, in the words below"))]),
]


class WordsField(forms.CharField):
    """Words of at most LONGEST letters, on several lines."""

    def __init__(self, *, rows: int = 3, placeholder: Any = "", **kwargs: Any) -> None:
        kwargs.setdefault("max_length", LONGEST)
        widget = forms.Textarea(attrs={"rows": rows, "placeholder": placeholder})
        super().__init__(widget=widget, validators=[ProhibitNullCharactersValidator()], **kwargs)


class LineField(forms.CharField):
    """One line, as an id is: at most 200 letters."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=200, validators=[ProhibitNullCharactersValidator()], **kwargs)


class WhyField(WordsField):
    """A reason that stands in the journal: short, and without personal data."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 150)
        kwargs.setdefault("help_text", _("Stays in the time line: no names, numbers or amounts."))
        super().__init__(rows=1, **kwargs)


class ActForm(forms.Form):
    """What every form of the desk has. `once`: made with the page, so that the same click twice acts once."""

    once = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)

    def __init__(self, *args: Any, act: str, **kwargs: Any) -> None:
        kwargs["auto_id"] = f"{act}-%s"
        super().__init__(*args, **kwargs)


class DecideForm(ActForm):
    outcome = forms.ChoiceField(
        choices=OUTCOMES.only((Outcome.UPHELD, Outcome.PARTLY_UPHELD, Outcome.REJECTED)).lazily()
    )
    check_id = forms.UUIDField(required=False, widget=forms.HiddenInput)
    reason = forms.ChoiceField(label=_("Reason"), choices=CHOICES)
    explanation = WordsField(
        label=_("Words to the customer"),
        rows=4,
        placeholder=_("What was found, and what it rests on. The letter quotes it."),
    )

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        outcome, reason = said.get("outcome"), said.get("reason")
        if outcome and reason and reason not in REASONS[outcome]:
            self.add_error("reason", gettext("This reason does not go with this outcome. Choose another."))
        return said


class AskForm(ActForm):
    template = forms.ChoiceField(
        label=_("Begin with"), required=False, choices=[("", _("Words of your own")), *TITLES.lazily()]
    )
    text = WordsField(label=_("Question"), required=False, max_length=500)

    def __init__(self, *args: Any, language: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.language = language
        self.fields["template"].widget.attrs["data-fills"] = "ask-text"

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        if not said.get("text") and said.get("template"):
            said["text"] = question(said["template"], language=self.language)
        if not said.get("text") and not self.errors:
            self.add_error("text", gettext("Write the question, or choose one."))
        return said


class NoteForm(ActForm):
    text = WordsField(label=_("Note"), placeholder=_("For colleagues. The customer never sees it."))


class HandOnForm(ActForm):
    to = forms.ChoiceField(label=_("To"))
    why = WhyField(label=_("Why"))

    def __init__(self, *args: Any, receivers: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["to"].choices = [("", gettext("Choose an agent or a queue")), *receivers]  # type: ignore[attr-defined]


class HoldForm(ActForm):
    covers = forms.ChoiceField(label=_("Stop messages about"))
    why = WhyField(label=_("Why"))

    def __init__(self, *args: Any, covers: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["covers"].choices = covers  # type: ignore[attr-defined]


class LiftForm(ActForm):
    hold = forms.UUIDField(widget=forms.HiddenInput)
    why = WhyField(label=_("Why"))


class SecondForm(ActForm):
    decision = forms.UUIDField(widget=forms.HiddenInput)
    why = WhyField(label=_("Why not"), required=False, help_text=_("Needed to say no."))


class FlagForm(ActForm):
    flag = forms.UUIDField(widget=forms.HiddenInput)
    why = WhyField(label=_("Why"), help_text=_("Stays among the notes: what speaks for the outcome all the same."))


class WhyForm(ActForm):
    why = WhyField(label=_("Why"))
