"""What a hold covers: keys, and which of them a dispute's ground calls for.

A key is ``l:<loan>``, ``c:<customer>``, ``p:<phone digest in hex>`` or ``r:<sending rule>``. Beside them stand
``sc:<customer>`` and ``sp:<phone>``: the persons whom a hold is about, whatever it covers. They stop surveys alone:
nobody is asked how satisfied they are while a dispute of theirs is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from disputes.holds.models import Scope

SCOPE_OF_GROUND: Mapping[str, Scope] = {
    "not_overdue": Scope.LOAN,
    "already_paid": Scope.LOAN,
    "wrong_amount": Scope.LOAN,
    "no_longer_owed": Scope.LOAN,
    "identity_theft": Scope.LOAN_AND_PHONE,
    "not_my_debt": Scope.PHONE,
    "third_party_contacted": Scope.PHONE,
    "too_frequent": Scope.CUSTOMER,
    "outside_hours": Scope.CUSTOMER,
    "agent_conduct": Scope.CUSTOMER,
    "other": Scope.CUSTOMER,
}
"""The contract: "What a hold covers follows the ground"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Covers:
    """What a hold is to cover, before its lanes are taken.

    `loans`, `rules`: external ids; `phones`: digests; `customers`: external ids, whose own phones are covered too.
    `persons`, `person_phones`: whom it is about, so that they are not surveyed meanwhile; the owners of `loans`
    always are.
    """

    loans: frozenset[str] = frozenset()
    customers: frozenset[str] = frozenset()
    phones: frozenset[bytes] = frozenset()
    rules: frozenset[str] = frozenset()
    persons: frozenset[str] = frozenset()
    person_phones: frozenset[bytes] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.loans or self.customers or self.phones or self.rules)

    def joined(self, other: Covers) -> Covers:
        """What either covers."""
        return Covers(**{name: getattr(self, name) | getattr(other, name) for name in self.__dataclass_fields__})


def scope_of_dispute(*, ground: str, loan: str | None, phone: bytes | None, customer: str | None) -> tuple[str, Covers]:
    """The scope of a dispute's hold and what it covers.

    `loan`, `phone` (digest): of the message, where it is known; else `phone` is the token's or the one that was
    named. `customer`: whom the dispute is for. While nobody can find the message the hold is on the phone, else on
    the customer; it is never on nothing: raises ValueError where there is neither.
    """
    persons = frozenset({customer} if customer else ())
    numbers = frozenset({phone} if phone else ())
    scope = SCOPE_OF_GROUND[ground]
    loans = frozenset({loan} if loan else ())
    if scope == Scope.LOAN and loan:
        covers = Covers(loans=loans)
    elif scope == Scope.LOAN_AND_PHONE and loan:
        covers = Covers(loans=loans, phones=numbers)
    elif scope == Scope.CUSTOMER and customer:
        # A message that nobody can find yet may have gone to a phone that the records do not give to the customer.
        covers = Covers(customers=persons, phones=frozenset() if loan else numbers)
    elif phone:
        scope, covers = Scope.PHONE, Covers(phones=numbers)
    elif customer:
        scope, covers = Scope.CUSTOMER, Covers(customers=persons)
    else:
        raise ValueError("a hold needs a loan, a phone or a customer")
    return scope, covers.joined(Covers(persons=persons, person_phones=numbers))


def scope_of_keys(keys: Iterable[str]) -> str:
    """The scope that these keys amount to, the widest first."""
    kinds = {key.partition(":")[0] for key in keys}
    if "c" in kinds:
        return Scope.CUSTOMER
    if "l" in kinds:
        return Scope.LOAN_AND_PHONE if "p" in kinds else Scope.LOAN
    return Scope.PHONE if "p" in kinds else Scope.SENDING_RULE


def scope_of_covers(covers: Covers) -> str:
    """The scope that a hold of these would have."""
    named = {"c": covers.customers, "l": covers.loans, "p": covers.phones, "r": covers.rules}
    return scope_of_keys(f"{kind}:" for kind, what in named.items() if what)


def covers_of_keys(keys: Iterable[str]) -> Covers:
    """The other way round: what a standing hold's keys say."""
    found: dict[str, set[str]] = {kind: set() for kind in ("l", "c", "p", "r", "sc", "sp")}
    for key in keys:
        kind, _, rest = key.partition(":")
        found[kind].add(rest)
    return Covers(
        loans=frozenset(found["l"]),
        customers=frozenset(found["c"]),
        phones=frozenset(bytes.fromhex(text) for text in found["p"]),
        rules=frozenset(found["r"]),
        persons=frozenset(found["sc"]),
        person_phones=frozenset(bytes.fromhex(text) for text in found["sp"]),
    )


def stops_messages(key: str) -> bool:
    """Whether the key stops messages, not surveys alone."""
    return key[0] != "s"
