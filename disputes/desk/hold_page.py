"""What the page of one hold shows: what it stops, who placed it and why, the permits to recall, all that became of it.

A fixed number of queries, whatever the hold covers.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import F, Func, IntegerField
from django.utils.translation import gettext as _

from disputes.desk import words
from disputes.desk.accounts import local_instant
from disputes.desk.naming import actor_names
from disputes.holds.models import Hold, HoldCover, Permit, Source, SuppressionChange
from disputes.holds.permits import LONGEST
from disputes.holds.scopes import stops_messages
from disputes.journal.models import Event

SHOWN = 200
RECALLED = 100
"""Permits that are listed one by one: a gateway reads them all from the change feed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recall:
    """A permit that was out when the hold was placed or changed, and lives: whoever has it must not send."""

    id: str
    vendor: str
    loan: str
    category: str
    expires: str
    state: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldPage:
    """All that is read of a hold. `covers`: what, which, since when, until when; `changes`: of the feed; `events`: of
    the journal; `recall`: the first permits that live, and `more_recall` how many besides."""

    id: uuid.UUID
    stands: bool
    said: str
    code: str
    covered: str
    source: str
    why_label: str
    why: str
    placed: str
    placed_by: str
    released: str
    released_by: str
    release_reason: str
    dispute: uuid.UUID | None
    covers: tuple[tuple[str, str, str, str], ...]
    covers_cut: bool
    recall: tuple[Recall, ...]
    more_recall: int
    changes: tuple[tuple[int, str, str, str, int], ...]
    events: tuple[tuple[str, str, str], ...]


def hold_page(*, hold: Hold, now: datetime) -> HoldPage:
    """Six queries."""
    covers = list(HoldCover.objects.filter(hold=hold).order_by("since", "key")[: SHOWN + 1])
    events = list(Event.objects.filter(subject_type="hold", subject_id=hold.pk).order_by("id")[:SHOWN])
    who = [f"{event.actor_type}:{event.actor_id}" for event in events]
    names = actor_names([hold.placed_by, hold.released_by, *who])
    recall, living = _recall(hold, now)
    return HoldPage(
        id=hold.pk,
        stands=hold.released_at is None,
        said=words.gate_reason(hold.reason),
        code=hold.reason,
        covered=words.SCOPES[hold.scope],
        source=words.SOURCES[hold.source],
        why_label=_("Said by") if hold.source == Source.OPT_OUT else _("Why"),
        why=why_of(hold),
        placed=local_instant(hold.placed_at),
        placed_by=names.get(hold.placed_by, hold.placed_by),
        released=local_instant(hold.released_at),
        released_by=names.get(hold.released_by, hold.released_by),
        release_reason=words.release_reason(hold.release_reason),
        dispute=hold.dispute,
        covers=tuple(_cover(cover) for cover in covers[:SHOWN]),
        covers_cut=len(covers) > SHOWN,
        recall=tuple(recall),
        more_recall=living - len(recall),
        changes=tuple(_changes(hold)),
        events=tuple(
            (local_instant(event.at), words.event_words(event.kind), names.get(name, name))
            for event, name in zip(events, who)
        ),
    )


def why_of(hold: Hold) -> str:
    """The dispute's ground in words, or what was said: an opt-out's source, a person's reason."""
    return words.GROUNDS.get(hold.why, hold.why)


def _cover(cover: HoldCover) -> tuple[str, str, str, str]:
    """In words: of a phone the beginning of its digest, since the number is not kept with a hold."""
    kind, _point, rest = cover.key.partition(":")
    what = words.COVERED[kind.removeprefix("s")]
    if not stops_messages(cover.key):
        what = _("%(what)s, surveys alone") % {"what": what}
    which = short_digest(rest) if kind.endswith("p") else rest
    return what, which, local_instant(cover.since), local_instant(cover.released_at)


def short_digest(text: str) -> str:
    """The beginning of a phone's digest (hex), without its key's id: enough to tell two numbers apart."""
    return f"{text[2:14]}…"


def _changes(hold: Hold) -> list[tuple[int, str, str, str, int]]:
    out = Func(F("permits_out"), function="jsonb_array_length", output_field=IntegerField())
    rows = SuppressionChange.objects.filter(hold=hold).annotate(out=out).order_by("number")
    return [
        (number, words.CHANGES.get(kind, kind), local_instant(at), words.gate_reason(reason), count)
        for number, kind, at, reason, count in rows.values_list("number", "kind", "at", "reason", "out")[:SHOWN]
    ]


_RECALL = """
SELECT permit ->> 'id', permit ->> 'vendor', coalesce(permit ->> 'loan', ''), permit ->> 'category',
    (permit ->> 'expires_at')::timestamptz AS ends, count(*) OVER ()
FROM (
    SELECT DISTINCT permit FROM disputes_suppressionchange, jsonb_array_elements(permits_out) AS permit
    WHERE hold_id = %s AND at > %s AND (permit ->> 'expires_at')::timestamptz > %s
) AS listed
ORDER BY ends DESC, 1 DESC LIMIT %s
"""
"""Left to the database, since of a rule that was paused there may be hundreds of thousands."""


def _recall(hold: Hold, now: datetime) -> tuple[list[Recall], int]:
    """The permits of the feed's rows that can live still, the last to expire first, as many as are shown; how many
    there are in all."""
    if hold.released_at is not None:
        return [], 0
    with connection.cursor() as cursor:
        cursor.execute(_RECALL, [hold.pk, now - timedelta(seconds=LONGEST), now, RECALLED])
        rows = cursor.fetchall()
    known = _states([row[0] for row in rows])
    return [
        Recall(
            id=permit,
            vendor=vendor,
            loan=loan,
            category=words.CATEGORIES.get(category, category),
            expires=local_instant(ends, seconds=True),
            state=known.get(permit, ""),
        )
        for permit, vendor, loan, category, ends, _all in rows
    ], (rows[0][-1] if rows else 0)


def _states(ids: Sequence[str]) -> dict[str, str]:
    rows = Permit.objects.filter(pk__in=ids).values_list("pk", "message", "unused_at")
    return {
        str(pk): _("a message was sent on it") if message else _("handed back") if unused else _("not used yet")
        for pk, message, unused in rows
    }
