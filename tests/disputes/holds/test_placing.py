"""Placing, widening and releasing: what a hold covers, what it lists, and what it leaves in feed, journal and
outbox."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, InternalError, connection, transaction

from config.statements import Statement
from disputes.check.facts import GROUNDS
from disputes.holds import placing
from disputes.holds.covering import extend_holds
from disputes.holds.models import Hold, HoldCover, Permit, SuppressionChange
from disputes.holds.placing import change_reason, holds_covering, holds_of_dispute, release_hold, widen_hold
from disputes.holds.scopes import SCOPE_OF_GROUND, Covers, scope_of_dispute
from disputes.journal.models import Event
from disputes.lanes import locking
from disputes.lanes.locking import NotOutermost
from disputes.outbox.models import OutboxTopic
from disputes.records.models import CustomerPhone, Loan
from tests.disputes.holds import scene

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _pack(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)


def phone(n: int) -> str:
    return f"p:{scene.digest(n).hex()}"


def now() -> datetime:
    return datetime.now(tz=UTC)


def messages_stopped(keys: tuple[str, ...]) -> set[str]:
    return {key for key in keys if key[0] != "s"}


@pytest.mark.parametrize(
    ("ground", "scope", "covered"),
    [
        ("not_overdue", "loan", {"l:L11"}),
        ("already_paid", "loan", {"l:L11"}),
        ("wrong_amount", "loan", {"l:L11"}),
        ("no_longer_owed", "loan", {"l:L11"}),
        ("identity_theft", "loan_and_phone", {"l:L11", "p:1"}),
        ("not_my_debt", "phone", {"p:1"}),
        ("third_party_contacted", "phone", {"p:1"}),
        ("too_frequent", "customer", {"c:C1", "p:1"}),
        ("outside_hours", "customer", {"c:C1", "p:1"}),
        ("agent_conduct", "customer", {"c:C1", "p:1"}),
        ("other", "customer", {"c:C1", "p:1"}),
    ],
)
def test_what_a_hold_covers_follows_the_ground(ground: str, scope: str, covered: set[str]) -> None:
    scene.lender()
    placed = scene.dispute(ground, loan="L11", n=1, customer="C1")
    assert placed.hold.scope == scope
    assert messages_stopped(placed.keys) == {phone(1) if key == "p:1" else key for key in covered}


def test_every_ground_has_its_scope() -> None:
    assert set(SCOPE_OF_GROUND) == set(GROUNDS)


@pytest.mark.parametrize("ground", GROUNDS)
def test_a_message_that_nobody_can_find_holds_the_phone_else_the_customer(ground: str) -> None:
    scope, covers = scope_of_dispute(ground=ground, loan=None, phone=scene.digest(1), customer=None)
    assert (scope, set(covers.phones)) == ("phone", {scene.digest(1)})
    _, covers = scope_of_dispute(ground=ground, loan=None, phone=scene.digest(1), customer="C1")
    assert covers.phones == {scene.digest(1)}
    scope, covers = scope_of_dispute(ground=ground, loan=None, phone=None, customer="C1")
    assert (scope, set(covers.customers)) == ("customer", {"C1"})
    with pytest.raises(ValueError, match="needs"):
        scope_of_dispute(ground=ground, loan=None, phone=None, customer=None)


def test_what_is_covered_is_denied_and_nothing_else() -> None:
    scene.lender()
    scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
    assert scene.reasons(scene.item(1), scene.item(1, loan="L12"), scene.item(2)) == [("dispute_pending",), (), ()]
    scene.dispute("agent_conduct", loan="L21", n=2, customer="C2")
    assert scene.reasons(scene.item(2), scene.item(2, loan="L22")) == [("dispute_pending",)] * 2


def test_a_dispute_about_one_loan_stops_every_survey_of_its_person() -> None:
    scene.lender()
    scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
    survey = {"category": "survey"}
    assert scene.reasons(
        scene.item(1, loan=None, **survey), scene.item(1, loan="L12", **survey), scene.item(2, loan=None, **survey)
    ) == [("dispute_pending",), ("dispute_pending",), ()]


def test_a_dispute_about_anothers_loan_stops_the_surveys_of_who_opened_it() -> None:
    scene.lender()
    scene.dispute("not_overdue", loan="L21", n=1, customer="C1")
    assert scene.reasons(scene.item(1, loan=None, category="survey")) == [("dispute_pending",)]


class TestPermitsOut:
    def test_lists_those_that_live_and_are_covered(self) -> None:
        scene.lender()
        mine, other_loan, other = scene.ask(scene.item(1), scene.item(1, loan="L12"), scene.item(2))
        assert mine.permit
        assert other_loan.permit
        assert other.permit
        placed = scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        assert [out.id for out in placed.permits_out] == [mine.permit.id]
        placed = scene.dispute("other", loan="L11", n=1, customer="C1")
        assert {out.id for out in placed.permits_out} == {mine.permit.id, other_loan.permit.id}

    def test_not_one_that_expired_or_was_handed_back(self) -> None:
        scene.lender()
        scene.ask(scene.item(1), scene.item(1, category="reminder"))
        Permit.objects.filter(category="urge").update(expires_at=now() - timedelta(seconds=1))
        Permit.objects.filter(category="reminder").update(unused_at=now())
        assert scene.dispute("not_overdue", loan="L11", n=1, customer="C1").permits_out == ()

    def test_not_one_that_the_hold_would_let_through(self) -> None:
        scene.lender()
        scene.ask(scene.item(1, category="statutory"), scene.item(1, category="service", loan=None))
        assert scene.dispute("not_overdue", loan="L11", n=1, customer="C1").permits_out == ()

    def test_a_duty_to_a_wrong_number_is_recalled(self) -> None:
        scene.lender()
        duty, plain = scene.ask(scene.item(1, category="statutory"), scene.item(1, category="service", loan=None))
        assert duty.permit
        assert plain.permit
        placed = scene.dispute("not_my_debt", loan="L11", n=1, customer="C1")
        assert [out.id for out in placed.permits_out] == [duty.permit.id]

    def test_surveys_of_the_person_too(self) -> None:
        scene.lender()
        (survey,) = scene.ask(scene.item(1, loan=None, category="survey"))
        assert survey.permit
        placed = scene.dispute("not_overdue", loan="L12", n=1, customer="C1")
        assert [out.id for out in placed.permits_out] == [survey.permit.id]


class TestOverlapping:
    def test_the_last_to_go_frees(self) -> None:
        scene.lender()
        first = scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        second = scene.dispute("not_my_debt", loan="L11", n=1, customer="C1")
        with transaction.atomic():
            assert release_hold(hold=first.hold, actor=scene.ACTOR, reason="x", now=now())
        assert scene.reasons(scene.item(1)) == [("dispute_pending",)]
        with transaction.atomic():
            assert release_hold(hold=second.hold, actor=scene.ACTOR, reason="x", now=now())
        assert scene.reasons(scene.item(1)) == [()]

    def test_released_twice_is_released_once(self) -> None:
        scene.lender()
        placed = scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        for expected in (True, False):
            with transaction.atomic():
                assert release_hold(hold=placed.hold, actor=scene.ACTOR, reason="x", now=now()) is expected
                placing.number_changes()
        assert [change.kind for change in SuppressionChange.objects.order_by("number")] == ["placed", "released"]
        assert Event.objects.filter(kind="hold.released").count() == 1

    def test_time_alone_never_lifts_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        scene.lender()
        long_ago = scene.long_ago(4000)
        monkeypatch.setattr(placing, "database_clock", lambda *_: long_ago)
        scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        assert Hold.objects.get().placed_at == long_ago
        assert scene.reasons(scene.item(1)) == [("dispute_pending",)]


class TestWidening:
    def test_adds_and_keeps_and_lists_the_permits_then_out(self) -> None:
        scene.lender()
        placed = scene.hold(Covers(phones=frozenset({scene.digest(2)})), scope="phone", reason="dispute_pending")
        (out,) = scene.ask(scene.item(1))
        assert out.permit
        with transaction.atomic():
            wide = widen_hold(hold=placed.hold, covers=Covers(loans=frozenset({"L11"})), now=now())
            placing.number_changes()
        assert messages_stopped(wide.keys) == {phone(2), "l:L11"}
        assert [permit.id for permit in wide.permits_out] == [out.permit.id]
        change = SuppressionChange.objects.order_by("number").last()
        assert change is not None
        assert (change.kind, change.keys) == ("changed", ["l:L11", phone(2)])
        assert [row["id"] for row in change.permits_out] == [str(out.permit.id)]
        assert scene.reasons(scene.item(1), scene.item(2)) == [("dispute_pending",)] * 2

    def test_a_released_one_stays_released(self) -> None:
        scene.lender()
        placed = scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        with transaction.atomic():
            release_hold(hold=placed.hold, actor=scene.ACTOR, reason="x", now=now())
            widen_hold(hold=placed.hold, covers=Covers(loans=frozenset({"L12"})), now=now())
        assert scene.reasons(scene.item(1), scene.item(1, loan="L12")) == [(), ()]

    def test_another_reason(self) -> None:
        scene.lender()
        placed = scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        for expected in (True, False):
            with transaction.atomic():
                assert change_reason(hold=placed.hold, reason="outcome_not_delivered", now=now()) is expected
        assert scene.reasons(scene.item(1)) == [("outcome_not_delivered",)]


class TestOwnersThatChange:
    def extend(self, **changes: Any) -> int:
        with transaction.atomic():
            return extend_holds(**{"customer_phones": [], "loans_moved": [], **changes})

    def test_a_phone_added_later_is_covered_by_the_customers_hold(self) -> None:
        scene.lender()
        scene.dispute("too_frequent", loan="L11", n=1, customer="C1")
        CustomerPhone.objects.create(customer="C1", digest=scene.digest(9), role="own")
        (out,) = scene.ask(scene.item(9, loan=None, category="service"))
        assert out.permit
        assert self.extend(customer_phones=[("C1", scene.digest(9))]) == 1
        assert self.extend(customer_phones=[("C1", scene.digest(9))]) == 0
        change = SuppressionChange.objects.order_by("number").last()
        assert change is not None
        assert change.kind == "changed"
        assert phone(9) in change.keys
        survey = scene.item(9, loan=None, category="survey")
        assert scene.reasons(survey) == [("dispute_pending",)]

    def test_a_phone_added_to_another_is_not(self) -> None:
        scene.lender()
        scene.dispute("too_frequent", loan="L11", n=1, customer="C1")
        assert self.extend(customer_phones=[("C2", scene.digest(9))]) == 0

    def test_a_held_loan_that_moves_is_held_still_and_its_new_owner_is_not_surveyed(self) -> None:
        scene.lender()
        scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        Loan.objects.filter(pk="L11").update(customer="C2")
        self.extend(loans_moved=[("L11", "C2")])
        assert scene.reasons(scene.item(2, loan="L11"), scene.item(2, loan=None, category="survey")) == [
            ("dispute_pending",),
            ("dispute_pending",),
        ]


def test_a_hold_leaves_an_event_and_a_row_of_the_feed_and_nothing_for_workers_to_do() -> None:
    scene.lender()
    placed = scene.dispute("identity_theft", loan="L11", n=1, customer="C1")
    event = Event.objects.get(subject_id=placed.hold.pk)
    assert (event.kind, event.actor_type) == ("hold.placed", "client")
    assert not OutboxTopic.objects.exists()
    change = SuppressionChange.objects.get()
    assert (change.kind, change.scope, change.keys) == ("placed", "loan_and_phone", sorted(["l:L11", phone(1)]))


def test_no_personal_data_stands_in_journal_or_feed() -> None:
    scene.lender()
    scene.dispute("identity_theft", loan="L11", n=1, customer="C1")
    with connection.cursor() as cursor:
        for table in ("disputes_event", "disputes_suppressionchange"):
            cursor.execute(f"SELECT string_agg(t::text, ' ') FROM {table} AS t")
            assert scene.number(1).removeprefix("+86") not in cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_the_feed_is_only_added_to() -> None:
    scene.lender()
    scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
    for statement in ("UPDATE {} SET reason = 'x'", "DELETE FROM {}", "TRUNCATE {}"):
        with pytest.raises((IntegrityError, InternalError), match="only ever added to"), transaction.atomic():
            connection.cursor().execute(statement.format("disputes_suppressionchange"))


def test_a_hold_outside_a_transaction_or_inside_a_savepoint_is_refused() -> None:
    scene.lender()
    with transaction.atomic(), transaction.atomic(), pytest.raises(NotOutermost):
        placing.place_hold(
            source="manual",
            scope="loan",
            reason="manual_hold",
            covers=Covers(loans=frozenset({"L11"})),
            actor=scene.ACTOR,
            now=now(),
        )


def test_holds_are_found_by_dispute_by_key_and_by_instant() -> None:
    from config.values.ids import new_id

    scene.lender()
    dispute = new_id()
    with transaction.atomic():
        placed = placing.place_hold(
            source="dispute",
            scope="loan",
            reason="dispute_pending",
            covers=Covers(loans=frozenset({"L11"})),
            dispute=dispute,
            actor=scene.ACTOR,
            now=now(),
        )
    before, during = placed.hold.placed_at - timedelta(seconds=1), placed.hold.placed_at
    assert holds_of_dispute(dispute) == [placed.hold]
    with transaction.atomic():
        release_hold(hold=placed.hold, actor=scene.ACTOR, reason="x", now=now())
    assert holds_of_dispute(dispute) == []
    found = [holds_covering(["l:L11"]), holds_covering(["l:L11"], at=before), holds_covering(["l:L11"], at=during)]
    assert found == [[], [], [placed.hold]]


def test_a_loan_that_nobody_has_named_the_owner_of_can_be_held() -> None:
    scene.lender()
    scene.loan("LX", None)
    assert messages_stopped(scene.hold(Covers(loans=frozenset({"LX", "L-unheard-of"}))).keys) == {
        "l:LX",
        "l:L-unheard-of",
    }


def test_lanes_of_a_hold_are_those_of_all_that_it_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    scene.lender()
    taken: list[set[int]] = []

    def take_and_note(lanes: set[int], then: Sequence[Statement]) -> None:
        taken.append(lanes)
        locking.take_lanes(lanes, then=then)

    monkeypatch.setattr(placing, "take_lanes", take_and_note)
    scene.dispute("identity_theft", loan="L11", n=2, customer="C2")
    assert taken[0] >= {
        locking.lane_of_customer("C1"),
        locking.lane_of_customer("C2"),
        locking.lane_of_phone(scene.digest(2)),
    }


def test_the_look_up_of_holds_needs_the_index_alone() -> None:
    scene.lender()
    hold = scene.dispute("not_overdue", loan="L11", n=1, customer="C1").hold
    HoldCover.objects.bulk_create(
        [HoldCover(hold=hold, key=f"l:F{n}", since=now(), released_at=now() if n % 3 else None) for n in range(3000)]
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE disputes_holdcover")
        cursor.execute(
            "EXPLAIN SELECT hold_id FROM disputes_holdcover WHERE released_at IS NULL AND key = ANY(%s)",
            [["l:L11", "c:C1"]],
        )
        plan = "\n".join(itertools.chain.from_iterable(cursor.fetchall()))
    assert "cover_standing" in plan
