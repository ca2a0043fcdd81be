"""What the shipped packs answer to a regulator's case, kind by kind: each raises AssertionError where the pack differs.

`Asked` carries a case's inputs and what is expected; the pack is the one in force at the case's instant.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from disputes.holds.stopping import HoldFact, stops
from disputes.policy.caps import CapAnswer, Contact, check_caps
from disputes.policy.contact_hours import check_hours, hours_breached
from disputes.policy.keeping import keep_recording_until, keep_records_until, outside_body_until
from disputes.policy.opt_outs import is_opt_out, passes_opt_out
from disputes.policy.packs import SHIPPED, Pack, load_packs
from disputes.policy.terms import deadlines, is_repetition
from disputes.policy.text_numbers import NumberUse, is_safe_to_text
from disputes.policy.validation import ValidationNotice, validation_period
from tests.cases.fineract import DATA

PACKS = load_packs(SHIPPED)
ZONES = {"cn": "Asia/Shanghai", "tw": "Asia/Taipei", "us": "America/New_York", "uk": "Europe/London"}
COLLECTING = ("reminder", "urge", "warning")
NOW = datetime(2026, 11, 10, 15, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One case."""

    id: str
    pack_name: str
    inputs: Mapping[str, Any]
    expected: Mapping[str, Any]

    @property
    def zone(self) -> str:
        return ZONES[self.pack_name]

    def pack(self, at: datetime = NOW) -> Pack:
        return PACKS.in_force(self.pack_name, at, self.zone)


@cache
def policy_cases() -> tuple[dict[str, Any], ...]:
    return tuple(json.loads((DATA / "policies.json").read_text(encoding="utf-8")))


def contact_hours(asked: Asked) -> None:
    """The check says what the words say; the gate agrees, but where it may refuse what is free."""
    given, expected = asked.inputs, asked.expected
    at = datetime.fromisoformat(given["sent_at"])
    agreed = [{"from": "08:00", "until": given["consent"]["until"]}] if "consent" in given else []
    reply = given.get("reply_to")
    question: dict[str, Any] = {
        "pack": asked.pack(at),
        "at": at,
        "zones": given["zones"],
        "preferences": {"agreed": agreed, "blocked": _blocked(given.get("preference"), at)},
        "category": "urge",
        "answers_own_message": bool(reply) and reply["replies_before"] == 0,
    }
    assert hours_breached(**question) is not expected["allowed"]
    answer = check_hours(**question)
    if expected.get("gate_may_deny"):
        assert answer.allowed or answer.next_allowed_at is not None
        return
    assert answer.allowed is expected["allowed"]
    if "next_allowed_at" in expected:
        assert answer.next_allowed_at == datetime.fromisoformat(expected["next_allowed_at"])


def _blocked(preference: Mapping[str, Any] | None, at: datetime) -> list[dict[str, Any]]:
    """The windows in force at `at`, in the form of a customer's record."""
    rows = (preference or {}).get("blocked", ())
    return [
        {"days": row["days"], **({"from": row["start"], "until": row["end"]} if "start" in row else {})}
        for row in rows
        if "until" not in row or at.date() <= date.fromisoformat(row["until"])
    ]


def contact_hours_rule(asked: Asked) -> None:
    """Where a regulator sets no number, the hours are the lender's own, and are called so."""
    assert asked.expected["numeric"] is None
    assert asked.pack().sources["contact_hours"].force == "own"


def frequency(asked: Asked) -> None:
    """Robots' calls are calls; an unanswered try is a contact of its own channel."""
    given, expected, pack = asked.inputs, asked.expected, asked.pack()
    if asked.pack_name != "cn":
        _no_number_of_texts(asked)
        return
    tries = given.get("unanswered_today", 0)
    before = given.get("effective_calls_today", 0) or tries
    voice = "call_unanswered" if tries else "call"
    previous = [_contact(NOW - timedelta(minutes=20 * n), voice) for n in range(1, before + 1)]

    def answer(channel: str) -> CapAnswer:
        return check_caps(pack=pack, previous=previous, planned=_contact(NOW, channel), zone=asked.zone)

    if given["channel"] == "sms":
        assert answer("sms").allowed is not expected["blocked_by_this_clause"]
        return
    found = answer(voice)
    assert not found.allowed
    assert found.cap is not None
    assert found.cap.count == before == expected.get("limit", before)
    assert found.cap.legal
    if expected.get("applies_to_sms") is False:
        assert answer("sms").allowed
    assert check_caps(pack=pack, previous=previous[1:], planned=_contact(NOW, voice), zone=asked.zone).allowed


def _no_number_of_texts(asked: Asked) -> None:
    """No number is a regulator's: what stops the tenth text is the lender's own, and is called so."""
    numbers = [asked.expected[key] for key in ("numeric_limit", "numeric_sms_limit") if key in asked.expected]
    assert numbers == [None]
    previous = [_contact(NOW - timedelta(hours=n), "sms") for n in range(1, 10)]
    found = check_caps(pack=asked.pack(), previous=previous, planned=_contact(NOW, "sms"), zone=asked.zone)
    assert found.cap is not None
    assert not found.cap.legal


def call_frequency(asked: Asked) -> None:
    """However many calls went before, no clause about calls stops a text."""
    assert asked.expected["applies_to_sms"] is False
    calls = sum(event.get("calls", 0) or bool(event.get("conversation")) for event in asked.inputs["events"])
    assert calls
    channels = ("call", "call_unanswered")
    previous = [_contact(NOW - timedelta(hours=n), channel) for n in range(1, calls + 1) for channel in channels]
    assert check_caps(pack=asked.pack(), previous=previous, planned=_contact(NOW, "sms"), zone=asked.zone).allowed


def _contact(at: datetime, channel: str) -> Contact:
    return Contact(at=at, customer="C1", loan="L1", phone="+8613800000001", channel=channel, category="urge")


def deadline(asked: Asked) -> None:
    given, expected = asked.inputs, asked.expected
    if "final_response_on" in given:
        letter_on = date.fromisoformat(given["final_response_on"])
        pack = asked.pack(datetime.combine(letter_on, time(12), tzinfo=UTC))
        assert str(outside_body_until(pack=pack, letter_on=letter_on)) == expected["outside_body_until"]
        return
    received = datetime.fromisoformat(given["received_on"]).replace(tzinfo=ZoneInfo(asked.zone))
    pack = asked.pack(received)
    assert pack.terms.decide_clock == "calendar"
    for hour in (0, 23):
        by = deadlines(
            pack=pack,
            opened_at=received + timedelta(hours=hour),
            zone=asked.zone,
            complexity=given.get("complexity", "simple"),
            extension_told=bool(given.get("extension_approved") and given.get("told")),
        )
        assert by.decide_by.date().isoformat() == expected["decide_by"]


def third_party(asked: Asked) -> None:
    """Nobody but the customer is written to, whatever the category of the message."""
    assert asked.expected["allowed"] is False
    assert not asked.pack().contact_categories


def recipient(asked: Asked) -> None:
    """Who says that the debt is not theirs is left alone at once, by every category that could name a debt."""
    assert asked.expected["allowed"] is False
    hold = HoldFact(reason="dispute_pending", source="dispute", why="not_my_debt")
    assert all(_is_stopped(asked, hold, category) for category in (*COLLECTING, "statutory", "service"))


def dispute(asked: Asked) -> None:
    given, expected = asked.inputs, asked.expected
    if "duplicative" in expected:
        found = is_repetition(
            pack=asked.pack(),
            rejected_on=NOW.date() if given["earlier_answered"] else None,
            raised_on=NOW.date(),
            same_matter=given["earlier_same"],
            new=bool(given["new_evidence"]),
        )
        assert found is expected["duplicative"]
        assert expected["cease"] is True
    # Open, or answered and the answer not yet delivered: in both the messages stay stopped.
    reason = "outcome_not_delivered" if given.get("explained") is False else "dispute_pending"
    hold = HoldFact(reason=reason, source="dispute", why=given.get("ground", "other"))
    stopped = all(_is_stopped(asked, hold, category) for category in COLLECTING)
    assert stopped is (expected.get("suspend") or expected.get("cease") or not expected.get("allowed", True))


def _is_stopped(asked: Asked, hold: HoldFact, category: str) -> bool:
    return stops(hold=hold, category=category, loan="L1", surveys_only=False, pack=asked.pack())


def opt_out_parse(asked: Asked) -> None:
    given, expected = asked.inputs, asked.expected
    assert is_opt_out(pack=asked.pack(), text=given["text"]) is expected["opt_out"]
    assert not is_opt_out(pack=asked.pack(), text=f"Please {given['text']} telling me when to call")


def opt_out_scope(asked: Asked) -> None:
    """An opt-out is the number's: the loan of the message makes no difference."""
    assert asked.expected["allowed"] is False
    hold = HoldFact(reason="opted_out", source="opt_out")
    for loan in ("A", asked.inputs["message"]["loan"], None):
        for category in (*COLLECTING, "statutory", "service"):
            assert stops(hold=hold, category=category, loan=loan, surveys_only=False, pack=asked.pack())


def opt_out_reply(asked: Asked) -> None:
    first = asked.inputs["replies_before"] == 0
    found = passes_opt_out(pack=asked.pack(), category="service", answers_own_message=first)
    assert found is asked.expected["allowed"]


def text_number(asked: Asked) -> None:
    given = asked.inputs
    use = NumberUse(
        last_text_days=given.get("last_text_days"),
        opted_out=given.get("opted_out", False),
        unassigned_since=given.get("reassigned_check_days") is not None,
        reaches_other=given.get("told_reaches_other", False),
    )
    assert is_safe_to_text(pack=asked.pack(), use=use) is asked.expected["safe_procedure"]


def a_validation_period(asked: Asked) -> None:
    given, expected = asked.inputs, asked.expected
    rows = [row.split() for row in given.get("notices", [given.get("sent_on")])]
    notices = [ValidationNotice(sent_on=date.fromisoformat(row[0]), returned="returned" in row) for row in rows]
    found = validation_period(pack=asked.pack(), notices=notices, holidays={date(2026, 11, 11), date(2026, 11, 26)})
    assert found is not None
    told = {
        "counts_from": found.counts_from,
        "assumed_received_earliest": found.received_on,
        "ends_on": found.ends_on,
    }
    assert {key: str(told[key]) for key in expected} == dict(expected)


def retention(asked: Asked) -> None:
    given = asked.inputs
    if "last_activity" in given:
        until = keep_records_until(pack=asked.pack(), last_activity=date.fromisoformat(given["last_activity"]))
    else:
        recorded_on = date.fromisoformat(given.get("call_on") or given["on"])
        until = keep_recording_until(pack=asked.pack(), recorded_on=recorded_on)
    assert until.isoformat() == asked.expected["keep_until"]


def limitation(asked: Asked) -> None:
    """A held debt gets no text, so the agent is told what one would have done."""
    assert asked.expected["interrupts_limitation"] is True
    assert "limitation period is not interrupted" in asked.pack().hold_note


WAYS = {
    "verification": "re-examination",
    "apply for verification": "re-examination",
    "mediation": "mediation",
    "arbitration": "arbitration",
    "litigation": "court",
}


def letter(asked: Asked) -> None:
    """Whether a letter with these parts names all that it must; that ours has them, see test_policy_letter.py."""
    pack, parts = asked.pack(), asked.inputs["parts"]
    lacking = set(pack.letter_ways_required) - {WAYS[part] for part in parts if part in WAYS}
    assert (not lacking and {"findings", "basis and reasons"} <= set(parts)) is asked.expected["compliant"]
    if "remedies" in asked.expected:
        assert {WAYS[way] for way in asked.expected["remedies"]} == set(pack.letter_ways_required) == lacking


ANSWERS: Mapping[str, Callable[[Asked], None]] = {
    "contact_hours": contact_hours,
    "contact_hours_rule": contact_hours_rule,
    "frequency": frequency,
    "call_frequency": call_frequency,
    "deadline": deadline,
    "third_party": third_party,
    "recipient": recipient,
    "dispute": dispute,
    "opt_out_parse": opt_out_parse,
    "opt_out_scope": opt_out_scope,
    "opt_out_reply": opt_out_reply,
    "text_number": text_number,
    "validation_period": a_validation_period,
    "retention": retention,
    "limitation": limitation,
    "letter": letter,
}
