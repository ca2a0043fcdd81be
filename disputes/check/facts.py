"""What the check is told: versions of records, as frozen values.

A version is one line that the lender's systems sent. `posted_at` is when their records first showed it (`ALWAYS` where
it was always known), `effective_at` since when it is true (None: to be derived, see `account`), `version` their number
(-1: none), `content` the digest that breaks ties. All times are aware; all amounts are Decimal in the loan's currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple

ALWAYS = datetime(1, 1, 1, tzinfo=UTC)
"""The `posted_at` of what was always known."""

NO_VERSION = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """What every version of a record has."""

    external_id: str
    version: int = NO_VERSION
    posted_at: datetime
    effective_at: datetime | None = None
    content: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """A pause: its first and last day (both included; `until` None: open)."""

    first: date
    until: date | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrangement:
    """An agreement to pay later: its days, and the last day on which it was kept (None: not broken)."""

    first: date
    until: date | None
    kept_until: date | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LoanVersion(Version):
    customer: str
    product: str = ""
    currency: str
    principal: Decimal | None = None
    opened_on: date | None = None
    time_zone: str | None = None
    """IANA name; None: the lender's."""
    grace_days: int = 0
    tolerance: Decimal = Decimal(0)
    allocation: tuple[str, ...] = ()
    """Order inside an instalment, of ``principal interest fees penalties``; empty: penalties, fees, interest,
    principal."""
    settled_on: date | None = None
    written_off_on: date | None = None
    pauses: tuple[Period, ...] = ()
    arrangements: tuple[Arrangement, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class InstalmentVersion(Version):
    loan: str
    number: int
    due_on: date
    amount: Decimal
    principal: Decimal | None = None
    interest: Decimal | None = None
    fees: Decimal | None = None
    penalties: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RepaymentVersion(Version):
    loan: str
    amount: Decimal
    paid_at: datetime
    """The value date. A line that named only a date was turned into the start of that day in the loan's zone on
    reading."""
    method: str = ""
    reference: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReversalVersion(Version):
    repayment: str
    reversed_at: datetime
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SendingRuleVersion(Version):
    name: str = ""
    aim: str
    """``pre_due``  ``overdue`` or ``risk``."""
    min_dpd: int | None = None
    owner: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerPhone:
    """A phone of one version of a customer: its keyed digest in hex, whose it is (``own`` ``contact``), and its days
    (`until` included; None: open)."""

    digest: str
    role: str
    first: date | None = None
    until: date | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerVersion(Version):
    """What of a customer bears on a message. `preferences`: the person's own windows as JSON text, empty: none."""

    time_zones: tuple[str, ...] = ()
    preferences: str = ""
    phones: tuple[CustomerPhone, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SentMessage:
    """Another message that reached the same phone, or was about a loan of the same customer.

    `customer`: the loan's owner as known now. `phone`: keyed digest in hex. `text`: keyed digest in hex of the words
    without the reference that they show (empty: not known).
    """

    external_id: str
    sent_at: datetime
    loan: str | None
    customer: str | None
    phone: str
    channel: str
    category: str
    sending_rule: str | None = None
    campaign: str = ""
    text: str = ""
    claimed_amount: Decimal | None = None
    claimed_days_past_due: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PermitFact:
    """The permit that a message names, as the gate granted it.

    `used_by`: the external id of the message that brought it first; `reply_to`: the person's own message that it
    answers.
    """

    id: str
    granted_at: datetime
    expires_at: datetime
    phone: str
    loan: str | None
    channel: str
    category: str
    used_by: str | None = None
    unused_at: datetime | None = None
    reply_to: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StandingHold:
    """A hold that covered a message and stood when it was sent, and that stops its category. `since`: from when on it
    covered it."""

    id: str
    source: str
    reason: str
    since: datetime
    released_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class VoidVersion(Version):
    """The target never was, as known from `posted_at` on."""

    target_type: str
    target: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Watermark:
    """A feed (``repayments`` ``schedule`` ``messages``) is complete up to `complete_until`, as known from `posted_at`
    on."""

    feed: str
    complete_until: datetime
    posted_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """All that is known today of one loan, every version of every record that ever named it, in any order; and, where
    a message is judged, what bears on its sending.

    `customers`: every version of every customer whose loan it ever was; `sent`: other messages to the same phone or
    about the same customer's loans, back to the instant that the policy's caps look to; `permits`: of the permit that
    the message names; `holds`: those that stood over it when it was sent; `gate_required_from`: since when the lender
    sends nothing without a permit (None: it may).
    """

    loan: str
    lender_time_zone: str
    loans: tuple[LoanVersion, ...] = ()
    instalments: tuple[InstalmentVersion, ...] = ()
    repayments: tuple[RepaymentVersion, ...] = ()
    reversals: tuple[ReversalVersion, ...] = ()
    sending_rules: tuple[SendingRuleVersion, ...] = ()
    voids: tuple[VoidVersion, ...] = ()
    watermarks: tuple[Watermark, ...] = ()
    customers: tuple[CustomerVersion, ...] = ()
    sent: tuple[SentMessage, ...] = ()
    permits: tuple[PermitFact, ...] = ()
    holds: tuple[StandingHold, ...] = ()
    gate_required_from: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectionMessage:
    """A message as it went out."""

    external_id: str
    loan: str | None
    channel: str
    category: str
    """``reminder`` ``urge`` ``warning`` ``statutory`` ``service`` ``survey``."""
    sent_at: datetime
    list_built_at: datetime | None = None
    """When the sender's list was made; None: at `sent_at`."""
    sending_rule: str | None = None
    campaign: str = ""
    vendor: str = ""
    claimed_amount: Decimal | None = None
    claimed_days_past_due: int | None = None
    permit: str | None = None
    phone: str | None = None
    """Keyed digest in hex; None: not known."""
    text: str = ""
    """As in `SentMessage`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedPayment:
    """A payment that the customer says they made."""

    amount: Decimal
    currency: str
    paid_on: date
    reference: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What the customer says."""

    ground: str
    claimed_payments: tuple[ClaimedPayment, ...] = ()


class Position(NamedTuple):
    """An account as the records know it now, as the gate keeps it: it stores nothing that ages.

    `due_on`, `amounts`: of each instalment of the schedule in force, as a rule oldest first; `paid`: the sum of the
    repayments that stand.
    """

    currency: str
    time_zone: str
    grace_days: int = 0
    tolerance: Decimal = Decimal(0)
    settled_on: date | None = None
    written_off_on: date | None = None
    pauses: tuple[Period, ...] = ()
    arrangements: tuple[Arrangement, ...] = ()
    due_on: tuple[date, ...] = ()
    amounts: tuple[Decimal, ...] = ()
    paid: Decimal = Decimal(0)


GROUNDS = (
    "not_overdue",
    "already_paid",
    "wrong_amount",
    "no_longer_owed",
    "not_my_debt",
    "identity_theft",
    "too_frequent",
    "outside_hours",
    "third_party_contacted",
    "agent_conduct",
    "other",
)
ACCOUNT_GROUNDS = frozenset({"not_overdue", "already_paid", "wrong_amount", "no_longer_owed"})
CATEGORIES = ("reminder", "urge", "warning", "statutory", "service", "survey")
