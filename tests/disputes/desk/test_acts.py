"""What an agent does to a dispute at the desk, and what is told where it cannot be done."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from django.urls import reverse
from django.utils import timezone

from disputes.cases.models import Comment, Decision, Dispute
from disputes.holds.models import Hold
from disputes.journal.models import Event
from tests.callers import customer
from tests.disputes.desk.staff import Person, agent, case_of, dispute_in_review, supervisor
from tests.lines import in_arrears, late_posting, message_line, repayment_line, send_records
from tests.work import work

pytestmark = pytest.mark.django_db

UPHOLD = {"outcome": "upheld", "reason": "payment_proved", "explanation": "You showed us the receipt."}
REJECT = {"outcome": "rejected", "reason": "payment_not_found", "explanation": "We asked both banks."}


@pytest.fixture
def ann() -> Person:
    return agent()


@pytest.fixture
def case(ann: Person) -> Dispute:
    """Hers: she is the only one on duty when it comes."""
    dispute = dispute_in_review(*in_arrears(), statement="I paid on the first.\nSee the slip.")
    assert case_of(dispute).owner == ann.agent
    return dispute


@pytest.fixture
def right(settings: Any, ann: Person) -> Dispute:
    """A dispute whose check says that the customer is right, which the sample sent to a person all the same."""
    settings.REVIEW_SAMPLE = 1.0
    return dispute_in_review(*late_posting())


def told(answer: Any) -> str:
    """What a refused act says on the page."""
    assert answer.status_code == 409
    return str(answer.context["refused"])


class TestDeciding:
    def test_what_was_upheld_is_closed_and_its_letter_quotes_the_words(self, ann: Person, case: Dispute) -> None:
        answer = ann.act(case, "decide", **UPHOLD)
        assert answer.status_code == 302
        assert answer["Location"] == reverse("admin:disputes_dispute_change", args=[case.pk])
        case.refresh_from_db()
        assert (case.status, case.outcome, case.closed_by_person) == ("closed", "upheld", True)
        page = ann.http.get(reverse("admin:desk_letter", args=[case.pk]))
        assert "You showed us the receipt." in page.content.decode()
        case.refresh_from_db()
        assert case.outcome_delivered_at is None, "an agent's look delivers nothing"

    def test_the_same_click_twice_decides_once(self, ann: Person, case: Dispute) -> None:
        form = ann.form(case, "decide")
        said = {field.name: field.value() or "" for field in form.hidden_fields()} | UPHOLD
        address = reverse("admin:desk_act", args=[case.pk, "decide"])
        assert [ann.http.post(address, said).status_code for _ in range(3)] == [302, 302, 302]
        assert Decision.objects.count() == 1

    def test_a_record_that_came_meanwhile_is_looked_at_first(self, ann: Person, case: Dispute) -> None:
        said = {field.name: field.value() or "" for field in ann.form(case, "decide").hidden_fields()} | REJECT
        paid = {"paid": "2026-02-01T09:00:00+08:00", "posted": "2026-02-04T09:00:00+08:00"}
        send_records(repayment_line("P1", amount="50.00", **paid))
        work()
        answer = ann.http.post(reverse("admin:desk_act", args=[case.pk, "decide"]), said)
        assert "records changed" in told(answer)
        page = answer.content.decode()
        assert "We asked both banks." in page, "what was written is still there"
        case.refresh_from_db()
        assert case.status == "in_review"
        shown = answer.context["forms"]["decide"]
        again = {field.name: field.value() or "" for field in shown.hidden_fields()} | REJECT
        assert again["check_id"] == str(case.last_check_id)
        assert ann.http.post(reverse("admin:desk_act", args=[case.pk, "decide"]), again).status_code == 302

    def test_a_reason_that_contradicts_the_outcome_is_not_taken(self, ann: Person, case: Dispute) -> None:
        answer = ann.act(case, "decide", **UPHOLD | {"outcome": "rejected"})
        assert answer.status_code == 409
        assert "does not go with this outcome" in str(answer.context["forms"]["decide"].errors["reason"])
        assert not Decision.objects.exists()

    def test_words_to_the_customer_are_needed(self, ann: Person, case: Dispute) -> None:
        answer = ann.act(case, "decide", **UPHOLD | {"explanation": "  "})
        assert "explanation" in answer.context["forms"]["decide"].errors
        nul = ann.act(case, "decide", **UPHOLD | {"explanation": "a\0b"})
        assert (nul.status_code, Decision.objects.count()) == (409, 0)

    def test_a_closed_dispute_has_no_form_and_takes_no_decision(self, ann: Person, case: Dispute) -> None:
        ann.act(case, "decide", **UPHOLD)
        assert "decide" not in ann.page(case).context["forms"]
        address = reverse("admin:desk_act", args=[case.pk, "decide"])
        stale = {"once": "00000000-0000-7000-8000-00000000000a", "check_id": str(case.last_check_id), **UPHOLD}
        assert "closed" in told(ann.http.post(address, stale))


class TestASecondPerson:
    def test_a_rejection_against_the_check_waits_for_another(self, ann: Person, right: Dispute) -> None:
        assert "waits for a second person" in ann.page(right).content.decode()
        ann.act(right, "decide", **REJECT)
        right.refresh_from_db()
        assert right.status == "in_review"
        page = ann.page(right)
        assert page.context["page"].waiting is not None
        assert "approve" not in page.context["forms"]
        boss = supervisor()
        assert b"Agree" in boss.page(right).content
        assert boss.act(right, "approve").status_code == 302
        right.refresh_from_db()
        assert (right.status, right.outcome) == ("closed", "rejected")

    def test_whoever_decided_cannot_be_the_second(self, right: Dispute) -> None:
        boss = supervisor()
        boss.act(right, "decide", **REJECT)
        assert "other than" in told(boss.act(right, "approve"))
        right.refresh_from_db()
        assert right.status == "in_review"

    def test_who_says_no_says_why(self, ann: Person, right: Dispute) -> None:
        ann.act(right, "decide", **REJECT)
        boss = supervisor()
        assert "why not" in told(boss.act(right, "decline", why="")).lower()
        assert boss.act(right, "decline", why="The slip is good.").status_code == 302
        page = ann.page(right)
        assert page.context["page"].waiting is None
        assert "The slip is good." in page.content.decode()
        assert "decide" in page.context["forms"]


class TestTalking:
    def test_a_question_goes_out_and_the_case_waits_for_the_customer(self, ann: Person, case: Dispute) -> None:
        assert ann.act(case, "ask", text="Please send the slip.", template="").status_code == 302
        case.refresh_from_db()
        assert case.status == "waiting_customer"
        assert [comment.text for comment in Comment.objects.filter(internal=False)] == ["Please send the slip."]
        assert [row.reference for row in ann.home().context["home"].aside.rows] == [case.reference]
        customer("C1").post(f"/api/v1/disputes/{case.pk}/comments", {"text": "Here it is."}, Idempotency_Key="c1")
        work()
        assert "Here it is." in ann.page(case).content.decode()
        assert [row.reference for row in ann.home().context["home"].mine.rows] == [case.reference]

    def test_a_question_may_be_one_of_those_that_are_written_already(self, ann: Person, case: Dispute) -> None:
        case.language = "zh-hans"
        case.save(update_fields=["language"])
        ann.act(case, "ask", text="", template="receipt")
        assert "凭证" in Comment.objects.get().text

    def test_an_empty_question_is_not_sent(self, ann: Person, case: Dispute) -> None:
        assert ann.act(case, "ask", text="", template="").status_code == 409
        assert not Comment.objects.exists()

    def test_a_note_is_seen_by_colleagues_and_never_by_the_customer(self, ann: Person, case: Dispute) -> None:
        assert ann.act(case, "note", text="Called twice, rude.").status_code == 302
        assert "Called twice, rude." in ann.page(case).content.decode()
        for where in ("", "/comments", "/events"):
            answer = customer("C1").get(f"/api/v1/disputes/{case.pk}{where}")
            assert "rude" not in answer.content.decode()

    def test_the_same_note_clicked_twice_stands_once(self, ann: Person, case: Dispute) -> None:
        once = "00000000-0000-7000-8000-0000000000aa"
        for _ in range(2):
            assert ann.act(case, "note", once=once, text="Once.").status_code == 302
        assert Comment.objects.count() == 1


class TestHandingOn:
    def test_a_colleague_has_it_then_and_who_had_it_acts_no_more(self, ann: Person, case: Dispute) -> None:
        bob = agent("bob")
        assert bob.agent is not None
        assert ann.act(case, "hand_on", to=f"agent:{bob.agent.pk}", why="on leave").status_code == 302
        assert case_of(case).owner == bob.agent
        assert "another agent" in told(ann.act(case, "note", text="x"))
        assert "on leave" in bob.page(case).content.decode()

    def test_one_who_is_off_duty_cannot_have_it_and_the_page_says_so(self, ann: Person, case: Dispute) -> None:
        bob = agent("bob", on_duty=False)
        assert bob.agent is not None
        assert "off duty" in told(ann.act(case, "hand_on", to=f"agent:{bob.agent.pk}", why="on leave"))

    def test_only_to_somebody_who_is_there(self, ann: Person, case: Dispute) -> None:
        assert ann.act(case, "hand_on", to="agent:999999", why="x").status_code == 409
        assert ann.act(case, "hand_on", to="queue:x", why="x").status_code == 409


class TestHolds:
    def test_one_that_was_placed_by_hand_outlives_the_dispute_until_it_is_lifted(
        self, ann: Person, case: Dispute
    ) -> None:
        assert ann.act(case, "hold", covers="customer", why="asked for it").status_code == 302
        hold = Hold.objects.get(source="manual")
        ann.act(case, "decide", **UPHOLD)
        work()
        hold.refresh_from_db()
        assert (hold.released_at, hold.reason) == (None, "manual_hold")
        lifting = {"once": "00000000-0000-7000-8000-00000000000b", "hold": str(hold.pk), "why": "not needed"}
        assert ann.http.post(reverse("admin:desk_act", args=[case.pk, "lift"]), lifting).status_code == 302
        hold.refresh_from_db()
        assert hold.released_at is not None
        assert Event.objects.filter(subject_id=hold.pk, kind="hold.released").exists()

    def test_one_of_another_dispute_is_not_lifted_from_here(self, ann: Person, case: Dispute) -> None:
        send_records(message_line("M2"))
        said = {"message": {"external_id": "M2"}, "ground": "wrong_amount"}
        other = customer("C1").post("/api/v1/disputes", said, Idempotency_Key="other").json()["id"]
        hold = Hold.objects.get(dispute=other)
        assert "not there any more" in told(ann.act(case, "lift", hold=str(hold.pk), why="Mine."))
        hold.refresh_from_db()
        assert hold.released_at is None

    def test_what_waits_for_a_correction_an_agent_does_not_lift(self, ann: Person, case: Dispute) -> None:
        ann.act(case, "decide", **UPHOLD)
        work()
        ann.act(case, "undeliverable", why="no number")
        work()
        own = Hold.objects.get(source="dispute")
        assert (own.reason, own.released_at) == ("records_not_corrected", None)
        assert ann.page(case).context["lifts"] == []
        lifting = {"once": "00000000-0000-7000-8000-00000000000c", "hold": str(own.pk), "why": "please"}
        address = reverse("admin:desk_act", args=[case.pk, "lift"])
        assert "Only a supervisor" in told(ann.http.post(address, lifting))
        own.refresh_from_db()
        assert own.released_at is None
        assert supervisor().http.post(address, lifting).status_code == 302
        own.refresh_from_db()
        assert own.released_at is not None

    def test_what_waits_for_a_correction_is_let_go_by_a_supervisor_alone(self, ann: Person, case: Dispute) -> None:
        ann.act(case, "decide", **UPHOLD)
        case.refresh_from_db()
        assert case.awaits_correction
        assert "Only a supervisor" in told(ann.act(case, "lift_correction", why="it was cash"))
        assert supervisor().act(case, "lift_correction", why="it was cash").status_code == 302
        case.refresh_from_db()
        assert not case.awaits_correction

    def test_an_outcome_that_nobody_can_deliver_is_called_so(self, ann: Person, case: Dispute) -> None:
        ann.act(case, "decide", **REJECT)
        assert ann.act(case, "undeliverable", why="number is dead").status_code == 302
        case.refresh_from_db()
        assert case.outcome_delivered_at is not None
        assert "undeliverable" not in ann.page(case).context["forms"]


class TestTakingTheNext:
    def test_the_nearest_deadline_is_taken_and_opened(self) -> None:
        dispute = dispute_in_review(*in_arrears())
        ann = agent()
        answer = ann.http.post(reverse("admin:desk_take_next"))
        assert answer["Location"] == reverse("admin:disputes_dispute_change", args=[dispute.pk])
        assert case_of(dispute).owner == ann.agent

    def test_who_is_off_duty_is_told_to_go_on_first(self) -> None:
        dispute_in_review(*in_arrears())
        ann = agent(on_duty=False)
        answer = ann.http.post(reverse("admin:desk_take_next"), follow=True)
        assert answer.redirect_chain[0][0] == reverse("admin:index")
        assert [str(said) for said in answer.context["messages"]] == ["You are off duty: switch your duty on first."]
        ann.http.post(reverse("admin:desk_duty"), {"on": "yes"})
        work()
        assert len(ann.home().context["home"].mine.rows) == 1

    def test_where_nothing_waits_that_is_said(self) -> None:
        answer = agent().http.post(reverse("admin:desk_take_next"), follow=True)
        assert "no next case" in str(next(iter(answer.context["messages"])))

    def test_who_is_no_agent_takes_nothing(self) -> None:
        dispute = dispute_in_review(*in_arrears())
        for someone in (supervisor(), Person("ada", "auditors"), Person("ned", "administrators", is_superuser=True)):
            someone.http.post(reverse("admin:desk_take_next"))
            someone.http.post(reverse("admin:desk_duty"), {"on": "yes"})
        assert case_of(dispute).owner is None


class TestSomebodyWhoCalls:
    SAID: ClassVar = {"customer": "C1", "ground": "already_paid", "statement": "I paid in the shop.", "language": "en"}

    def call(self, who: Person, **said: str) -> Any:
        return who.http.post(reverse("admin:desk_call"), {"short_ref": "", "external_id": "", **self.SAID, **said})

    def test_has_a_dispute_in_their_name_that_holds_at_once(self, ann: Person) -> None:
        send_records(*in_arrears())
        answer = self.call(ann, short_ref="S-M1")
        dispute = Dispute.objects.get()
        assert answer["Location"] == reverse("admin:disputes_dispute_change", args=[dispute.pk])
        assert (dispute.customer, dispute.channel, dispute.statement) == ("C1", "phone", "I paid in the shop.")
        assert Hold.objects.filter(dispute=dispute.pk, released_at__isnull=True).exists()
        opened = Event.objects.get(kind="dispute.opened")
        assert (opened.actor_type, opened.actor_id) == ("user", str(ann.user.pk))
        assert customer("C1").get(f"/api/v1/disputes/{dispute.pk}").status_code == 200

    def test_who_calls_twice_is_shown_the_one_that_is_open(self, ann: Person) -> None:
        send_records(*in_arrears())
        places = {self.call(ann, external_id="M1")["Location"] for _ in range(2)}
        assert (len(places), Dispute.objects.count()) == (1, 1)

    def test_the_message_is_named_by_one_of_its_names(self, ann: Person) -> None:
        send_records(*in_arrears())
        for names in ({}, {"short_ref": "S-M1", "external_id": "M1"}, {"short_ref": "S\0"}):
            assert self.call(ann, **names).status_code == 409
        assert not Dispute.objects.exists()

    def test_only_agents_and_supervisors_take_calls(self) -> None:
        for someone in (Person("ada", "auditors"), Person("ned", "administrators", is_superuser=True), Person("nob")):
            assert self.call(someone, external_id="M1").status_code == 403
            assert someone.http.get(reverse("admin:desk_call")).status_code == 403
        assert supervisor().http.get(reverse("admin:desk_call")).status_code == 200


def test_times_stand_on_the_lenders_clock(ann: Person, case: Dispute) -> None:
    page = ann.page(case).content.decode()
    assert "2026-02-03 10:00" in page
    assert timezone.get_current_timezone_name() == "UTC"
