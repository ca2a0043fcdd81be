"""How customers are reached: their own number as known now, their e-mail, their name and language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from django.conf import settings

from config.fields import phone_digest
from config.values.email import is_email
from disputes.check.standing import local_day
from disputes.records.models import Customer, CustomerPersonal, CustomerPhone
from disputes.records.queries import personal_of


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
    """By customer, all of them; three queries however many they are.

    `at` (aware): the day on which a phone must be theirs, in the lender's zone; `rather`: the phone (its digest) that
    is taken where it is among a customer's own, else the first that the lender's line names.
    """
    wanted, prefer = list(dict.fromkeys(customers)), rather or {}
    day = local_day(at, settings.LENDER_TIME_ZONE)
    rows = {row.external_id: row for row in Customer.objects.filter(pk__in=wanted, version_id__isnull=False)}
    own: dict[str, set[bytes]] = {}
    for phone in CustomerPhone.objects.filter(customer__in=wanted, role="own"):
        if _in_use(phone.first, phone.until, day):
            own.setdefault(phone.customer, set()).add(bytes(phone.digest))
    personal = personal_of(model=CustomerPersonal, versions=[row.version_id for row in rows.values() if row.version_id])
    found = {}
    for customer in wanted:
        row = rows.get(customer)
        told = personal.get(row.version_id, {}) if row is not None and row.version_id else {}
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
            language=row.language if row is not None else "",
        )
    return found


def _in_use(first: date | None, until: date | None, day: date) -> bool:
    return (first is None or first <= day) and (until is None or day <= until)
