"""Disputes as the back office sees them; the desk at which they are decided is not here."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from config.reading_admin import ReadingAdmin, ReadingInline
from disputes.cases.models import Check, Comment, Dispute
from disputes.cases.queries import events_of
from disputes.check.sentences import sentence_of


class CheckInline(ReadingInline):
    model = Check
    fk_name = "dispute"
    fields: ClassVar = ["checked_at", "verdict", "cause", "detail", "policy_name", "policy_version", "engine_version"]
    readonly_fields: ClassVar = fields


class CommentInline(ReadingInline):
    model = Comment
    fields: ClassVar = ["at", "author_type", "words"]
    readonly_fields: ClassVar = fields

    @admin.display(description="text")
    def words(self, comment: Comment) -> str:
        return comment.text


@admin.register(Dispute)
class DisputeAdmin(ReadingAdmin):
    list_display: ClassVar = ["reference", "status", "outcome", "ground", "customer", "opened_at", "decide_by", "cause"]
    list_filter: ClassVar = ["status", "outcome", "ground", "channel"]
    list_select_related: ClassVar = ["last_check"]
    search_fields: ClassVar = ["=reference", "=customer", "=loan"]
    ordering: ClassVar = ["-id"]
    inlines: ClassVar = [CheckInline, CommentInline]
    fieldsets: ClassVar = [
        (None, {"fields": ["reference", ("status", "outcome"), ("ground", "channel", "language"), "words"]}),
        ("About", {"fields": [("customer", "loan"), "message"]}),
        ("The check", {"fields": ["cause", "findings"]}),
        ("Time", {"fields": ["opened_at", "acknowledge_by", "first_answer_by", "decide_by", "closed_at"]}),
        ("Events", {"fields": ["events"]}),
    ]

    def get_readonly_fields(self, request: Any, obj: Any = None) -> list[str]:
        return ["words", "cause", "findings", "events"]

    @admin.display(description="cause")
    def cause(self, dispute: Dispute) -> str:
        check = dispute.last_check
        return "" if check is None else f"{check.verdict}: {check.cause or 'none'}"

    @admin.display(description="the customer's words")
    def words(self, dispute: Dispute) -> str:
        return dispute.statement or ""

    @admin.display(description="findings")
    def findings(self, dispute: Dispute) -> SafeString:
        rows = dispute.last_check.findings if dispute.last_check else []
        return format_html_join("", "<p>{}: {}</p>", ((row["name"], sentence_of(row, language="en")) for row in rows))

    @admin.display(description="time line")
    def events(self, dispute: Dispute) -> SafeString:
        rows = (
            (event.at.strftime("%Y-%m-%d %H:%M:%S UTC"), event.kind, event.actor_type) for event in events_of(dispute)
        )
        return format_html_join("", "<p>{} {} ({})</p>", rows)
