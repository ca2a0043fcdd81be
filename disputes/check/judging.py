"""Judging one message: facts in, verdict, cause, facts and findings out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from disputes.check.account import account_of, render, render_instant
from disputes.check.canonical import load_input
from disputes.check.causes import TOO_FEW_DAYS, causes_of, too_few_days
from disputes.check.contacting import contacts_tell
from disputes.check.criteria import findings_of
from disputes.check.facts import Claim, CollectionMessage, History
from disputes.check.finding import Finding
from disputes.check.matter import matter_of
from disputes.check.verdict import decide
from disputes.policy.packs import Pack, Packs

ENGINE_VERSION = "3"
"""Changes whenever the same input could be judged otherwise than before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """`verdict`: ``customer_right`` ``partly_right`` ``lender_right`` ``inconclusive``; `cause`, `detail`: None where
    there is none; `facts`: ``{"at", "as_it_was", "as_known"}``, JSON-ready."""

    verdict: str
    cause: str | None
    detail: str | None
    facts: dict[str, Any]
    findings: tuple[Finding, ...]

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


def judge(*, history: History, message: CollectionMessage, claim: Claim, pack: Pack) -> Judgement:
    """Judges `message` against everything that `history` knows, by the pack in force when it was sent.

    Depends on its arguments alone: not on the order of versions, and not on when it runs.
    """
    matter = matter_of(history=history, message=message, claim=claim, pack=pack)
    holding = causes_of(matter)
    verdict = decide(
        ground=claim.ground,
        holding=holding,
        tells=matter.tells,
        fresh=not matter.behind,
        contacts_tell=claim.ground != "too_frequent" or contacts_tell(matter),
        claims_something=message.claimed_amount is not None or message.claimed_days_past_due is not None,
        too_few_days=any(cause.in_part == TOO_FEW_DAYS for cause in holding) and too_few_days(matter),
    )
    cause = verdict.cause
    as_it_was = render(account_of(matter.was.view))
    return Judgement(
        verdict=verdict.verdict,
        cause=cause.name if cause is not None else None,
        detail=cause.detail_of(matter) if cause is not None else None,
        facts={
            "at": render_instant(message.sent_at),
            "as_it_was": as_it_was,
            "as_known": as_it_was if matter.sent is matter.was else render(account_of(matter.sent.view)),
        },
        findings=findings_of(matter),
    )


def judge_stored(*, text: bytes, packs: Packs) -> Judgement:
    """Judges the stored input of a check again, by the pack and version that it names.

    With the same engine and the same packs the answer is the same as then. Raises UnreadableInput; KeyError where that
    version of the pack is not there any more.
    """
    stored = load_input(text)
    pack = packs.version(stored.pack_name, stored.pack_version)
    return judge(history=stored.history, message=stored.message, claim=stored.claim, pack=pack)
