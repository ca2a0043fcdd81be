"""Stopping messages by hand in the back office: holds, sending rules, opt-outs; and what waits to be seen to."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from disputes.cases.models import Dispute
from disputes.desk import hold_page as pages
from disputes.desk.hold_page import hold_page
from disputes.desk.sidebar import navigation
from disputes.holds.models import Hold, Permit, SuppressionChange
from disputes.holds.opting_out import is_opted_out
from disputes.holds.permits import mark_used
from disputes.holds.placing import number_changes, place_hold
from disputes.holds.scopes import Covers
from disputes.inbound.models import InboundMessage
from disputes.journal.models import Event
from disputes.records.models import Message, SendingRule
from tests.disputes.desk.staff import Person, agent, supervisor
from tests.disputes.holds import scene
from tests.disputes.holds.conftest import any_hour  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db

MOST = 30
"""Queries of a page."""


@pytest.fixture(autouse=True)
def _pack(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
    scene.lender()


def call(person: Person, name: str, *args: Any, post: dict[str, str] | None = None, **query: str) -> Any:
    """The answer, after a redirect the page that it leads to; neither asks more than MOST queries."""
    at = reverse(f"admin:{name}", args=args)
    answer = _counted(lambda: person.http.get(at, query) if post is None else person.http.post(at, post))
    return answer if answer.status_code != 302 else _counted(lambda: person.http.get(answer["Location"]))


def _counted(ask: Callable[[], Any]) -> Any:
    with CaptureQueriesContext(connection) as asked:
        answer = ask()
    assert len(asked) <= MOST, len(asked)
    return answer


def rows_read(table: str) -> int:
    """In this transaction so far: read through, or fetched by an index."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_stat_get_xact_tuples_returned(%s::regclass) + pg_stat_get_xact_tuples_fetched(%s::regclass)",
            [table, table],
        )
        return int(cursor.fetchone()[0])


def form(**said: str) -> dict[str, str]:
    return {"once": str(uuid.uuid4()), **said}


def place(person: Person, covers: str, which: str, **more: str) -> Any:
    return call(person, "desk_place_hold", post=form(**({"covers": covers, "which": which, "why": "ill"} | more)))


def why_denied(n: int = 1, **more: Any) -> tuple[str, ...]:
    (reasons,) = scene.reasons(scene.item(n, **more), dry_run=True)
    return reasons


class TestAHoldByHand:
    @pytest.mark.parametrize(("covers", "which"), [("loan", "L11"), ("customer", "C1"), ("phone", "138 1234 0001")])
    def test_is_placed_by_an_agent_with_a_reason_and_lifted_with_one(self, covers: str, which: str) -> None:
        ann = agent()
        assert why_denied() == ()
        page = place(ann, covers, which)
        assert page.status_code == 200
        assert why_denied() == ("manual_hold",)
        assert why_denied(2) == ()
        hold = Hold.objects.get()
        assert (hold.source, hold.why, hold.placed_by) == ("manual", "ill", f"user:{ann.user.pk}")
        assert Event.objects.get(kind="hold.placed").subject_id == hold.pk
        call(ann, "desk_hold_lift", hold.pk, post=form(why="well again"))
        assert why_denied() == ()
        hold.refresh_from_db()
        assert (hold.released_by, hold.release_reason) == (f"user:{ann.user.pk}", "by_hand: well again")

    def test_shows_the_permits_to_recall_and_what_became_of_them(self) -> None:
        first, second = scene.ask(scene.item(1, vendor="V1"), scene.item(1, loan="L12", vendor="V2"))
        (other,) = scene.ask(scene.item(2))
        page = place(agent(), "customer", "C1").content.decode()
        assert "Permits to recall" in page
        assert str(first.permit.id) in page
        assert str(second.permit.id) in page
        assert str(other.permit.id) not in page
        assert page.count("not used yet") == 2
        sent = Message(
            permit=str(first.permit.id),
            external_id="M1",
            sent_at=datetime.now(tz=UTC),
            phone_digest=scene.digest(1),
            loan="L11",
            channel="sms",
            category="urge",
        )
        mark_used([sent])
        again = call(supervisor(), "disputes_hold_change", Hold.objects.get().pk).content.decode()
        assert (again.count("not used yet"), again.count("a message was sent on it")) == (1, 1)

    def test_asks_no_more_of_a_person_once_its_permits_have_expired(self) -> None:
        scene.ask(scene.item(1), seconds=60)
        place(agent(), "loan", "L11")
        hold, now = Hold.objects.get(), datetime.now(tz=UTC)
        assert len(hold_page(hold=hold, now=now).recall) == 1
        assert hold_page(hold=hold, now=now + timedelta(seconds=61)).recall == ()

    def test_lists_the_last_of_very_many_permits_and_says_how_many_more_there_are(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pages, "RECALLED", 2)
        for seconds, category in ((90, "notice"), (60, "urge"), (120, "notice")):
            scene.ask(scene.item(1, request_id=f"q{seconds}", category=category), seconds=seconds)
        place(agent(), "loan", "L11")
        # It grows later: what a change of it lists again is there once.
        first = SuppressionChange.objects.get()
        SuppressionChange.objects.create(
            **{**{f.attname: getattr(first, f.attname) for f in first._meta.concrete_fields}, "number": 2**40},
        )
        shown = hold_page(hold=Hold.objects.get(), now=datetime.now(tz=UTC))
        granted = {str(one.pk): one.request_id for one in Permit.objects.all()}
        assert [granted[one.id] for one in shown.recall] == ["q120", "q90"]
        assert shown.more_recall == 1

    @pytest.mark.parametrize(
        ("covers", "which", "why", "said"),
        [
            ("loan", "L99", "ill", "know no such loan"),
            ("customer", "C99", "ill", "know no such customer"),
            ("phone", "12", "ill", "This is no phone number"),
            ("loan", "L11", "  ", "This field is required"),
            ("loan", "", "ill", "This field is required"),
            ("loan", "L1\x001", "ill", "Null characters"),
            ("rule", "R7", "ill", "Select a valid choice"),
        ],
    )
    def test_is_refused_where_it_would_hold_nothing(self, covers: str, which: str, why: str, said: str) -> None:
        answer = place(agent(), covers, which, why=why)
        assert answer.status_code == 409
        assert said in answer.content.decode()
        assert not Hold.objects.exists()

    def test_is_placed_once_however_often_its_form_comes(self) -> None:
        ann, said = agent(), form(covers="loan", which="L11", why="ill")
        for _ in range(2):
            call(ann, "desk_place_hold", post=said)
        assert Hold.objects.count() == 1

    def test_leaves_no_number_in_an_address_nor_in_the_journal(self) -> None:
        ann = agent()
        answer = ann.http.post(reverse("admin:desk_place_hold"), form(covers="phone", which=scene.number(1), why="ill"))
        assert answer["Location"] == reverse("admin:disputes_hold_change", args=[Hold.objects.get().pk])
        assert scene.number(1)[3:] not in str([event.data for event in Event.objects.all()])

    def test_is_for_those_who_work_on_cases(self) -> None:
        for person in (Person("aud", "auditors"), Person("adm", "administrators"), Person("root", is_superuser=True)):
            assert place(person, "loan", "L11").status_code == 403
        assert not Hold.objects.exists()

    def test_needs_the_pages_token(self) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(agent().user)
        assert (
            strict.post(reverse("admin:desk_place_hold"), form(covers="loan", which="L11", why="x")).status_code == 403
        )
        assert not Hold.objects.exists()


class TestLiftingFromTheHoldsOwnPage:
    def lift(self, person: Person, hold: Hold) -> int:
        return int(call(person, "desk_hold_lift", hold.pk, post=form(why="enough")).status_code)

    def test_a_hold_on_a_wrong_number_is_a_supervisors_to_lift(self) -> None:
        covers = Covers(phones=frozenset({scene.digest(1)}))
        hold = scene.hold(covers, scope="phone", reason="wrong_number", source="wrong_number").hold
        assert "Only a supervisor lifts" in call(agent(), "disputes_hold_change", hold.pk).content.decode()
        assert self.lift(agent("bob"), hold) == 409
        assert Hold.objects.filter(released_at__isnull=True).exists()
        assert self.lift(supervisor(), hold) == 200
        assert not Hold.objects.filter(released_at__isnull=True).exists()

    def test_a_disputes_hold_is_lifted_at_the_dispute_where_whose_case_it_is_counts(self) -> None:
        said: dict[str, Any] = {"source": "dispute", "scope": "loan", "reason": "dispute_pending", "why": "not_overdue"}
        covers = Covers(loans=frozenset({"L11"}))
        with transaction.atomic(durable=True):
            hold = place_hold(
                **said, covers=covers, actor=scene.ACTOR, dispute=uuid.uuid4(), now=datetime.now(tz=UTC)
            ).hold
            number_changes()
        for person in (agent(), supervisor()):
            assert self.lift(person, hold) == 409
        assert why_denied() == ("dispute_pending",)

    def test_an_auditor_reads_it_and_lifts_nothing(self) -> None:
        place(agent(), "loan", "L11")
        hold, auditor = Hold.objects.get(), Person("aud", "auditors")
        assert call(auditor, "disputes_hold_change", hold.pk).status_code == 200
        assert self.lift(auditor, hold) == 409
        assert self.lift(Person("adm", "administrators"), hold) == 403
        assert why_denied() == ("manual_hold",)

    def test_a_lifted_one_is_not_lifted_again(self) -> None:
        place(agent(), "loan", "L11")
        hold, sue = Hold.objects.get(), supervisor()
        assert (self.lift(sue, hold), self.lift(sue, hold)) == (200, 409)


class TestSendingRules:
    def pause(self, person: Person, rule: str = "R7", why: str = "wrong list") -> Any:
        return call(person, "desk_rule_pause", quote(rule), post=form(why=why))

    def switch_on(self, person: Person, page: Any, rule: str = "R7", why: str = "mended") -> Any:
        seen = page.context["forms"]["switch_on"]["seen"].value()
        return call(person, "desk_rule_switch_on", quote(rule), post=form(why=why, seen=seen))

    def page(self, person: Person, rule: str = "R7") -> Any:
        return call(person, "disputes_sendingrule_change", quote(rule))

    def test_one_is_paused_and_switched_on_again_by_a_supervisor_with_a_reason(self) -> None:
        sue = supervisor()
        (granted,) = scene.ask(scene.item(1, sending_rule="R7", vendor="V1"))
        page = self.pause(sue).content.decode()
        assert "Permits to recall" in page
        assert str(granted.permit.id) in page
        assert why_denied(2, sending_rule="R7") == ("rule_paused",)
        assert why_denied(2, sending_rule="RR") == ()
        said = self.page(supervisor("sam")).content.decode()
        for words in ("Paused", "wrong list", "sue", "Switch on"):
            assert words in said, words
        listed = call(sue, "disputes_sendingrule_changelist", paused="yes")
        assert [rule.pk for rule in listed.context["cl"].result_list] == ["R7"]
        assert "wrong list" in listed.content.decode()
        after = self.switch_on(sue, self.page(sue))
        assert "Switched on again" in after.content.decode()
        assert why_denied(2, sending_rule="R7") == ()
        assert "mended" in self.page(sue).content.decode()
        kinds = Event.objects.filter(actor_id=str(sue.user.pk)).order_by("id").values_list("kind", flat=True)
        assert list(kinds) == ["hold.placed", "hold.released"]

    def test_without_a_reason_nothing_is_paused(self) -> None:
        assert self.pause(supervisor(), why=" ").status_code == 409
        assert why_denied(sending_rule="R7") == ()

    def test_a_pause_that_nobody_has_seen_stands(self) -> None:
        sue = supervisor()
        self.pause(sue)
        shown = self.page(sue)
        self.pause(supervisor("sam"), why="another list")
        answer = self.switch_on(sue, shown)
        assert "Another pause stands" in answer.content.decode()
        assert why_denied(sending_rule="R7") == ("rule_paused",)
        self.switch_on(sue, answer)
        assert why_denied(sending_rule="R7") == ()

    def test_both_are_supervisors_alone(self) -> None:
        auditor, ann, sue = Person("aud", "auditors"), agent(), supervisor()
        assert [self.page(one).status_code for one in (auditor, ann, sue)] == [200, 403, 200]
        assert [self.pause(one).status_code for one in (auditor, ann)] == [409, 403]
        root = Person("root", is_superuser=True)
        assert self.pause(root).status_code == 409
        assert why_denied(sending_rule="R7") == ()
        self.pause(sue)
        shown = self.page(sue)
        assert [self.switch_on(one, shown).status_code for one in (auditor, ann, root)] == [409, 403, 409]
        assert why_denied(sending_rule="R7") == ("rule_paused",)

    def test_any_name_has_a_page_and_one_that_nobody_knows_has_none(self) -> None:
        odd = "a/b ?#_催收"
        SendingRule.objects.create(external_id=odd, aim="overdue", min_dpd=1)
        sue = supervisor()
        assert self.page(sue, odd).status_code == 200
        self.pause(sue, odd)
        assert why_denied(sending_rule=odd) == ("rule_paused",)
        assert self.page(sue, "nobody's").status_code == 404
        assert self.pause(sue, "nobody's").status_code == 404

    def test_are_listed_in_as_many_queries_however_many_there_are(self) -> None:
        for n in range(120):
            SendingRule.objects.create(external_id=f"X{n:03}", aim="overdue", min_dpd=n)
        sue = supervisor()
        for n in range(5):
            self.pause(sue, f"X{n:03}")
        listed = call(sue, "disputes_sendingrule_changelist", q="X")
        assert len(listed.context["cl"].result_list) == 50
        assert listed.content.decode().count("wrong list") == 5


class TestOptOuts:
    def record(self, person: Person, says: str, n: int = 1, source: str = "a call on Monday") -> Any:
        return call(person, "desk_opt_outs", post=form(phone=scene.number(n), says=says, source=source))

    def test_are_recorded_by_an_agent_and_taken_back_naming_where_that_was_said(self) -> None:
        ann, sue = agent(), supervisor()
        (granted,) = scene.ask(scene.item(1))
        assert str(granted.permit.id) in self.record(ann, "out").content.decode()
        assert why_denied() == ("opted_out",)
        assert "had opted out before" in self.record(ann, "out").content.decode()
        listed = call(sue, "desk_opt_outs").content.decode()
        for words in ("a call on Monday", "C1", "ann"):
            assert words in listed, words
        assert "1 opt-out was taken back" in self.record(ann, "in", source="a letter").content.decode()
        assert why_denied() == ()
        hold = Hold.objects.get()
        assert (hold.release_reason, hold.released_by) == ("opted in: a letter", f"user:{ann.user.pk}")
        assert "a call on Monday" not in call(sue, "desk_opt_outs").content.decode()
        assert "a letter" in call(sue, "desk_opt_outs", show="all").content.decode()

    def test_are_taken_back_from_their_own_page_without_the_number_and_never_lifted(self) -> None:
        ann = agent()
        self.record(ann, "out")
        hold = Hold.objects.get()
        lifted = call(ann, "desk_hold_lift", hold.pk, post=form(why="enough"))
        assert lifted.status_code == 409
        assert "opts in again" in lifted.content.decode()
        assert is_opted_out(phone=scene.digest(1))
        assert call(Person("aud", "auditors"), "desk_hold_opt_in", hold.pk, post=form(source="x")).status_code == 409
        assert call(ann, "desk_hold_opt_in", hold.pk, post=form(source="")).status_code == 409
        assert is_opted_out(phone=scene.digest(1))
        call(ann, "desk_hold_opt_in", hold.pk, post=form(source="a letter"))
        assert not is_opted_out(phone=scene.digest(1))

    def test_no_other_hold_ends_by_an_opt_in(self) -> None:
        ann = agent()
        place(ann, "phone", scene.number(1))
        assert call(ann, "desk_hold_opt_in", Hold.objects.get().pk, post=form(source="x")).status_code == 404
        assert "No opt-out of this number stands" in self.record(ann, "in").content.decode()
        assert why_denied() == ("manual_hold",)

    def test_are_listed_for_those_who_see_holds_and_recorded_by_those_who_work(self) -> None:
        ann, auditor = agent(), Person("aud", "auditors")
        self.record(ann, "out")
        assert "a call on Monday" not in call(ann, "desk_opt_outs").content.decode()
        seen = call(auditor, "desk_opt_outs")
        assert "a call on Monday" in seen.content.decode()
        assert seen.context["form"] is None
        assert self.record(auditor, "in").status_code == 403
        assert call(Person("adm", "administrators"), "desk_opt_outs").status_code == 403
        assert is_opted_out(phone=scene.digest(1))

    def test_are_paged_without_a_count(self) -> None:
        for n in range(1, 61):
            scene.hold(
                Covers(phones=frozenset({scene.digest(n)})),
                scope="phone",
                reason="opted_out",
                source="opt_out",
                why=f"said {n}.",
            )
        sue = supervisor()
        first = call(sue, "desk_opt_outs")
        assert len(first.context["rows"]) == 50
        older = call(sue, "desk_opt_outs", before=str(first.context["older"]))
        assert [row.source for row in older.context["rows"]] == [f"said {n}." for n in range(10, 0, -1)]
        assert older.context["older"] is None
        assert call(sue, "desk_opt_outs", before="x").status_code == 200

    def test_are_found_among_very_many_other_holds(self) -> None:
        ann, sue = agent(), supervisor()
        self.record(ann, "out")
        Hold.objects.bulk_create(
            Hold(source="dispute", scope="loan", reason="dispute_pending", placed_at=datetime.now(tz=UTC))
            for _ in range(3000)
        )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE disputes_hold")
        for show in ("", "all"):
            before = rows_read("disputes_hold")
            assert len(call(sue, "desk_opt_outs", show=show).context["rows"]) == 1
            assert rows_read("disputes_hold") - before < 100


class TestWhatWaits:
    """The counts beside the pages at the left."""

    def badges(self, person: Person) -> dict[str, str]:
        request = person.home().wsgi_request
        return {
            item["title"]: item["badge"] for part in navigation(request) for item in part["items"] if "badge" in item
        }

    def text(self, n: int, **more: Any) -> None:
        now = datetime.now(tz=UTC)
        InboundMessage.objects.create(
            caller="t",
            external_id=str(n),
            content=b"\1" * 17,
            phone=scene.number(1),
            phone_digest=scene.digest(1),
            text="hello?",
            received_at=now,
            recorded_at=now,
            **more,
        )

    def test_is_counted_for_supervisors_and_nobody_else(self) -> None:
        sue = supervisor()
        assert self.badges(sue) == {}
        for n in range(3):
            self.text(n)
        self.text(3, read_at=datetime.now(tz=UTC))
        self.text(4, kind="comment")
        assert self.badges(sue) == {"Inbound messages": "3"}
        for other in (agent(), Person("aud", "auditors")):
            assert self.badges(other) == {}

    def test_of_very_many_says_so_without_counting_them(self) -> None:
        for n in range(102):
            self.text(n)
        assert self.badges(supervisor()) == {"Inbound messages": "100+"}
        assert Dispute.objects.count() == 0
