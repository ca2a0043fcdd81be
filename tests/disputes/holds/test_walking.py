"""The walk: what each fact does to one item. Pure, at an instant of the test's own."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from disputes.check.facts import Arrangement, Period, Position
from disputes.holds.models import Reason
from disputes.holds.stopping import HoldFact, stops
from disputes.holds.walking import (
    REASONS,
    CustomerFact,
    Decision,
    GateFacts,
    GateItem,
    LivePermit,
    PhoneFact,
    RuleFact,
    Walk,
    request_of,
)
from disputes.policy.caps import Contact
from disputes.policy.contact_hours import NO_WISHES, read_preferences
from disputes.policy.packs import SHIPPED, load_packs

ZONE = "Asia/Shanghai"
NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
"""A Tuesday, 12:00 in Shanghai."""
P1, P2, P3 = b"\1" * 17, b"\2" * 17, b"\3" * 17
PACKS = load_packs(SHIPPED)


def overdue(**fields: Any) -> Position:
    """An account whose one instalment fell due on 1 March: nine days past due at NOON."""
    return Position(
        currency="CNY", time_zone=ZONE, **{"due_on": (date(2026, 3, 1),), "amounts": (Decimal(100),), **fields}
    )


def facts(position: Position | None = None, **fields: Any) -> GateFacts:
    """C1 owns L1 and the phone P1, P2 is a contact's; C2 owns L2 and P3. Nothing is held, nothing was sent."""
    customer = lambda: CustomerFact(zones=(ZONE,), wishes=NO_WISHES)  # noqa: E731
    account = lambda: position or overdue()  # noqa: E731
    plain = {
        "at": NOON,
        "pack": PACKS.in_force("house", NOON, ZONE),
        "lender_zone": ZONE,
        "owner": {"L1": "C1", "L2": "C2", "L0": None},
        "positions": {"L1": account, "L2": account},
        "phones": {
            P1: [PhoneFact(customer="C1", role="own", first=None, until=None)],
            P2: [PhoneFact(customer="C1", role="contact", first=None, until=date(2026, 3, 9))],
            P3: [PhoneFact(customer="C2", role="own", first=date(2026, 3, 10), until=None)],
        },
        "customers": {"C1": customer, "C2": customer},
        "rules": {
            "pre": RuleFact(aim="pre_due", min_dpd=None),
            "ten": RuleFact(aim="overdue", min_dpd=10),
            "nine": RuleFact(aim="overdue", min_dpd=9),
            "risk": RuleFact(aim="risk", min_dpd=None),
        },
        "covers": {},
        "behind": (),
        "live": {},
        "taken": (),
    }
    return GateFacts(**{**plain, **fields})


def item(phone: bytes = P1, loan: str | None = "L1", category: str = "urge", **more: Any) -> GateItem:
    return GateItem(request_id="r", phone=phone, loan=loan, channel="sms", category=category, **more)


def decide(asked: GateItem, **changed: Any) -> Decision:
    return Walk(facts(**changed)).decide(asked)


def held(reason: str, source: str = "dispute", why: str = "") -> list[HoldFact]:
    return [HoldFact(reason=reason, source=source, why=why)]


def sent(hours_ago: float, *, loan: str = "L1", phone: bytes = P1, customer: str = "C1") -> Contact:
    at = NOON - timedelta(hours=hours_ago)
    return Contact(at=at, customer=customer, loan=loan, phone=phone, channel="sms", category="urge")


def test_an_overdue_account_at_noon_is_allowed() -> None:
    assert decide(item()) == Decision(customer="C1")


@pytest.mark.parametrize(
    ("asked", "changed", "reasons"),
    [
        (item(loan="L9"), {}, {"unknown_loan"}),
        (item(loan="L0"), {}, {"unknown_loan"}),
        (item(phone=P3), {}, {"unknown_phone"}),
        (item(phone=b"\7" * 17), {}, {"unknown_phone"}),
        # The contact's phone was theirs until yesterday; C2's is C2's since today.
        (item(phone=P2), {}, {"unknown_phone"}),
        (item(phone=P3, loan="L2"), {}, set()),
        (item(loan=None, category="survey", phone=b"\7" * 17), {}, {"unknown_phone"}),
        (item(loan=None, category="survey"), {}, set()),
        (item(loan=None, category="service", phone=b"\7" * 17), {}, set()),
        (item(), {"position": overdue(paid=Decimal(100))}, {"not_overdue"}),
        (item(), {"position": overdue(settled_on=date(2026, 3, 10))}, {"not_overdue"}),
        (item(), {"position": overdue(written_off_on=date(2026, 3, 9))}, {"not_overdue"}),
        (item(sending_rule="ten"), {}, {"not_overdue"}),
        (item(sending_rule="nine"), {}, set()),
        (item(), {"position": overdue(grace_days=9)}, {"within_grace"}),
        (item(), {"position": overdue(grace_days=8)}, set()),
        (item(), {"position": overdue(pauses=(Period(first=date(2026, 3, 10), until=None),))}, {"arrangement"}),
        (
            item(),
            {"position": overdue(arrangements=(Arrangement(first=date(2026, 3, 2), until=None),))},
            {"arrangement"},
        ),
        (
            item(),
            {
                "position": overdue(
                    arrangements=(Arrangement(first=date(2026, 3, 2), until=None, kept_until=date(2026, 3, 9)),)
                )
            },
            set(),
        ),
        # A reminder before the due date presupposes no arrears; one of a rule for overdue accounts, or of risk, does.
        (item(category="reminder"), {"position": overdue(paid=Decimal(100))}, set()),
        (item(category="reminder", sending_rule="pre"), {"position": overdue(paid=Decimal(100))}, set()),
        (item(category="reminder", sending_rule="nine"), {"position": overdue(paid=Decimal(100))}, {"not_overdue"}),
        (item(category="reminder", sending_rule="risk"), {"position": overdue(paid=Decimal(100))}, {"not_overdue"}),
        (item(category="urge", sending_rule="pre"), {"position": overdue(paid=Decimal(100))}, {"not_overdue"}),
        # Neither a duty nor service nor a survey presupposes anything.
        (item(category="statutory"), {"position": overdue(paid=Decimal(100))}, set()),
        (item(category="service"), {"position": overdue(paid=Decimal(100))}, set()),
        (item(category="survey"), {"position": overdue(paid=Decimal(100))}, set()),
        (item(), {"behind": ("repayments",)}, {"records_stale"}),
        (item(category="reminder"), {"behind": ("repayments",)}, set()),
        (item(category="statutory"), {"behind": ("repayments",)}, set()),
        (item(sending_rule="r"), {"covers": {"r:r": held("rule_paused", "breaker")}}, {"rule_paused"}),
    ],
)
def test_what_the_records_say(asked: GateItem, changed: dict[str, Any], reasons: set[str]) -> None:
    assert set(decide(asked, **changed).reasons) == reasons


@pytest.mark.parametrize("reason", Reason.values)
@pytest.mark.parametrize("key", ["l:L1", "c:C1", f"p:{P1.hex()}"])
def test_a_hold_answers_with_its_reason_for_what_it_covers(reason: str, key: str) -> None:
    covers = {key: held(reason)}
    assert decide(item(), covers=covers).reasons == (reason,)
    assert decide(item(phone=P3, loan="L2"), covers=covers).allowed


@pytest.mark.parametrize(
    ("hold", "asked", "allowed"),
    [
        # reason, key, source, why;                             category, loan
        (("dispute_pending", "l:L1", "dispute", "already_paid"), ("statutory", "L1"), True),
        (("dispute_pending", "c:C1", "dispute", "agent_conduct"), ("service", "L1"), True),
        (("dispute_pending", "phone", "dispute", "identity_theft"), ("statutory", "L1"), True),
        # While nobody can find the message, any ground holds the phone.
        (("dispute_pending", "phone", "dispute", "already_paid"), ("statutory", "L1"), True),
        (("manual_hold", "phone", "manual", ""), ("statutory", "L1"), True),
        # A wrong number: only what reveals nothing.
        (("dispute_pending", "phone", "dispute", "not_my_debt"), ("statutory", "L1"), False),
        (("dispute_pending", "phone", "dispute", "third_party_contacted"), ("service", "L1"), False),
        (("dispute_pending", "phone", "dispute", "not_my_debt"), ("service", None), True),
        (("wrong_number", "phone", "wrong_number", ""), ("statutory", "L1"), False),
        (("wrong_number", "phone", "manual", ""), ("service", None), True),
        (("wrong_number", "phone", "dispute", "not_my_debt"), ("survey", None), False),
        # An opt-out stops all but what the pack lets through: of the house's, statutory alone.
        (("opted_out", "phone", "opt_out", ""), ("statutory", "L1"), True),
        (("opted_out", "phone", "opt_out", ""), ("service", None), False),
        (("opted_out", "phone", "opt_out", ""), ("survey", None), False),
        (("opted_out", "phone", "opt_out", ""), ("reminder", "L1"), False),
    ],
)
def test_what_always_passes_and_what_does_not(
    hold: tuple[str, str, str, str], asked: tuple[str, str | None], allowed: bool
) -> None:
    reason, key, source, why = hold
    covers = {f"p:{P1.hex()}" if key == "phone" else key: held(reason, source, why)}
    decision = decide(item(category=asked[0], loan=asked[1]), covers=covers)
    survey = {"dispute_pending"} if asked[0] == "survey" and reason != "opted_out" else set()
    assert set(decision.reasons) == (set() if allowed else {reason, *survey})


def test_nobody_is_surveyed_while_a_dispute_of_theirs_stands_whatever_it_covers() -> None:
    for key in ("sc:C1", f"sp:{P1.hex()}", "c:C1", f"p:{P1.hex()}"):
        covers = {key: held("dispute_pending")}
        assert decide(item(category="survey", loan=None), covers=covers).reasons == ("dispute_pending",)
        assert decide(item(category="survey", loan="L1"), covers=covers).reasons == ("dispute_pending",)
        assert decide(item(category="survey", loan=None, phone=P3), covers=covers).allowed
    assert decide(item(), covers={"sc:C1": held("dispute_pending")}).allowed, "about the person: surveys alone"


@pytest.mark.parametrize("reason", sorted({*Reason.values} - {"opted_out", "rule_paused", "dispute_pending"}))
@pytest.mark.parametrize("key", ["sc:C1", f"sp:{P1.hex()}", "c:C1", f"p:{P1.hex()}"])
def test_whatever_holds_a_person_their_survey_waits_as_for_a_dispute(reason: str, key: str) -> None:
    for loan in (None, "L1"):
        decision = decide(item(category="survey", loan=loan), covers={key: held(reason)})
        assert set(decision.reasons) == {"dispute_pending", reason}


def test_a_survey_of_a_paused_rule_waits_for_no_dispute() -> None:
    covers = {"r:r": held("rule_paused")}
    assert decide(item(category="survey", loan=None, sending_rule="r"), covers=covers).reasons == ("rule_paused",)


def test_reasons_stand_in_their_order() -> None:
    covers = {"l:L1": held("manual_hold"), "c:C1": held("dispute_pending"), f"p:{P1.hex()}": held("opted_out")}
    decision = decide(
        item(sending_rule="ten"), covers=covers, at=NOON.replace(hour=15), taken=[sent(-2)], behind=("schedule",)
    )
    assert decision.reasons == (
        "opted_out",
        "dispute_pending",
        "manual_hold",
        "records_stale",
        "not_overdue",
        "outside_hours",
        "frequency_cap",
    )
    assert [*decision.reasons] == sorted(decision.reasons, key=REASONS.index)
    assert decision.next_allowed_at is None, "when the hold goes nobody knows"


class TestNextAllowedAt:
    """Where time alone stands in the way, the instant named is the first that is allowed."""

    def first_allowed(self, asked: GateItem, **changed: Any) -> datetime:
        decision = decide(asked, **changed)
        assert decision.reasons
        then = decision.next_allowed_at
        assert then is not None
        assert decide(asked, **{**changed, "at": then}).allowed
        assert not decide(asked, **{**changed, "at": then - timedelta(microseconds=1)}).allowed
        return then

    def test_in_the_night(self) -> None:
        night = datetime(2026, 3, 10, 13, 0, tzinfo=UTC)  # 21:00
        assert self.first_allowed(item(), at=night) == datetime(2026, 3, 11, 0, 0, tzinfo=UTC)

    def test_every_zone_must_allow(self) -> None:
        both = lambda: CustomerFact(zones=("Asia/Shanghai", "America/New_York"), wishes=NO_WISHES)  # noqa: E731
        # 8:00 in New York is 20:00 in Shanghai: one hour a day.
        assert self.first_allowed(item(), customers={"C1": both}) == datetime(2026, 3, 10, 12, 0, tzinfo=UTC)

    def test_their_own_blocked_hours(self) -> None:
        wishes = read_preferences({"blocked": [{"days": ["tue"], "from": "11:00", "until": "18:30"}]})
        busy = lambda: CustomerFact(zones=(ZONE,), wishes=wishes)  # noqa: E731
        assert self.first_allowed(item(), customers={"C1": busy}) == datetime(2026, 3, 10, 10, 30, tzinfo=UTC)

    def test_a_daily_cap_opens_with_the_hours_of_the_next_day(self) -> None:
        assert self.first_allowed(item(), taken=[sent(2)]) == datetime(2026, 3, 11, 0, 0, tzinfo=UTC)

    def test_a_weekly_cap(self) -> None:
        taken = [sent(100, loan="LX"), sent(90, loan="LX"), sent(30, loan="LX")]
        assert self.first_allowed(item(), taken=taken) == NOON + timedelta(hours=68)

    @given(
        hours=st.lists(st.floats(0.01, 170), max_size=6),
        at=st.integers(0, 24 * 60),
    )
    def test_always_the_first(self, hours: list[float], at: int) -> None:
        asked_at = NOON + timedelta(minutes=at)
        changed = {"at": asked_at, "taken": [sent(ago) for ago in hours]}
        if not decide(item(), **changed).allowed:
            self.first_allowed(item(), **changed)


class TestSlots:
    def test_an_allowed_item_takes_its_slot_from_the_next(self) -> None:
        walk = Walk(facts())
        assert walk.decide(item()).allowed
        assert walk.decide(replace(item(), request_id="r2")).reasons == ("frequency_cap",)

    def test_a_denied_item_takes_none(self) -> None:
        walk = Walk(facts(covers={f"p:{P2.hex()}": held("manual_hold", "manual")}))
        assert walk.decide(item(phone=P2)).reasons
        assert walk.decide(item()).allowed

    def test_what_no_cap_counts_takes_none(self) -> None:
        walk = Walk(facts())
        assert all(walk.decide(item(category=category)).allowed for category in ("service", "statutory", "survey"))
        assert walk.decide(item()).allowed

    def test_a_loan_that_moved_still_counts_what_was_sent_about_it(self) -> None:
        assert decide(item(), taken=[sent(1, customer="C2")]).reasons == ("frequency_cap",)


class TestTheSameRequestAgain:
    def live(self, **changed: Any) -> dict[str, LivePermit]:
        permit = LivePermit(
            id=__import__("uuid").uuid4(),
            phone=P1,
            loan="L1",
            channel="sms",
            category="urge",
            sending_rule=None,
            expires_at=NOON + timedelta(seconds=60),
        )
        return {"r": replace(permit, **changed)}

    def test_is_given_the_same_permit(self) -> None:
        live = self.live()
        decision = decide(item(), live=live, taken=[sent(0)])
        assert decision.allowed
        assert decision.permit == live["r"]

    def test_but_not_past_a_hold_that_came_meanwhile(self) -> None:
        covers = {"l:L1": held("dispute_pending")}
        assert decide(item(), live=self.live(), covers=covers).reasons == ("dispute_pending",)

    def test_and_not_for_another_message(self) -> None:
        assert decide(item(), live=self.live(phone=P2)).reasons == ("malformed",)

    def test_and_not_once_its_message_went_out(self) -> None:
        for live in ({}, self.live()):
            decision = decide(item(), live=live, sent=frozenset({request_of("r", item())}))
            assert (decision.reasons, decision.next_allowed_at) == (("frequency_cap",), None)
        nameless = replace(item(), request_id="")
        assert decide(nameless, sent=frozenset({request_of("", item())})).allowed


@given(
    reason=st.sampled_from(Reason.values),
    why=st.sampled_from(["", "not_my_debt", "already_paid"]),
    source=st.sampled_from(["dispute", "manual", "opt_out", "wrong_number", "breaker"]),
    category=st.sampled_from(["reminder", "urge", "warning"]),
)
def test_every_hold_stops_collection(reason: str, why: str, source: str, category: str) -> None:
    pack = PACKS.in_force("house", NOON, ZONE)
    hold = HoldFact(reason=reason, source=source, why=why)
    assert stops(hold=hold, category=category, loan="L1", surveys_only=False, pack=pack)
    assert not stops(hold=hold, category=category, loan="L1", surveys_only=True, pack=pack)
