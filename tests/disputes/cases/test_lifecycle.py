"""Comments, withdrawal, the time line, and the moves that are not allowed."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from disputes.cases.models import Dispute
from disputes.holds.models import Hold
from tests.callers import customer, system
from tests.disputes.cases.test_opening import DISPUTES, dispute
from tests.lines import in_arrears, late_posting, send_records
from tests.work import work

pytestmark = pytest.mark.django_db


@pytest.fixture
def opened():
    send_records(*in_arrears())
    body = dispute(customer("C1")).json()
    work()
    return f"{DISPUTES}/{body['id']}"


class TestWithdrawal:
    def test_closes_at_once_and_ends_the_hold(self, opened):
        answer = customer("C1").post(f"{opened}/withdraw")
        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["outcome"]) == ("closed", "withdrawn")
        assert answer.json()["hold"]["released_at"]
        assert Hold.objects.get().release_reason == "withdrawn"

    def test_of_a_closed_dispute_is_409_and_changes_nothing(self, opened):
        customer("C1").post(f"{opened}/withdraw")
        again = customer("C1").post(f"{opened}/withdraw")
        assert again.status_code == 409
        assert again.json()["errors"][0]["code"] == "wrong_state"

    def test_of_an_upheld_dispute_does_not_lift_its_hold(self):
        send_records(*late_posting())
        body = dispute(customer("C1")).json()
        work()
        assert customer("C1").post(f"{DISPUTES}/{body['id']}/withdraw").status_code == 409
        assert Hold.objects.get().released_at is None

    def test_has_no_outcome_to_deliver(self, opened):
        customer("C1").post(f"{opened}/withdraw")
        customer("C1").get(opened)
        kinds = [row["kind"] for row in customer("C1").get(f"{opened}/events").json()["results"]]
        assert "outcome.delivered" not in kinds

    def test_with_a_key_replays_its_answer(self, opened):
        first = customer("C1").post(f"{opened}/withdraw", Idempotency_Key="w1")
        again = customer("C1").post(f"{opened}/withdraw", Idempotency_Key="w1")
        assert again.content == first.content
        assert again["Idempotent-Replayed"] == "true"


class TestComments:
    def test_are_kept_sealed_and_read_back_in_order(self, opened):
        api = customer("C1")
        for text in ("first words", "然后还款了"):
            assert api.post(f"{opened}/comments", {"text": text}).status_code == 201
        rows = api.get(f"{opened}/comments").json()["results"]
        assert [row["text"] for row in rows] == ["first words", "然后还款了"]
        with connection.cursor() as cursor:
            cursor.execute("SELECT string_agg(c::text, '') FROM disputes_comment c")
            assert "first words" not in cursor.fetchone()[0]

    @pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": "x" * 5001}, {"text": 1}, {"text": "a", "by": "me"}])
    def test_that_say_nothing_or_too_much_are_refused(self, opened, body):
        assert customer("C1").post(f"{opened}/comments", body).status_code == 400

    def test_on_a_closed_dispute_are_409(self, opened):
        customer("C1").post(f"{opened}/withdraw")
        assert customer("C1").post(f"{opened}/comments", {"text": "late"}).status_code == 409

    def test_return_a_dispute_that_waits_for_the_customer_to_review(self, opened):
        Dispute.objects.update(status="waiting_customer")
        customer("C1").post(f"{opened}/comments", {"text": "here"})
        assert customer("C1").get(opened).json()["status"] == "in_review"


class TestTheTimeLine:
    def test_tells_oldest_first_who_did_what(self, opened):
        customer("C1").post(f"{opened}/comments", {"text": "words that stay out of the journal"})
        customer("C1").post(f"{opened}/withdraw")
        answer = system("disputes:read").get(f"{opened}/events")
        rows = answer.json()["results"]
        kinds = [row["kind"] for row in rows]
        assert kinds == [
            "dispute.opened",
            "dispute.checked",
            "dispute.in_review",
            "dispute.unassignable",  # no agent is on duty
            "comment.added",
            "dispute.closed",
        ]
        assert rows[0]["actor"] == {"type": "customer", "id": "C1"}
        assert rows[1]["actor"]["type"] == "service"
        assert b"stay out" not in answer.content

    def test_is_append_only_for_everybody(self, opened):
        for statement in (
            "UPDATE disputes_event SET kind = 'x'",
            "DELETE FROM disputes_event",
            "TRUNCATE disputes_event",
        ):
            with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)


class TestTheDatabase:
    def test_knows_an_outcome_only_of_closed_disputes(self, opened):
        for change in ({"outcome": "upheld"}, {"status": "closed"}, {"status": "odd"}):
            with pytest.raises(IntegrityError), transaction.atomic():
                Dispute.objects.update(**change)
