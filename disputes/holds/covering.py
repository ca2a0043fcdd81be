"""Keeping standing holds whole when owners change: called by the import, inside its transaction."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.db import connection
from django.db.models import Q

from disputes.holds import scopes
from disputes.holds.feed import note_change, number_changes
from disputes.holds.models import Change, Hold, HoldCover
from disputes.holds.permits import permits_covered
from disputes.holds.policies import pack_in_force
from disputes.holds.stopping import HoldFact
from disputes.journal.recording import SERVICE, record_event


def extend_holds(*, customer_phones: Sequence[tuple[str, bytes]], loans_moved: Sequence[tuple[str, str]]) -> int:
    """Adds to standing holds what came to their customers. Returns how many holds grew.

    `customer_phones`: (customer, digest of a phone that is now their own): a hold on the customer covers it too.
    `loans_moved`: (loan, its new customer): a hold on the loan goes with it, and its new owner is not surveyed
    meanwhile; a hold on the new customer covers the loan from now on, so that its permits that are out are to be
    recalled.

    Needs the import's transaction, with the lanes of all of them taken, and to be called last: it numbers the feed,
    after which no lane and no row is locked. 1. the holds concerned; 2. their new covers; 3. the permits then out,
    and the event; 4. the feed's numbers.
    """
    wanted = [(f"c:{customer}", f"p:{bytes(digest).hex()}") for customer, digest in customer_phones]
    wanted += [(f"sc:{customer}", f"sp:{bytes(digest).hex()}") for customer, digest in customer_phones]
    wanted += [(f"l:{loan}", f"sc:{customer}") for loan, customer in loans_moved]
    if not wanted:
        return 0
    asked = {key for key, _ in wanted} | {f"c:{customer}" for _, customer in loans_moved}
    standing = HoldCover.objects.filter(released_at__isnull=True, key__in=asked)
    of_key: dict[str, list[uuid.UUID]] = {}
    for hold_id, key in standing.values_list("hold_id", "key"):
        of_key.setdefault(key, []).append(hold_id)
    grown: dict[uuid.UUID, set[str]] = {}
    for key, more in wanted:
        for hold_id in of_key.get(key, ()):
            grown.setdefault(hold_id, set()).add(more)
    reached = {hold_id for _, customer in loans_moved for hold_id in of_key.get(f"c:{customer}", ())}
    for hold_id in reached:
        grown.setdefault(hold_id, set())
    return _grow(grown, reached=reached) if grown else 0


def _grow(grown: dict[uuid.UUID, set[str]], *, reached: set[uuid.UUID]) -> int:
    """`grown`: hold → what it covers besides; `reached`: the holds to whose customer a loan has come, which adds no
    key."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at = cursor.fetchone()[0]
    holds = {hold.pk: hold for hold in Hold.objects.filter(pk__in=grown)}
    keys: dict[uuid.UUID, set[str]] = {hold_id: set() for hold_id in grown}
    rows = HoldCover.objects.filter(Q(hold__in=grown), released_at__isnull=True).values_list("hold_id", "key")
    for hold_id, key in rows:
        keys[hold_id].add(key)
    fresh = {
        hold_id: more - keys[hold_id] for hold_id, more in grown.items() if hold_id in reached or more - keys[hold_id]
    }
    HoldCover.objects.bulk_create(
        [HoldCover(hold_id=hold_id, key=key, since=at) for hold_id, more in fresh.items() for key in sorted(more)],
        ignore_conflicts=True,
    )
    pack = pack_in_force(at=at)
    for hold_id, more in fresh.items():
        widened = any(scopes.stops_messages(key) for key in more)
        if not widened and hold_id not in reached:
            continue
        hold = holds[hold_id]
        whole = tuple(sorted(keys[hold_id] | more))
        fact = HoldFact(reason=hold.reason, source=hold.source, why=hold.why)
        out = permits_covered(keys=whole, hold=fact, pack=pack)
        if not widened and not out:
            continue
        data = {"scope": hold.scope, "reason": hold.reason, "permits_out": len(out)}
        record_event(subject_type="hold", subject_id=hold.pk, kind="hold.changed", actor=SERVICE, at=at, data=data)
        note_change(kind=Change.CHANGED, hold=hold, keys=whole, permits_out=out)
    number_changes()
    return sum(1 for more in fresh.values() if more)
