"""What happened, as those who called saw it, and what the database kept of it.

Instants of calls are seconds of the machine's steady clock, the same in every process. A call that died (no answer
came, or one that does not say what was done) has `answered` None: it may or may not have happened. Instants of the
database are of its own clock, read under the lanes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

FOREVER = float("inf")

AGAINST = "granted against a hold"
LOST = "missing in permits_out"
NEITHER = "neither before the hold nor refused"
OVER_CAP = "two permits over a cap of one"
OPEN_TWICE = "two open disputes where one is allowed"
TWO_EFFECTS = "an idempotency key with two effects"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One item of one call of the gate. `permit`: None where it was denied, or the call died.

    `keys`: what a hold may cover of it, ``l:<loan>`` ``p:<phone>`` and, where the loan never moves, ``c:<customer>``;
    `expires`: when the permit ends, on the steady clock; `capped`: under whose cap of one it was asked, or None.
    """

    who: str
    invoked: float
    answered: float | None
    request: str
    keys: frozenset[str]
    permit: str | None = None
    expires: float = FOREVER
    capped: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HandedBack:
    """`invoked`: of the first attempt."""

    who: str
    invoked: float
    answered: float | None
    permit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A hold that somebody asked for. `invoked`: of the first attempt with this `key` (of idempotency).

    `name`: what its release names: ``d:<dispute>``, ``o:<phone>`` for an opt-out, ``h:<hold>`` for one by hand; None
    where no answer came; `keys`: what it covers for certain; `out`: the permits that the answer lists, None where the
    answer lists none because the hold stood before; `one_of`: of which one alone may be open.
    """

    who: str
    invoked: float
    answered: float | None
    key: str
    keys: frozenset[str]
    name: str | None = None
    hold: str | None = None
    dispute: str | None = None
    out: frozenset[str] | None = frozenset()
    one_of: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """Whatever may end the holds of this `name` (see `Held`). `invoked`: of the first attempt."""

    who: str
    invoked: float
    answered: float | None
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """One page of the feed: the numbers that came for `after`, and where the reader is then."""

    who: str
    invoked: float
    answered: float
    after: int
    numbers: tuple[int, ...]
    reached: int


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptPermit:
    id: str
    request: str
    keys: frozenset[str]
    granted_at: datetime
    expires_at: datetime
    unused_at: datetime | None = None
    capped: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptHold:
    """`covers`: key → since when."""

    id: str
    name: str
    placed_at: datetime
    released_at: datetime | None
    covers: dict[str, datetime]
    dispute: str | None = None
    placed_events: int = 1
    released_events: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptChange:
    """A row of the feed. `kind`: ``placed`` ``changed`` ``released``."""

    number: int
    hold: str
    kind: str
    out: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptDispute:
    """`answers`: how many idempotency keys answer with it."""

    id: str
    closed: bool
    one_of: str
    answers: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """What was called; every list in any order."""

    asked: Sequence[Asked] = ()
    handed_back: Sequence[HandedBack] = ()
    held: Sequence[Held] = ()
    released: Sequence[Released] = ()
    read: Sequence[Read] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What the database holds at the end."""

    permits: Sequence[KeptPermit] = ()
    holds: Sequence[KeptHold] = ()
    feed: Sequence[KeptChange] = ()
    disputes: Sequence[KeptDispute] = ()


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Breach:
    """A forbidden order. `how`: which rule; `what`: the ids that it is about, for a person to look up."""

    how: str
    what: str


def overlapping(spans: Sequence[tuple[float, float, str]]) -> Iterator[tuple[str, str]]:
    """Pairs of names whose spans (since, until, name) share an instant."""
    standing: list[tuple[float, float, str]] = []
    for span in sorted(spans):
        standing = [one for one in standing if one[1] > span[0]]
        yield from ((one[2], span[2]) for one in standing if span[1] > span[0])
        standing.append(span)
