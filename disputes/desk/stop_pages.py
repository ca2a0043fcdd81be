"""Pages from which messages are stopped by hand: placing a hold, and opt-outs."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from config.fields import phone_digest
from config.values.phone import mask_phone
from disputes.desk import stopping, words
from disputes.desk.accounts import local_instant
from disputes.desk.acts import DONE_ALREADY, Refused
from disputes.desk.hold_page import short_digest
from disputes.desk.naming import actor_names
from disputes.desk.viewing import Viewer, viewer_of
from disputes.holds.models import Hold, HoldCover, Source
from disputes.inbound.models import InboundMessage
from disputes.records.models import CustomerPhone

ROWS = 50


def urls(view: Any) -> list[URLPattern]:
    """The pages' addresses, below the holds'. `view`: what wraps a page of the admin."""
    may = require_http_methods(["GET", "HEAD", "POST"])
    return [
        path("place/", view(may(show_place)), name="desk_place_hold"),
        path("opt-outs/", view(may(show_opt_outs)), name="desk_opt_outs"),
    ]


def _page(request: HttpRequest, template: str, title: str, *, failed: bool, **more: Any) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": title, **more}
    return TemplateResponse(request, template, context, status=409 if failed else 200)


def _to_hold(hold: Hold) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:disputes_hold_change", args=[hold.pk]))


# --- a hold by hand ---


def show_place(request: HttpRequest) -> HttpResponse:
    """Places a hold and shows it, with the permits to recall. A number comes by POST: an address is kept in logs."""
    viewer = viewer_of(request.user)
    if not viewer.works:
        raise PermissionDenied
    form, refused = stopping.PlaceForm(request.POST or None, act="place"), ""
    if request.method == "POST" and form.is_valid():
        try:
            hold = stopping.place(said=form.cleaned_data, viewer=viewer, now=timezone.now())
        except Refused as error:
            refused = str(error)
        else:
            if hold is not None:
                messages.success(request, _("Held. Nothing that it covers goes out any more."))
                return _to_hold(hold)
            refused = str(DONE_ALREADY)
    failed = bool(form.errors or refused)
    return _page(request, "desk/place.html", _("Place a hold"), failed=failed, form=form, refused=refused)


# --- opt-outs ---


@dataclass(frozen=True, kw_only=True, slots=True)
class OptOutRow:
    """One opt-out. `number`: masked where a text brought it, else the beginning of its digest; `whose`: customers to
    whom the records give the number."""

    at: str
    number: str
    whose: str
    source: str
    by: str
    placed: str
    ended: str


def show_opt_outs(request: HttpRequest) -> HttpResponse:
    """Records that a number opts out, or in again; and, for those who may see holds, the list, newest first.

    `show=all` lists those that were taken back as well; `before` goes on below an id: a page costs no count.
    """
    viewer = viewer_of(request.user)
    lists = request.user.has_perm("disputes.view_hold")  # type: ignore[union-attr]
    if not (viewer.works or lists):
        raise PermissionDenied
    form, refused = (stopping.OptForm(request.POST or None, act="opt") if viewer.works else None), ""
    if request.method == "POST":
        if form is None:
            raise PermissionDenied
        if form.is_valid():
            try:
                return _record(request, form.cleaned_data, viewer)
            except Refused as error:
                refused = str(error)
    everything = request.GET.get("show") == "all"
    rows = _opt_outs(everything=everything, before=request.GET.get("before", "")) if lists else []
    return _page(
        request,
        "desk/opt_outs.html",
        _("Opt-outs"),
        failed=bool(refused or (form and form.errors)),
        form=form,
        refused=refused,
        lists=lists,
        everything=everything,
        rows=_opt_out_rows(rows[:ROWS]),
        older=rows[ROWS - 1].pk if len(rows) > ROWS else None,
    )


def _record(request: HttpRequest, said: dict[str, Any], viewer: Viewer) -> HttpResponse:
    if said["says"] == stopping.OUT:
        out = stopping.note_opt_out(said=said, viewer=viewer, now=timezone.now())
        if out is not None:
            messages.success(
                request,
                _("Opted out. Nothing that the policy does not let through goes to the number any more.")
                if out.new
                else _("The number had opted out before."),
            )
            return _to_hold(out.hold)
        messages.info(request, DONE_ALREADY)
    else:
        phone = phone_digest(said["phone"])
        taken = stopping.note_opt_in(phone=phone, said=said, viewer=viewer, now=timezone.now())
        messages.success(request, opted_in(taken))
    return HttpResponseRedirect(reverse("admin:desk_opt_outs"))


def opted_in(taken: int) -> str:
    """What to tell whoever recorded an opt-in."""
    if not taken:
        return _("No opt-out of this number stands.")
    return ngettext(
        "%(n)s opt-out was taken back. Other holds of the number stand on.",
        "%(n)s opt-outs were taken back. Other holds of the number stand on.",
        taken,
    ) % {"n": taken}


def _opt_outs(*, everything: bool, before: str) -> list[Hold]:
    """One page and one row more. One query."""
    holds = Hold.objects.filter(source=Source.OPT_OUT)
    if not everything:
        holds = holds.filter(released_at__isnull=True)
    try:
        holds = holds.filter(pk__lt=uuid.UUID(before)) if before else holds
    except ValueError:
        return []
    return list(holds.order_by("-pk")[: ROWS + 1])


def _opt_out_rows(holds: Sequence[Hold]) -> list[OptOutRow]:
    """Four queries for all of them."""
    ids = [hold.pk for hold in holds]
    keys = HoldCover.objects.filter(hold__in=ids, key__startswith="p:").values_list("hold", "key")
    digests = {hold: bytes.fromhex(key.partition(":")[2]) for hold, key in keys}
    whose: dict[bytes, set[str]] = {}
    phones = CustomerPhone.objects.filter(digest__in=list(digests.values()))
    for digest, customer in phones.values_list("digest", "customer"):
        whose.setdefault(bytes(digest), set()).add(customer)
    texts = InboundMessage.objects.filter(phone_digest__in=list(digests.values()), hold__in=ids)
    numbers = {one.hold: mask_phone(one.phone) for one in texts.only("hold", "phone")}
    names = actor_names(who for hold in holds for who in (hold.placed_by, hold.released_by))
    return [
        OptOutRow(
            at=reverse("admin:disputes_hold_change", args=[hold.pk]),
            number=numbers.get(hold.pk) or short_digest(digests[hold.pk].hex()),
            whose=", ".join(sorted(whose.get(digests[hold.pk], ()))),
            source=hold.why,
            by=names.get(hold.placed_by, hold.placed_by),
            placed=local_instant(hold.placed_at),
            ended=_ended(hold, names),
        )
        for hold in holds
    ]


def _ended(hold: Hold, names: dict[str, str]) -> str:
    if hold.released_at is None:
        return ""
    who = names.get(hold.released_by, hold.released_by)
    return f"{local_instant(hold.released_at)}, {who}: {words.release_reason(hold.release_reason)}"
