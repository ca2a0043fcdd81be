"""A book of accounts: one small table of text, and one parser for all of them.

    loan        grace 3  tolerance 1.00  zone Asia/Shanghai  settled 2026-03-01  written_off 2026-04-01
    loan        paused 2026-03-11/2026-03-20,2026-04-01/open  arranged 2026-03-11/2026-03-20
    due 1       2026-03-10  1000.00
    paid p1     2026-03-09  1000.00  posted 2026-03-12
    reversed p1 2026-03-15  posted 2026-03-16
    pause       2026-03-11 2026-03-20
    arrangement 2026-03-11 2026-03-20  kept 2026-03-15
    rule R      overdue  min 3
    watermark   repayments 2026-03-12
    void v1     repayment p1  posted 2026-03-13
    message     urge 2026-03-12T10:00  list 2026-03-11T20:00  rule R  claims 1000.00  days 2

Whom it reached, what else was sent and with what leave:

    customer C1 zones Asia/Shanghai,Asia/Tokyo  blocked 12:00-14:00  agreed 21:00-23:00
    phone C1    own P1  from 2026-01-01  until 2026-06-30
    sent S1     2026-03-12T08:00  phone P1  category urge  text T1  rule R  customer C1  loan L2
    permit K1   2026-03-12T09:59  seconds 60  phone P1  used_by M0  unused 2026-03-12T10:05  reply_to Q1
    hold H1     2026-03-12T09:00  released 2026-03-12T12:00
    gate        2026-03-01
    message     urge 2026-03-12T10:00  phone P1  text T1  permit K1  loan none

What was sent and a permit are about L1, and urges by SMS, where they name nothing else; a phone belongs to every
version of its customer. A time without a zone is local to the loan; a bare date is its start. What names no `posted`
was always known; `version` and `effective` may stand on any record, and the same record may come more than once. A
`pause` and an `arrangement` belong to every version of the loan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from json import dumps
from typing import Any
from zoneinfo import ZoneInfo

from disputes.check.facts import (
    ALWAYS,
    NO_VERSION,
    Arrangement,
    Claim,
    ClaimedPayment,
    CollectionMessage,
    CustomerPhone,
    CustomerVersion,
    History,
    InstalmentVersion,
    LoanVersion,
    Period,
    PermitFact,
    RepaymentVersion,
    ReversalVersion,
    SendingRuleVersion,
    SentMessage,
    StandingHold,
    VoidVersion,
    Watermark,
)

LOAN = "L1"
POSITIONALS = {"loan": 0, "due": 3, "paid": 3, "reversed": 2, "pause": 2, "arrangement": 2, "rule": 2, "watermark": 2}
POSITIONALS |= {"void": 3, "message": 2}
POSITIONALS |= {"customer": 1, "phone": 3, "sent": 2, "permit": 2, "hold": 2, "gate": 1}


@dataclass(frozen=True, kw_only=True, slots=True)
class Book:
    history: History
    messages: tuple[CollectionMessage, ...]
    zone: ZoneInfo

    @property
    def message(self) -> CollectionMessage:
        return self.messages[0]

    def at(self, text: str) -> datetime:
        return read_at(text, self.zone)


def read_at(text: str, zone: ZoneInfo) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=zone)


def read_book(text: str, *, zone: str = "Asia/Shanghai", watermarks: bool = True) -> Book:
    """The book of `text`. `watermarks`: the two feeds that days past due hang on are complete for ever."""
    rows = [_read_row(line) for line in text.strip().splitlines() if line.strip() and not line.strip().startswith("#")]
    loan_zone = next((options["zone"] for kind, _, options in rows if kind == "loan" and "zone" in options), zone)
    local = ZoneInfo(loan_zone)
    kinds: dict[str, list[Any]] = {kind: [] for kind in POSITIONALS}
    periods = {
        kind: tuple(_period(kind, words, options) for k, words, options in rows if k == kind)
        for kind in ("pause", "arrangement")
    }
    phones = [(words[0], _phone(words, options)) for kind, words, options in rows if kind == "phone"]
    for number, (kind, words, options) in enumerate(rows):
        if kind not in ("pause", "arrangement", "phone"):
            kinds[kind].append(_record(kind, words, options, local, number))
    if not any(kind == "loan" for kind, _, _ in rows):
        kinds["loan"].append(_record("loan", [], {"zone": loan_zone}, local, 0))
    kinds["loan"] = [
        replace(
            one,
            pauses=(*one.pauses, *periods["pause"]),
            arrangements=(*one.arrangements, *periods["arrangement"]),
        )
        for one in kinds["loan"]
    ]
    if watermarks:
        for feed in ("repayments", "schedule"):
            kinds["watermark"].append(
                Watermark(feed=feed, complete_until=read_at("2100-01-01", local), posted_at=ALWAYS)
            )
    history = History(
        loan=LOAN,
        lender_time_zone=zone,
        loans=tuple(kinds["loan"]),
        instalments=tuple(kinds["due"]),
        repayments=tuple(kinds["paid"]),
        reversals=tuple(kinds["reversed"]),
        sending_rules=tuple(kinds["rule"]),
        voids=tuple(kinds["void"]),
        watermarks=tuple(kinds["watermark"]),
        customers=tuple(
            replace(one, phones=tuple(phone for whose, phone in phones if whose == one.external_id))
            for one in kinds["customer"]
        ),
        sent=tuple(kinds["sent"]),
        permits=tuple(kinds["permit"]),
        holds=tuple(kinds["hold"]),
        gate_required_from=kinds["gate"][0] if kinds["gate"] else None,
    )
    return Book(history=history, messages=tuple(kinds["message"]), zone=local)


def _read_row(line: str) -> tuple[str, list[str], dict[str, str]]:
    kind, *words = line.split()
    count = POSITIONALS[kind]
    rest = words[count:]
    assert len(words) >= count, f"too short: {line!r}"
    assert len(rest) % 2 == 0, f"an option without a value: {line!r}"
    return kind, words[:count], dict(zip(rest[::2], rest[1::2], strict=True))


def _period(kind: str, words: list[str], options: dict[str, str]) -> Period | Arrangement:
    first, until = date.fromisoformat(words[0]), None if words[1] == "open" else date.fromisoformat(words[1])
    if kind == "pause":
        return Period(first=first, until=until)
    kept = date.fromisoformat(options["kept"]) if "kept" in options else None
    return Arrangement(first=first, until=until, kept_until=kept)


def _record(kind: str, words: list[str], options: dict[str, str], zone: ZoneInfo, number: int) -> Any:
    stamps: dict[str, Any] = {
        "version": int(options.get("version", NO_VERSION)),
        "posted_at": read_at(options["posted"], zone) if "posted" in options else ALWAYS,
        "effective_at": read_at(options["effective"], zone) if "effective" in options else None,
        "content": f"{number:04}".encode(),
    }
    match kind:
        case "loan":
            return LoanVersion(
                external_id=LOAN,
                customer=options.get("customer", "C1"),
                currency=options.get("currency", "CNY"),
                time_zone=options.get("zone"),
                grace_days=int(options.get("grace", 0)),
                tolerance=Decimal(options.get("tolerance", "0")),
                allocation=tuple(options.get("order", "").split(",")) if "order" in options else (),
                settled_on=_day(options.get("settled")),
                written_off_on=_day(options.get("written_off")),
                pauses=tuple(_period("pause", span.split("/"), {}) for span in _spans(options, "paused")),
                arrangements=tuple(_period("arrangement", span.split("/"), {}) for span in _spans(options, "arranged")),
                **stamps,
            )
        case "due":
            parts: dict[str, Any] = {
                part: Decimal(options[part])
                for part in ("principal", "interest", "fees", "penalties")
                if part in options
            }
            return InstalmentVersion(
                external_id=options.get("id", f"i{words[0]}"),
                loan=options.get("loan", LOAN),
                number=int(words[0]),
                due_on=date.fromisoformat(words[1]),
                amount=Decimal(words[2]),
                **parts,
                **stamps,
            )
        case "paid":
            return RepaymentVersion(
                external_id=words[0],
                loan=options.get("loan", LOAN),
                paid_at=read_at(words[1], zone),
                amount=Decimal(words[2]),
                reference=options.get("reference", ""),
                **stamps,
            )
        case "reversed":
            return ReversalVersion(
                external_id=options.get("id", f"r-{words[0]}"),
                repayment=words[0],
                reversed_at=read_at(words[1], zone),
                **stamps,
            )
        case "rule":
            need = int(options["min"]) if "min" in options else None
            return SendingRuleVersion(external_id=words[0], aim=words[1], min_dpd=need, **stamps)
        case "void":
            return VoidVersion(external_id=words[0], target_type=words[1], target=words[2], **stamps)
        case "watermark":
            return Watermark(feed=words[0], complete_until=read_at(words[1], zone), posted_at=stamps["posted_at"])
        case "customer":
            return CustomerVersion(
                external_id=words[0],
                time_zones=tuple(options["zones"].split(",")) if "zones" in options else (),
                preferences=_wishes(options),
                **stamps,
            )
        case "sent":
            return _sent(words, options, zone)
        case "permit":
            return _permit(words, options, zone)
        case "hold":
            return StandingHold(
                id=words[0],
                source="dispute",
                reason="dispute_pending",
                since=read_at(words[1], zone),
                released_at=read_at(options["released"], zone) if "released" in options else None,
            )
        case "gate":
            return read_at(words[0], zone)
        case _:
            return _message(words, options, zone)


def _phone(words: list[str], options: dict[str, str]) -> CustomerPhone:
    return CustomerPhone(
        digest=words[2], role=words[1], first=_day(options.get("from")), until=_day(options.get("until"))
    )


def _spans(options: dict[str, str], name: str) -> list[str]:
    return options[name].split(",") if name in options else []


def _wishes(options: dict[str, str]) -> str:
    wishes = {}
    for kind in ("blocked", "agreed"):
        if kind in options:
            first, until = options[kind].split("-")
            wishes[kind] = [{"from": first, "until": until}]
    return dumps(wishes) if wishes else ""


def _loan(options: dict[str, str]) -> str | None:
    named = options.get("loan", LOAN)
    return None if named == "none" else named


def _sent(words: list[str], options: dict[str, str], zone: ZoneInfo) -> SentMessage:
    return SentMessage(
        external_id=words[0],
        sent_at=read_at(words[1], zone),
        loan=_loan(options),
        customer=options.get("customer", "C1"),
        phone=options.get("phone", ""),
        channel=options.get("channel", "sms"),
        category=options.get("category", "urge"),
        sending_rule=options.get("rule"),
        campaign=options.get("campaign", ""),
        text=options.get("text", ""),
        claimed_amount=Decimal(options["claims"]) if "claims" in options else None,
        claimed_days_past_due=int(options["days"]) if "days" in options else None,
    )


def _permit(words: list[str], options: dict[str, str], zone: ZoneInfo) -> PermitFact:
    granted_at = read_at(words[1], zone)
    return PermitFact(
        id=words[0],
        granted_at=granted_at,
        expires_at=granted_at + timedelta(seconds=int(options.get("seconds", 60))),
        phone=options.get("phone", "P1"),
        loan=_loan(options),
        channel=options.get("channel", "sms"),
        category=options.get("category", "urge"),
        used_by=options.get("used_by"),
        unused_at=read_at(options["unused"], zone) if "unused" in options else None,
        reply_to=options.get("reply_to"),
    )


def _message(words: list[str], options: dict[str, str], zone: ZoneInfo) -> CollectionMessage:
    return CollectionMessage(
        external_id=options.get("id", "M1"),
        loan=_loan(options),
        channel=options.get("channel", "sms"),
        category=words[0],
        sent_at=read_at(words[1], zone),
        list_built_at=read_at(options["list"], zone) if "list" in options else None,
        sending_rule=options.get("rule"),
        claimed_amount=Decimal(options["claims"]) if "claims" in options else None,
        claimed_days_past_due=int(options["days"]) if "days" in options else None,
        campaign=options.get("campaign", ""),
        permit=options.get("permit"),
        phone=options.get("phone"),
        text=options.get("text", ""),
    )


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def claim(ground: str, *payments: str, currency: str = "CNY") -> Claim:
    """A claim; each payment is ``"2026-03-09 1000.00 REF"``."""
    rows = [payment.split() for payment in payments]
    return Claim(
        ground=ground,
        claimed_payments=tuple(
            ClaimedPayment(
                paid_on=date.fromisoformat(row[0]),
                amount=Decimal(row[1]),
                currency=currency,
                reference=row[2] if len(row) > 2 else "",
            )
            for row in rows
        ),
    )


def end_of(day: str, zone: ZoneInfo) -> datetime:
    """The last microsecond of a local day."""
    return read_at(day, zone) + timedelta(days=1) - timedelta(microseconds=1)
