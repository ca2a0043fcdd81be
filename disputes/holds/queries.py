"""Reads of holds and of the feed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import F, Func, IntegerField, Q, QuerySet

from disputes.check.versions import true_at
from disputes.holds.models import Hold, HoldCover, SuppressionChange
from disputes.holds.scopes import covers_of_keys, stops_messages
from disputes.records.models import Loan
from disputes.records.queries import account_history

PERMITS_A_PAGE = 2000
"""How many permits a page of the feed lists: senders read no answer of any length (`clients/python`: 8 MiB), and a copy
that cannot be read on denies everything."""


def suppressions(*, phone: bytes | None = None, loan: str | None = None, at: datetime | None = None) -> QuerySet[Hold]:
    """The holds that stand, or that stood at `at` (aware); of a phone (its digest) or a loan, where one is named.

    A loan is held by its customer's holds too, as the gate asks it: of whoever owned it at `at`, as known then.
    """
    if at is None:
        stood = Q(released_at__isnull=True)
    else:
        stood = Q(placed_at__lte=at) & (Q(released_at__isnull=True) | Q(released_at__gt=at))
    holds = Hold.objects.filter(stood)
    for keys in ([f"p:{phone.hex()}"] if phone else []), _keys_of_loan(loan, at=at) if loan else []:
        if not keys:
            continue
        covers = HoldCover.objects.filter(key__in=keys)
        if at is not None:
            # What was added to the hold later did not stand then.
            covers = covers.filter(since__lte=at)
        holds = holds.filter(pk__in=covers.values("hold"))
    return holds


def _keys_of_loan(loan: str, *, at: datetime | None) -> list[str]:
    if at is None:
        owner = Loan.objects.filter(pk=loan).values_list("customer", flat=True).first()
    else:
        version = true_at(list(history.loans), at, at) if (history := account_history(loan=loan)).loans else None
        owner = version.customer if version else None
    return [f"l:{loan}", *([f"c:{owner}"] if owner else [])]


def keys_of(holds: Iterable[Hold], *, at: datetime | None = None) -> Mapping[Any, list[str]]:
    """Hold id → the keys that it covers (at `at`), sorted, in one statement."""
    found: dict[Any, list[str]] = {hold.pk: [] for hold in holds}
    rows = HoldCover.objects.filter(hold__in=list(found))
    if at is not None:
        rows = rows.filter(since__lte=at)
    for hold_id, key in rows.order_by("key").values_list("hold_id", "key"):
        if stops_messages(key):
            found[hold_id].append(key)
    return found


def as_they_stood(holds: Iterable[Hold], *, at: datetime) -> list[Hold]:
    """The holds with the scope and the reason that they had at `at` (aware), by the feed's rows, in one statement.
    They are not to be saved. A row stands in the feed a moment after what it tells of."""
    stood = {hold.pk: hold for hold in holds}
    rows = SuppressionChange.objects.filter(hold__in=list(stood)).order_by("number")
    seen: set[Any] = set()
    for hold_id, changed_at, scope, reason in rows.values_list("hold_id", "at", "scope", "reason"):
        # The first is the placing, which is before `at` whatever its row says.
        if changed_at <= at or hold_id not in seen:
            stood[hold_id].scope, stood[hold_id].reason = scope, reason
        seen.add(hold_id)
    return list(stood.values())


def changes_after(*, number: int, limit: int) -> list[SuppressionChange]:
    """The feed's rows after `number`, in commit order, at most `limit`."""
    return list(SuppressionChange.objects.filter(number__gt=number).order_by("number")[:limit])


def page_of_changes(*, number: int, limit: int, hold: uuid.UUID | None = None) -> tuple[list[SuppressionChange], bool]:
    """(The feed's rows after `number`, of one hold where it is named, at most `limit`, with at most PERMITS_A_PAGE
    permits but at least one row; whether there are more.) Their lengths are asked first, so that what has no room is
    not read."""
    length = Func(F("permits_out"), function="jsonb_array_length", output_field=IntegerField())
    after = SuppressionChange.objects.filter(number__gt=number).order_by("number")
    if hold is not None:
        after = after.filter(hold=hold)
    lengths = list(after.values_list("number", length)[: limit + 1])
    room = PERMITS_A_PAGE
    last, count = number, 0
    for found, permits in lengths[:limit]:
        if count and permits > room:
            break
        last, count, room = found, count + 1, room - permits
    return list(after.filter(number__lte=last)) if count else [], count < len(lengths)


def render_keys(keys: Iterable[str]) -> dict[str, list[str]]:
    """Keys as the API shows them. A phone is its digest: the number itself is not kept with a hold."""
    covers = covers_of_keys(keys)
    return {
        "loans": sorted(covers.loans),
        "customers": sorted(covers.customers),
        "phone_digests": sorted(digest.hex() for digest in covers.phones),
        "sending_rules": sorted(covers.rules),
    }
