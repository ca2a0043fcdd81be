"""Holds in the admin: what is held, what was, and everything that was done to one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone

from config.reading_admin import ReadingAdmin
from disputes.desk import gate_pages, words
from disputes.desk.accounts import local_instant
from disputes.holds.models import Hold, HoldCover, SuppressionChange
from disputes.holds.scopes import stops_messages
from disputes.journal.models import Event

SHOWN = 200


class Standing(admin.SimpleListFilter):
    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [("yes", "stands"), ("no", "released")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Hold]) -> QuerySet[Hold] | None:
        if self.value() not in ("yes", "no"):
            return None
        return queryset.filter(released_at__isnull=self.value() == "yes")


class Older(admin.SimpleListFilter):
    """Holds that stand for longer than so many days."""

    title = "standing for longer than"
    parameter_name = "older"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(str(days), f"{days} days") for days in (1, 7, 14, 30, 90, 365)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Hold]) -> QuerySet[Hold] | None:
        asked = self.value()
        if asked is None or not (asked.isascii() and asked.isdigit()):
            return None
        days = timedelta(days=min(int(asked[:6]), 36_500))
        return queryset.filter(released_at__isnull=True, placed_at__lt=timezone.now() - days)


@admin.register(Hold)
class HoldAdmin(ReadingAdmin):
    """The list of holds, the page of one, and the pages about the gate."""

    list_display: ClassVar = ["said", "covered", "source", "because", "placed", "placed_by", "released"]
    list_filter: ClassVar = [Standing, Older, "source", "scope", "reason"]
    search_fields: ClassVar = ["=id"]
    search_help_text = "A hold's id, a loan or a customer"
    ordering: ClassVar = ["-id"]

    @admin.display(description="what the gate answers", ordering="reason")
    def said(self, hold: Hold) -> str:
        return words.GATE_REASONS.get(hold.reason, words.plain(hold.reason))

    @admin.display(description="stops", ordering="scope")
    def covered(self, hold: Hold) -> str:
        return words.SCOPES[hold.scope]

    @admin.display(description="why")
    def because(self, hold: Hold) -> str:
        return words.GROUNDS.get(hold.why, hold.why)

    @admin.display(description="placed", ordering="id")
    def placed(self, hold: Hold) -> str:
        return local_instant(hold.placed_at)

    @admin.display(description="released", ordering="released_at")
    def released(self, hold: Hold) -> str:
        return local_instant(hold.released_at) or "stands"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Hold], search_term: str
    ) -> tuple[QuerySet[Hold], bool]:
        """By what it covers, from an index; by its own id."""
        term = search_term.strip().replace("\0", "")
        if not term:
            return queryset, False
        try:
            return queryset.filter(pk=uuid.UUID(term)), False
        except ValueError:
            covers = HoldCover.objects.filter(key__in=[f"l:{term}", f"c:{term}", f"r:{term}"])
            return queryset.filter(pk__in=covers.values("hold")), False

    def get_urls(self) -> list[URLPattern]:
        return gate_pages.urls(self.admin_site.admin_view) + super().get_urls()

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self.has_view_permission(request) or request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        try:
            hold = Hold.objects.get(pk=uuid.UUID(object_id))
        except (Hold.DoesNotExist, ValueError):
            raise Http404 from None
        covers = HoldCover.objects.filter(hold=hold).order_by("since", "key")
        changes = SuppressionChange.objects.filter(hold=hold).order_by("number")[:SHOWN]
        events = Event.objects.filter(subject_type="hold", subject_id=hold.pk).order_by("id")[:SHOWN]
        context = {
            **self.admin_site.each_context(request),
            "title": "Hold",
            "hold": hold,
            "said": self.said(hold),
            "covered": words.SCOPES[hold.scope],
            "because": self.because(hold),
            "placed": local_instant(hold.placed_at),
            "released": local_instant(hold.released_at),
            "dispute_at": reverse("admin:disputes_dispute_change", args=[hold.dispute]) if hold.dispute else "",
            "covers": [
                (*_named(cover.key), local_instant(cover.since), local_instant(cover.released_at))
                for cover in covers[:SHOWN]
            ],
            "changes": [
                (
                    row.number,
                    row.kind,
                    local_instant(row.at),
                    words.GATE_REASONS.get(row.reason, row.reason),
                    len(row.permits_out),
                )
                for row in changes
            ],
            "events": [
                (local_instant(event.at), words.event_words(event.kind), f"{event.actor_type} {event.actor_id}".strip())
                for event in events
            ],
        }
        return TemplateResponse(request, "desk/hold.html", context)


KINDS = {"l": "loan", "c": "customer", "p": "phone", "r": "sending rule"}


def _named(key: str) -> tuple[str, str]:
    """What a key covers, in words: of a phone the beginning of its digest, since the number is not kept with a hold."""
    kind, _, rest = key.partition(":")
    surveys = "" if stops_messages(key) else ", surveys alone"
    kind = kind.removeprefix("s")
    return f"{KINDS[kind]}{surveys}", f"digest {rest[2:14]}…" if kind == "p" else rest
