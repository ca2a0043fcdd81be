"""The letter that tells how a dispute was closed: pure data, for a page, a print or a program to show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from disputes.cases.letter_texts import TEXTS, Texts, punctuated
from disputes.cases.lifecycle import FOUND_RIGHT, is_wrong_number
from disputes.cases.models import Check, Decision, DecisionState, Dispute, Outcome, Status
from disputes.cases.queries import SILENT_GROUNDS
from disputes.check.facts import ACCOUNT_GROUNDS
from disputes.check.sentences import sentence_of, written_day, written_money
from disputes.check.texts import UNSETTLED
from disputes.holds.policies import pack_in_force

UNANSWERED = UNSETTLED
"""Findings that say that a person will look: by the letter, one has."""

DECIDED = FOUND_RIGHT | {Outcome.REJECTED}


class NoLetterYet(Exception):
    """The dispute is not closed (409)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One dated fact: what it is, and how it was, both in the letter's language."""

    label: str
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A letter in one language (``zh-hans`` or ``en``). Days and times are the lender's local ones.

    `labels`: the headings, by what they stand over. `words`: what whoever decided wrote to the customer. `silent`: it
    says nothing of a debt, its owner or a message's content, so that anybody may read it; then `facts` and `words` are
    empty.
    """

    language: str
    lender: str
    reference: str
    opened_on: str
    decided_on: str
    decision: str
    facts: tuple[Fact, ...]
    reasons: tuple[str, ...]
    words: str
    messages: str
    appeal: tuple[str, ...]
    ways: tuple[str, ...]
    labels: Mapping[str, str]
    silent: bool


def is_silent(dispute: Dispute) -> bool:
    """Whether the letter must not speak of the debt: the person says that it is not theirs, or is not the customer
    whose loan it is (a person who has only the phone is nobody's customer)."""
    return dispute.ground in SILENT_GROUNDS or dispute.customer is None or not dispute.owns_loan


def letter_of(*, dispute: Dispute, language: str | None = None) -> Letter:
    """The letter of a closed dispute, in its own language or in the one asked for. Two queries at most beside the
    dispute's check. Raises NoLetterYet while it is open.

    What a letter must hold in mainland China (findings, basis, reasons, the ways on) is art. 19 of CBIRC order 2020
    no. 3; which ways it names is the pack's that was in force when the dispute was closed.
    """
    if dispute.status != Status.CLOSED or dispute.closed_at is None:
        raise NoLetterYet()
    known: str = language if language is not None and language in TEXTS else dispute.language
    texts = TEXTS[known]
    silent = is_silent(dispute)
    decision = _decision(dispute)
    decided = dispute.outcome in DECIDED
    return Letter(
        language=known,
        lender=settings.LENDER_NAME,
        reference=dispute.reference,
        opened_on=_day(dispute.opened_at, known),
        decided_on=_day(dispute.closed_at, known),
        decision=texts[f"silent.{dispute.outcome}" if silent else str(dispute.outcome)],
        facts=() if silent or not decided else tuple(_facts(dispute, known)),
        reasons=tuple(_reasons(dispute, decision, known, silent=silent)) if decided else (),
        words=decision.explanation if decision is not None and not silent else "",
        messages=_messages(dispute, texts, silent=silent),
        appeal=tuple(_appeal(dispute, texts, silent=silent)) if decided else (),
        ways=tuple(punctuated(way.text(known), known) for way in pack_in_force(at=dispute.closed_at).letter_ways)
        if decided
        else (),
        labels=texts,
        silent=silent,
    )


def _decision(dispute: Dispute) -> Decision | None:
    """The person's decision that closed the dispute; None where the machine did, or the customer."""
    if not dispute.closed_by_person:
        return None
    return Decision.objects.filter(dispute=dispute, state=DecisionState.FINAL).order_by("-id").first()


def _day(at: datetime, language: str) -> str:
    return written_day(at.astimezone(ZoneInfo(settings.LENDER_TIME_ZONE)).date(), language)


def _facts(dispute: Dispute, language: str) -> Iterator[Fact]:
    """The message, and the account on both clocks where the ground is about the account."""
    texts, check = TEXTS[language], dispute.last_check
    if dispute.message is not None and dispute.message.sent_at is not None:
        sent = dispute.message.sent_at
        clock = sent.astimezone(ZoneInfo(settings.LENDER_TIME_ZONE)).strftime("%H:%M")
        yield Fact(label=texts["fact.message"], value=f"{_day(sent, language)} {clock}")
    if check is None:
        return
    if check.facts and dispute.ground in ACCOUNT_GROUNDS:
        yield from _account(check.facts, language, today=not _overruled(dispute))
    yield Fact(label=texts["fact.checked"], value=_day(check.checked_at, language))


def _overruled(dispute: Dispute) -> bool:
    """Whether a person found the customer right where the records do not: what those show today the outcome does not
    rest on, and a letter that named it would contradict itself."""
    check = dispute.last_check
    found = check is not None and check.verdict == "customer_right"
    return dispute.closed_by_person and dispute.outcome == Outcome.UPHELD and not found


def _account(facts: Mapping[str, Any], language: str, *, today: bool) -> Iterator[Fact]:
    texts = TEXTS[language]
    for clock, ending in (("as_it_was", ""), ("as_known", "_known")):
        account = facts.get(clock)
        if account is None or (clock == "as_it_was" and not today):
            continue
        count = account["days_past_due"]
        days = texts["one_day"] if count == 1 else texts["days"].format(count=count)
        yield Fact(label=texts[f"fact.days{ending}"], value=days)
        yield Fact(label=texts[f"fact.overdue{ending}"], value=written_money(account["overdue_amount"], language))


def _reasons(dispute: Dispute, decision: Decision | None, language: str, *, silent: bool) -> Iterator[str]:
    """The reason of whoever decided, then what the check found; of that, nothing that speaks against the customer where
    the records alone decided for them, or a person did against the records."""
    texts = TEXTS[language]
    if silent:
        yield texts[f"silent.reason.{dispute.outcome}"]
        return
    yield texts[f"reason.{decision.reason if decision is not None else 'automatic'}"]
    yield from _findings(dispute.last_check, language, whole=dispute.closed_by_person and not _overruled(dispute))


def _findings(check: Check | None, language: str, *, whole: bool) -> Iterator[str]:
    for finding in check.findings if check is not None else ():
        if finding["text"] not in UNANSWERED and (whole or finding["speaks_for"] != "lender"):
            yield punctuated(sentence_of(finding, language=language), language)


def _messages(dispute: Dispute, texts: Texts, *, silent: bool) -> str:
    """What happens to messages now: the rules by which a hold ends, in words."""
    if dispute.outcome in (Outcome.WITHDRAWN, Outcome.MERGED):
        return texts[f"messages.{dispute.outcome}"]
    before = "silent." if silent else ""
    if dispute.outcome == Outcome.REJECTED:
        hours = pack_in_force(at=dispute.closed_at).resume_after_hours if dispute.closed_at else 0
        return texts[f"{before}messages.rejected"].format(hours=hours)
    if is_wrong_number(dispute, outcome=dispute.outcome):
        return texts["messages.number"]
    if dispute.awaits_correction and not silent:
        return texts["messages.uncorrected"]
    return texts[f"{before}messages.upheld"]


def _appeal(dispute: Dispute, texts: Texts, *, silent: bool) -> Iterator[str]:
    """Who got all that they asked for has nothing to appeal, and who has appealed cannot again."""
    if dispute.outcome == Outcome.UPHELD or dispute.appealed_at is not None:
        return
    yield texts["appeal.once"].format(reference=dispute.reference)
    yield texts["silent.appeal.evidence" if silent else "appeal.evidence"]
