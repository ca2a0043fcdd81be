"""The calls of the database by which the gate locks and reads: the functions, and what they are given."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from config.values.ids import floor_of
from disputes.holds.arrays import array_of_digests, array_of_numbers, array_of_texts
from disputes.holds.permits import CLOCKS_DIFFER, COUNTS_FOR
from disputes.holds.walking import GateItem


class OwnLanes(Enum):
    OF_THE_ITEM = "of the item"


OWN_LANES = OwnLanes.OF_THE_ITEM
"""The lanes of a single item, whose owners are looked up by the same call of the database, in a statement before the
lanes are taken."""
Lanes = Sequence[int] | OwnLanes | None


def reading_of(
    items: Sequence[GateItem],
    lanes: Lanes,
    stripes: Sequence[int],
    caller: str,
    look_back: timedelta,
    now: datetime,
) -> tuple[str, list[Any]]:
    """The call of the database's function (migration 0011) that locks and reads for so many items, with its values; for
    a single one of a function whose plans are kept. It answers with rows (kind, body), the body in JSON."""
    between = (floor_of(now - COUNTS_FOR - CLOCKS_DIFFER), floor_of(now + CLOCKS_DIFFER))
    if lanes is OWN_LANES:
        (item,) = items
        return _READ_OWN, _for_item(item, None, stripes, caller, look_back, between)[1:]
    if len(items) == 1:
        return _READ_ITEM, _for_item(items[0], lanes, stripes, caller, look_back, between)
    return _READ_ITEMS, _for_items(items, lanes, stripes, caller, look_back, between)


_READ_ITEMS = (
    "SELECT kind, body FROM disputes_gate_facts(%s::int[], %s::int[], %s::text[], %s::bytea[], %s::text[], %s,"
    " %s::text[], make_interval(secs => %s), %s, %s)"
)
_READ_ITEM = (
    "SELECT kind, body FROM disputes_gate_facts_of_item(%s::int[], %s::int, %s, %s, %s, %s, %s,"
    " make_interval(secs => %s), %s, %s)"
)
_READ_OWN = (
    "SELECT kind, body FROM disputes_gate_facts_of_own(%s::int, %s, %s, %s, %s, %s, make_interval(secs => %s), %s, %s)"
)
Ids = tuple[uuid.UUID, uuid.UUID]


def _for_items(
    items: Sequence[GateItem],
    lanes: Sequence[int] | None,
    stripes: Sequence[int],
    caller: str,
    look_back: timedelta,
    between: Ids,
) -> list[Any]:
    return [
        None if lanes is None else array_of_numbers(lanes),
        array_of_numbers(stripes),
        array_of_texts(sorted({item.loan for item in items if item.loan is not None})),
        array_of_digests(sorted({item.phone for item in items})),
        array_of_texts(sorted({item.sending_rule for item in items if item.sending_rule is not None})),
        caller,
        array_of_texts(sorted({item.request_id for item in items if item.request_id})),
        look_back.total_seconds(),
        *between,
    ]


def _for_item(
    item: GateItem,
    lanes: Sequence[int] | None,
    stripes: Sequence[int],
    caller: str,
    look_back: timedelta,
    between: Ids,
) -> list[Any]:
    """Plain values: an array that the driver writes costs a single decision more than what stands in it."""
    return [
        None if lanes is None else array_of_numbers(lanes),
        stripes[0] if stripes else None,
        item.loan,
        item.phone,
        item.sending_rule,
        caller,
        item.request_id or None,
        look_back.total_seconds(),
        *between,
    ]
