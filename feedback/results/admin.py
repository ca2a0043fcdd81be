"""Waves in the admin: the funnel, and once they are closed the figures with their intervals drawn."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import formats, timezone
from django.utils.safestring import SafeString, mark_safe

from config.reading_admin import ReadingAdmin
from disputes.journal.recording import Actor
from feedback.results.closing import close_wave
from feedback.results.queries import summary_of
from feedback.surveys.publishing import questions_of
from feedback.surveys.questions import SCALES
from feedback.waves.models import Wave, WaveState
from feedback.waves.opening import Asked, open_wave

FUNNEL = ("invited", "handed_over", "delivered", "opened", "partial", "answered")


@admin.register(Wave)
class WaveAdmin(ReadingAdmin):
    list_display: ClassVar = ["survey", "opened_at", "state", "audience", "taken_count", "figure", "ends_at"]
    list_filter: ClassVar = ["state", "audience", "survey"]
    list_select_related: ClassVar = ["survey", "summary"]
    ordering: ClassVar = ["-id"]
    actions: ClassVar = ["close_now", "open_next"]
    fieldsets: ClassVar = [
        (None, {"fields": [("survey", "version"), "state", "drawn"]}),
        ("Whom", {"fields": ["audience", "of", ("sample_size", "quiet_days"), "why_not"]}),
        ("Time", {"fields": [("opened_at", "ends_at"), "closed_at", "schedule", "opened_by"]}),
    ]
    readonly_fields: ClassVar = ["drawn", "of", "why_not"]

    def has_act_permission(self, request: HttpRequest) -> bool:
        user: Any = request.user
        return bool(user.has_perm("feedback.change_wave"))

    @admin.display(description="figure")
    def figure(self, wave: Wave) -> str:
        summary = getattr(wave, "summary", None)
        if summary is None:
            return "–"
        first = next((one for one in summary.questions if one["kind"] in SCALES), None)
        if first is None or first["interval"] is None:
            return "too few"
        name = "nps" if first["kind"] == "nps" else "mean"
        low, high = first["interval"]
        return f"{first['kind'].upper()} {first[name]:g} ({low:g} to {high:g})"

    @admin.display(description="period")
    def of(self, wave: Wave) -> str:
        start, end = (formats.date_format(timezone.localtime(at), "DATETIME_FORMAT") for at in _ends(wave))
        return f"{start} to {end}"

    @admin.display(description="left out")
    def why_not(self, wave: Wave) -> str:
        said = ", ".join(f"{reason.replace('_', ' ')}: {count}" for reason, count in wave.left_out.items())
        counts = f"audience {wave.audience_count}, eligible {wave.eligible_count}, taken {wave.taken_count}"
        return f"{counts}; {said}" if said else counts

    @admin.display(description="figures")
    def drawn(self, wave: Wave) -> SafeString:
        summary = summary_of(wave)
        most = max(summary["invited"], 1)
        texts = {question.key: question.text["en"] for question in questions_of(wave.version)}
        context = {
            "funnel": [
                {"name": name.replace("_", " "), "count": summary[name], "width": 100 * summary[name] / most}
                for name in FUNNEL
            ],
            "rate": None if summary["response_rate"] is None else f"{summary['response_rate']:.1%}",
            "open": wave.state != WaveState.CLOSED,
            "questions": [_drawn(one, texts.get(one["key"], one["key"])) for one in summary["questions"]],
            "segments": [
                {
                    "dimension": table["dimension"],
                    "rows": [
                        {"group": row["group"], "n": row["n"], "figures": [_drawn(one, "") for one in row["questions"]]}
                        for row in table["rows"]
                    ],
                }
                for table in summary["segments"]
            ],
        }
        return mark_safe(render_to_string("feedback/figures.html", context))  # noqa: S308 (an escaping template)

    @admin.action(description="Close now, and freeze the figures", permissions=["act"])
    def close_now(self, request: HttpRequest, chosen: QuerySet[Wave]) -> None:
        ids = list(chosen.exclude(state=WaveState.CLOSED).values_list("pk", flat=True))
        for wave_id in ids:
            close_wave(wave_id=wave_id, now=timezone.now(), actor=Actor(type="user", id=str(request.user.pk)))
        self.message_user(request, f"Closed: {len(ids)}.", messages.SUCCESS)

    @admin.action(description="Open the next one: from this one's end until now", permissions=["act"])
    def open_next(self, request: HttpRequest, chosen: QuerySet[Wave]) -> None:
        now, opened = timezone.now(), 0
        for wave in chosen:
            if wave.period.upper < now:
                with transaction.atomic():
                    open_wave(
                        survey_id=wave.survey_id,
                        asked=Asked.of(wave),
                        start=wave.period.upper,
                        end=now,
                        opened_by=f"user:{request.user.pk}",
                        now=now,
                    )
                opened += 1
        self.message_user(request, f"Opened: {opened}. A worker draws the sample.", messages.SUCCESS)


def _ends(wave: Wave) -> tuple[datetime, datetime]:
    return wave.period.lower, wave.period.upper


def _drawn(figure: dict[str, Any], text: str) -> dict[str, Any]:
    """A question with its interval as a bar between the ends of its scale, in hundredths of the width."""
    kind = figure["kind"]
    drawn = {**figure, "text": text, "figure": figure.get("nps", figure.get("mean")), "bar": None}
    if kind in SCALES and figure["interval"]:
        least, most = (-100, 100) if kind == "nps" else SCALES[kind]

        def place(value: float) -> float:
            return round(100 * (value - least) / (most - least), 2)

        low, high = figure["interval"]
        drawn["bar"] = {
            "low": place(low),
            "width": max(place(high) - place(low), 0.5),
            "at": place(drawn["figure"]),
            "least": least,
            "most": most,
        }
    if figure.get("distribution"):
        highest = max(row["share"] for row in figure["distribution"]) or 1
        drawn["distribution"] = [
            {**row, "height": round(100 * row["share"] / highest, 1), "percent": round(100 * row["share"])}
            for row in figure["distribution"]
        ]
    return drawn
