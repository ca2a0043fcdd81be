"""Opt-outs: the holder of a number wants no more messages there, whatever the loan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from disputes.holds.models import Hold, Reason, Scope, Source
from disputes.holds.permits import PermitOut
from disputes.holds.placing import number_changes, permits_still_out, place_hold, release_hold
from disputes.holds.scopes import Covers
from disputes.journal.recording import Actor
from disputes.lanes.locking import lane_of_phone, take_lanes


@dataclass(frozen=True, kw_only=True, slots=True)
class OptedOut:
    """The hold that stands for the opt-out, and the permits that are out against it, to be recalled; `new`: it was
    placed just now."""

    hold: Hold
    permits_out: tuple[PermitOut, ...]
    new: bool


def opt_out(*, phone: bytes, source: str, actor: Actor, now: datetime) -> OptedOut:
    """Ends everything to the number (its digest) but what the pack lets through. Needs the outermost transaction.

    `source`: where it was said (``sms``, a call, a form). Steps as in `place_opt_out`, then the feed's number. May
    raise BeginAgain.
    """
    out = place_opt_out(phone=phone, source=source, actor=actor, now=now)
    number_changes()
    return out


def place_opt_out(*, phone: bytes, source: str, actor: Actor, now: datetime) -> OptedOut:
    """As `opt_out`, for whoever locks more rows after it: the transaction's owner numbers the feed, last.

    1. the phone's lane, so that of two at once the second finds the first; 2. an opt-out that stands already is the
    answer, with the permits that are still out, since whoever sends may have heard of it from nobody; 3. else its hold.
    """
    take_lanes([lane_of_phone(phone)])
    standing = standing_opt_outs(phone=phone)
    if standing:
        return OptedOut(hold=standing[0], permits_out=permits_still_out(hold=standing[0]), new=False)
    placed = place_hold(
        source=Source.OPT_OUT,
        scope=Scope.PHONE,
        reason=Reason.OPTED_OUT,
        covers=Covers(phones=frozenset({phone})),
        actor=actor,
        now=now,
        why=source,
    )
    return OptedOut(hold=placed.hold, permits_out=placed.permits_out, new=True)


def opt_in(
    *,
    phone: bytes,
    source: str,
    actor: Actor,
    now: datetime,
    takes_back: Callable[[Sequence[Hold]], Sequence[Hold]] = lambda standing: standing,
) -> tuple[Hold, ...]:
    """Takes the number's opt-outs back, naming where that was said, and returns them. Needs the outermost transaction.

    `takes_back`: which of those that stand, asked under the phone's lane. Other holds of the number stand on. Steps as
    in `opt_out`.
    """
    take_lanes([lane_of_phone(phone)])
    taken = tuple(takes_back(standing_opt_outs(phone=phone)))
    for hold in taken:
        release_hold(hold=hold, actor=actor, reason=f"opted in: {source}"[:200], now=now)
    number_changes()
    return taken


def is_opted_out(*, phone: bytes) -> bool:
    """Whether an opt-out of the number (its digest) stands. One query."""
    return bool(standing_opt_outs(phone=phone))


def standing_opt_outs(*, phone: bytes) -> list[Hold]:
    """The opt-outs of the number that stand, oldest first."""
    return list(
        Hold.objects.filter(
            source=Source.OPT_OUT,
            released_at__isnull=True,
            covers__key=f"p:{phone.hex()}",
            covers__released_at__isnull=True,
        ).order_by("pk")
    )
