"""How customers are reached: their own number as known now, their e-mail, their name and language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.conf import settings

from config.fields import phone_digest
from config.statements import Statement, run
from config.values.email import is_email
from disputes.check.standing import local_day
from disputes.records.models import CustomerPersonal
from disputes.records.queries import language_in, open_personal


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """`number`: E.164, of a phone that is the customer's own today; `digest`: that phone's; None where there is none,
    or the person was erased. `email`: None too where the records hold what is no address. `language`: as the records
    say it, may be empty."""

    name: str | None = None
    number: str | None = None
    digest: bytes | None = None
    email: str | None = None
    language: str = ""


def reach_of_customers(
    *, customers: Iterable[str], at: datetime, rather: Mapping[str, bytes] | None = None
) -> dict[str, Reach]:
    """By customer, all of them; one call however many they are.

    `at` (aware): the day on which a phone must be theirs, in the lender's zone; `rather`: the phone (its digest) that
    is taken where it is among a customer's own, else the first that the lender's line names.
    """
    reaching = Reaching(customers)
    run(*reaching.asked)
    return reaching.found(at=at, rather=rather)


class Reaching:
    """What is `asked` to reach customers, to be run in one call with others, and what was `found`."""

    def __init__(self, customers: Iterable[str]) -> None:
        self._wanted = list(dict.fromkeys(customers))
        self._known = Statement(
            "SELECT customer.external_id, customer.language, customer.version_id, personal.sealed"
            " FROM disputes_customer AS customer"
            " LEFT JOIN disputes_customerpersonal AS personal ON personal.version_id = customer.version_id"
            " WHERE customer.external_id = ANY (%s::text[]) AND customer.version_id IS NOT NULL",
            [self._wanted],
        )
        self._phones = Statement(
            "SELECT customer, digest, first, until FROM disputes_customerphone"
            " WHERE customer = ANY (%s::text[]) AND role = 'own'",
            [self._wanted],
        )
        self.asked = (self._known, self._phones)

    def told(self, *, known: Sequence[tuple[Any, ...]], phones: Sequence[tuple[Any, ...]]) -> None:
        """What was asked in other words than `asked`. `known`: (customer, language, version, sealed); `phones`:
        (customer, digest, first, until) of their own ones, the last two dates or None."""
        self._known.rows, self._phones.rows = list(known), list(phones)

    def language_of(self, customer: str) -> str | None:
        """``zh-hans`` or ``en``; None where the records say neither."""
        return next((language_in(tag) for who, tag, *_ in self._known.rows if who == customer), None)

    def found(self, *, at: datetime, rather: Mapping[str, bytes] | None = None) -> dict[str, Reach]:
        """As `reach_of_customers`."""
        prefer, day = rather or {}, local_day(at, settings.LENDER_TIME_ZONE)
        known = {customer: (language, version, sealed) for customer, language, version, sealed in self._known.rows}
        own: dict[str, set[bytes]] = {}
        for customer, digest, first, until in self._phones.rows:
            if _in_use(first, until, day):
                own.setdefault(customer, set()).add(bytes(digest))
        found = {}
        for customer in self._wanted:
            language, version, sealed = known.get(customer, ("", None, None))
            told = {} if sealed is None else open_personal(sealed, model=CustomerPersonal, version=version)
            numbers = {
                digest: number
                for number in told.get("phones", ())
                if (digest := phone_digest(number)) in own.get(customer, ())
            }
            wish = prefer.get(customer)
            chosen = wish if wish in numbers else next(iter(numbers), None)
            found[customer] = Reach(
                name=told.get("name") or None,
                number=numbers[chosen] if chosen is not None else None,
                digest=chosen,
                email=told["email"] if is_email(told.get("email") or "") else None,
                language=language,
            )
        return found


def _in_use(first: date | None, until: date | None, day: date) -> bool:
    return (first is None or first <= day) and (until is None or day <= until)
