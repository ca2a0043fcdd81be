"""Who gets what, in the admin: queues, agents with their load, calendars, cases and escalations."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from config.reading_admin import ReadingAdmin
from disputes.routing.forms import AgentForm, CalendarForm, QueueForm
from disputes.routing.models import Agent, Calendar, Escalation, Queue, RoutedCase
from disputes.routing.queries import loads
from disputes.routing.staffing import save_agent, save_calendar


def _all_or(listed: list[str]) -> str:
    return ", ".join(listed) or "all"


@admin.register(Queue)
class QueueAdmin(ModelAdmin):  # type: ignore[misc]
    form = QueueForm
    list_display: ClassVar = ["name", "place", "takes_languages", "takes_grounds", "takes_products", "calendar"]
    list_select_related: ClassVar = ["calendar"]
    list_per_page = 50
    filter_horizontal: ClassVar = ["supervisors"]

    @admin.display(description="languages")
    def takes_languages(self, one: Queue) -> str:
        return _all_or(one.languages)

    @admin.display(description="grounds")
    def takes_grounds(self, one: Queue) -> str:
        return _all_or(one.grounds)

    @admin.display(description="products")
    def takes_products(self, one: Queue) -> str:
        return _all_or(one.products)


@admin.register(Agent)
class AgentAdmin(ModelAdmin):  # type: ignore[misc]
    form = AgentForm
    fields: ClassVar = ["user", "on_duty", "capacity", "queues", "languages", "grounds", "products"]
    list_display: ClassVar = ["__str__", "on_duty", "has", "capacity", "takes_languages", "takes_grounds", "idle_since"]
    list_filter: ClassVar = ["on_duty", "queues"]
    search_fields: ClassVar = ["user__username", "user__first_name", "user__last_name"]
    list_per_page = 50
    filter_horizontal: ClassVar = ["queues"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        return loads()

    def get_fields(self, request: HttpRequest, obj: Agent | None = None) -> Any:
        """An entry stays its user's: cases and events name it."""
        return self.fields if obj is None else ["whose", *self.fields[1:]]

    def get_readonly_fields(self, request: HttpRequest, obj: Agent | None = None) -> Any:
        return () if obj is None else ("whose",)

    @admin.display(description="user")
    def whose(self, agent: Agent) -> str:
        """In words: a link to the user would be a closed door to a supervisor."""
        return str(agent)

    @admin.display(description="has", ordering="load")
    def has(self, agent: Any) -> int:
        return int(agent.load)

    @admin.display(description="languages")
    def takes_languages(self, agent: Agent) -> str:
        return _all_or(agent.languages)

    @admin.display(description="grounds")
    def takes_grounds(self, agent: Agent) -> str:
        return _all_or(agent.grounds)

    @admin.display(description="last given a case", ordering="last_given_at")
    def idle_since(self, agent: Agent) -> Any:
        return agent.last_given_at

    def save_model(self, request: HttpRequest, obj: Agent, form: Any, change: bool) -> None:
        save_agent(agent=obj, changed=form.changed_data)


@admin.register(Calendar)
class CalendarAdmin(ModelAdmin):  # type: ignore[misc]
    form = CalendarForm
    list_display: ClassVar = ["name", "zone", "country", "subdivision", "revision"]
    list_per_page = 50

    def save_model(self, request: HttpRequest, obj: Calendar, form: Any, change: bool) -> None:
        save_calendar(calendar=obj)
        if change:
            self.message_user(request, "The deadlines that run on it move within a minute.", messages.INFO)


class FitFilter(admin.SimpleListFilter):
    """What waits though somebody looked for an agent."""

    title = "an agent"
    parameter_name = "agent"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("none", "nobody fits, or has a place")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RoutedCase]) -> QuerySet[RoutedCase]:
        return queryset.filter(state="waiting", unfit_since__isnull=False) if self.value() else queryset


def _to_dispute(dispute: Any) -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse("admin:disputes_dispute_change", args=[dispute]), dispute)


@admin.register(RoutedCase)
class RoutedCaseAdmin(ReadingAdmin):
    list_display: ClassVar = ["page", "state", "queue", "owner", "decide_by", "waiting_since", "unfit_since"]
    list_display_links = None
    list_filter: ClassVar = [FitFilter, "state", "queue"]
    list_select_related: ClassVar = ["queue", "owner__user"]
    search_fields: ClassVar = ["=dispute"]
    ordering: ClassVar = ["decide_by", "dispute"]

    @admin.display(description="dispute")
    def page(self, case: RoutedCase) -> SafeString:
        return _to_dispute(case.pk)


@admin.register(Escalation)
class EscalationAdmin(ReadingAdmin):
    list_display: ClassVar = ["at", "kind", "clock", "due_at", "page"]
    list_filter: ClassVar = ["kind", "clock"]
    search_fields: ClassVar = ["=dispute"]
    ordering: ClassVar = ["-id"]

    @admin.display(description="dispute")
    def page(self, row: Escalation) -> SafeString:
        return _to_dispute(row.dispute)
