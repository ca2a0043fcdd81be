"""What holds of every judgement, and the same judgement by a second, slower way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from disputes.check.account import account_at
from disputes.check.facts import (
    ALWAYS,
    Arrangement,
    Claim,
    CollectionMessage,
    History,
    InstalmentVersion,
    LoanVersion,
    SendingRuleVersion,
    Watermark,
)
from disputes.check.judging import judge
from disputes.check.sentences import sentence_of
from disputes.policy.packs import SHIPPED, load_packs
from tests.disputes.check.test_account_properties import book
from tests.disputes.check.worlds import LOAN, days, histories, instants

HOUSE = load_packs(SHIPPED).version("house", "1")
FEEDS = tuple(
    Watermark(feed=feed, complete_until=datetime(2100, 1, 1, tzinfo=UTC), posted_at=ALWAYS)
    for feed in ("repayments", "schedule")
)
rules = st.builds(
    lambda aim, need: SendingRuleVersion(external_id="R", aim=aim, min_dpd=need, posted_at=ALWAYS),
    st.sampled_from(("pre_due", "overdue", "risk")),
    st.one_of(st.none(), st.integers(0, 6)),
)
arrangements = st.builds(
    lambda first, until, kept: Arrangement(first=first, until=until, kept_until=kept),
    days,
    st.one_of(st.none(), days),
    st.one_of(st.none(), days),
)
messages = st.builds(
    CollectionMessage,
    external_id=st.just("M1"),
    loan=st.just(LOAN),
    channel=st.just("sms"),
    category=st.sampled_from(("reminder", "urge", "urge", "warning", "statutory")),
    sent_at=instants,
    list_built_at=st.one_of(st.none(), instants),
    sending_rule=st.sampled_from((None, "R")),
)
grounds = st.sampled_from(("not_overdue", "already_paid", "no_longer_owed"))


def whole(history: History, rule: SendingRuleVersion, kept: list[Arrangement]) -> History:
    """A world in which the loan and a schedule are there, with a rule and arrangements."""
    loans = history.loans or (LoanVersion(external_id=LOAN, customer="C1", currency="CNY", posted_at=ALWAYS),)
    first = InstalmentVersion(
        external_id="i0",
        loan=LOAN,
        number=0,
        due_on=ALWAYS.date().replace(year=2026, month=3),
        amount=Decimal(5),
        posted_at=ALWAYS,
    )
    return replace(
        history,
        loans=tuple(replace(one, arrangements=tuple(kept)) for one in loans),
        instalments=(*history.instalments, first),
        sending_rules=(rule,),
        watermarks=FEEDS,
    )


def slowly(history: History, message: CollectionMessage) -> tuple[str, str | None]:
    """Verdict and cause on a ground about the account, for a message that presupposes arrears: the contract's words one
    by one, on three accounts."""
    at = message.sent_at
    listed_at = min(message.list_built_at or at, at)
    was, listed = (account_at(history=history, at=at, known_at=known).standing for known in (None, listed_at))
    rule = history.sending_rules[0] if message.sending_rule else None
    needs = needed(message, rule)

    def enough(one) -> bool:
        return one.days_past_due >= needs and not (one.within_grace or one.arrangement_kept or one.paused)

    only_too_few = 0 < was.days_past_due < needs and not (was.within_grace or was.arrangement_kept or was.paused)
    found = []
    if listed.settled:
        found.append(("settled_loan", True))
    if enough(listed) and not enough(was):
        found.append(("stale_records", not only_too_few))
    if rule and rule.aim == "risk" and not was.days_past_due:
        found.append(("risk_strategy", True))
    pressed = message.category in ("urge", "warning") and rule and rule.aim == "pre_due" and not was.days_past_due
    if listed.within_grace or listed.arrangement_kept or listed.paused or pressed:
        found.append(("automation_rule", True))
    if was.days_past_due < needs and listed.days_past_due < needs:
        found.append(("system_error", not only_too_few))
    if found:
        return ("customer_right" if any(full for _, full in found) else "partly_right"), found[0][0]
    hour = at.astimezone(ZoneInfo(history.lender_time_zone)).hour
    if message.category != "statutory" and not 8 <= hour < 21:
        return "partly_right", "automation_rule"
    return "lender_right", None


def needed(message: CollectionMessage, rule: SendingRuleVersion | None) -> int:
    needs = [1] if message.category in ("urge", "warning") else []
    if rule and rule.aim == "risk":
        needs.append(1)
    if rule and rule.aim == "overdue":
        needs.append(max(1, rule.min_dpd or 0))
    return max(needs, default=0)


@settings(book, max_examples=200)
@given(histories, rules, st.lists(arrangements, max_size=2), messages, grounds)
def test_the_judgement_agrees_with_the_contracts_words_taken_one_by_one(history, rule, kept, message, ground):
    history = whole(history, rule, kept)
    found = judge(history=history, message=message, claim=Claim(ground=ground), pack=HOUSE)
    rule_sent = rule if message.sending_rule else None
    if needed(message, rule_sent) > 0:
        assert (found.verdict, found.cause) == slowly(history, message)
    was = account_at(history=history, at=message.sent_at).standing
    if needed(message, rule_sent) > 0 and was.days_past_due == 0:
        assert found.verdict == "customer_right"
    assert (found.detail is not None) == (found.cause in ("stale_records", "automation_rule"))
    for finding in found.findings:
        for language in ("en", "zh-hans"):
            assert "{" not in sentence_of(finding.render(), language=language)


@book
@given(histories, rules, messages, grounds)
def test_facts_that_came_after_the_message_and_change_nothing_of_it_leave_it_judged_as_before(
    history, rule, message, ground
):
    history = whole(history, rule, [])
    later = InstalmentVersion(
        external_id="later",
        loan=LOAN,
        number=99,
        due_on=datetime(2027, 1, 1, tzinfo=UTC).date(),
        amount=Decimal(7),
        posted_at=datetime(2026, 12, 1, tzinfo=UTC),
        effective_at=datetime(2026, 12, 1, tzinfo=UTC),
    )
    richer = replace(history, instalments=(*history.instalments, later))
    claim = Claim(ground=ground)
    before = judge(history=history, message=message, claim=claim, pack=HOUSE)
    assert judge(history=richer, message=message, claim=claim, pack=HOUSE) == before
