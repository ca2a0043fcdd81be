"""What the pages of the desk show, and how many queries that takes."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from disputes.cases.models import Comment, Dispute
from disputes.desk.accounts import both_clocks
from disputes.desk.home import first_line
from disputes.desk.words import EVENTS, due_in, event_words
from disputes.holds.models import Hold
from disputes.holds.policies import pack_in_force
from disputes.journal.models import Event
from tests.callers import customer
from tests.disputes.desk.staff import agent, dispute_in_review, supervisor
from tests.lines import customer_line, in_arrears, late_posting, loan_lines, message_line, send_records
from tests.work import work

pytestmark = pytest.mark.django_db

MOST = 30
"""Queries of a page."""


def money(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "CNY"}


def account(*, paid: str, left: str, repayments: list[dict[str, Any]]) -> dict[str, Any]:
    line = {"number": 1, "due_on": "2026-02-01", "amount": money("100.00"), "paid": money(paid)}
    return {
        "days_past_due": 0 if left == "0.00" else 2,
        "overdue_amount": money(left),
        "instalments": [{**line, "outstanding": money(left), "paid_off_on": None}],
        "repayments": repayments,
    }


class TestBothClocks:
    def test_what_one_clock_did_not_know_is_marked_and_said(self) -> None:
        paid = {
            "external_id": "P1",
            "amount": money("100.00"),
            "paid_at": "2026-02-01T01:00:00Z",
            "posted_at": "2026-02-04T01:00:00Z",
            "reversed_at": None,
        }
        shown = both_clocks(
            {
                "at": "2026-02-03T02:00:00Z",
                "as_it_was": account(paid="100.00", left="0.00", repayments=[paid]),
                "as_known": account(paid="0.00", left="100.00", repayments=[]),
            }
        )
        assert shown is not None
        assert shown.at == "2026-02-03 10:00"
        assert [row.label[0] for row in shown.summary if row.differs] == ["Days past due", "Overdue"]
        (line,) = shown.instalments
        assert (line.was, line.known) == (
            ("100.00", "100.00", "0.00"),
            ("100.00", "0.00", "100.00"),
        )
        (repayment,) = shown.repayments
        assert repayment.label == ("P1", "2026-02-01 09:00", "2026-02-04 09:00")
        assert (repayment.was, repayment.known) == (("100.00",), ("not known then",))
        assert repayment.differs

    def test_a_check_without_an_account_shows_none(self) -> None:
        assert both_clocks(None) is None
        assert both_clocks({"at": "2026-02-03T02:00:00Z", "as_it_was": None, "as_known": None}) is None


class TestThePage:
    def test_shows_the_words_the_message_the_clocks_the_verdict_and_the_hold(self, settings: Any) -> None:
        settings.REVIEW_SAMPLE = 1.0
        dispute = dispute_in_review(*late_posting(), statement="我已经还款了。<script>alert(1)</script>")
        page = agent().page(dispute).content.decode()
        for said in (
            "我已经还款了。&lt;script&gt;",
            "您的借款已逾期,请立即还款。",
            "The customer is right",
            "posted after the message",
            "not known then",
            "Stands",
            "the loan",
            "for the customer",
        ):
            assert said in page, said
        assert "<script>alert" not in page
        assert "13812340001" not in page, "phones are masked"
        assert "0001" in page

    def test_says_in_mainland_china_that_limitation_is_not_interrupted(self, settings: Any) -> None:
        dispute = dispute_in_review(*in_arrears())
        ann = agent()
        assert "limitation" not in ann.page(dispute).content.decode()
        settings.POLICY_PACK = "cn"
        assert pack_in_force(at=dispute.opened_at).name == "cn"
        assert "limitation period is not interrupted" in ann.page(dispute).content.decode()
        Hold.objects.filter(dispute=dispute.pk).update(released_at=timezone.now())
        assert "limitation" not in ann.page(dispute).content.decode(), "nothing is held any more"

    def test_a_message_that_nobody_found_is_described_with_its_number_masked(self) -> None:
        send_records(customer_line())
        selector = {"phone": "+8613812340001", "received_at": "2026-02-03T10:00:00+08:00", "text": "请还款"}
        answer = customer("C1").post(
            "/api/v1/disputes", {"message": selector, "ground": "not_my_debt"}, Idempotency_Key="k"
        )
        work()
        page = supervisor().page(Dispute.objects.get(pk=answer.json()["id"])).content.decode()
        assert "请还款" in page
        assert "13812340001" not in page

    def test_takes_few_queries_whatever_the_dispute_holds(self) -> None:
        dispute = dispute_in_review(*in_arrears())
        ann, boss = agent(), supervisor()
        for number in range(150):
            Event.objects.create(
                subject_type="dispute",
                subject_id=dispute.pk,
                kind="comment.added",
                actor_type="user",
                actor_id=str(boss.user.pk),
            )
            Comment.objects.create(
                dispute=dispute,
                author_type="user",
                author_id=str(ann.user.pk),
                text=f"words {number}",
                internal=number % 2 == 0,
                at=dispute.opened_at,
            )
        for who in (ann, boss):
            who.page(dispute)
            with CaptureQueriesContext(
                connection,
            ) as asked:
                assert who.page(dispute).status_code == 200
            assert len(asked) <= MOST, [row["sql"][:100] for row in asked]

    @pytest.mark.parametrize("key", ["0", "x", "00000000-0000-7000-8000-000000000000"])
    def test_of_nothing_is_not_there(self, key: str) -> None:
        assert supervisor().http.get(f"/admin/disputes/dispute/{key}/change/").status_code == 404

    def test_of_what_is_no_text_is_no_request(self) -> None:
        assert supervisor().http.get("/admin/disputes/dispute/1%00/change/").status_code == 400


class TestTheFirstPage:
    def test_of_an_agent_is_their_queue_the_nearest_deadline_first(self) -> None:
        ann = agent()
        lines = [customer_line(), *loan_lines()]
        lines += [message_line(f"M{n}", sent_at=f"2026-02-0{n}T10:00:00+08:00") for n in range(2, 6)]
        send_records(*lines)
        for n, ground in enumerate(["other", "agent_conduct", "identity_theft"], start=2):
            asked = {"message": {"external_id": f"M{n}"}, "ground": ground, "statement": f"line {n}\nmore"}
            assert customer("C1").post("/api/v1/disputes", asked, Idempotency_Key=str(n)).status_code == 201
        work()
        rows = ann.home().context["home"].mine.rows
        due = list(Dispute.objects.order_by("decide_by", "pk").values_list("reference", flat=True))
        assert [row.reference for row in rows] == due
        assert {row.words for row in rows} == {"line 2", "line 3", "line 4"}
        with CaptureQueriesContext(connection) as asked_again:
            ann.home()
        assert len(asked_again) <= MOST

    def test_of_a_supervisor_shows_what_nobody_takes_and_what_everybody_has(self) -> None:
        dispute = dispute_in_review(*in_arrears())
        agent("off", on_duty=False)
        home = supervisor().home().context["home"]
        assert [row.reference for row in home.unfit.rows] == [dispute.reference]
        assert [(row.name, row.on_duty, row.load) for row in home.loads] == [("off", False, 0)]

    def test_of_a_supervisor_takes_few_queries_with_many_cases(self) -> None:
        for number in range(12):
            agent(f"agent{number}", on_duty=number % 2 == 0)
        dispute_in_review(*in_arrears())
        boss = supervisor()
        boss.home()
        with CaptureQueriesContext(connection) as asked:
            assert boss.home().status_code == 200
        assert len(asked) <= MOST, [row["sql"][:100] for row in asked]

    def test_of_an_auditor_or_of_nobody_shows_no_case(self) -> None:
        dispute = dispute_in_review(*in_arrears())
        from tests.disputes.desk.staff import Person

        for someone in (Person("ada", "auditors"), Person("nob")):
            page = someone.home().content.decode()
            assert dispute.reference not in page
            assert "Take next" not in page


class TestWords:
    @pytest.mark.parametrize(
        ("hours", "said"),
        [(0.5, "due in 30 min"), (3.9, "due in 3 h"), (47, "due in 47 h"), (49, "due in 2 days"), (-1, "1 h overdue")],
    )
    def test_a_deadline_reads_as_people_say_it(self, hours: float, said: str) -> None:
        from datetime import UTC, datetime, timedelta

        now = datetime(2026, 2, 3, 10, tzinfo=UTC)
        assert due_in(now + timedelta(hours=hours), now=now) == said

    def test_an_event_that_is_new_still_reads(self) -> None:
        assert event_words("rule.switched_on") == "Rule: switched on"
        assert all(event_words(kind) == said for kind, said in EVENTS.items())

    def test_the_first_line_that_says_something(self) -> None:
        assert first_line("\n  \n I paid. \nMore") == "I paid."
        assert first_line(None) == ""
        assert len(first_line("长" * 500)) == 90
