"""What makes the check of an open dispute run again though the loan's account stays as it is."""

from __future__ import annotations

import pytest

from disputes.cases.models import Check, Dispute
from disputes.records.models import Loan
from tests.callers import customer
from tests.disputes.cases.test_opening import dispute
from tests.lines import customer_line, in_arrears, loan_lines, message_line, send_records
from tests.work import work

pytestmark = pytest.mark.django_db

OTHER = "+8613812340002"
EARLIER, LATER = "2026-02-03T09:00:00+08:00", "2026-02-03T11:00:00+08:00"


@pytest.fixture
def checked():
    """A dispute in review about M1, checked once. Returns how often it is checked after more lines came."""
    send_records(*in_arrears(), *loan_lines("L2"), *loan_lines("L3", customer="C3"))
    dispute(customer("C1"))
    work()
    assert Check.objects.count() == 1

    def after(*lines) -> int:
        send_records(*lines)
        work()
        return Check.objects.count()

    return after


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([customer_line(time_zones=["Asia/Tokyo"], posted_at="2026-02-02T00:00:00Z")], id="the customer"),
        pytest.param([message_line("M2", sent_at=EARLIER, loan="L3")], id="to the same phone before"),
        pytest.param([message_line("M2", sent_at=EARLIER, loan="L2", phone=OTHER)], id="about another loan of theirs"),
        pytest.param([message_line("M2", sent_at=EARLIER, phone=OTHER)], id="about the same loan"),
    ],
)
def test_it_runs_again_after_news_of(checked, lines):
    assert checked(*lines) == 2


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([message_line("M2", sent_at=LATER)], id="a message sent after it"),
        pytest.param([message_line("M2", sent_at=EARLIER, loan="L3", phone=OTHER)], id="somebody else's"),
        pytest.param([customer_line("C3", phone=OTHER)], id="another customer"),
    ],
)
def test_it_does_not_after_news_of(checked, lines):
    before = Loan.objects.get(pk="L1").revision
    assert checked(*lines) == 1
    assert Loan.objects.get(pk="L1").revision == before


def test_a_message_that_never_was_is_counted_no_more(checked):
    assert checked(message_line("M2", sent_at=EARLIER)) == 2
    void = {"type": "void", "external_id": "V1", "target_type": "message", "target": "M2"}
    # The input is the first one's again, so the first check is the newest again.
    assert checked(void) == 2
    first = Check.objects.order_by("pk").first()
    assert Dispute.objects.get().last_check == first


def test_a_message_that_moves_to_a_later_instant_is_counted_no_more(checked):
    assert checked(message_line("M2", sent_at=EARLIER, version=1)) == 2
    checked(message_line("M2", sent_at=LATER, version=2))
    assert Dispute.objects.get().last_check == Check.objects.order_by("pk").first()


def test_the_permit_of_the_message_is_named_by_another_one_too(checked):
    permit = "0198c0de-0000-7000-8000-000000000001"
    assert checked(message_line(permit=permit, version=2)) == 2
    before = Loan.objects.get(pk="L1").revision
    checked(message_line("M2", sent_at=LATER, permit=permit, loan="L3", phone=OTHER))
    assert Loan.objects.get(pk="L1").revision == before + 1
