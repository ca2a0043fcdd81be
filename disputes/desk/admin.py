"""The desk in the admin: pages and posts. Parse, call one function, render."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from config.reading_admin import ReadingAdmin
from disputes.cases.letter import NoLetterYet, letter_of
from disputes.cases.models import Dispute, Status
from disputes.desk import duty, people, words
from disputes.desk.accounts import local_instant
from disputes.desk.acts import ACTS, Refused, form_of, perform
from disputes.desk.calling import CallForm, open_for_caller
from disputes.desk.forms import ActForm
from disputes.desk.home import home_of
from disputes.desk.page import DisputePage, page_of
from disputes.desk.policies import show_packs
from disputes.desk.questions import QUESTIONS, question
from disputes.desk.viewing import Viewer, agent_of, viewer_of, why_not
from disputes.pages.letters import render_letter, sealed_page

__all__ = ["DisputeAdmin", "people"]

HOME = "admin:index"
READ: QuerySet[Dispute] = Dispute.objects.select_related("message", "last_check")


@admin.register(Dispute)
class DisputeAdmin(ReadingAdmin):
    """The list of disputes, the page of one, and what is posted to it."""

    list_display: ClassVar = ["reference", "state", "about", "customer", "opened", "due", "cause"]
    list_filter: ClassVar = ["status", "outcome", "ground", "channel"]
    list_select_related: ClassVar = ["last_check"]
    search_fields: ClassVar = ["=reference", "=customer", "=loan"]
    ordering: ClassVar = ["-id"]

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def state(self, dispute: Dispute) -> str:
        return words.OUTCOMES.get(dispute.outcome or "") or words.STATUSES[dispute.status]

    @admin.display(description=gettext_lazy("ground"), ordering="ground")
    def about(self, dispute: Dispute) -> str:
        return words.GROUNDS[dispute.ground]

    @admin.display(description=gettext_lazy("opened"), ordering="opened_at")
    def opened(self, dispute: Dispute) -> str:
        return local_instant(dispute.opened_at)

    @admin.display(description=gettext_lazy("decision"), ordering="decide_by")
    def due(self, dispute: Dispute) -> str:
        return "" if dispute.status == Status.CLOSED else words.due_in(dispute.decide_by, now=timezone.now())

    @admin.display(description=gettext_lazy("the check says"))
    def cause(self, dispute: Dispute) -> str:
        check = dispute.last_check
        if check is None:
            return _("not checked yet")
        said = words.VERDICTS.get(check.verdict, words.plain(check.verdict))
        return f"{said}: {words.plain(check.cause)}" if check.cause else said

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("desk/take-next/", view(require_POST(self.take_next)), name="desk_take_next"),
            path("desk/call/", view(self.call), name="desk_call"),
            path("desk/packs/", view(require_safe(show_packs)), name="desk_packs"),
            path("desk/duty/", view(require_POST(self.duty)), name="desk_duty"),
            path("<uuid:pk>/act/<slug:name>/", view(require_POST(self.act)), name="desk_act"),
            path("<uuid:pk>/letter/", view(require_safe(self.letter)), name="desk_letter"),
        ]
        return own + super().get_urls()

    # --- the page of a dispute ---

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        dispute = self._found(request, object_id)
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        return self._page(request, dispute)

    def _found(self, request: HttpRequest, key: Any) -> Dispute:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return READ.get(pk=key if isinstance(key, uuid.UUID) else uuid.UUID(key))
        except (Dispute.DoesNotExist, ValueError):
            raise Http404 from None

    def _page(
        self, request: HttpRequest, dispute: Dispute, *, bound: dict[str, ActForm] | None = None, refused: str = ""
    ) -> HttpResponse:
        viewer, owner = viewer_of(request.user), agent_of(dispute)
        page = page_of(dispute=dispute, now=timezone.now())
        bound = bound or {}
        refused_all = why_not(viewer, dispute=dispute, agent=owner)
        forms = {} if refused_all else _forms(page, viewer=viewer, owner=owner.pk if owner else None, bound=bound)
        context = {
            **self.admin_site.each_context(request),
            "title": page.title,
            "page": page,
            "viewer": viewer,
            "owner": owner,
            "forms": forms,
            "lifts": _lifts(page, viewer=viewer, bound=bound) if forms else [],
            "refused": refused,
            "refused_all": refused_all,
            "acts_at": _act_address(dispute, ""),
            "letter_at": reverse("admin:desk_letter", args=[dispute.pk]) if dispute.status == Status.CLOSED else "",
            "questions": {code: question(code, language=dispute.language) for code in QUESTIONS},
        }
        return TemplateResponse(request, "desk/dispute.html", context, status=409 if refused or bound else 200)

    def act(self, request: HttpRequest, pk: uuid.UUID, name: str) -> HttpResponse:
        """Does one act and goes back to the page; a refused one shows the page again, with what was written."""
        dispute = self._found(request, pk)
        if name not in ACTS:
            raise Http404
        viewer, owner = viewer_of(request.user), agent_of(dispute)
        form = form_of(name, dispute=dispute, data=request.POST, owner=owner.pk if owner else None)
        if not form.is_valid():
            return self._page(request, dispute, bound={name: form}, refused=_("Something is missing. See below."))
        try:
            told = perform(name=name, said=form.cleaned_data, dispute=dispute, viewer=viewer, now=timezone.now())
        except Refused as error:
            dispute.refresh_from_db(from_queryset=READ)
            data = _renewed(request, dispute)
            again = form_of(name, dispute=dispute, data=data, owner=owner.pk if owner else None)
            return self._page(request, dispute, bound={name: again}, refused=str(error))
        messages.success(request, told)
        return HttpResponseRedirect(reverse("admin:disputes_dispute_change", args=[pk]))

    def letter(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """The letter as the customer reads it. Looking at it here delivers nothing."""
        try:
            return sealed_page(HttpResponse(render_letter(letter_of(dispute=self._found(request, pk)))))
        except NoLetterYet:
            raise Http404 from None

    # --- the agent's own desk ---

    def call(self, request: HttpRequest) -> HttpResponse:
        """Opens a dispute for somebody who called, and shows it."""
        viewer = viewer_of(request.user)
        if not viewer.works:
            raise PermissionDenied
        form, refused = CallForm(request.POST or None), ""
        if request.method == "POST" and form.is_valid():
            try:
                dispute = open_for_caller(said=form.cleaned_data, viewer=viewer, now=timezone.now())
                return HttpResponseRedirect(reverse("admin:disputes_dispute_change", args=[dispute]))
            except Refused as error:
                refused = str(error)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Somebody calls"),
            "form": form,
            "refused": refused,
        }
        return TemplateResponse(request, "desk/call.html", context, status=409 if form.errors or refused else 200)

    def take_next(self, request: HttpRequest) -> HttpResponse:
        """Takes the case with the nearest deadline that fits, and opens it."""
        taken = duty.take_next(viewer=viewer_of(request.user), now=timezone.now())
        if taken.dispute is None:
            messages.info(request, taken.why)
            return HttpResponseRedirect(reverse(HOME))
        return HttpResponseRedirect(reverse("admin:disputes_dispute_change", args=[taken.dispute]))

    def duty(self, request: HttpRequest) -> HttpResponse:
        """Goes on or off duty."""
        on = request.POST.get("on") == "yes"
        messages.info(request, duty.go(viewer=viewer_of(request.user), on=on, now=timezone.now()))
        return HttpResponseRedirect(reverse(HOME))


def _act_address(dispute: Dispute, name: str) -> str:
    return f"{reverse('admin:disputes_dispute_changelist')}{dispute.pk}/act/{name}"


def _forms(page: DisputePage, *, viewer: Viewer, owner: int | None, bound: dict[str, ActForm]) -> dict[str, ActForm]:
    """The forms of the acts that the dispute's state and the viewer's powers have room for."""
    waiting = page.waiting.pk if page.waiting else None
    flag = page.doubt.id if page.doubt else None
    return {
        name: bound.get(name) or form_of(name, dispute=page.dispute, waiting=waiting, owner=owner, flag=flag)
        for name, act in ACTS.items()
        if name != "lift" and act.when(page.dispute) and (viewer.supervises or not act.supervisor)
    }


def _lifts(page: DisputePage, *, viewer: Viewer, bound: dict[str, ActForm]) -> list[tuple[uuid.UUID, ActForm]]:
    """A form for each standing hold that the viewer may lift."""
    written = bound.get("lift")
    found = []
    for hold in page.holds:
        if hold.stands and (viewer.supervises or not hold.for_supervisors):
            mine = written is not None and written["hold"].value() == str(hold.id)
            form = written if mine and written else form_of("lift", dispute=page.dispute, hold=hold.id)
            found.append((hold.id, form))
    return found


def _renewed(request: HttpRequest, dispute: Dispute) -> Any:
    """What was posted, as a form that may be sent again: with a new `once`, and the check that is shown now."""
    data = request.POST.copy()
    data["once"] = str(uuid.uuid4())
    if "check_id" in data:
        data["check_id"] = str(dispute.last_check_id or "")
    return data


def home(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the admin's first page shows (unfold's DASHBOARD_CALLBACK)."""
    context["home"] = home_of(viewer=viewer_of(request.user), now=timezone.now())
    context["title"] = _("Desk")
    context["take_at"] = reverse("admin:desk_take_next")
    context["call_at"] = reverse("admin:desk_call")
    context["duty_at"] = reverse("admin:desk_duty")
    return context


admin.site.index_template = "desk/home.html"
