"""Judging one message: facts in, verdict, cause, facts and findings out."""

from __future__ import annotations

from typing import Any

from disputes.check.canonical import load_input
from disputes.check.causes import THE_SENDING, TOO_FEW_DAYS, causes_of, too_few_days
from disputes.check.clocks import clocks_by_version
from disputes.check.contacting import contacts_tell
from disputes.check.criteria import findings_of
from disputes.check.facts import Claim, CollectionMessage, History
from disputes.check.finding import Finding
from disputes.check.matter import Matter, list_of, matter_of
from disputes.check.presence import ACCOUNT, EVERYTHING, REPROACHED, bears_on
from disputes.check.rendering import render_clocks, render_instant
from disputes.check.verdict import decide
from disputes.policy.packs import Pack, Packs

ENGINE_VERSION = "3"
"""Changes whenever the same input could be judged otherwise than before."""


class Judgement:
    """`verdict`: ``customer_right`` ``partly_right`` ``lender_right`` ``inconclusive``; `cause`, `detail`: None where
    there is none."""

    __slots__ = ("_facts", "_matter", "cause", "detail", "findings", "verdict")

    def __init__(
        self, verdict: str, cause: str | None, detail: str | None, findings: tuple[Finding, ...], matter: Matter
    ) -> None:
        self.verdict = verdict
        self.cause = cause
        self.detail = detail
        self.findings = findings
        self._matter = matter
        self._facts: dict[str, Any] | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """``{"at", "as_it_was", "as_known"}``, JSON-ready: the two ACCOUNTs, rendered when somebody asks first."""
        if self._facts is None:
            was, sent = self._matter.was, self._matter.sent
            as_it_was, as_known = render_clocks(was, sent)
            self._facts = {
                "at": render_instant(self._matter.message.sent_at),
                "as_it_was": as_it_was,
                "as_known": as_known,
            }
        return self._facts

    def render(self) -> dict[str, Any]:
        """JSON-ready, the same for the same input for ever."""
        return {
            "engine_version": ENGINE_VERSION,
            "verdict": self.verdict,
            "cause": self.cause,
            "detail": self.detail,
            "facts": self.facts,
            "findings": [finding.render() for finding in self.findings],
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Judgement) and self.render() == other.render()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Judgement({self.render()})"


def judge(*, history: History, message: CollectionMessage, claim: Claim, pack: Pack) -> Judgement:
    """Judges `message` against everything that `history` knows, by the pack in force when it was sent.

    Depends on its arguments alone: not on the order of versions, and not on when it runs.
    """
    matter = matter_of(history=history, message=message, claim=claim, pack=pack)
    return _judged(matter, bears_on(matter))


def judge_slowly(*, history: History, message: CollectionMessage, claim: Claim, pack: Pack) -> Judgement:
    """The same judgement the long way, to which `judge` is held: every version of every record is looked at on each
    clock, and every cause and criterion is asked."""
    clocks = clocks_by_version(history=history, at=message.sent_at, listed_at=list_of(message))
    matter = Matter(history=history, message=message, claim=claim, pack=pack, clocks=clocks)
    return _judged(matter, EVERYTHING if matter.tells else EVERYTHING & ~ACCOUNT)


def _judged(matter: Matter, bits: int) -> Judgement:
    claim, message = matter.claim, matter.message
    holding = causes_of(matter, bits)
    in_part = False
    for cause in holding:
        if cause.in_part == TOO_FEW_DAYS:
            in_part = True
        if cause.rests_on == THE_SENDING:
            bits |= REPROACHED
    verdict, named = decide(
        ground=claim.ground,
        holding=holding,
        tells=matter.tells,
        fresh=not matter.behind,
        contacts_tell=claim.ground != "too_frequent" or contacts_tell(matter),
        claims_something=message.claimed_amount is not None or message.claimed_days_past_due is not None,
        too_few_days=in_part and too_few_days(matter),
    )
    findings = findings_of(matter, bits)
    if named is None:
        return Judgement(verdict, None, None, findings, matter)
    return Judgement(verdict, named.name, named.detail_of(matter), findings, matter)


def judge_stored(*, text: bytes, packs: Packs) -> Judgement:
    """Judges the stored input of a check again, by the pack and version that it names.

    With the same engine and the same packs the answer is the same as then. Raises UnreadableInput; KeyError where that
    version of the pack is not there any more.
    """
    stored = load_input(text)
    pack = packs.version(stored.pack_name, stored.pack_version)
    return judge(history=stored.history, message=stored.message, claim=stored.claim, pack=pack)
