"""Two at once: keys, disputes, checks and imports, with real connections."""

from __future__ import annotations

import uuid
from contextlib import contextmanager

import pytest

from disputes.cases import checking, joining
from disputes.cases.models import Check, Dispute
from disputes.holds.models import Hold
from disputes.journal.models import Event
from disputes.outbox.models import OutboxTopic
from disputes.records import queries as records
from tests.callers import customer, system
from tests.disputes.cases.test_opening import DISPUTES
from tests.lines import customer_line, in_arrears, late_posting, repayment_line, send_records
from tests.races import at_once
from tests.work import work

pytestmark = pytest.mark.django_db(transaction=True)

ASKED = {"message": {"external_id": "M1"}, "ground": "already_paid"}


class TestFiftyPostsWithOneKey:
    def test_make_one_dispute_and_one_answer(self):
        send_records(*late_posting())
        api = customer("C1")
        key = str(uuid.uuid4())
        answers = at_once([lambda: api.post(DISPUTES, ASKED, Idempotency_Key=key)] * 50)
        statuses = {answer.status_code for answer in answers}
        assert statuses <= {201, 409}
        made = [answer for answer in answers if answer.status_code == 201]
        assert made
        assert {answer.content for answer in made} == {made[0].content}
        assert all(
            answer.json()["errors"][0]["code"] == "idempotency_key_in_use"
            for answer in answers
            if answer.status_code == 409
        )
        assert ["Idempotent-Replayed" in answer for answer in made].count(False) == 1
        assert Dispute.objects.count() == Hold.objects.count() == 1
        assert OutboxTopic.objects.filter(topic="dispute.opened").count() == 1
        assert api.post(DISPUTES, ASKED, Idempotency_Key=key).content == made[0].content


class TestTwentyPostsWithKeysOfTheirOwn:
    def test_on_one_message_and_ground_make_one_dispute(self):
        send_records(*late_posting())
        api = customer("C1")
        answers = at_once([lambda: api.post(DISPUTES, ASKED, Idempotency_Key=str(uuid.uuid4()))] * 20)
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
        first = next(answer.json()["id"] for answer in answers if answer.status_code == 201)
        assert {answer["Location"] for answer in answers} == {f"{DISPUTES}/{first}"}
        assert Dispute.objects.count() == Hold.objects.count() == 1


class TestTwoChecksOfOneDispute:
    @pytest.mark.parametrize("lines", [late_posting, in_arrears])
    def test_write_one(self, lines):
        send_records(*lines())
        opened = customer("C1").post(DISPUTES, ASKED, Idempotency_Key="k").json()
        dispute = Dispute.objects.get(pk=opened["id"])
        results = at_once([lambda: checking.run_check(dispute_id=dispute.pk, now=dispute.opened_at)] * 8)
        assert not [result for result in results if isinstance(result, BaseException)]
        assert Check.objects.count() == 1
        assert Event.objects.filter(kind="dispute.checked").count() == 1


class TestAMergeAgainstAWithdrawal:
    def test_leaves_one_open_that_is_held(self, monkeypatch):
        """The first is withdrawn between the look that found it and the second's closing in its favour."""
        send_records(customer_line())
        api = customer("C1")
        first, second = (
            api.post(DISPUTES, {"message": message, "ground": "already_paid"}, Idempotency_Key=str(message)).json()
            for message in ({"external_id": "M1"}, {"short_ref": "S-M1"})
        )
        merge, withdrawn = joining._merge, []

        def withdraw_first(**asked):
            if not withdrawn:
                withdrawn.extend(at_once([lambda: api.post(f"{DISPUTES}/{first['id']}/withdraw")]))
            merge(**asked)

        monkeypatch.setattr(joining, "_merge", withdraw_first)
        send_records(*in_arrears())
        work()
        assert [answer.status_code for answer in withdrawn] == [200]
        left = Dispute.objects.get(pk=second["id"])
        assert (left.outcome, left.message.external_id) == (None, "M1")
        assert Hold.objects.get(dispute=left.pk).released_at is None


class TestACheckAgainstAWithdrawal:
    def test_ends_in_one_outcome_each_time(self):
        send_records(*late_posting())
        for round_ in range(10):
            opened = customer("C1").post(DISPUTES, ASKED, Idempotency_Key=f"k{round_}").json()
            dispute = Dispute.objects.get(pk=opened["id"])
            api = customer("C1")
            at_once(
                [
                    lambda d=dispute: checking.run_check(dispute_id=d.pk, now=d.opened_at),
                    lambda d=dispute, api=api: api.post(f"{DISPUTES}/{d.pk}/withdraw"),
                ]
            )
            dispute.refresh_from_db()
            hold = Hold.objects.get(dispute=dispute.pk)
            assert dispute.status == "closed"
            assert (dispute.outcome == "withdrawn") == (hold.released_at is not None)
            assert Event.objects.filter(subject_id=dispute.pk, kind="dispute.closed").count() == 1


@contextmanager
def importing_after_the_history_was_read(monkeypatch):
    """An import commits between the check's reading and its writing, once."""
    real = records.histories
    done = []

    def reading(**asked):
        history = real(**asked)
        if not done:
            done.append(1)
            at_once(
                [
                    lambda: send_records(
                        repayment_line("P1", paid="2026-02-01T09:00:00+08:00", posted="2026-02-05T09:00:00+08:00")
                    )
                ]
            )
        return history

    with monkeypatch.context() as patched:
        patched.setattr(records, "histories", reading)
        yield


class TestAnImportThatChangesTheLoanDuringACheck:
    def opened(self) -> Dispute:
        send_records(*in_arrears())
        return Dispute.objects.get(pk=customer("C1").post(DISPUTES, ASKED, Idempotency_Key="k").json()["id"])

    def test_makes_it_read_again(self, monkeypatch):
        dispute = self.opened()
        with importing_after_the_history_was_read(monkeypatch):
            checking.run_check(dispute_id=dispute.pk, now=dispute.opened_at)
        assert Check.objects.get().verdict == "customer_right"

    def test_would_be_missed_if_the_revision_were_not_compared(self, monkeypatch):
        dispute = self.opened()
        monkeypatch.setattr(records, "lock_loan", lambda *, loan: records.revision_of_loan(loan=loan))
        seen = []
        real = records.revision_of_loan
        monkeypatch.setattr(records, "revision_of_loan", lambda *, loan: seen.append(real(loan=loan)) or seen[0])
        with importing_after_the_history_was_read(monkeypatch):
            checking.run_check(dispute_id=dispute.pk, now=dispute.opened_at)
        assert Check.objects.get().verdict == "lender_right"

    def test_reaches_the_dispute_however_the_two_fall(self):
        for round_ in range(6):
            send_records(*in_arrears())
            body = {"message": {"external_id": "M1"}, "ground": "already_paid"}
            opened = customer("C1").post(DISPUTES, body, Idempotency_Key=f"k{round_}").json()
            paid = repayment_line(f"P{round_}", paid="2026-02-01T09:00:00+08:00", posted="2026-02-05T09:00:00+08:00")
            dispute = Dispute.objects.get(pk=opened["id"])
            at_once(
                [
                    lambda d=dispute: checking.run_check(dispute_id=d.pk, now=d.opened_at),
                    lambda line=paid: send_records(line),
                ]
            )
            work()
            dispute.refresh_from_db()
            assert dispute.last_check.verdict == "customer_right"
            send_records(
                {"type": "void", "external_id": f"V{round_}", "target_type": "repayment", "target": f"P{round_}"}
            )
            customer("C1").get(f"{DISPUTES}/{dispute.pk}")
            work()


def test_the_systems_own_key_is_not_the_customers():
    send_records(*late_posting())
    first = customer("C1").post(DISPUTES, ASKED, Idempotency_Key="same")
    second = system("disputes:write").post(DISPUTES, ASKED | {"ground": "other"}, Idempotency_Key="same")
    assert (first.status_code, second.status_code) == (201, 201)
