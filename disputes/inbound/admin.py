"""What people texted back, for whoever reads it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.reading_admin import ReadingAdmin
from config.values.phone import mask_phone
from disputes.inbound.keeping import mark_read
from disputes.inbound.models import InboundMessage

FIRST_SIGNS = 80


def _on_the_lenders_clock(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(ZoneInfo(settings.LENDER_TIME_ZONE)).strftime("%Y-%m-%d %H:%M")


class ToRead(admin.SimpleListFilter):
    """What asked for nothing that a word says, and has not been read."""

    title = _("to read")  # type: ignore[assignment]
    parameter_name = "to_read"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", gettext("Kept and not read"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(kind="kept", read_at__isnull=True) if self.value() == "yes" else queryset


@admin.register(InboundMessage)
class InboundMessageAdmin(ReadingAdmin):
    list_display: ClassVar = ["received", "kind", "sender", "beginning", "vendor", "read_on", "read_by"]
    list_filter: ClassVar = [ToRead, "kind"]
    search_fields: ClassVar = ["=id", "=external_id", "=dispute"]
    ordering: ClassVar = ["-id"]
    actions: ClassVar = ["read"]
    fieldsets: ClassVar = [
        (None, {"fields": [("sender", "to", "vendor"), "words", ("received", "recorded"), "external_id"]}),
        (_("What came of it"), {"fields": ["kind", "dispute", "hold", ("read_on", "read_by")]}),
    ]
    readonly_fields: ClassVar = ["sender", "words", "received", "recorded", "read_on"]

    def has_read_permission(self, request: HttpRequest) -> bool:
        """Who answers for what nobody has joined to a dispute: auditors look on."""
        user: Any = request.user
        return bool(user.has_perm("disputes.supervise_cases"))

    @admin.display(description=_("received"), ordering="received_at")
    def received(self, said: InboundMessage) -> str:
        return _on_the_lenders_clock(said.received_at)

    @admin.display(description=_("recorded"))
    def recorded(self, said: InboundMessage) -> str:
        return _on_the_lenders_clock(said.recorded_at)

    @admin.display(description=_("read"), ordering="read_at")
    def read_on(self, said: InboundMessage) -> str:
        return _on_the_lenders_clock(said.read_at)

    @admin.display(description=_("from"))
    def sender(self, said: InboundMessage) -> str:
        return mask_phone(said.phone)

    @admin.display(description=_("text"))
    def words(self, said: InboundMessage) -> str:
        return said.text

    @admin.display(description=_("text"))
    def beginning(self, said: InboundMessage) -> str:
        line = " ".join(said.text.split())
        return line if len(line) <= FIRST_SIGNS else f"{line[: FIRST_SIGNS - 1]}…"

    @admin.action(description=_("Mark as read"), permissions=["read"])
    def read(self, request: HttpRequest, chosen: QuerySet[InboundMessage]) -> None:
        ids = list(chosen.values_list("pk", flat=True))
        read = mark_read(ids=ids, by=request.user.get_username(), now=timezone.now())
        messages.info(request, gettext("%(n)s marked as read.") % {"n": read})
