"""Who owns what a hold covers, and so which lanes it needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from config.statements import Statement, run
from disputes.holds.arrays import array_of_texts
from disputes.holds.scopes import Covers
from disputes.lanes.locking import lane_of_customer, lane_of_loan, lane_of_phone


@dataclass(frozen=True, kw_only=True, slots=True)
class Owned:
    """Covers with their owners, as one statement's snapshot after another saw them.

    `owner`: (loan, customer or None); `phones`: (customer, digest) of the own phones of the covered customers.
    """

    covers: Covers
    owner: frozenset[tuple[str, str | None]]
    phones: frozenset[tuple[str, bytes]]

    def keys(self) -> tuple[str, ...]:
        """The keys of what is covered, sorted; the persons beside them."""
        owners = {customer for _, customer in self.owner if customer}
        keys = {f"l:{loan}" for loan in self.covers.loans}
        keys |= {f"c:{customer}" for customer in self.covers.customers}
        keys |= {f"p:{digest.hex()}" for digest in self.covers.phones}
        keys |= {f"p:{digest.hex()}" for customer, digest in self.phones if customer in self.covers.customers}
        keys |= {f"r:{rule}" for rule in self.covers.rules}
        persons = self.covers.persons | owners | self.covers.customers
        keys |= {f"sc:{customer}" for customer in persons}
        keys |= {f"sp:{digest.hex()}" for digest in self.covers.person_phones | {digest for _, digest in self.phones}}
        return tuple(sorted(keys))

    def lanes(self) -> set[int]:
        lanes = {lane_of_loan(loan=loan, customer=customer) for loan, customer in self.owner}
        return lanes | lanes_of_keys(self.keys())


# The function keeps its plans. It reads loans and phones by two statements: a loan that moves between them has a phone
# of the one owner and not the lane of the other's, so whoever reads again under the lanes finds another answer than
# this one, and begins again.
_OWNED = "SELECT loan, owner, digest FROM disputes_owned(%s::text[], %s::text[])"


class Asked:
    """Who owns it now: the `statements` that ask, to be run in one call with others, and the answer."""

    def __init__(self, covers: Covers) -> None:
        loans, whose = sorted(covers.loans), sorted(covers.customers | covers.persons)
        self._covers = covers
        self._asked = Statement(_OWNED, [array_of_texts(loans), array_of_texts(whose)])
        self.statements = (self._asked,) if loans or whose else ()

    def answer(self) -> Owned:
        """Rows without a digest are loans, the others own phones."""
        owner: dict[str, str | None] = dict.fromkeys(self._covers.loans)
        owner |= {loan: customer for loan, customer, digest in self._asked.rows if digest is None}
        phones = ((customer, bytes(digest)) for _, customer, digest in self._asked.rows if digest is not None)
        return Owned(covers=self._covers, owner=frozenset(owner.items()), phones=frozenset(phones))


def resolve(covers: Covers) -> Owned:
    """Who owns it now, in one call."""
    asked = Asked(covers)
    run(*asked.statements)
    return asked.answer()


def lanes_of_keys(keys: Iterable[str]) -> set[int]:
    """The lanes that keys name by themselves; a loan's is its customer's, and comes from `Owned.lanes`. A sending rule
    has none (`disputes.lanes.locking.take_rules`)."""
    lanes = set()
    for key in keys:
        kind, _, rest = key.partition(":")
        if kind in ("c", "sc"):
            lanes.add(lane_of_customer(rest))
        elif kind in ("p", "sp"):
            lanes.add(lane_of_phone(bytes.fromhex(rest)))
    return lanes
