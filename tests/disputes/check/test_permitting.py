"""A message without a valid permit, or against a hold."""

from __future__ import annotations

import pytest

from disputes.check.facts import GROUNDS
from tests.disputes.check.test_judging import names
from tests.disputes.check.test_sending import OWN, answer, judged

GATED = OWN + "gate 2026-03-01\n"
PERMIT = "permit K1 2026-03-12T09:59:30  phone P1\n"
SENT = "message urge 2026-03-12T10:00  phone P1  permit K1"


def detail(table: str) -> str | None:
    found = judged(table, "not_overdue")
    assert found.cause in (None, "unauthorised_send")
    return found.detail


def test_a_message_with_its_permit_is_authorised():
    assert answer(judged(GATED + PERMIT + SENT, "not_overdue")) == ("lender_right", None, None)


def test_so_is_the_one_that_used_it_and_however_its_id_is_written():
    assert detail(GATED + PERMIT.replace("P1\n", "P1 used_by M1\n") + SENT) is None
    assert detail(GATED + PERMIT.replace("K1", "AB-CD") + SENT.replace("K1", "abcd")) is None


@pytest.mark.parametrize(
    ("permit", "message", "expected"),
    [
        ("", SENT.replace("  permit K1", ""), "no_permit"),
        ("", SENT, "unknown_permit"),
        (PERMIT, SENT.replace("K1", "K2"), "unknown_permit"),
        (PERMIT.replace("P1", "P2"), SENT, "other_permit"),
        (PERMIT.replace("P1\n", "P1 loan L2\n"), SENT, "other_permit"),
        (PERMIT.replace("P1\n", "P1 channel email\n"), SENT, "other_permit"),
        (PERMIT.replace("P1\n", "P1 category reminder\n"), SENT, "other_permit"),
        (PERMIT.replace("09:59:30", "09:59:00"), SENT, "expired_permit"),
        (PERMIT.replace("09:59:30", "10:01:01"), SENT, "later_permit"),
        (PERMIT.replace("P1\n", "P1 unused 2026-03-12T09:59:50\n"), SENT, "returned_permit"),
        (PERMIT.replace("P1\n", "P1 used_by M0\n"), SENT, "used_permit"),
        (PERMIT + "hold H1 2026-03-12T10:00\n", SENT, "against_hold"),
        (PERMIT + "hold H1 2026-03-12T09:00 released 2026-03-12T10:00:01\n", SENT, "against_hold"),
    ],
)
def test_what_is_missing_is_the_detail(permit, message, expected):
    found = judged(GATED + permit + message, "not_overdue")
    assert answer(found) == ("lender_right", "unauthorised_send", expected)
    assert names(found)["unauthorised_send"] == "customer"


@pytest.mark.parametrize(
    "hold",
    ["hold H1 2026-03-12T10:00:01\n", "hold H1 2026-03-12T09:00 released 2026-03-12T10:00\n"],
)
def test_a_hold_that_did_not_stand_at_that_instant_stops_nothing(hold):
    assert detail(GATED + PERMIT + hold + SENT) is None


def test_a_clock_that_is_a_minute_behind_the_gate_s_breaks_nothing():
    assert detail(GATED + PERMIT.replace("09:59:30", "10:01:00") + SENT) is None


def test_a_permit_lasts_until_the_instant_at_which_it_expires():
    assert detail(GATED + PERMIT.replace("09:59:30", "09:59:00.000001") + SENT) is None


def test_every_fault_stands_in_the_facts_and_the_first_is_the_detail():
    table = GATED + PERMIT.replace("P1\n", "P2 used_by M0\n") + "hold H1 2026-03-12T09:00\n" + SENT
    found = judged(table, "not_overdue")
    assert found.detail == "other_permit"
    [finding] = [one for one in found.findings if one.name == "unauthorised_send"]
    assert finding.facts["faults"] == ["other_permit", "used_permit", "against_hold"]
    assert finding.facts["permit"]["id"] == "K1"
    assert [hold["since"] for hold in finding.facts["holds"]] == ["2026-03-12T01:00:00Z"]


@pytest.mark.parametrize("gate", ["", "gate 2026-03-12T10:00:01\n"])
def test_before_the_gate_had_to_be_asked_nothing_is_missing(gate):
    assert detail(OWN + gate + SENT.replace("  permit K1", "")) is None


def test_from_the_instant_on_at_which_it_had_to_be_asked_it_is():
    assert detail(OWN + "gate 2026-03-12T10:00\n" + SENT.replace("  permit K1", "")) == "no_permit"


@pytest.mark.parametrize("category", ["statutory", "service", "survey"])
def test_every_category_needs_one(category):
    table = GATED + f"message {category} 2026-03-12T10:00 phone P1"
    assert answer(judged(table, "not_overdue")) == ("lender_right", "unauthorised_send", "no_permit")


def test_a_permit_that_names_no_loan_is_good_for_a_message_that_does():
    table = GATED + "permit K1 2026-03-12T09:59:30 category service loan none\n" + SENT.replace("urge", "service")
    assert detail(table) is None


@pytest.mark.parametrize("ground", GROUNDS)
def test_alone_it_answers_no_ground(ground):
    found = judged(GATED + SENT + "  claims 1000.00", ground)
    with_permit = judged(GATED + PERMIT + SENT + "  claims 1000.00", ground)
    assert found.verdict == with_permit.verdict
    assert found.cause == "unauthorised_send"
    assert with_permit.cause is None


def test_beside_another_cause_it_is_not_the_one_that_explains():
    assert answer(judged(GATED + SENT + "  claims 5.00", "not_overdue")) == ("partly_right", "wrong_amount", "amount")
