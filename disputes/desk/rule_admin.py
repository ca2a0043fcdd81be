"""Sending rules in the admin: which are paused, since when, by whom and why; pausing one and switching it on again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet, Value
from django.db.models.functions import Concat
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
from disputes.desk import stopping, words
from disputes.desk.accounts import local_instant
from disputes.desk.acts import DONE_ALREADY, Refused
from disputes.desk.forms import ActForm
from disputes.desk.hold_page import why_of
from disputes.desk.naming import actor_names
from disputes.desk.viewing import Viewer, viewer_of
from disputes.holds.models import Hold, HoldCover
from disputes.records.models import SendingRule

HISTORY = 50
"""Pauses that are shown of one rule."""


class Paused(admin.SimpleListFilter):
    title = gettext_lazy("state")  # type: ignore[assignment]
    parameter_name = "paused"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [("yes", _("paused")), ("no", _("switched on"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[SendingRule]) -> QuerySet[SendingRule] | None:
        if self.value() not in ("yes", "no"):
            return None
        key = Concat(Value("r:"), OuterRef("external_id"))
        standing = Exists(HoldCover.objects.filter(key=key, released_at__isnull=True))
        return queryset.filter(standing if self.value() == "yes" else ~standing)


class RulesWithState(ChangeList):  # type: ignore[misc]
    """The rows of a page, each with the pauses that stand over it: three queries for all."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[SendingRule] = list(self.result_list)
        self.result_list: Any = rows
        keys = [f"r:{rule.pk}" for rule in rows]
        covers = HoldCover.objects.filter(key__in=keys, released_at__isnull=True).select_related("hold")
        first: dict[str, Hold] = {}
        for cover in covers.order_by("-hold_id"):
            first[cover.key] = cover.hold
        names = actor_names(hold.placed_by for hold in first.values())
        for rule in rows:
            hold = first.get(f"r:{rule.pk}")
            by = names.get(hold.placed_by, hold.placed_by) if hold else ""
            vars(rule).update(pause=hold, paused_by=by)


@admin.register(SendingRule)
class SendingRuleAdmin(ReadingAdmin):
    """Reads for who may see sending rules; supervisors pause them and switch them on again."""

    list_display: ClassVar = ["external_id", "name", "sends", "owner", "state"]
    list_filter: ClassVar = [Paused]
    search_fields: ClassVar = ["external_id", "name", "owner"]
    ordering: ClassVar = ["external_id"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RulesWithState

    @admin.display(description=gettext_lazy("sends"))
    def sends(self, rule: SendingRule) -> str:
        return sends_of(rule)

    @admin.display(description=gettext_lazy("state"))
    def state(self, rule: SendingRule) -> str:
        """On, or paused: since when, by whom and why."""
        pause: Hold | None = getattr(rule, "pause", None)
        if pause is None:
            return _("switched on")
        said = {"since": local_instant(pause.placed_at), "by": getattr(rule, "paused_by", "")}
        return format_html("<b>{}</b>: {}", _("paused since %(since)s by %(by)s") % said, why_of(pause))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<path:key>/pause/", view(require_POST(self.pause)), name="desk_rule_pause"),
            path("<path:key>/switch-on/", view(require_POST(self.switch_on)), name="desk_rule_switch_on"),
        ]
        return own + super().get_urls()

    # --- the page of a rule ---

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        rule = self._found(request, object_id)
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        return self._page(request, rule, viewer_of(request.user))

    def _found(self, request: HttpRequest, key: str) -> SendingRule:
        if not self.has_view_permission(request):
            raise PermissionDenied
        name = unquote(key)
        found = None if "\0" in name else SendingRule.objects.filter(pk=name).first()
        if found is None:
            raise Http404
        return found

    def _page(
        self,
        request: HttpRequest,
        rule: SendingRule,
        viewer: Viewer,
        *,
        bound: dict[str, ActForm] | None = None,
        refused: str = "",
    ) -> HttpResponse:
        pauses, history = stopping.pauses_of(rule.pk), _history(rule.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Sending rule"),
            "rule": rule,
            "sends": sends_of(rule),
            "first": local_instant(rule.first_mentioned_at),
            "paused": bool(pauses),
            "history": history,
            "forms": _forms(pauses, viewer=viewer) | (bound or {}),
            "refused": refused,
            "pause_at": reverse("admin:desk_rule_pause", args=[quote(rule.pk)]),
            "switch_on_at": reverse("admin:desk_rule_switch_on", args=[quote(rule.pk)]),
        }
        return TemplateResponse(request, "desk/rule.html", context, status=409 if refused or bound else 200)

    def pause(self, request: HttpRequest, key: str) -> HttpResponse:
        """Pauses it and shows the hold, with the permits to recall."""
        rule, viewer = self._found(request, key), viewer_of(request.user)
        form = stopping.EndForm(request.POST, act="pause")
        if not form.is_valid():
            return self._page(request, rule, viewer, bound={"pause": form})
        try:
            hold = stopping.pause_rule(rule=rule.pk, said=form.cleaned_data, viewer=viewer, now=timezone.now())
        except Refused as error:
            return self._page(request, rule, viewer, refused=str(error))
        if hold is None:
            messages.info(request, DONE_ALREADY)
            return HttpResponseRedirect(_address(rule))
        messages.success(request, _("Paused. The gate lets nothing of this rule out any more."))
        return HttpResponseRedirect(reverse("admin:disputes_hold_change", args=[hold.pk]))

    def switch_on(self, request: HttpRequest, key: str) -> HttpResponse:
        """Lifts the pauses that the page showed."""
        rule, viewer = self._found(request, key), viewer_of(request.user)
        form = stopping.SwitchOnForm(request.POST, act="switch-on")
        if not form.is_valid():
            return self._page(request, rule, viewer, bound={"switch_on": form})
        try:
            stopping.switch_on(rule=rule.pk, said=form.cleaned_data, viewer=viewer, now=timezone.now())
        except Refused as error:
            return self._page(request, rule, viewer, refused=str(error))
        if stopping.pauses_of(rule.pk):
            messages.warning(request, _("Another pause stands over it: look at it again."))
        else:
            messages.success(request, _("Switched on again."))
        return HttpResponseRedirect(_address(rule))


def _address(rule: SendingRule) -> str:
    return reverse("admin:disputes_sendingrule_change", args=[quote(rule.pk)])


def sends_of(rule: SendingRule) -> str:
    """When it sends, in words: before the due date, or from how many days past due on."""
    aim = words.AIMS.get(rule.aim)
    if aim is None:
        return _("not in the records yet")
    if rule.min_dpd is None:
        return aim
    days = ngettext("from %(n)s day past due", "from %(n)s days past due", rule.min_dpd) % {"n": rule.min_dpd}
    return f"{aim}, {days}"


def _history(rule: str) -> list[dict[str, Any]]:
    """The rule's pauses, those that stand and those that ended, newest first. Two queries."""
    covers = HoldCover.objects.filter(key=f"r:{rule}")
    holds = list(Hold.objects.filter(pk__in=covers.values("hold")).order_by("-pk")[:HISTORY])
    names = actor_names(who for hold in holds for who in (hold.placed_by, hold.released_by))
    return [
        {
            "at": reverse("admin:disputes_hold_change", args=[hold.pk]),
            "stands": hold.released_at is None,
            "placed": local_instant(hold.placed_at),
            "by": names.get(hold.placed_by, hold.placed_by),
            "source": words.SOURCES[hold.source],
            "why": why_of(hold),
            "released": local_instant(hold.released_at),
            "released_by": names.get(hold.released_by, hold.released_by),
            "release_reason": words.release_reason(hold.release_reason),
        }
        for hold in holds
    ]


def _forms(pauses: Sequence[Hold], *, viewer: Viewer) -> dict[str, ActForm]:
    """What a supervisor may do: pause a rule that is on, switch one on that is paused."""
    if not viewer.supervises:
        return {}
    if not pauses:
        return {"pause": stopping.EndForm(act="pause")}
    seen = ",".join(str(hold.pk) for hold in pauses)
    return {"switch_on": stopping.SwitchOnForm(act="switch-on", initial={"seen": seen})}
