"""Schedules in the admin: what is wrong with a rule is said beside it."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from feedback.waves.models import Schedule
from feedback.waves.opening import LONGEST_OPEN, LONGEST_QUIET, Asked
from feedback.waves.recurrence import BadRule
from feedback.waves.scheduling import Timing, change_schedule, create_schedule


class ScheduleForm(forms.ModelForm):
    class Meta:
        model = Schedule
        fields = (
            "survey",
            "rule",
            "zone",
            "starts_on",
            "starts_at",
            "missed",
            "audience",
            "sample_size",
            "quiet_days",
            "open_days",
            "channel",
            "enabled",
        )
        widgets: ClassVar = {"rule": UnfoldAdminTextInputWidget, "zone": UnfoldAdminTextInputWidget}
        help_texts: ClassVar = {
            "rule": "One RRULE of RFC 5545, daily or slower: FREQ=MONTHLY;BYMONTHDAY=1",
            "zone": "Of the start's wall time: Asia/Shanghai",
            "sample_size": "None: everyone eligible.",
            "quiet_days": "Nobody is asked twice within so many days, by any survey.",
        }

    def timing(self) -> Timing:
        given = self.cleaned_data
        return Timing(**{name: given[name] for name in ("rule", "zone", "starts_on", "starts_at", "missed")})

    def asked(self) -> Asked:
        return Asked(**{name: self.cleaned_data[name] for name in Asked.__dataclass_fields__})

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        for name, least, most in (("quiet_days", 0, LONGEST_QUIET), ("open_days", 1, LONGEST_OPEN)):
            if given.get(name) is not None and not least <= given[name] <= most:
                self.add_error(name, f"From {least} to {most}.")
        if given.get("sample_size") == 0:
            self.add_error("sample_size", "At least 1, or none for everyone eligible.")
        if not self.errors:
            try:
                self.timing().recurrence()
            except BadRule as error:
                self.add_error("zone" if "zone" in str(error) else "rule", ValidationError(str(error)))
        return given


@admin.register(Schedule)
class ScheduleAdmin(ModelAdmin):  # type: ignore[misc]
    form = ScheduleForm
    list_display: ClassVar = ["survey", "rule", "zone", "audience", "enabled", "next_at", "last_end"]
    list_filter: ClassVar = ["enabled", "audience"]
    list_select_related: ClassVar = ["survey"]
    ordering: ClassVar = ["-id"]
    fieldsets: ClassVar = [
        (None, {"fields": ["survey", "enabled"]}),
        ("When", {"fields": ["rule", "zone", "starts_on", "starts_at", "missed"]}),
        ("Whom", {"fields": ["audience", "channel", "sample_size", "quiet_days", "open_days"]}),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["survey"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Schedule, form: Any, change: bool) -> None:
        now = timezone.now()
        if change:
            change_schedule(schedule_id=obj.pk, timing=form.timing(), asked=form.asked(), enabled=obj.enabled, now=now)
        else:
            made = create_schedule(
                survey_id=obj.survey_id, timing=form.timing(), asked=form.asked(), enabled=obj.enabled, now=now
            )
            obj.pk = made.pk
