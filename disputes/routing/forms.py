"""What a supervisor fills in: agents, queues and calendars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar
from zoneinfo import available_timezones

import holidays
from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from disputes.check.facts import GROUNDS
from disputes.routing.calendars import supported_countries
from disputes.routing.models import Agent, Calendar, Queue
from disputes.routing.timetable import (
    read_days,
    read_extra_days,
    read_hours,
    write_days,
    write_extra_days,
    write_hours,
)

MOST_PRODUCTS = 200


class SkillsForm(forms.ModelForm):  # type: ignore[type-arg]
    """Languages, grounds and products; none chosen: all."""

    languages = forms.MultipleChoiceField(
        choices=settings.LANGUAGES,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="None chosen: every language.",
    )
    grounds = forms.MultipleChoiceField(
        choices=[(one, one.replace("_", " ").capitalize()) for one in GROUNDS],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="None chosen: every ground.",
    )
    products = forms.CharField(
        required=False,
        strip=True,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="One a line, as the loans name them. None: every product.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["products"] = "\n".join(self.instance.products or [])

    def clean_products(self) -> list[str]:
        products = list(dict.fromkeys(line.strip() for line in self.cleaned_data["products"].splitlines()))
        products = [one for one in products if one]
        if len(products) > MOST_PRODUCTS or any(len(one) > 120 for one in products):
            raise forms.ValidationError(f"At most {MOST_PRODUCTS} products, each of at most 120 letters.")
        return products


class AgentForm(SkillsForm):
    class Meta:
        model = Agent
        fields: ClassVar = ["user", "on_duty", "capacity", "queues", "languages", "grounds", "products"]
        help_texts: ClassVar = {
            "user": "Their group says what they may do; this entry, what they are given.",
            "capacity": "Cases in review at once. Lowering it takes none away.",
            "queues": "None chosen: the cases of every queue.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "user" in self.fields:
            staff = User.objects.filter(is_staff=True, is_active=True)
            self.fields["user"].queryset = staff.order_by("username")  # type: ignore[attr-defined]


class QueueForm(SkillsForm):
    class Meta:
        model = Queue
        fields: ClassVar = ["name", "place", "languages", "grounds", "products", "calendar", "supervisors"]
        help_texts: ClassVar = {
            "place": "The first queue, by place, that takes a case has it.",
            "calendar": "What the deadlines of its cases run on. None: the lender's own.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "supervisors" in self.fields:
            staff = User.objects.filter(is_staff=True, is_active=True)
            self.fields["supervisors"].queryset = staff.order_by("username")  # type: ignore[attr-defined]


class WrittenField(forms.CharField):
    """A text of several lines that is read into a value and written from it. `read` raises ValueError."""

    def __init__(self, *, read: Callable[[str], Any], write: Callable[[Any], str], rows: int, **kwargs: Any) -> None:
        super().__init__(widget=UnfoldAdminTextareaWidget(attrs={"rows": rows}), max_length=20_000, **kwargs)
        self.read, self.write = read, write

    def prepare_value(self, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value or ""
        return self.write(value)

    def clean(self, value: Any) -> Any:
        try:
            return self.read(super().clean(value))
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class CalendarForm(forms.ModelForm):  # type: ignore[type-arg]
    zone = forms.CharField(
        max_length=64, widget=UnfoldAdminTextInputWidget, help_text="As in Asia/Shanghai or Europe/London."
    )
    hours = WrittenField(
        read=read_hours,
        write=write_hours,
        rows=7,
        help_text="A line a day: Monday 09:00-12:00, 13:00-18:00. A shift may run over midnight (22:00-06:00) and "
        "belongs to the day it begins on.",
    )
    country = forms.CharField(
        max_length=2,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Two letters, as in CN: its public holidays are off. Empty: none.",
    )
    subdivision = forms.CharField(
        max_length=10, required=False, widget=UnfoldAdminTextInputWidget, help_text="As in ENG of GB."
    )
    days_off = WrittenField(
        read=read_days, write=write_days, rows=4, required=False, help_text="Further days off, a date a line."
    )
    extra_days = WrittenField(
        read=read_extra_days,
        write=write_extra_days,
        rows=4,
        required=False,
        help_text="Days that are worked whatever they are, with whose hours: 2026-02-14 Monday.",
    )

    class Meta:
        model = Calendar
        fields: ClassVar = ["name", "zone", "hours", "country", "subdivision", "days_off", "extra_days"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("hours", self.instance.hours)

    def clean_zone(self) -> str:
        zone = str(self.cleaned_data["zone"])
        if zone not in available_timezones():
            raise forms.ValidationError("No zone of that name is known.")
        return zone

    def clean_country(self) -> str:
        country = str(self.cleaned_data["country"]).upper()
        if country and country not in supported_countries():
            raise forms.ValidationError("The holidays of that country are not known.")
        return country

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        country, part = said.get("country"), said.get("subdivision")
        if part and country is not None and part not in holidays.list_supported_countries().get(country, []):
            self.add_error("subdivision", f"{country or 'No country'} has no such part: its holidays are not known.")
        return said
