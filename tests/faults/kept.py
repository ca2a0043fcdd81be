"""What the database holds at the end, against itself and against what the callers saw."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta

from tests.faults.history import (
    AGAINST,
    FOREVER,
    LOST,
    OPEN_TWICE,
    OVER_CAP,
    TWO_EFFECTS,
    Breach,
    History,
    Kept,
    KeptHold,
    KeptPermit,
    overlapping,
)

LISTED = timedelta(seconds=3)
"""Longer than a transaction stands between two of its statements, also on a machine that has much else to do."""
FORGOTTEN = "acknowledged and not kept"
FEED_MISSED = "a row of the feed that a reader missed"
FEED_ORDER = "a number of the feed out of order"
BY_NOBODY = "a hold released that nobody released"
GONE = "a hold gone though its dispute is open"
TOLD_WRONG = "journal or feed do not say what was done"


def breaches(*, history: History, kept: Kept) -> list[Breach]:
    rules = (against_holds, over_cap, forgotten, feed_missed, feed_order, by_nobody, gone, open_twice, told)
    return [breach for rule in rules for breach in rule(history, kept)]


def against_holds(history: History, kept: Kept) -> Iterator[Breach]:
    """By the database's clock, which both read under a lane that they share: who came first is certain."""
    listed: dict[str, set[str]] = defaultdict(set)
    for change in kept.feed:
        listed[change.hold] |= change.out
    of_key: dict[str, list[KeptPermit]] = defaultdict(list)
    for permit in kept.permits:
        for key in permit.keys:
            of_key[key].append(permit)
    for hold in kept.holds:
        for key, since in hold.covers.items():
            for permit in of_key[key]:
                what = f"permit {permit.id}, hold {hold.id} by {key[:2]} (kept)"
                if permit.granted_at > since:
                    if hold.released_at is None or permit.granted_at < hold.released_at:
                        yield Breach(how=AGAINST, what=what)
                elif permit.id not in listed[hold.id] and _was_out(permit, hold, key):
                    yield Breach(how=LOST, what=what)


def _was_out(permit: KeptPermit, hold: KeptHold, key: str) -> bool:
    """Whether it was out for certain: the list was made after the cover's instant, and within `LISTED` of it."""
    since = hold.covers[key]
    lives = permit.expires_at - since > LISTED
    kept = permit.unused_at is None or permit.unused_at - since > LISTED
    stood = hold.released_at is None or hold.released_at > since
    return lives and kept and stood


def over_cap(history: History, kept: Kept) -> Iterator[Breach]:
    spans: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for permit in kept.permits:
        if permit.capped is not None:
            until = permit.unused_at.timestamp() if permit.unused_at else FOREVER
            spans[permit.capped].append((permit.granted_at.timestamp(), until, permit.id))
    for found in spans.values():
        instants = {permit: (since, until) for since, until, permit in found}
        for one, other in overlapping(found):
            together = instants[one][1] - instants[other][0]
            if together > LISTED.total_seconds() or not _may_be_handed_back_before(one, other, history):
                yield Breach(how=OVER_CAP, what=f"permits {one} and {other} (kept)")


def _may_be_handed_back_before(one: str, other: str, history: History) -> bool:
    """Whether the first was asked to be handed back before the second was answered, and that not answered before the
    second was asked for. Who hands back takes no lane: a decision may read its clock, and then see a permit handed back
    that was not so by that clock."""
    back = [handed for handed in history.handed_back if handed.permit == one]
    asked = [question for question in history.asked if question.permit == other]
    began = min((handed.invoked for handed in back), default=FOREVER)
    ended = max((FOREVER if handed.answered is None else handed.answered for handed in back), default=FOREVER)
    answered = min((FOREVER if question.answered is None else question.answered for question in asked), default=FOREVER)
    return began < answered and min((question.invoked for question in asked), default=0) < ended


def forgotten(history: History, kept: Kept) -> Iterator[Breach]:
    """Whatever was answered is there: permits, holds, releases and permits handed back."""
    permits = {permit.id: permit for permit in kept.permits}
    holds = {hold.id: hold for hold in kept.holds}
    for asked in history.asked:
        if asked.permit is not None and asked.permit not in permits:
            yield Breach(how=FORGOTTEN, what=f"permit {asked.permit}")
    for back in history.handed_back:
        known = permits.get(back.permit)
        if back.answered is not None and known is not None and known.unused_at is None:
            yield Breach(how=FORGOTTEN, what=f"permit {back.permit}: handed back")
    disputes = {dispute.id for dispute in kept.disputes}
    named = defaultdict(list)
    for held in history.held:
        if held.answered is None:
            continue
        named[held.name].append(held)
        if held.hold is not None and held.hold not in holds:
            yield Breach(how=FORGOTTEN, what=f"hold {held.hold}")
        if held.dispute is not None and held.dispute not in disputes:
            yield Breach(how=FORGOTTEN, what=f"dispute {held.dispute}")
    for released in history.released:
        for held in named[released.name] if released.answered is not None else ():
            hold = holds.get(held.hold or "")
            before = held.answered is not None and held.answered < released.invoked
            if before and hold is not None and hold.released_at is None:
                yield Breach(how=FORGOTTEN, what=f"release of {held.hold}")


def feed_missed(history: History, kept: Kept) -> Iterator[Breach]:
    """Each reader has seen every row up to where it is."""
    numbers = {change.number for change in kept.feed}
    seen: dict[str, set[int]] = defaultdict(set)
    reached: Counter[str] = Counter()
    for read in history.read:
        seen[read.who].update(read.numbers)
        reached[read.who] = max(reached[read.who], read.reached)
    for who, upto in reached.items():
        for number in sorted(numbers - seen[who]):
            if number <= upto:
                yield Breach(how=FEED_MISSED, what=f"{who} is at {upto} and never saw {number}")


def feed_order(history: History, kept: Kept) -> Iterator[Breach]:
    """Each hold is placed, changed and released in this order; and of two acts of which one was answered before the
    other was asked for, the first has the lower number."""
    rank = {"placed": 0, "changed": 1, "released": 2}
    of: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for change in kept.feed:
        of[change.hold].append((change.number, change.kind))
    for hold, rows in of.items():
        kinds = [rank[kind] for _, kind in sorted(rows)]
        if kinds != sorted(kinds):
            yield Breach(how=FEED_ORDER, what=f"hold {hold}: {sorted(rows)}")
    placed = {hold: number for hold, rows in of.items() for number, kind in rows if kind == "placed"}
    acts = [
        (held.invoked, held.answered, placed[held.hold], held.hold)
        for held in history.held
        if held.hold in placed and held.answered is not None and held.out is not None
    ]
    # The highest number of all that were answered before an act was asked for must lie below its own.
    ends = sorted((answered, number, hold) for _, answered, number, hold in acts)
    highest, place = (0, ""), 0
    for invoked, _, number, hold in sorted(acts):
        while place < len(ends) and ends[place][0] < invoked:
            highest = max(highest, ends[place][1:])
            place += 1
        if highest[0] > number:
            yield Breach(how=FEED_ORDER, what=f"hold {hold} has {number}, {highest[1]} before it {highest[0]}")


def by_nobody(history: History, kept: Kept) -> Iterator[Breach]:
    """Time alone ends no hold: somebody had asked for it."""
    asked = {released.name for released in history.released}
    for hold in kept.holds:
        if hold.released_at is not None and hold.name not in asked:
            yield Breach(how=BY_NOBODY, what=f"hold {hold.id}")


def gone(history: History, kept: Kept) -> Iterator[Breach]:
    standing = {hold.dispute for hold in kept.holds if hold.released_at is None}
    for dispute in kept.disputes:
        if not dispute.closed and dispute.id not in standing:
            yield Breach(how=GONE, what=f"dispute {dispute.id}")


def open_twice(history: History, kept: Kept) -> Iterator[Breach]:
    """And every dispute is the answer of one key."""
    still = Counter(dispute.one_of for dispute in kept.disputes if not dispute.closed)
    for one_of, number in still.items():
        if number > 1:
            yield Breach(how=OPEN_TWICE, what=f"{number} about {one_of} (kept)")
    for dispute in kept.disputes:
        if dispute.answers != 1:
            yield Breach(how=TWO_EFFECTS, what=f"dispute {dispute.id} is the answer of {dispute.answers} keys")


def told(history: History, kept: Kept) -> Iterator[Breach]:
    """Journal and feed say once what was done, and the feed lists what the answer listed."""
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    out: dict[str, frozenset[str]] = {}
    for change in kept.feed:
        rows[change.hold][change.kind] += 1
        if change.kind == "placed":
            out[change.hold] = change.out
    for hold in kept.holds:
        once = 1 if hold.released_at is not None else 0
        said = (hold.placed_events, hold.released_events, rows[hold.id]["placed"], rows[hold.id]["released"])
        if said != (1, once, 1, once):
            yield Breach(how=TOLD_WRONG, what=f"hold {hold.id}: events and rows {said}")
    for held in history.held:
        if held.answered is not None and held.hold in out and held.out is not None and held.out != out[held.hold]:
            yield Breach(how=TOLD_WRONG, what=f"hold {held.hold}: its answer and the feed list other permits")
