"""What the back office sees of holds and the gate."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from disputes.cases.models import Dispute
from disputes.desk import words
from disputes.desk.accounts import local_instant
from disputes.desk.sidebar import navigation
from disputes.holds import placing
from disputes.holds.models import GateTally, Hold
from disputes.holds.scopes import Covers
from disputes.holds.unauthorised import look_at_sends
from disputes.journal.models import Event
from disputes.records.models import CustomerPhone, Loan
from tests import callers
from tests.disputes.desk.staff import Person, agent, dispute_in_review, supervisor
from tests.disputes.holds import scene
from tests.disputes.holds.conftest import any_hour  # noqa: F401 - a fixture
from tests.lines import RULE, customer_line, in_arrears, loan_lines, message_line, send_records

pytestmark = pytest.mark.django_db

MOST = 30
"""Queries of a page."""


@pytest.fixture(autouse=True)
def _pack(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)


def read(person: Person, name: str, *args: Any, post: dict[str, str] | None = None, **query: str) -> Any:
    with CaptureQueriesContext(
        connection,
    ) as asked:
        at = reverse(f"admin:{name}", args=args)
        answer = person.http.get(at, query) if post is None else person.http.post(at, post)
    assert len(asked) <= MOST, len(asked)
    return answer


def badges(person: Person) -> dict[str, str]:
    """What is counted beside the pages at the left."""
    parts = navigation(person.home().wsgi_request)
    return {item["title"]: item["badge"] for part in parts for item in part["items"] if "badge" in item}


def look_up(person: Person, n: int = 1, **said: str) -> Any:
    return read(person, "desk_look_up", post={"phone": scene.number(n), "category": "urge", **said})


class TestLookingUp:
    def test_says_why_not_with_the_hold_behind_it_and_keeps_no_number(self) -> None:
        scene.lender(loans=4)
        hold = scene.dispute("not_overdue", loan="L11", n=1, customer="C1").hold
        answer = look_up(supervisor())
        page = answer.content.decode()
        assert "A dispute is open" in page
        assert reverse("admin:disputes_hold_change", args=[hold.pk]) in page
        first, second, *_ = answer.context["found"].answers
        assert (first.loan, first.allowed, second.loan, second.allowed) == ("L11", False, "L12", True)
        event = Event.objects.get(kind="phone.looked_up")
        assert event.data["phone_digest"] == scene.digest(1).hex()
        assert scene.number(1) not in str(event.data)
        assert Hold.objects.count() == 1

    def test_says_what_took_the_slots_of_a_cap_and_from_when_on_it_is_allowed(
        self,
        any_hour: Callable[..., None],  # noqa: F811
    ) -> None:
        any_hour(loan=1)
        scene.lender()
        (granted,) = scene.ask(scene.item(1))
        answer = look_up(agent(), loan="L11")
        (one,) = answer.context["found"].answers
        assert [reason.code for reason in one.reasons] == ["frequency_cap"]
        assert (one.caps[0].taken, one.caps[0].count) == (1, 1)
        assert f"permit {granted.permit.id}" in one.caps[0].contacts[0]
        assert "in Asia/Shanghai" in one.then[0]
        assert one.account[0] == ("Days past due", "80") or int(one.account[0][1]) > 80

    def test_answers_for_each_loan_alone_though_one_slot_is_left_for_all(
        self,
        any_hour: Callable[..., None],  # noqa: F811
    ) -> None:
        any_hour(customer=1)
        scene.lender()
        assert [one.allowed for one in look_up(agent()).context["found"].answers] == [True, True]

    @pytest.mark.parametrize("zones", [(), ("America/New_York",)])
    def test_says_from_when_on_by_the_lenders_clock_and_by_the_customers(
        self,
        any_hour: Callable[..., None],  # noqa: F811
        zones: tuple[str, ...],
    ) -> None:
        any_hour(loan=1)
        scene.lender(zones=zones)
        scene.ask(scene.item(1))
        (one,) = look_up(agent(), loan="L11").context["found"].answers
        assert [said.partition(" in ")[2] for said in one.then] == ["Asia/Shanghai", *zones]

    def test_a_number_that_nobody_has(self) -> None:
        scene.lender()
        assert "know nobody" in look_up(agent(), n=9).content.decode()

    def test_needs_a_number(self) -> None:
        answer = read(agent(), "desk_look_up", post={"phone": "x", "category": "urge"})
        assert "This is no phone number" in answer.content.decode()
        assert not Event.objects.exists()

    def test_is_for_those_who_work_on_cases(self) -> None:
        scene.lender()
        for person, code in ((agent(), 200), (supervisor(), 200), (Person("aud", "auditors"), 403)):
            assert look_up(person).status_code == code
            assert (reverse("admin:desk_look_up") in person.home().content.decode()) is (code == 200)


def _nothing() -> None:
    pass


def _of_everything() -> None:
    """As many reasons at once as one number can have."""
    (granted,) = scene.ask(scene.item(1), seconds=3600)  # as long as the looks at it may take
    assert granted.permit
    scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
    covers = Covers(customers=frozenset({"C1"}))
    scene.hold(covers, scope="customer", reason="manual_hold", source="manual", why="ill")
    scene.hold(Covers(rules=frozenset({"R7"})), scope="sending_rule", reason="rule_paused", source="manual", why="x")
    scene.hold(Covers(phones=frozenset({scene.digest(1)})), scope="phone", reason="opted_out", source="opt_out")
    Loan.objects.filter(pk="L11").update(due_on=[datetime.now(tz=UTC).date()])


def _wrong_number() -> None:
    scene.dispute("not_my_debt", loan="L11", n=1, customer="C1")


def _not_theirs() -> None:
    CustomerPhone.objects.filter(customer="C1").update(until=date(2026, 1, 1))


def _moved_away() -> None:
    Loan.objects.filter(pk="L11").update(customer=None)


STAGES: dict[str, Callable[[], None]] = {
    "allowed": _nothing,
    "of everything": _of_everything,
    "a wrong number": _wrong_number,
    "another's phone": _not_theirs,
    "records of long ago": _nothing,
    "nobody's loan": _moved_away,
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_look_up_says_what_the_gates_dry_run_says_word_for_word(
    stage: str,
    any_hour: Callable[..., None],  # noqa: F811
) -> None:
    any_hour(loan=1)
    scene.lender(records_until=scene.long_ago(30) if stage == "records of long ago" else None)
    STAGES[stage]()
    gate, ann, seen = callers.system("gate"), agent(), set()
    for category in words.CATEGORIES:
        for rule in ("", "R7"):
            for loan in ("L11", "L21", "nobody's"):
                named = {"phone": scene.number(1), "loan": loan, "category": category}
                item = {"request_id": "r", "channel": "sms", **named} | ({"sending_rule": rule} if rule else {})
                told = gate.post("/api/v1/gate/decisions?dry_run=true", {"items": [item]}).json()["decisions"][0]
                (one,) = look_up(ann, **{**named, "sending_rule": rule}).context["found"].answers
                assert [reason.code for reason in one.reasons] == told["reasons"], item
                assert one.allowed == (told["outcome"] == "allow")
                then = told["next_allowed_at"]
                on_the_clock = local_instant(then, seconds=True) if then else None
                assert (one.then[0].partition(" in ")[0] if one.then else None) == on_the_clock
                seen |= set(told["reasons"])
    assert ("records_stale" in seen) is (stage == "records of long ago")
    if stage == "of everything":
        assert seen >= {
            "dispute_pending", "manual_hold", "rule_paused", "opted_out", "frequency_cap", "not_overdue",
            "unknown_loan", "unknown_phone",
        }  # fmt: skip


class TestDenials:
    def test_are_drawn_listed_and_given_as_csv_from_one_query(self) -> None:
        hour = datetime.now(tz=UTC).replace(minute=0, second=0, microsecond=0)
        for reason, count in (("busy", 3), ("outside_hours", 5)):
            GateTally.objects.create(hour=hour, reason=reason, count=count, vendor="V1")
        GateTally.objects.create(hour=hour - timedelta(days=3), reason="busy", count=7)
        sue = supervisor()
        page = read(sue, "desk_denials")
        assert page.context["total"] == 8
        assert len(page.context["bars"]) == 2
        assert read(sue, "desk_denials", span="7d").context["total"] == 15
        assert read(sue, "desk_denials", span="7d", vendor="V1").context["total"] == 8
        rows = read(sue, "desk_denials", format="csv").content.decode().splitlines()
        assert rows[1:] == [f"{hour.isoformat()},busy,3", f"{hour.isoformat()},outside_hours,5"]

    def test_are_not_for_agents(self) -> None:
        for name in ("desk_denials", "desk_unauthorised", "desk_undelivered"):
            assert read(agent(name), name).status_code == 403
            assert read(Person(f"a{name}", "auditors"), name).status_code == 200


class TestSendsWithoutAPermit:
    def test_are_counted_and_listed_with_masked_numbers(self, settings: Any) -> None:
        sent = datetime.now(tz=UTC) - timedelta(hours=1)
        settings.GATE_REQUIRED_FROM = sent - timedelta(days=1)
        send_records(RULE, customer_line(), *loan_lines())
        send_records(*(message_line(f"M{n}", sent_at=sent.isoformat(), vendor="V & 1") for n in range(60)))
        look_at_sends(now=datetime.now(tz=UTC))
        sue = supervisor()
        page = read(sue, "desk_unauthorised")
        html = page.content.decode()
        assert "It named no permit." in html
        assert "+86138****0001" in html
        assert "13812340001" not in html
        assert "vendor=V%20%26%201" in html
        assert read(sue, "desk_unauthorised", vendor="V & 1", sending_rule="R1").context["page"].paginator.count == 60
        assert read(sue, "desk_unauthorised", vendor="V2").context["page"].paginator.count == 0
        assert len(read(sue, "desk_unauthorised", page="2").context["rows"]) == 10

    def test_of_the_last_day_are_counted_beside_the_page(self, settings: Any) -> None:
        now = datetime.now(tz=UTC)
        settings.GATE_REQUIRED_FROM = now - timedelta(days=5)
        send_records(RULE, customer_line(), *loan_lines())
        for n, hours in enumerate((1, 23, 25)):
            send_records(message_line(f"M{n}", sent_at=(now - timedelta(hours=hours)).isoformat()))
        look_at_sends(now=now)
        assert badges(supervisor()) == {"Sends without a permit": "2"}
        assert badges(Person("aud", "auditors")) == {}

    def test_say_so_where_no_permit_is_needed(self) -> None:
        assert "GATE_REQUIRED_FROM" in read(supervisor(), "desk_unauthorised").content.decode()


class TestOutcomesNotDelivered:
    def test_are_listed_and_counted_until_they_are_delivered(self) -> None:
        dispute = dispute_in_review(*in_arrears())
        now, sue = datetime.now(tz=UTC), supervisor()
        closed = {"status": "closed", "outcome": "rejected", "closed_at": now}
        for told, shown in (({}, 0), ({"outcome_failed_at": now}, 1), ({"outcome_delivered_at": now}, 0)):
            Dispute.objects.filter(pk=dispute.pk).update(**closed, **told)
            page = read(sue, "desk_undelivered")
            assert len(page.context["rows"]) == shown
            assert (dispute.reference in page.content.decode()) is bool(shown)
            assert badges(sue) == ({"Outcomes not delivered": "1"} if shown else {})


class TestHolds:
    def test_are_listed_by_standing_and_age_and_found_by_what_they_cover(self, monkeypatch: Any) -> None:
        scene.lender()
        monkeypatch.setattr(placing, "database_clock", lambda *_: scene.long_ago(40))
        scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        monkeypatch.undo()
        monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
        new = scene.dispute("too_frequent", loan="L21", n=2, customer="C2")
        sue = supervisor()

        def count(**query: str) -> int:
            return read(sue, "disputes_hold_changelist", **query).context["cl"].result_count

        assert count() == 2
        assert count(older="30") == 1
        assert count(older="60") == 0
        assert (count(standing="yes"), count(standing="no")) == (2, 0)
        assert (count(q="L11"), count(q="C2"), count(q="L9"), count(q=str(new.hold.pk))) == (1, 1, 0, 1)

    def test_have_a_page_with_covers_feed_and_journal(self) -> None:
        scene.lender()
        hold = scene.dispute("identity_theft", loan="L11", n=1, customer="C1").hold
        page = read(supervisor(), "disputes_hold_change", hold.pk).content.decode()
        for said in ("L11", "Identity theft", "placed", "Hold placed", "system t", scene.digest(1).hex()[2:14]):
            assert said in page, said
        assert read(agent(), "disputes_hold_change", hold.pk).status_code == 200
        assert read(agent("list"), "disputes_hold_changelist").status_code == 403
        assert read(Person("adm", "administrators"), "disputes_hold_change", hold.pk).status_code == 403
