"""Pages about the gate: may we text this number, what it denied, what went past it, outcomes that did not arrive."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from config.values.phone import mask_phone
from disputes.cases.queries import undelivered
from disputes.desk import words
from disputes.desk.accounts import local_instant
from disputes.desk.holding import LookUpForm, look_up
from disputes.desk.viewing import viewer_of
from disputes.holds.tallying import Denials, denials_by_hour
from disputes.holds.unauthorised import count_by_day, count_by_group, sends
from disputes.holds.walking import REASONS
from disputes.records.models import MessagePersonal
from disputes.records.queries import personal_of

SPANS = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
ROWS = 50
COLOURS = {reason: f"hsl({place * 137 % 360} 65% 45%)" for place, reason in enumerate(REASONS)}
"""As far from one another as so many can be, and the same in every chart."""


def urls(view: Any) -> list[URLPattern]:
    """The pages' addresses, below the holds'. `view`: what wraps a page of the admin."""
    return [
        path("look-up/", view(require_http_methods(["GET", "HEAD", "POST"])(show_look_up)), name="desk_look_up"),
        path("denials/", view(require_safe(show_denials)), name="desk_denials"),
        path("unauthorised/", view(require_safe(show_sends)), name="desk_unauthorised"),
        path("undelivered/", view(require_safe(show_undelivered)), name="desk_undelivered"),
    ]


def _page(request: HttpRequest, template: str, title: str, **more: Any) -> HttpResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), "title": title, **more})


def _needs(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):  # type: ignore[union-attr]
        raise PermissionDenied


def show_look_up(request: HttpRequest) -> HttpResponse:
    """The number comes by POST: an address is kept in logs."""
    viewer = viewer_of(request.user)
    if not viewer.works:
        raise PermissionDenied
    form = LookUpForm(request.POST or None)
    found = None
    if request.method == "POST" and form.is_valid():
        found = look_up(**form.cleaned_data, actor=viewer.actor, now=timezone.now())
    return _page(request, "desk/look_up.html", _("May we text this number?"), form=form, found=found)


# --- denials ---


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """A part of one hour's bar, in the chart's own units (100 high)."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    said: str


def show_denials(request: HttpRequest) -> HttpResponse:
    """Chart, table and CSV from one query."""
    _needs(request, "disputes.view_gatehour")
    name = "7d" if request.GET.get("span") == "7d" else "24h"
    end = timezone.now().astimezone(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    hours = [end - SPANS[name] + timedelta(hours=n) for n in range(int(SPANS[name] / timedelta(hours=1)))]
    category, vendor = request.GET.get("category", "")[:20], request.GET.get("vendor", "")[:200].replace("\0", "")
    rows = denials_by_hour(start=hours[0], end=end, category=category, vendor=vendor)
    if request.GET.get("format") == "csv":
        return _csv(rows)
    totals: dict[str, int] = {}
    for row in rows:
        totals[row.reason] = totals.get(row.reason, 0) + row.count
    shown = sorted(totals, key=lambda one: (-totals[one], one))
    query = request.GET.copy()
    query["format"] = "csv"
    return _page(
        request,
        "desk/denials.html",
        _("Denials of the gate"),
        spans=_spans(request, name, ("24h", "7d")),
        span=name,
        categories=list(words.CATEGORIES.items()),
        category=category,
        vendor=vendor,
        total=sum(totals.values()),
        legend=[
            (reason, words.gate_reason(reason), COLOURS.get(reason, "#64748b"), totals[reason]) for reason in shown
        ],
        bars=_bars(rows, hours),
        highest=max(_by_hour(rows).values(), default=0),
        first=_local(hours[0]),
        last=_local(end),
        rows=[(_local(row.hour), words.gate_reason(row.reason), row.count) for row in reversed(rows)],
        csv_at=f"?{query.urlencode()}",
    )


def _local(at: datetime) -> str:
    return local_instant(at)


def _spans(request: HttpRequest, chosen: str, names: Sequence[str]) -> list[tuple[str, str, bool]]:
    """(words, address with all else that was asked, whether it is the one that is shown)."""
    found = []
    for name in names:
        query = request.GET.copy()
        query["span"] = name
        query.pop("page", None)
        found.append((words.SPANS[name], f"?{query.urlencode()}", name == chosen))
    return found


def _by_hour(rows: Sequence[Denials]) -> dict[datetime, int]:
    tops: dict[datetime, int] = {}
    for row in rows:
        tops[row.hour] = tops.get(row.hour, 0) + row.count
    return tops


def _bars(rows: Sequence[Denials], hours: Sequence[datetime]) -> list[Bar]:
    highest = max(_by_hour(rows).values(), default=1)
    width = 1000 / len(hours)
    reached: dict[datetime, float] = {}
    bars = []
    for row in rows:
        height = 100 * row.count / highest
        reached[row.hour] = top = reached.get(row.hour, 0.0) + height
        bars.append(
            Bar(
                x=round((row.hour - hours[0]) / timedelta(hours=1) * width + width * 0.1, 2),
                y=round(100 - top, 2),
                width=round(width * 0.8, 2),
                height=round(height, 2),
                colour=COLOURS.get(row.reason, "#64748b"),
                said=f"{_local(row.hour)}: {row.count} {words.gate_reason(row.reason)}",
            )
        )
    return bars


def _csv(rows: Sequence[Denials]) -> HttpResponse:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["hour", "reason", "denials"])
    writer.writerows([row.hour.astimezone(UTC).isoformat(), row.reason, row.count] for row in rows)
    answer = HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="denials.csv"'
    return answer


# --- sends without a permit ---


def show_sends(request: HttpRequest) -> HttpResponse:
    """Counts by vendor and rule and by day, and the list behind each count: ids and masked numbers alone."""
    _needs(request, "disputes.view_unauthorisedsend")
    name = request.GET.get("span", "7d")
    name = name if name in SPANS else "7d"
    start, end = _from_midnight(timezone.now(), SPANS[name])
    named = {key: _text(request, key) for key in ("vendor", "sending_rule", "fault")}
    if (day := _day(request)) is not None:
        start, end = day
    page = Paginator(sends(start=start, end=end, **named).select_related("message"), ROWS).get_page(
        request.GET.get("page")
    )
    rows = list(page.object_list)
    numbers = personal_of(model=MessagePersonal, versions=[row.message.version_id for row in rows])
    query = request.GET.copy()
    query.pop("page", None)
    whole = _from_midnight(timezone.now(), SPANS[name])
    return _page(
        request,
        "desk/unauthorised.html",
        _("Sends without a permit"),
        spans=_spans(request, name, tuple(SPANS)),
        span=name,
        since=local_instant(settings.GATE_REQUIRED_FROM),
        groups=[
            (group, [(fault, words.DETAILS.get(fault, fault), count) for fault, count in group.faults])
            for group in count_by_group(start=whole[0], end=whole[1])[:200]
        ],
        days=list(reversed(count_by_day(start=whole[0], end=whole[1]))),
        named={key: value for key, value in named.items() if value is not None} | ({"day": "day"} if day else {}),
        rows=[
            (
                row.message.external_id,
                local_instant(row.sent_at),
                row.vendor,
                row.sending_rule,
                mask_phone(numbers.get(row.message.version_id, {}).get("phone") or ""),
                [words.DETAILS.get(fault, fault) for fault in row.faults],
            )
            for row in rows
        ],
        page=page,
        query=query.urlencode(),
    )


def _text(request: HttpRequest, key: str) -> str | None:
    return request.GET[key][:200].replace("\0", "") if key in request.GET else None


def _from_midnight(now: datetime, span: timedelta) -> tuple[datetime, datetime]:
    """Whole days of the lender's zone, up to now."""
    zone = ZoneInfo(settings.LENDER_TIME_ZONE)
    day = (now.astimezone(zone) - span + timedelta(days=1)).date()
    return datetime.combine(day, datetime.min.time(), tzinfo=zone), now + timedelta(seconds=1)


def _day(request: HttpRequest) -> tuple[datetime, datetime] | None:
    try:
        day = datetime.fromisoformat(request.GET["day"]).date() if "day" in request.GET else None
    except ValueError:
        return None
    if day is None or not 2000 < day.year < 9000:
        return None
    zone = ZoneInfo(settings.LENDER_TIME_ZONE)
    begin = datetime.combine(day, datetime.min.time(), tzinfo=zone)
    return begin, datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=zone)


# --- outcomes ---


def show_undelivered(request: HttpRequest) -> HttpResponse:
    """Closed disputes whose outcome could not be delivered, so that their holds stand: the longest first."""
    _needs(request, "disputes.view_hold")
    rows = undelivered().order_by("outcome_failed_at", "pk")
    page = Paginator(rows, ROWS).get_page(request.GET.get("page"))
    shown = [
        (
            reverse("admin:disputes_dispute_change", args=[row.pk]),
            row.reference,
            words.GROUNDS[row.ground],
            words.OUTCOMES.get(row.outcome or "", ""),
            local_instant(row.closed_at),
            local_instant(row.outcome_failed_at),
        )
        for row in page.object_list
    ]
    return _page(request, "desk/undelivered.html", _("Outcomes not delivered"), rows=shown, page=page, query="")
