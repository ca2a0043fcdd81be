"""What regulations ask, held against the shipped packs that carry their clauses.

Every case of `data/policies.json` is either computed against the pack in force at its instant, or skipped by name with
the reason in `NOT_CARRIED`. A skipped case is never counted as passed, and the counts of both stand below.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.cases.policy_answers import ANSWERS, PACKS, Asked, policy_cases

TEMPLATES = "what a lender's own message texts may say is not judged here"
DATA_RIGHTS = "requests about personal data are not disputes about messages"
BUREAU = "reports to the credit bureau are not messages"
STRICTER = (
    "stricter here: nobody but the customer is written to; to ask somebody for the customer's whereabouts is for people"
)
OUTSIDE = "outside firms and who answers for them are matters of contract: nothing here is computed from them"
NO_HK = "no pack: Hong Kong's code sets no number that a message could be judged by"
NO_IN = "no pack: India's words bind calls, and the text that would reach messages was not found"
NO_CEASE = "a wish to hear nothing at all is not kept apart from an opt-out of the number"

NOT_CARRIED = {
    # case: why
    "cn-contact-pass-on": STRICTER,
    "cn-exaggerate": "computed below by the check, since the claimed amount is judged by no pack",
    "cn-representative": "who may complain for somebody is for a person to judge: no value of a pack",
    "cn-withdraw": "a withdrawal ends the dispute at once whatever the pack",
    "cn-vendor": OUTSIDE,
    "cn-card-penalties": OUTSIDE,
    "cn-pipl-correct": DATA_RIGHTS,
    "cn-pipl-refuse": DATA_RIGHTS,
    "cn-pipl-delete-hold": DATA_RIGHTS,
    "cn-credit-bureau": BUREAU,
    "cn-credit-notice": BUREAU,
    "cn-card-objection": "notes on card accounts are the lender's: no value of a pack",
    "tw-third-locate": STRICTER,
    "tw-pdpa-30": DATA_RIGHTS,
    "us-app-browsing": "a page that the person opens is no contact of ours: nothing judges it",
    "us-busy-only": "wishes come as records: no text is read for them",
    "us-consent-passed-on": "a customer's agreed hours come without whom they were given to",
    "us-attorney": "the records name no representative",
    "us-cease-before-receipt": NO_CEASE,
    "us-cease-after-receipt": NO_CEASE,
    "us-cease-ending-notice": NO_CEASE,
    "us-optout-by-phone-only": TEMPLATES,
    "us-stop-calling": "opt-outs from calls are not kept: an opt-out is a number's, from texts",
    "us-optout-confirm-plus": TEMPLATES,
    "us-tcpa-other-program": "read in part, and put off by the regulator: no value of a pack",
    "us-third-spouse": "the records name no spouse",
    "us-location-names-debt": STRICTER,
    "us-dispute-silence": "who never disputes has no dispute: there is nothing to compute",
    "us-undeliverable": "whether a notice arrived is its receipt's to say, by no value of a pack",
    "us-language": TEMPLATES,
    "us-scope-creditor": "which pack binds a lender is counsel's choice (POLICY_PACK)",
    "uk-burden": "computed below by the check",
    "uk-agency-passes-on": OUTSIDE,
    "uk-paid-demand-evidence": "whether a lender's evidence is enough is for a person to judge",
    "uk-occupier": "a message without a name on it is none of the records'",
    "uk-identity-first": "who reads a text is never sure: what it may say is the lender's own",
    "uk-sender-name": TEMPLATES,
    "uk-missed-parcel": TEMPLATES,
    "uk-mistaken-customer": "who was pursued by mistake may dispute with the phone alone, whatever the pack",
    "hk-referee": NO_HK,
    "hk-anonymous": NO_HK,
    "in-call-0759": NO_IN,
    "in-call-1859": NO_IN,
    "in-call-1900": NO_IN,
    "in-friends": NO_IN,
}

COMPUTED = {"cn": 18, "tw": 5, "us": 39, "uk": 7}
SKIPPED = {"cn": 12, "tw": 2, "us": 17, "uk": 8, "hk": 2, "in": 4}


def asked_of(case: dict[str, Any]) -> Asked:
    return Asked(id=case["id"], pack_name=case["pack"], inputs=case["inputs"], expected=case["expected"])


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in policy_cases()])
def test_a_pack_gives_what_its_clauses_ask(case: dict[str, Any]):
    if case["id"] in NOT_CARRIED:
        pytest.skip(NOT_CARRIED[case["id"]])
    kind = case["inputs"]["kind"]
    assert kind in ANSWERS, f"{case['id']} is neither computed nor named in NOT_CARRIED"
    ANSWERS[kind](asked_of(case))


def test_how_many_cases_are_computed_and_how_many_are_not():
    ids = [case["id"] for case in policy_cases()]
    assert len(ids) == len(set(ids)) == 114
    assert set(NOT_CARRIED) <= set(ids)
    computed = Counter(case["pack"] for case in policy_cases() if case["id"] not in NOT_CARRIED)
    skipped = Counter(case["pack"] for case in policy_cases() if case["id"] in NOT_CARRIED)
    assert dict(computed) == COMPUTED
    assert dict(skipped) == SKIPPED
    assert set(COMPUTED) == set(PACKS.names()) - {"house"}


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("cn-2159", {"allowed": False}),
        ("cn-15-days", {"decide_by": "2026-11-16"}),
        ("cn-voice-fourth", {"limit": 4}),
        ("tw-recording", {"keep_until": "2026-09-09"}),
        ("us-validation-plain", {"ends_on": "2026-11-24"}),
        ("us-optout-word-end", {"opt_out": False}),
        ("us-num-texted-61", {"safe_procedure": True}),
        ("us-optout-then-asks-twice", {"allowed": True}),
        ("us-dispute-cheque", {"duplicative": True}),
        ("uk-hold-none", {"suspend": False, "allowed": True}),
        ("uk-fos-6-months", {"outside_body_until": "2027-05-31"}),
        ("cn-letter-parts", {"compliant": True}),
    ],
)
def test_a_case_with_another_answer_fails(case: str, change: dict[str, Any]):
    """The negative control: what is computed can come out wrong."""
    [found] = [one for one in policy_cases() if one["id"] == case]
    wrong = {**found, "expected": {**found["expected"], **change}}
    with pytest.raises(AssertionError):
        ANSWERS[found["inputs"]["kind"]](asked_of(wrong))


def test_an_exaggerated_amount():
    """Case cn-exaggerate: a fifth above the records."""
    from disputes.check.judging import judge
    from tests.disputes.check.book import claim, read_book

    [case] = [case for case in policy_cases() if case["id"] == "cn-exaggerate"]
    asked = case["inputs"]
    book = read_book(f"due 1 2026-11-01 {asked['records']}\nmessage urge 2026-11-10T10:00  claims {asked['claimed']}")
    pack = PACKS.in_force("cn", book.message.sent_at, "Asia/Shanghai")
    found = judge(history=book.history, message=book.message, claim=claim("wrong_amount"), pack=pack)
    assert (found.verdict, found.cause) == ("customer_right", "wrong_amount")


def test_the_burden_of_saying_who_a_person_is():
    """Case uk-burden: nothing on either side about whose the phone was. The check never finds for the lender."""
    from disputes.check.judging import judge
    from tests.disputes.check.book import claim, read_book

    book = read_book("due 1 2026-11-01 1000.00\nmessage urge 2026-11-10T10:00  claims 1000.00")
    pack = PACKS.in_force("uk", book.message.sent_at, "Europe/London")
    found = judge(history=book.history, message=book.message, claim=claim("not_my_debt"), pack=pack)
    assert found.verdict != "lender_right"
