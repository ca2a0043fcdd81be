"""Disputes as the back office sees them; the desk at which they are decided is not here."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from config.reading_admin import ReadingAdmin, ReadingInline
from config.values.phone import mask_phone
from disputes.cases.models import Check, Comment, Dispute
from disputes.cases.queries import events_of
from disputes.check.sentences import sentence_of
from disputes.records.queries import number_of_message


def _when(at: datetime | None) -> str:
    """An instant on the lender's clock, with its offset."""
    return at.astimezone(ZoneInfo(settings.LENDER_TIME_ZONE)).strftime("%Y-%m-%d %H:%M:%S %z") if at else ""


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
        ("About", {"fields": [("customer", "loan"), "about"]}),
        ("The check", {"fields": ["cause", "findings"]}),
        ("Time", {"fields": ["opened_at", "acknowledge_by", "first_answer_by", "decide_by", "closed_at"]}),
        ("Events", {"fields": ["events"]}),
    ]

    def get_readonly_fields(self, request: Any, obj: Any = None) -> list[str]:
        return ["words", "about", "cause", "findings", "events"]

    @admin.display(description="the check says")
    def cause(self, dispute: Dispute) -> str:
        check = dispute.last_check
        if check is None:
            return "not checked yet"
        said = check.verdict.replace("_", " ")
        return f"{said}: {check.cause.replace('_', ' ')}" if check.cause else said

    @admin.display(description="the customer's words")
    def words(self, dispute: Dispute) -> str:
        return dispute.statement or ""

    @admin.display(description="the message")
    def about(self, dispute: Dispute) -> str:
        message = dispute.message
        if message is None:
            return "Nobody has found it yet."
        number = number_of_message(message)
        shown = mask_phone(number) if number else "a number that was erased"
        return f"{message.external_id}: {message.category} to {shown}, sent {_when(message.sent_at)}"

    @admin.display(description="findings")
    def findings(self, dispute: Dispute) -> SafeString:
        rows = dispute.last_check.findings if dispute.last_check else []
        told = ((row["name"].replace("_", " "), sentence_of(row, language="en")) for row in rows)
        return format_html_join("", "<p>{}: {}</p>", told)

    @admin.display(description="time line")
    def events(self, dispute: Dispute) -> SafeString:
        rows = ((_when(event.at), event.kind, event.actor_type) for event in events_of(dispute))
        return format_html_join("", "<p>{} {} ({})</p>", rows)
