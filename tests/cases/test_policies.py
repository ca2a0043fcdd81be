"""What regulations ask, held against the packs that carry their clauses.

A case whose clause no pack carries is skipped by name, with the reason in `NOT_CARRIED`; a case that stands in
neither table fails.
"""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from disputes.policy.caps import CapAnswer, Contact, check_caps
from disputes.policy.contact_hours import check_hours
from disputes.policy.packs import SHIPPED, Pack, load_packs
from disputes.policy.terms import deadlines
from tests.cases.fineract import DATA

BEIJING = "Asia/Shanghai"
PACKS = load_packs(SHIPPED)

NOT_CARRIED = {
    # case: why
    "cn-contact-refuses": "whom to write to besides the debtor: no recipient criterion yet",
    "cn-contact-reachable": "whom to write to besides the debtor: no recipient criterion yet",
    "cn-contact-pass-on": "whom to write to besides the debtor: no recipient criterion yet",
    "cn-exaggerate": "the claimed amount is judged by the check (see test_an_exaggerated_amount), not by a pack",
    "cn-representative": "who may complain is for the desk: no value of a pack",
    "cn-withdraw": "a withdrawal ends the dispute at once: no value of a pack",
    "cn-vendor": "who answers for vendors: no value of a pack",
    "cn-pipl-correct": "data rights: no value of a pack",
    "cn-pipl-refuse": "data rights: no value of a pack",
    "cn-pipl-delete-hold": "data rights: no value of a pack",
    "cn-credit-bureau": "disputes with the credit bureau are not disputes about messages",
    "cn-credit-notice": "reports to the credit bureau are not messages",
    "cn-limitation-sms": "limitation: no value of a pack",
    "cn-card-objection": "notes on card accounts: no value of a pack",
    "cn-letter-parts": "letters are not part of the packs yet",
    "cn-letter-full": "letters are not part of the packs yet",
    "cn-card-penalties": "a published penalty: nothing to compute",
}


@cache
def policy_cases() -> tuple[dict[str, Any], ...]:
    return tuple(json.loads((DATA / "policies.json").read_text(encoding="utf-8")))


def of_pack(name: str) -> list[Any]:
    return [pytest.param(case, id=case["id"]) for case in policy_cases() if case["pack"] == name]


def pack_at(at: datetime) -> Pack:
    return PACKS.in_force("cn", at, BEIJING)


@pytest.mark.parametrize("case", of_pack("cn"))
def test_the_cn_pack_gives_what_its_clauses_ask(case: dict[str, Any]):
    if case["id"] in NOT_CARRIED:
        pytest.skip(NOT_CARRIED[case["id"]])
    kind = case["inputs"]["kind"]
    assert kind in ANSWERS, f"{case['id']} is neither computed nor named in NOT_CARRIED"
    ANSWERS[kind](case["inputs"], case["expected"])


def _contact_hours(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    at = datetime.fromisoformat(asked["sent_at"])
    agreed = [{"from": "08:00", "until": asked["consent"]["until"]}] if "consent" in asked else []
    answer = check_hours(pack=pack_at(at), at=at, zones=asked["zones"], preferences={"agreed": agreed}, category="urge")
    assert answer.allowed is expected["allowed"]
    if "next_allowed_at" in expected:
        assert answer.next_allowed_at == datetime.fromisoformat(expected["next_allowed_at"])


def _frequency(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    """Robots' calls are calls; an unanswered try is a contact of its own channel."""
    now = datetime(2026, 11, 10, 15, 0, tzinfo=ZoneInfo(BEIJING))
    pack = pack_at(now)
    tries = asked.get("unanswered_today", 0)
    before = asked.get("effective_calls_today", 0) or tries
    voice = "call_unanswered" if tries else "call"
    previous = [_contact(now - timedelta(minutes=20 * n), voice) for n in range(1, before + 1)]

    def answer(channel: str) -> CapAnswer:
        return check_caps(pack=pack, previous=previous, planned=_contact(now, channel), zone=BEIJING)

    if asked["channel"] == "sms":
        assert answer("sms").allowed is not expected["blocked_by_this_clause"]
        return
    found = answer(voice)
    assert not found.allowed
    assert found.cap is not None
    assert found.cap.count == before == expected.get("limit", before)
    assert found.cap.legal
    if expected.get("applies_to_sms") is False:
        assert answer("sms").allowed
    assert check_caps(pack=pack, previous=previous[1:], planned=_contact(now, voice), zone=BEIJING).allowed


def _contact(at: datetime, channel: str) -> Contact:
    return Contact(at=at, customer="C1", loan="L1", phone="+8613800000001", channel=channel, category="urge")


def _deadline(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    received = datetime.fromisoformat(asked["received_on"]).replace(tzinfo=ZoneInfo(BEIJING))
    for hour in (0, 23):
        by = deadlines(
            pack=pack_at(received),
            opened_at=received + timedelta(hours=hour),
            zone=BEIJING,
            complexity=asked["complexity"],
            extension_told=bool(asked.get("extension_approved") and asked.get("told")),
        )
        assert by.decide_by.date().isoformat() == expected["decide_by"]


ANSWERS = {"contact_hours": _contact_hours, "frequency": _frequency, "deadline": _deadline}


def test_no_case_is_named_that_is_not_there_or_is_computed_after_all():
    ids = {case["id"] for case in policy_cases() if case["pack"] == "cn"}
    assert set(NOT_CARRIED) <= ids
    assert len(ids - set(NOT_CARRIED)) == 13


# The clocks of other countries, on the arithmetic alone: no pack of theirs is here yet, so their hours stand here.
FOREIGN_HOURS = {"us": "house", "uk": "any", "tw": "07:00-22:00", "in": None}


def foreign() -> list[Any]:
    return [
        pytest.param(case, id=case["id"])
        for case in policy_cases()
        if case["pack"] in FOREIGN_HOURS and case["inputs"]["kind"] == "contact_hours"
    ]


@pytest.mark.parametrize("case", foreign())
def test_zones_clock_changes_and_wishes_of_other_countries(case: dict[str, Any], tmp_path):
    asked, expected = case["inputs"], case["expected"]
    if case["pack"] == "in":
        pytest.skip("words that bind calls: never applied to SMS")
    at = datetime.fromisoformat(asked["sent_at"])
    reply = asked.get("reply_to")
    answer = check_hours(
        pack=_foreign_pack(case["pack"], tmp_path),
        at=at,
        zones=asked["zones"],
        preferences={"blocked": _blocked(asked.get("preference"), at)},
        category="urge",
        answers_own_message=bool(reply) and reply["replies_before"] == 0,
    )
    if expected.get("gate_may_deny"):
        # The last second itself is free by the words; a half-open interval denies it, which a gate may.
        assert answer.allowed or answer.next_allowed_at is not None
        return
    assert answer.allowed is expected["allowed"]
    if "next_allowed_at" in expected:
        assert answer.next_allowed_at == datetime.fromisoformat(expected["next_allowed_at"])


def _foreign_pack(name: str, folder: Any) -> Pack:
    hours = FOREIGN_HOURS[name]
    assert hours is not None
    if hours == "house":
        return PACKS.version("house", "1")
    stated = '"any"' if hours == "any" else json.dumps([hours.split("-")])
    (folder / "house.toml").write_text((SHIPPED / "house.toml").read_text(encoding="utf-8"), encoding="utf-8")
    source = 'clause = "a test", force = "own", read = "yes"'
    (folder / f"{name}.toml").write_text(
        f'name = "{name}"\nextends = "house"\n[[version]]\nversion = "1"\n'
        f"contact_hours = {{ value = {stated}, {source} }}\n",
        encoding="utf-8",
    )
    return load_packs(folder).by_name[name][-1]


def _blocked(preference: dict[str, Any] | None, at: datetime) -> list[dict[str, Any]]:
    """The windows in force at `at`, in the form of a customer's record."""
    rows = (preference or {}).get("blocked", ())
    return [
        {"days": row["days"], **({"from": row["start"], "until": row["end"]} if "start" in row else {})}
        for row in rows
        if "until" not in row or at.date() <= date.fromisoformat(row["until"])
    ]


def test_an_exaggerated_amount():
    """Case cn-exaggerate: a fifth above the records."""
    from disputes.check.judging import judge
    from tests.disputes.check.book import claim, read_book

    [case] = [case for case in policy_cases() if case["id"] == "cn-exaggerate"]
    asked = case["inputs"]
    book = read_book(f"due 1 2026-11-01 {asked['records']}\nmessage urge 2026-11-10T10:00  claims {asked['claimed']}")
    found = judge(
        history=book.history, message=book.message, claim=claim("wrong_amount"), pack=pack_at(book.message.sent_at)
    )
    assert (found.verdict, found.cause) == ("customer_right", "wrong_amount")
