"""Records as the API shows them, JSON-ready."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from config.values.money import render_amount
from config.values.phone import mask_phone
from disputes.check import facts
from disputes.check.account import Account
from disputes.check.rendering import render
from disputes.check.standing import standing
from disputes.records.models import Loan, Message, MessagePersonal
from disputes.records.queries import personal_of, position_of_loan
from disputes.records.reading import FIELDS
from disputes.records.versions import StoredRecord, StoredVersion


def render_record(record: StoredRecord) -> dict[str, Any]:
    """A record with its versions, highest first, each with the fields of its line."""
    return {
        "type": record.type,
        "external_id": record.external_id,
        "void": record.void,
        "versions": [_render_version(record.type, version) for version in record.versions],
        "versions_left_out": record.left_out,
    }


def _render_version(type_: str, version: StoredVersion) -> dict[str, Any]:
    row = version.row
    always = row.posted_at <= facts.ALWAYS
    return {
        "version": None if row.version == facts.NO_VERSION else row.version,
        "posted_at": None if always else _plain(row.posted_at),
        "effective_at": _plain(row.effective_at),
        "received_at": _plain(row.received_at),
        "in_force": version.in_force,
        "erased": version.personal is None and version.has_personal,
        "record": {name: _plain(version.value(name)) for name in FIELDS[type_]},
    }


def _plain(value: Any) -> Any:
    """As it stands in a line: amounts as decimal strings, instants in UTC."""
    if isinstance(value, Decimal):
        return f"{value:f}" if value.as_tuple().exponent == 0 else _trimmed(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


def _trimmed(value: Decimal) -> str:
    """At least two decimals, the third where it says something: "1280.50"."""
    text = f"{value:.3f}"
    return text[:-1] if text.endswith("0") else text


def render_messages(messages: Sequence[Message], *, customer: str) -> list[dict[str, Any]]:
    """Messages as their customer sees them. What was sent to their phone about somebody else's loan names no loan."""
    texts = personal_of(model=MessagePersonal, versions=[message.version_id for message in messages])
    loans = Loan.objects.in_bulk({message.loan for message in messages if message.loan is not None})
    return [_render_message(message, texts.get(message.version_id, {}), loans, customer) for message in messages]


def _render_message(
    message: Message, text: Mapping[str, Any], loans: Mapping[str, Loan], customer: str
) -> dict[str, Any]:
    loan = loans.get(message.loan or "")
    own = loan is not None and loan.customer == customer
    claimed = None
    if own and loan is not None and message.claimed_amount is not None and loan.currency:
        claimed = _money(message.claimed_amount, loan.currency)
    return {
        "id": str(message.pk),
        "external_id": message.external_id,
        "channel": message.channel,
        "category": message.category,
        "sent_at": _plain(message.sent_at),
        "phone": mask_phone(text["phone"]) if text.get("phone") else None,
        "body": text.get("body") or None,
        "short_ref": message.short_ref or None,
        "loan": message.loan if own else None,
        "claimed_amount": claimed,
        "claimed_days_past_due": message.claimed_days_past_due if own else None,
    }


def render_loans(loans: Iterable[Loan], *, at: datetime) -> list[dict[str, Any]]:
    """Loans as their customer sees them in a list: what is overdue and what is next due at `at`."""
    return [_render_loan(loan, at=at) for loan in loans]


def _render_loan(loan: Loan, *, at: datetime) -> dict[str, Any]:
    stands = standing(position=position_of_loan(loan), at=at)
    return {
        "external_id": loan.pk,
        "product": loan.product,
        "currency": loan.currency,
        "days_past_due": stands.days_past_due,
        "overdue_amount": _money(stands.overdue_amount, loan.currency),
        "oldest_unpaid_due_on": _plain(stands.oldest_unpaid_due_on),
        "next_due_on": _plain(stands.next_due_on),
        "next_due_amount": _money(stands.next_due_amount, loan.currency),
        "outstanding": _money(stands.outstanding, loan.currency),
        "settled": stands.settled,
    }


def render_loan(loan: Loan, *, account: Account) -> dict[str, Any]:
    """One loan with its schedule, and its payments with the day they were made and the day they were posted."""
    shown = render(account)
    return {
        **_render_loan(loan, at=account.at),
        "instalments": shown["instalments"],
        "payments": shown["repayments"],
    }


def _money(amount: Decimal, currency: str) -> dict[str, str]:
    return {"amount": render_amount(amount, currency), "currency": currency}
