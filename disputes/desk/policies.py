"""The policy packs in the admin: what each says, on whose word, and what nobody has read in full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from disputes.holds.policies import packs
from disputes.policy.describing import Change, Stated, by_section, changes_between, title_of
from disputes.policy.packs import Pack

READERS = ("disputes.view_hold", "disputes.view_webhookendpoint")
"""Any of them opens the page: the first is the supervisors' and auditors', the second the administrators'."""

FORCES: Mapping[str, str] = {
    "law": "law",
    "rule": "a regulator's rule",
    "std": "a recommended standard",
    "code": "a trade body's code",
    "guide": "guidance",
    "own": "",
}
"""In words; the clause of a lender's own choice says itself whose it is."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """One value: what it is called, what it says (a line each), whose word it is, and whether that was read in full."""

    key: str
    title: str
    lines: tuple[str, ...]
    clause: str
    force: str
    in_part: bool


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of the pack that is shown. `since`: a local day, or ``always``."""

    name: str
    since: str
    in_force: bool
    shown: bool


@dataclass(frozen=True, kw_only=True)
class PackPage:
    """What the page shows. `changes`: key's title, before and after (None: not there), against the version before."""

    name: str
    version: str
    digest: str
    names: tuple[str, ...]
    lenders: str
    versions: tuple[Version, ...]
    sections: tuple[tuple[str, tuple[Value, ...]], ...]
    in_part: int
    total: int
    changes: tuple[tuple[str, Value | None, Value | None], ...]
    before: str


def may_read_packs(user: Any) -> bool:
    """Whether the user may see the packs: supervisors, auditors and administrators."""
    return any(user.has_perm(permission) for permission in READERS)


def pack_page(*, name: str | None, version: str | None, now: datetime) -> PackPage:
    """One version of a pack: by default the lender's, and the one in force. Raises KeyError for what is not there."""
    found = packs()
    name = name or settings.POLICY_PACK
    rows = found.by_name[name]
    in_force = found.in_force(name, now, settings.LENDER_TIME_ZONE)
    shown = in_force if version is None else found.version(name, version)
    place = next(place for place, pack in enumerate(rows) if pack is shown)
    sections = tuple((heading, tuple(_value(stated) for stated in stated)) for heading, stated in by_section(shown))
    values = [value for _, section in sections for value in section]
    return PackPage(
        name=name,
        version=shown.version,
        digest=shown.digest,
        names=found.names(),
        lenders=settings.POLICY_PACK,
        versions=tuple(_version(pack, in_force=in_force, shown=shown) for pack in reversed(rows)),
        sections=sections,
        in_part=sum(value.in_part for value in values),
        total=len(values),
        changes=tuple(_change(change) for change in changes_between(rows[place - 1], shown)) if place else (),
        before=rows[place - 1].version if place else "",
    )


def _version(pack: Pack, *, in_force: Pack, shown: Pack) -> Version:
    since = pack.valid_from.isoformat() if pack.valid_from else "always"
    return Version(name=pack.version, since=since, in_force=pack is in_force, shown=pack is shown)


def _value(stated: Stated) -> Value:
    lines: tuple[str, ...] = (stated.words,)
    if stated.key == "letter_ways" and stated.value:
        lines = tuple(f"{way['en']} {way['zh-hans']}" for way in stated.value)
    return Value(
        key=stated.key,
        title=title_of(stated.key),
        lines=lines,
        clause=stated.source.clause,
        force=FORCES[stated.source.force],
        in_part=stated.source.read == "part",
    )


def _change(change: Change) -> tuple[str, Value | None, Value | None]:
    before, after = (None if side is None else _value(side) for side in (change.before, change.after))
    return title_of(change.key), before, after


def show_packs(request: HttpRequest) -> HttpResponse:
    """The page. `pack` and `version` in the query name another than the one in force."""
    if not may_read_packs(request.user):
        raise PermissionDenied
    try:
        page = pack_page(
            name=request.GET.get("pack") or None, version=request.GET.get("version") or None, now=timezone.now()
        )
    except KeyError:
        raise Http404 from None
    context = {**admin.site.each_context(request), "title": "Policy packs", "page": page}
    return TemplateResponse(request, "desk/packs.html", context)
