"""Holds in the admin: what is held, what was, the page of one, and lifting it by hand."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST
from unfold.views import ChangeList

from config.reading_admin import ReadingAdmin
from disputes.desk import gate_pages, stop_pages, stopping, words
from disputes.desk.accounts import local_instant
from disputes.desk.acts import Refused
from disputes.desk.forms import ActForm
from disputes.desk.hold_page import hold_page, short_digest, why_of
from disputes.desk.naming import actor_names
from disputes.desk.viewing import Viewer, viewer_of
from disputes.holds.models import Hold, HoldCover, Reason, Source
from disputes.holds.queries import keys_of

NAMED = 2
"""Of what a hold covers: in a list."""


class Standing(admin.SimpleListFilter):
    title = gettext_lazy("standing")  # type: ignore[assignment]
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [("yes", _("stands")), ("no", _("released"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Hold]) -> QuerySet[Hold] | None:
        if self.value() not in ("yes", "no"):
            return None
        return queryset.filter(released_at__isnull=self.value() == "yes")


class Older(admin.SimpleListFilter):
    """Holds that stand for longer than so many days."""

    title = gettext_lazy("standing for longer than")  # type: ignore[assignment]
    parameter_name = "older"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [
            (str(days), ngettext("%(n)s day", "%(n)s days", days) % {"n": days}) for days in (1, 7, 14, 30, 90, 365)
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Hold]) -> QuerySet[Hold] | None:
        asked = self.value()
        if asked is None or not (asked.isascii() and asked.isdigit()):
            return None
        days = timedelta(days=min(int(asked[:6]), 36_500))
        return queryset.filter(released_at__isnull=True, placed_at__lt=timezone.now() - days)


class ByCode(admin.SimpleListFilter):
    """One of a field's codes, in words."""

    codes: ClassVar[words.Spoken]

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return list(self.codes.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Hold]) -> QuerySet[Hold] | None:
        asked = {str(self.parameter_name): self.value()}
        return queryset.filter(**asked) if self.value() in self.codes else None


class BySource(ByCode):
    title = gettext_lazy("source")  # type: ignore[assignment]
    parameter_name = "source"
    codes = words.SOURCES


class ByScope(ByCode):
    title = gettext_lazy("stops")  # type: ignore[assignment]
    parameter_name = "scope"
    codes = words.SCOPES


class ByReason(ByCode):
    title = gettext_lazy("what the gate answers")  # type: ignore[assignment]
    parameter_name = "reason"
    codes = words.GATE_REASONS.only(Reason.values)


class NamedHolds(ChangeList):  # type: ignore[misc]
    """The rows of a page, with what they cover and who placed them by name: two queries for all."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[Hold] = list(self.result_list)
        self.result_list: Any = rows
        names = actor_names(hold.placed_by for hold in rows)
        keys = keys_of(rows)
        for hold in rows:
            vars(hold).update(by=names.get(hold.placed_by, hold.placed_by), which=_which(keys[hold.pk]))


@admin.register(Hold)
class HoldAdmin(ReadingAdmin):
    """The list of holds, the page of one with what may be done to it, and the pages about the gate."""

    list_display: ClassVar = ["said", "covered", "whence", "because", "placed", "released"]
    list_filter: ClassVar = [Standing, Older, BySource, ByScope, ByReason]
    search_fields: ClassVar = ["=id"]
    search_help_text = gettext_lazy("A hold's id, a loan, a customer or a sending rule")
    ordering: ClassVar = ["-id"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return NamedHolds

    @admin.display(description=gettext_lazy("what the gate answers"), ordering="reason")
    def said(self, hold: Hold) -> str:
        return words.gate_reason(hold.reason)

    @admin.display(description=gettext_lazy("stops"), ordering="scope")
    def covered(self, hold: Hold) -> str:
        return _over(words.SCOPES[hold.scope], getattr(hold, "which", ""))

    @admin.display(description=gettext_lazy("source"), ordering="source")
    def whence(self, hold: Hold) -> str:
        return words.SOURCES[hold.source]

    @admin.display(description=gettext_lazy("why"))
    def because(self, hold: Hold) -> str:
        return _over("", why_of(hold))

    @admin.display(description=gettext_lazy("placed"), ordering="id")
    def placed(self, hold: Hold) -> str:
        return _over(_unbroken(local_instant(hold.placed_at)), getattr(hold, "by", hold.placed_by))

    @admin.display(description=gettext_lazy("released"), ordering="released_at")
    def released(self, hold: Hold) -> str:
        return _unbroken(local_instant(hold.released_at)) or _("stands")

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
        view = self.admin_site.admin_view
        own = [
            path("<uuid:pk>/lift/", view(require_POST(self.lift)), name="desk_hold_lift"),
            path("<uuid:pk>/opt-in/", view(require_POST(self.opt_in)), name="desk_hold_opt_in"),
        ]
        return own + stop_pages.urls(view) + gate_pages.urls(view) + super().get_urls()

    # --- the page of a hold ---

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        viewer = viewer_of(request.user)
        hold = self._found(request, viewer, object_id)
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        return self._page(request, hold, viewer)

    def _found(self, request: HttpRequest, viewer: Viewer, key: Any) -> Hold:
        """Agents read the hold that they placed, or that a look-up showed them; the list is their supervisors'."""
        if not (viewer.works or self.has_view_permission(request)):
            raise PermissionDenied
        try:
            return Hold.objects.get(pk=key if isinstance(key, uuid.UUID) else uuid.UUID(key))
        except (Hold.DoesNotExist, ValueError):
            raise Http404 from None

    def _page(
        self,
        request: HttpRequest,
        hold: Hold,
        viewer: Viewer,
        *,
        bound: dict[str, ActForm] | None = None,
        refused: str = "",
    ) -> HttpResponse:
        forms = _forms(hold, viewer=viewer) | (bound or {})
        context = {
            **self.admin_site.each_context(request),
            "title": _("Hold"),
            "page": hold_page(hold=hold, now=timezone.now()),
            "forms": forms,
            "refused": refused,
            "why_not": stopping.why_not_lift(hold, viewer=viewer) if hold.released_at is None else "",
            "dispute_at": reverse("admin:disputes_dispute_change", args=[hold.dispute]) if hold.dispute else "",
        }
        return TemplateResponse(request, "desk/hold.html", context, status=409 if refused or bound else 200)

    def lift(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Lifts it and shows it; a refused one shows the page again."""
        viewer = viewer_of(request.user)
        hold = self._found(request, viewer, pk)
        form = stopping.EndForm(request.POST, act="lift")
        if not form.is_valid():
            return self._page(request, hold, viewer, bound={"lift": form})
        try:
            told = stopping.lift(hold=hold, said=form.cleaned_data, viewer=viewer, now=timezone.now())
        except Refused as error:
            return self._page(request, hold, viewer, refused=str(error))
        messages.success(request, told)
        return HttpResponseRedirect(reverse("admin:disputes_hold_change", args=[pk]))

    def opt_in(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """The number of an opt-out opts in again."""
        viewer = viewer_of(request.user)
        hold = self._found(request, viewer, pk)
        phone = stopping.phone_of(hold) if hold.source == Source.OPT_OUT else None
        if phone is None:
            raise Http404
        form = stopping.OptInForm(request.POST, act="opt-in")
        if not form.is_valid():
            return self._page(request, hold, viewer, bound={"opt_in": form})
        try:
            taken = stopping.note_opt_in(phone=phone, said=form.cleaned_data, viewer=viewer, now=timezone.now())
        except Refused as error:
            return self._page(request, hold, viewer, refused=str(error))
        messages.success(request, stop_pages.opted_in(taken))
        return HttpResponseRedirect(reverse("admin:disputes_hold_change", args=[pk]))


def _unbroken(text: str) -> str:
    """An instant on one line, which lists break at its space otherwise."""
    return format_html('<span class="whitespace-nowrap">{}</span>', text) if text else ""


def _over(first: str, more: str) -> str:
    """One column, so that the list has room in a window of 1,280 pixels. What stands below breaks anywhere: ids have no
    spaces."""
    return format_html('{}<span class="desk-below">{}</span>', first, more)


def _which(keys: Sequence[str]) -> str:
    """The first ids that a hold covers; of a phone, whose number is not kept, the beginning of its digest."""
    named = sorted(keys, key=lambda key: "lcrp".index(key[0]))
    shown = [short_digest(key[2:]) if key[0] == "p" else key[2:] for key in named[:NAMED]]
    return ", ".join(shown) + (f" +{len(named) - NAMED}" if len(named) > NAMED else "")


def _forms(hold: Hold, *, viewer: Viewer) -> dict[str, ActForm]:
    """What the viewer may do to the hold."""
    if not stopping.why_not_lift(hold, viewer=viewer):
        return {"lift": stopping.EndForm(act="lift")}
    if hold.released_at is None and hold.source == Source.OPT_OUT and viewer.works:
        return {"opt_in": stopping.OptInForm(act="opt-in")}
    return {}
