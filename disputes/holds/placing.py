"""Placing, widening and releasing holds: the only writer of holds.

Every function here needs the outermost transaction, takes the lanes of all that the hold covers, and keeps its row of
the feed until the transaction's owner calls `number_changes`, last.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from config.api.idempotency import BeginAgain
from config.statements import Row, Statement, insert, make, run
from disputes.holds import owners, scopes
from disputes.holds.feed import note_change, number_changes
from disputes.holds.models import Change, Hold, HoldCover, Source
from disputes.holds.owners import Owned
from disputes.holds.permits import PermitOut, permits_covered, permits_touched
from disputes.holds.policies import pack_in_force
from disputes.holds.scopes import Covers
from disputes.holds.stopping import HoldFact
from disputes.journal.recording import SERVICE, Actor, event_row, written
from disputes.lanes.locking import take_lanes, take_rules

__all__ = [
    "PlacedHold",
    "change_reason",
    "database_clock",
    "holds_covering",
    "holds_of_dispute",
    "number_changes",
    "permits_still_out",
    "place_hold",
    "prepare_hold",
    "release_hold",
    "widen_hold",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedHold:
    """A hold, its keys, and the permits that were out when it was placed: whoever has one must not send."""

    hold: Hold
    keys: tuple[str, ...]
    permits_out: tuple[PermitOut, ...]


def place_hold(
    *,
    source: str,
    scope: str,
    reason: str,
    covers: Covers,
    actor: Actor,
    now: datetime,
    dispute: uuid.UUID | None = None,
    why: str = "",
) -> PlacedHold:
    """Places a hold. From the commit on no permit that it covers is granted; those granted before are in `permits_out`.

    1. to 3. as `prepare_hold`, and may raise BeginAgain; 4. writes hold, what it covers and its event. `number_changes`
    comes at the end of the transaction.
    """
    placed, told = prepare_hold(
        source=source, scope=scope, reason=reason, covers=covers, actor=actor, now=now, dispute=dispute, why=why
    )
    hold = placed.hold
    covering = Statement(
        "INSERT INTO disputes_holdcover (hold_id, key, since) SELECT %s, unnest(%s::text[]), %s",
        [hold.pk, list(placed.keys), hold.placed_at],
    )
    run(insert(hold), covering, written(told))
    return placed


def prepare_hold(
    *,
    source: str,
    scope: str,
    reason: str,
    covers: Covers,
    actor: Actor,
    now: datetime,
    dispute: uuid.UUID | None = None,
    why: str = "",
    owned: Owned | None = None,
    beside: Sequence[Statement] = (),
) -> tuple[PlacedHold, Row]:
    """As `place_hold`, for who writes the hold and what it covers, with others, in the same transaction; and the row of
    its event.

    1. who owns what it covers, and so its lanes: asked, or `owned` where it was read a moment ago; 2. takes them,
    waiting, and the locks of the sending rules that it covers; 3. in one call after that: who owns it now, the clock,
    the permits then out, and what the transaction's owner reads `beside`; another owner → raises BeginAgain, and the
    transaction's owner rolls back and calls again.

    `now` is not used for order: a hold bears the database's time under the lanes; its event stands at `now`, among the
    others that the same act writes.
    """
    if not covers:
        raise ValueError("a hold covers something")
    under = _lock(covers, owned=owned, beside=beside)
    keys, at = under.keys, under.at
    hold = make(
        Hold,
        source=source,
        scope=scope,
        reason=reason,
        why=why,
        dispute=dispute,
        placed_at=at,
        placed_by=_name(actor),
    )
    out = _permits_out(hold, keys, at, touched=under.touched)
    told = _tell(hold=hold, kind=Change.PLACED, keys=keys, out=out, actor=actor, at=now)
    return PlacedHold(hold=hold, keys=keys, permits_out=out), told


def widen_hold(*, hold: Hold, covers: Covers, actor: Actor = SERVICE, now: datetime) -> PlacedHold:
    """Adds to what a standing hold covers; what it covered stays. A released hold is left alone.

    Steps as in `place_hold`; the feed's row lists the permits then out of all that it covers.
    """
    before = _keys_of(hold)
    under = _lock(scopes.covers_of_keys(before).joined(covers), also=before)
    standing = Hold.objects.filter(pk=hold.pk, released_at__isnull=True).first()
    if standing is None:
        return PlacedHold(hold=hold, keys=tuple(before), permits_out=())
    at = under.at
    # What it covered stays: a phone that meanwhile went to somebody else was held in the customer's name.
    whole = tuple(sorted({*before, *under.keys}))
    HoldCover.objects.bulk_create(
        [HoldCover(hold=standing, key=key, since=at) for key in whole if key not in before], ignore_conflicts=True
    )
    standing.scope = scopes.scope_of_keys(whole)
    standing.save(update_fields=["scope"])
    out = _permits_out(standing, whole, at, touched=under.touched)
    run(written(_tell(hold=standing, kind=Change.CHANGED, keys=whole, out=out, actor=actor, at=now)))
    return PlacedHold(hold=standing, keys=whole, permits_out=out)


def release_hold(*, hold: Hold, actor: Actor, reason: str, now: datetime, words: str = "") -> bool:
    """Ends a hold, under its lanes. False where it was released before. Other holds of the same things stand on.

    `reason`: a code, which the journal keeps; `words`: what a person said beside it, kept with the hold alone.
    """
    keys = _keys_of(hold)
    at = _lock(scopes.covers_of_keys(keys), also=keys).at
    released = Hold.objects.filter(pk=hold.pk, released_at__isnull=True).update(
        released_at=at, released_by=_name(actor), release_reason=f"{reason}: {words}"[:200] if words else reason
    )
    if not released:
        return False
    HoldCover.objects.filter(hold=hold, released_at__isnull=True).update(released_at=at)
    hold.refresh_from_db()
    run(written(_tell(hold=hold, kind=Change.RELEASED, keys=keys, out=(), actor=actor, at=now, why=reason)))
    return True


def change_reason(*, hold: Hold, reason: str, now: datetime, actor: Actor = SERVICE) -> bool:
    """Changes what the gate answers for a standing hold, under its lanes. False where it was released, or says so
    already."""
    keys = _keys_of(hold)
    _lock(scopes.covers_of_keys(keys), also=keys)
    changed = Hold.objects.filter(pk=hold.pk, released_at__isnull=True).exclude(reason=reason).update(reason=reason)
    if not changed:
        return False
    hold.refresh_from_db()
    run(written(_tell(hold=hold, kind=Change.CHANGED, keys=keys, out=(), actor=actor, at=now)))
    return True


def permits_still_out(*, hold: Hold) -> tuple[PermitOut, ...]:
    """The permits that live and that a standing hold covers, for whoever asks for what is held already.

    Needs no lane: those that it covers were committed before it, so whoever sees the hold sees them in a later
    statement.
    """
    return _permits_out(hold, _keys_of(hold), database_clock())


def holds_of_dispute(dispute: uuid.UUID) -> list[Hold]:
    """The dispute's own holds that stand, oldest first. One that was placed at it by hand does not end with it."""
    own = Hold.objects.filter(dispute=dispute, source=Source.DISPUTE, released_at__isnull=True)
    return list(own.order_by("pk"))


def holds_covering(keys: Iterable[str], *, at: datetime | None = None) -> list[Hold]:
    """The holds that cover one of the keys: those that stand, or those that stood at `at` (aware)."""
    covers = HoldCover.objects.filter(key__in=list(keys))
    if at is None:
        covers = covers.filter(released_at__isnull=True)
    else:
        covers = covers.filter(since__lte=at).exclude(released_at__lte=at)
    return list(Hold.objects.filter(pk__in=covers.values("hold")).order_by("pk"))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Under:
    """What was read under the lanes. `keys`: of what was to be covered, and its owners; `at`: the database's clock;
    `touched`: the live permits that these keys name, or those covered before."""

    keys: tuple[str, ...]
    at: datetime
    touched: Statement


def _lock(
    covers: Covers, *, also: Sequence[str] = (), owned: Owned | None = None, beside: Sequence[Statement] = ()
) -> _Under:
    """Takes the lanes of what is to be covered, and the locks of its sending rules, and returns what is so under them.

    The owners are read before and after: one that came between may have a permit in a lane that we do not hold. With
    them, in statements after the lock all the same, goes what is asked by the owners of before: where they have
    changed, all of it is begun again. `also`: the keys that a hold covers already.
    """
    before = owned or owners.resolve(covers)
    lanes = before.lanes() | owners.lanes_of_keys(also)
    after, clock = owners.Asked(covers), Statement(_CLOCK)
    touched = permits_touched(keys={*also, *before.keys()})
    asked = (*after.statements, clock, touched, *beside)
    if covers.rules:
        take_lanes(lanes)
        take_rules(covers.rules)
        run(*asked)
    else:
        take_lanes(lanes, then=asked)
    if after.answer() != before:
        raise BeginAgain()
    return _Under(keys=before.keys(), at=database_clock(clock), touched=touched)


def _keys_of(hold: Hold) -> list[str]:
    return sorted(HoldCover.objects.filter(hold=hold, released_at__isnull=True).values_list("key", flat=True))


def _permits_out(
    hold: Hold, keys: Sequence[str], at: datetime, *, touched: Statement | None = None
) -> tuple[PermitOut, ...]:
    fact = HoldFact(reason=hold.reason, source=hold.source, why=hold.why)
    return permits_covered(keys=keys, hold=fact, pack=pack_in_force(at=at), touched=touched)


_CLOCK = "SELECT clock_timestamp()"


def database_clock(read: Statement | None = None) -> datetime:
    """The instant at which a hold is placed, widened or released: the database's own, `read` under the lanes."""
    if read is None:
        read = Statement(_CLOCK)
        run(read)
    at: datetime = read.rows[0][0]
    return at


def _name(actor: Actor) -> str:
    return f"{actor.type}:{actor.id}" if actor.id else actor.type


def _tell(
    *,
    hold: Hold,
    kind: str,
    keys: Iterable[str],
    out: Sequence[PermitOut],
    actor: Actor,
    at: datetime,
    why: str = "",
) -> Row:
    """Keeps the feed's row for later; the event is the caller's to write."""
    data: dict[str, Any] = {"scope": hold.scope, "reason": hold.reason, "permits_out": len(out)}
    if why:
        data["why"] = why
    note_change(kind=kind, hold=hold, keys=list(keys), permits_out=out)
    return event_row(subject_type="hold", subject_id=hold.pk, kind=f"hold.{kind}", actor=actor, at=at, data=data)
