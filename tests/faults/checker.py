"""Finds every forbidden order in a history, and whatever the database kept that does not fit it.

Pure. A call that died may or may not have happened, so a rule speaks only where every possible moment of what happened
breaks it: a permit was granted at some instant between its call and its answer, a hold stood from some instant between
its call and its answer, and was released no sooner than somebody first asked for that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from tests.faults import kept as database
from tests.faults.history import (
    AGAINST,
    FOREVER,
    LOST,
    NEITHER,
    OPEN_TWICE,
    OVER_CAP,
    TWO_EFFECTS,
    Asked,
    Breach,
    HandedBack,
    Held,
    History,
    Kept,
    Released,
    overlapping,
)


def breaches(*, history: History, kept: Kept | None = None) -> list[Breach]:
    """All of them, sorted. `kept`: None where only what the callers saw is judged."""
    found = [*against_holds(history), *over_cap(history), *open_twice(history), *two_effects(history)]
    if kept is not None:
        found += database.breaches(history=history, kept=kept)
    return sorted(set(found))


def against_holds(history: History) -> Iterator[Breach]:
    """Every permit that was answered against every hold that covers it.

    While the hold stands for certain (from its answer until its release was first asked for), a permit that was
    answered must have been granted before it. Then it is listed, or had ended or been handed back before the answer.
    One that is listed is never given again meanwhile.
    """
    until = _first_release(history.released)
    back = _first_back(history.handed_back)
    of_key: dict[str, list[Asked]] = defaultdict(list)
    for asked in history.asked:
        if asked.permit is not None and asked.answered is not None:
            for key in asked.keys:
                of_key[key].append(asked)
    for held in history.held:
        if held.answered is None:
            continue
        released = until.get(held.name or "", FOREVER)
        for asked in (one for key in held.keys for one in of_key[key]):
            yield from _one(asked, held, held.answered, released, back.get(asked.permit or "", FOREVER))


def _one(asked: Asked, held: Held, stood: float, released: float, back: float) -> Iterator[Breach]:
    """One answer with a permit, and one hold that stood for certain from `stood` to `released`. `back`: when the permit
    was first handed back."""
    answered = asked.answered if asked.answered is not None else FOREVER
    if answered >= released:
        return
    what = f"permit {asked.permit}, hold {held.hold}"
    if asked.invoked > stood:
        yield Breach(how=AGAINST, what=what)
    elif held.out is not None and asked.permit not in held.out and asked.expires > stood and back > stood:
        yield Breach(how=LOST if answered < held.invoked else NEITHER, what=what)


def _first_release(released: Iterable[Released]) -> dict[str, float]:
    """By name, when its release was first asked for."""
    first: dict[str, float] = {}
    for one in released:
        first[one.name] = min(one.invoked, first.get(one.name, FOREVER))
    return first


def _first_back(handed_back: Iterable[HandedBack]) -> dict[str, float]:
    first: dict[str, float] = {}
    for one in handed_back:
        first[one.permit] = min(one.invoked, first.get(one.permit, FOREVER))
    return first


def over_cap(history: History) -> Iterator[Breach]:
    """Two permits of one capped customer that both count for certain at one instant: from each one's first answer until
    somebody first asked to hand it back."""
    back = _first_back(history.handed_back)
    first: dict[tuple[str, str], float] = {}
    for asked in history.asked:
        if asked.capped is not None and asked.permit is not None and asked.answered is not None:
            of = (asked.capped, asked.permit)
            first[of] = min(asked.answered, first.get(of, FOREVER))
    spans: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for (customer, permit), since in first.items():
        spans[customer].append((since, back.get(permit, FOREVER), permit))
    for found in spans.values():
        for earlier, later in overlapping(found):
            yield Breach(how=OVER_CAP, what=f"permits {earlier} and {later}")


def open_twice(history: History) -> Iterator[Breach]:
    """Two disputes by one person about one message and ground, each open for certain at one instant."""
    until = _first_release(history.released)
    spans: dict[str, dict[str, tuple[float, float, str]]] = defaultdict(dict)
    for held in history.held:
        if held.one_of is not None and held.answered is not None and held.dispute is not None:
            span = (held.answered, until.get(held.name or "", FOREVER), held.dispute)
            spans[held.one_of].setdefault(held.dispute, span)
    for found in spans.values():
        for one, other in overlapping(list(found.values())):
            yield Breach(how=OPEN_TWICE, what=f"disputes {one} and {other}")


def two_effects(history: History) -> Iterator[Breach]:
    """One key that was answered with two holds."""
    of: dict[str, set[str]] = defaultdict(set)
    for held in history.held:
        if held.hold is not None:
            of[held.key].add(held.hold)
    for key, holds in of.items():
        if len(holds) > 1:
            yield Breach(how=TWO_EFFECTS, what=f"key {key}: holds {', '.join(sorted(holds))}")


def interleavings(history: History) -> int:
    """How many calls of the gate were under way together with a hold, or a release, of what they asked for."""
    keys = {held.name: held.keys for held in history.held if held.name is not None}
    acts = [(held.invoked, held.answered, held.keys) for held in history.held]
    acts += [(one.invoked, one.answered, keys.get(one.name, frozenset())) for one in history.released]
    of_key: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for number, (invoked, answered, covered) in enumerate(acts):
        for key in covered:
            of_key[key].append((invoked, answered if answered is not None else invoked, number))
    met: Counter[tuple[str, int]] = Counter()
    for asked in history.asked:
        until = asked.answered if asked.answered is not None else asked.invoked
        for key in asked.keys:
            for begins, ends, number in of_key[key]:
                if begins < until and asked.invoked < ends:
                    met[asked.request, number] += 1
    return len(met)
