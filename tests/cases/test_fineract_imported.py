"""The same accounts, loaded through the import and judged through the check's public function."""

from __future__ import annotations

import random
from typing import Any

import pytest

from disputes.check.account import account_at
from disputes.check.facts import Claim, CollectionMessage
from disputes.check.judging import Judgement, judge
from disputes.check.standing import standing
from disputes.policy.packs import SHIPPED, load_packs
from disputes.records.models import Loan
from disputes.records.queries import histories, position_of_loan
from tests.cases.figures import SILENT, disagreements
from tests.cases.fineract import case_lines, cases, end_of, loan_of, start_of
from tests.lines import send_records

pytestmark = pytest.mark.django_db

HOUSE = load_packs(SHIPPED).version("house", "1")


def judged(history: Any, day: str) -> Judgement:
    """What the check says of an urge sent at the end of the day."""
    message = CollectionMessage(external_id="M", loan=history.loan, channel="sms", category="urge", sent_at=end_of(day))
    return judge(history=history, message=message, claim=Claim(ground="not_overdue"), pack=HOUSE)


def rendered(moment: dict[str, Any], shown: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """(figure, expected, shown) of every figure of the moment that the ACCOUNT of a check shows otherwise."""
    lines = shown["instalments"]
    amounts = {
        "overdue_amount": shown["overdue_amount"]["amount"],
        "outstanding_total": shown["outstanding"]["amount"],
        "overpaid": shown["overpaid"]["amount"],
    }
    found = {
        "days_past_due": shown["days_past_due"],
        "delinquent_days": shown["delinquent_days"],
        "oldest_unpaid_due_on": shown["oldest_unpaid_due_on"] or "none",
        "outstanding_by_instalment": [line["outstanding"]["amount"] for line in lines],
        "paid_by_instalment": [line["paid"]["amount"] for line in lines],
        "paid_off_on_by_instalment": [line["paid_off_on"] for line in lines],
        **amounts,
    }
    return [
        (name, moment[name], ours)
        for name, ours in found.items()
        if moment.get(name) is not None and moment[name] != ours
    ]


def test_every_figure_is_met_after_an_import_in_any_order():
    lines = [line for case in cases() for line in case_lines(case)]
    random.Random(7).shuffle(lines)
    send_records(*lines)
    stored = histories(loans=map(loan_of, cases()))
    seen = 0
    for case in cases():
        history = stored[loan_of(case)]
        for moment in case["expect"]:
            at = end_of(moment["at"])
            named = set() if case.get("pauses") else set(moment.get("differs", ()))
            account = account_at(history=history, at=at, known_at=at)
            assert {name for name, _, _ in disagreements(moment, account)} == named, (case["id"], moment["at"])
            shown = judged(history, moment["at"]).facts["as_known"]
            assert {name for name, _, _ in rendered(moment, shown)} <= named, (case["id"], moment["at"])
            seen += sum(value is not None for name, value in moment.items() if name not in SILENT)
    assert seen > 1000


def test_the_stored_position_stands_as_the_judged_account_does():
    send_records(*(line for case in cases() for line in case_lines(case)))
    stored = histories(loans=map(loan_of, cases()))
    now = start_of("2026-06-01")
    for loan in Loan.objects.filter(external_id__in=list(stored)):
        account = account_at(history=stored[loan.external_id], at=now)
        assert standing(position=position_of_loan(loan), at=now) == account.standing, loan.external_id
    assert Loan.objects.count() == len(cases())


def test_an_urge_is_judged_by_whether_the_source_says_that_something_was_overdue():
    send_records(*(line for case in cases() for line in case_lines(case)))
    stored = histories(loans=map(loan_of, cases()))
    right = wrong = 0
    for case in cases():
        for moment in case["expect"]:
            if moment.get("days_past_due") is None or "days_past_due" in moment.get("differs", ()):
                continue
            found = judged(stored[loan_of(case)], moment["at"])
            if moment["days_past_due"] == 0 and found.facts["as_it_was"]["days_past_due"] == 0:
                assert found.verdict == "customer_right", (case["id"], moment["at"])
                right += 1
            elif moment["days_past_due"] > case["grace_days"] and not case.get("pauses"):
                # No watermark came with these records, so they speak for the customer alone.
                was = found.facts["as_it_was"]["days_past_due"]
                expected = "inconclusive" if was > case["grace_days"] else "customer_right"
                assert found.verdict == expected, (case["id"], moment["at"])
                wrong += 1
    assert right > 40
    assert wrong > 20
