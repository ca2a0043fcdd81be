"""The demo lender passes the import, is the same each time, and shows each cause that the check knows."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from demo import lender, loading
from demo.episodes import PLANS
from disputes.cases.assembling import assemble
from disputes.check.causes import CAUSES
from disputes.check.facts import Claim
from disputes.check.judging import judge
from disputes.holds.policies import pack_in_force
from disputes.policy.freshness import feeds_behind
from disputes.records.histories import read_watermarks
from disputes.records.models import Customer, Loan, Message

TODAY = date(2026, 5, 20)
NOW = datetime(2026, 5, 20, 3, tzinfo=UTC)

CAUSE_OF = {
    "late_posting": ("stale_records", "late_posting"),
    "stale_list": ("stale_records", "stale_list"),
    "reversal_voided": ("stale_records", "reversal_voided"),
    "backdated_change": ("stale_records", "backdated_change"),
    "within_grace": ("automation_rule", "within_grace"),
    "arrangement": ("automation_rule", "arrangement"),
    "pause": ("automation_rule", "pause"),
    "pre_due_rule": ("automation_rule", "pre_due_rule"),
    "settled": ("settled_loan", None),
    "written_off": ("settled_loan", None),
    "risk": ("risk_strategy", None),
    "wrong_rule": ("system_error", None),
    "wrong_amount": ("wrong_amount", "amount"),
    "wrong_days": ("wrong_amount", "days"),
    "to_contact": ("wrong_recipient", None),
}


def lines(today: date) -> list[str]:
    return [json.dumps(line, ensure_ascii=False) for line in lender.demo_lines(today=today)]


class TestTheLines:
    def test_are_the_same_for_the_same_day(self):
        assert lines(TODAY) == lines(TODAY)

    def test_are_as_many_as_a_lender_worth_a_look_has(self):
        kinds = Counter(line["type"] for line in lender.demo_lines(today=TODAY))
        assert kinds["customer"] >= 200
        assert kinds["loan"] >= 300
        assert kinds["message"] >= 300

    def test_say_nothing_of_a_day_that_has_not_come(self):
        start = datetime(2026, 5, 19, 16, tzinfo=UTC)  # midnight in Shanghai
        for line in lender.demo_lines(today=TODAY):
            for name in ("posted_at", "paid_at", "sent_at", "list_built_at", "reversed_at", "complete_until"):
                assert name not in line or datetime.fromisoformat(line[name]) <= start, line

    def test_name_every_message_once_by_a_short_reference(self):
        refs = [line["short_ref"] for line in lender.demo_lines(today=TODAY) if line["type"] == "message"]
        assert len(refs) == len(set(refs))

    def test_have_a_message_for_every_plan_and_a_plan_for_every_cause(self):
        assert {tale.plan_name for tale in lender.tales(today=TODAY)} == set(PLANS)
        """But for sends without a permit: the demo lender does not have to ask the gate."""
        assert {cause for cause, _ in CAUSE_OF.values()} == {cause.name for cause in CAUSES} - {"unauthorised_send"}


def behind(at: datetime) -> tuple[str, ...]:
    """The feeds by which the gate would find the records too old."""
    reached = {mark.feed: mark.complete_until for mark in read_watermarks()}
    return feeds_behind(pack=pack_in_force(at=at), reached=reached, at=at)


@pytest.fixture
def loaded(transactional_db):
    assert loading.load(now=NOW) > 4_000


@pytest.mark.usefixtures("loaded")
class TestTheLoadedLender:
    def test_shows_in_each_message_what_its_plan_set_out_to_show(self):
        """Whether a message was right hangs on the records alone, and they are as the plan says."""
        found: dict[str, Counter] = {}
        for tale in lender.tales(today=TODAY):
            sent = Message.objects.get(external_id=tale.message)
            read = assemble(messages=[sent])[sent.pk]
            ground = "wrong_amount" if tale.plan.claims else tale.plan.ground
            said = judge(history=read.history, message=read.message, claim=Claim(ground=ground), pack=read.pack)
            outcome = (said.verdict, said.cause, said.detail)
            found.setdefault(tale.plan_name, Counter())[outcome] += 1
        for name, plan in PLANS.items():
            for verdict, cause, detail in found[name]:
                if detail == "frequency_cap":
                    continue  # one too many beside the customer's other loans, of which a plan says nothing
                if plan.right:
                    assert verdict in ("customer_right", "partly_right"), (name, found[name])
                    assert (cause, detail) == CAUSE_OF[name], (name, found[name])
                else:
                    assert verdict not in ("customer_right", "partly_right"), (name, found[name])

    def test_is_loaded_once(self):
        before = Loan.objects.count(), Customer.objects.count()
        assert loading.load(now=NOW + timedelta(days=3)) == 0
        assert (Loan.objects.count(), Customer.objects.count()) == before

    def test_sends_fresh_watermarks_when_its_feeds_have_grown_old(self):
        later = NOW + timedelta(days=3)
        assert behind(later)
        assert loading.refresh(now=later)
        assert not behind(later)
        assert not loading.refresh(now=later + timedelta(minutes=5))


class TestALoadThatWasCutShort:
    def test_goes_on_with_the_day_on_which_it_began(self, transactional_db, monkeypatch):
        whole = lender.demo_lines

        def half(**asked):
            for place, line in enumerate(whole(**asked)):
                if place == 2500:
                    raise KeyboardInterrupt
                yield line

        monkeypatch.setattr(loading, "demo_lines", half)
        with pytest.raises(KeyboardInterrupt):
            loading.load(now=NOW)
        assert not loading.is_loaded()
        monkeypatch.undo()
        loading.load(now=NOW + timedelta(days=1))
        assert loading.day_made() == TODAY
        assert Message.objects.filter(external_id="M-1001", sent_at__date=date(2026, 5, 19)).exists()
        assert Loan.objects.count() == 310
