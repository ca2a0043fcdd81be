"""Surveys and what they ask, in the admin."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from config.reading_admin import ReadingAdmin, ReadingInline
from feedback.surveys.models import Survey, SurveyVersion
from feedback.surveys.publishing import questions_of


class VersionInline(ReadingInline):
    model = SurveyVersion
    fields: ClassVar = ["number", "created_at", "created_by", "dimensions"]
    readonly_fields: ClassVar = ["number", "created_at", "created_by", "dimensions"]
    show_change_link = True
    ordering: ClassVar = ["-number"]


@admin.register(Survey)
class SurveyAdmin(ReadingAdmin):
    list_display: ClassVar = ["name", "created_at", "created_by"]
    ordering: ClassVar = ["-id"]
    inlines: ClassVar = [VersionInline]
    fields: ClassVar = ["name", "created_at", "created_by"]


@admin.register(SurveyVersion)
class SurveyVersionAdmin(ReadingAdmin):
    list_display: ClassVar = ["survey", "number", "created_at", "created_by"]
    list_select_related: ClassVar = ["survey"]
    ordering: ClassVar = ["-id"]
    fields: ClassVar = ["survey", "number", "said", "asked", "dimensions", "created_at", "created_by"]
    readonly_fields: ClassVar = ["said", "asked"]

    @admin.display(description="title")
    def said(self, version: SurveyVersion) -> str:
        return f"{version.title['en']} · {version.title['zh-hans']}"

    @admin.display(description="questions")
    def asked(self, version: SurveyVersion) -> SafeString:
        def told(question: Any) -> str:
            marks = [question.kind, *(["required"] if question.required else [])]
            if question.shown_if:
                values = ", ".join(str(value) for value in sorted(question.shown_if.values, key=str))
                marks.append(f"where {question.shown_if.question} is {values}")
            return " · ".join(marks)

        rows = ((one.text["en"], one.text["zh-hans"], told(one)) for one in questions_of(version))
        return format_html(
            "<ol style='list-style:decimal;padding-left:1.2rem'>{}</ol>",
            format_html_join("", "<li style='margin:0 0 .6rem'><b>{}</b><br>{}<br><small>{}</small></li>", rows),
        )
