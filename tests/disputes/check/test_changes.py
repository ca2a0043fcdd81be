"""What a correction of the records changed, told in facts and in words."""

from __future__ import annotations

import pytest

from disputes.check.sentences import sentence_of
from tests.disputes.check.test_judging import answer, judged

URGED = "\nmessage urge 2026-03-12T10:00"
LATER = "effective 2026-03-01  posted 2026-03-20"

# Each row: a table in which a correction turned a message, and how the customer is told of it.
STORIES = {
    "a due date that was moved back": (
        f"due 1 2026-03-10 1000.00 version 1\ndue 1 2026-04-10 1000.00 version 2 {LATER}" + URGED,
        "an instalment was due on 10 April 2026, not on 10 March 2026",
    ),
    "an amount that had been too high, when the customer had paid the right one": (
        f"due 1 2026-03-10 1000.00 version 1\ndue 1 2026-03-10 800.00 version 2 {LATER}\npaid p1 2026-03-09 800.00"
        + URGED,
        "the instalment due on 10 March 2026 was CNY 800.00, not CNY 1,000.00",
    ),
    "a settlement": (
        f"loan version 1\nloan version 2 settled 2026-03-11 {LATER}\ndue 1 2026-03-10 1000.00" + URGED,
        "the loan was over on 11 March 2026",
    ),
    "a debt that had been given up": (
        f"loan version 1\nloan version 2 written_off 2026-03-11 {LATER}\ndue 1 2026-03-10 1000.00" + URGED,
        "the debt had been given up on 11 March 2026",
    ),
    "days of grace": (
        f"loan version 1\nloan version 2 grace 3 {LATER}\ndue 1 2026-03-10 1000.00" + URGED,
        "3 days of grace instead of 0 days",
    ),
    "a tolerance": (
        f"loan version 1\nloan version 2 tolerance 5.00 {LATER}\ndue 1 2026-03-10 4.00" + URGED,
        "arrears up to CNY 5.00 do not count, instead of up to CNY 0.00",
    ),
    "a loan that was none": (
        "due 1 2026-03-01 1000.00\nvoid v1 loan L1 posted 2026-03-20" + URGED,
        "the loan was struck out of them",
    ),
    "a pause": (
        f"loan version 1\nloan version 2 paused 2026-03-11/2026-03-20 {LATER}\ndue 1 2026-03-10 1000.00" + URGED,
        "collection was paused from 11 March 2026 to 20 March 2026",
    ),
    "a pause without an end": (
        f"loan version 1\nloan version 2 paused 2026-03-11/open {LATER}\ndue 1 2026-03-10 1000.00" + URGED,
        "collection was paused from 11 March 2026 on",
    ),
    "an arrangement": (
        f"loan version 1\nloan version 2 arranged 2026-03-11/2026-03-20 {LATER}\ndue 1 2026-03-10 1000.00" + URGED,
        "a payment arrangement ran from 11 March 2026 to 20 March 2026",
    ),
    "an arrangement without an end": (
        f"loan version 1\nloan version 2 arranged 2026-03-11/open {LATER}\ndue 1 2026-03-10 1000.00" + URGED,
        "a payment arrangement ran from 11 March 2026 on",
    ),
    "the zone in which the day is counted": (
        f"loan version 1 zone Asia/Shanghai\nloan version 2 zone America/New_York {LATER}\n"
        "due 1 2026-03-11 1000.00\nmessage urge 2026-03-12T10:00",
        "(the terms of the loan)",
    ),
    "a settlement that was not, beside a schedule of later days": (
        f"loan version 1 settled 2026-12-31\nloan version 2 {LATER}\n"
        f"due 1 2026-03-10 1000.00 version 1\ndue 1 2026-04-10 1000.00 version 2 {LATER}" + URGED,
        "the terms of the loan, an instalment was due on 10 April 2026",
    ),
    "a sending rule that needs more days": (
        "due 1 2026-03-10 1000.00\nrule R overdue min 1\n"
        "rule R overdue min 5 version 2 posted 2026-03-20 effective 2026-03-01\n"
        "message urge 2026-03-12T10:00 rule R",
        "this kind of message needs 5 days overdue, not 1 day",
    ),
    "a schedule that was replaced": (
        "due 1 2026-03-10 1000.00\nvoid v1 instalment i1 posted 2026-03-20\n"
        "due 2 2026-03-20 500.00 posted 2026-03-20 effective 2026-03-01\n"
        "due 3 2026-04-20 500.00 posted 2026-03-20 effective 2026-03-01\n"
        "due 4 2026-05-20 500.00 posted 2026-03-20 effective 2026-03-01" + URGED,
        "1 other change)",
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_the_customer_is_told_of(story):
    table, told = STORIES[story]
    found = judged(table)
    assert answer(found)[1:] == ("stale_records", "backdated_change")
    [finding] = [one for one in found.findings if one.name == "changed_afterwards"]
    assert told in sentence_of(finding.render(), language="en")


def test_the_facts_have_every_change_with_what_was_before_and_after():
    found = judged(STORIES["a due date that was moved back"][0])
    [finding] = [one for one in found.findings if one.name == "changed_afterwards"]
    assert finding.facts == {
        "now": ["no_arrears"],
        "changes": [
            {
                "what": "instalment_due_on",
                "number": 1,
                "due_on": "2026-04-10",
                "before": "2026-03-10",
                "after": "2026-04-10",
            }
        ],
    }
