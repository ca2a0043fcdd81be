"""Schedules open waves, waves draw samples."""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.utils import timezone

from disputes.holds import by_hand
from disputes.journal.recording import SERVICE
from feedback.waves import sampling
from feedback.waves.inviting import send_invitations
from feedback.waves.models import Invitation, Missed, Schedule, Wave
from feedback.waves.opening import Asked, open_wave
from feedback.waves.sampling import draw_sample, draw_samples
from feedback.waves.scheduling import Timing, change_schedule, create_schedule, open_due_waves
from tests.callers import customer, system
from tests.feedback.scene import (
    CONTENT,
    FEBRUARY,
    NOW,
    customers_of,
    invite,
    let_all_through,
    messaged,
    survey,
    wave_of,
)
from tests.lines import late_posting, send_records
from tests.races import PATIENCE, at_once
from tests.work import work

pytestmark = pytest.mark.django_db(transaction=True)

MONTHLY = Timing(rule="FREQ=MONTHLY;BYMONTHDAY=1", zone="Asia/Shanghai", starts_on=date(2026, 1, 1), starts_at=time(9))
ASKED = Asked(audience="messaged")


class Killed(Exception):
    """The worker is gone."""


def monthly(*, missed: str = Missed.ONE, since: datetime = datetime(2026, 1, 10, tzinfo=UTC)) -> Schedule:
    timing = Timing(
        rule=MONTHLY.rule, zone=MONTHLY.zone, starts_on=MONTHLY.starts_on, starts_at=MONTHLY.starts_at, missed=missed
    )
    return create_schedule(survey_id=survey().survey_id, timing=timing, asked=ASKED, now=since)


def periods() -> list[tuple[str, str]]:
    waves = Wave.objects.order_by("period")
    return [(f"{wave.period.lower:%m-%d}", f"{wave.period.upper:%m-%d}") for wave in waves]


# --- schedules ---


def test_a_wave_begins_where_the_last_one_ended() -> None:
    monthly()
    assert open_due_waves(now=datetime(2026, 2, 1, 0, 59, tzinfo=UTC)) == 0
    assert open_due_waves(now=datetime(2026, 2, 1, 1, tzinfo=UTC)) == 1
    assert open_due_waves(now=datetime(2026, 3, 1, 2, tzinfo=UTC)) == 1
    assert periods() == [("01-10", "02-01"), ("02-01", "03-01")]


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        (Missed.ONE, [("01-10", "04-01")]),
        (Missed.EACH, [("01-10", "02-01"), ("02-01", "03-01"), ("03-01", "04-01")]),
    ],
)
def test_periods_that_were_missed_are_one_wave_or_each_its_own(missed: str, expected: list[Any]) -> None:
    schedule = monthly(missed=missed)
    open_due_waves(now=datetime(2026, 4, 20, tzinfo=UTC))
    assert periods() == expected
    schedule.refresh_from_db()
    assert schedule.next_at == datetime(2026, 5, 1, 1, tzinfo=UTC)


def test_a_changed_rule_loses_no_day_and_asks_about_none_twice() -> None:
    schedule = monthly()
    open_due_waves(now=datetime(2026, 2, 1, 2, tzinfo=UTC))
    weekly = Timing(rule="FREQ=WEEKLY;BYDAY=FR", zone="UTC", starts_on=date(2026, 1, 1), starts_at=time(9))
    change_schedule(schedule_id=schedule.pk, timing=weekly, asked=ASKED, enabled=True, now=NOW)
    open_due_waves(now=datetime(2026, 3, 6, 10, tzinfo=UTC))
    assert periods() == [("01-10", "02-01"), ("02-01", "03-06")]


def test_a_rule_that_has_come_to_its_end_opens_no_more() -> None:
    once = Timing(rule="FREQ=DAILY;COUNT=1", zone="UTC", starts_on=date(2026, 2, 1), starts_at=time(9))
    schedule = create_schedule(
        survey_id=survey().survey_id, timing=once, asked=ASKED, now=datetime(2026, 1, 10, tzinfo=UTC)
    )
    assert open_due_waves(now=NOW) == 1
    schedule.refresh_from_db()
    assert schedule.next_at is None
    assert open_due_waves(now=NOW + timedelta(days=900)) == 0


def test_ten_openers_open_each_period_once() -> None:
    monthly(missed=Missed.EACH)
    at_once([lambda: open_due_waves(now=datetime(2026, 5, 20, tzinfo=UTC))] * 10)
    assert periods() == [("01-10", "02-01"), ("02-01", "03-01"), ("03-01", "04-01"), ("04-01", "05-01")]


def test_without_the_rows_lock_and_the_constraint_a_period_would_open_twice() -> None:
    """The control of the race above: look, then write."""
    schedule, all_looked = monthly(), threading.Barrier(4)

    def open_unlocked() -> None:
        with transaction.atomic():
            due = Schedule.objects.get(pk=schedule.pk)
            all_looked.wait(PATIENCE)
            if due.next_at is not None and due.next_at <= NOW:
                open_wave(
                    survey_id=due.survey_id, asked=ASKED, start=due.last_end, end=due.next_at, opened_by="t", now=NOW
                )
                Schedule.objects.filter(pk=due.pk).update(last_end=due.next_at, next_at=NOW + timedelta(days=9))

    at_once([open_unlocked] * 4)
    assert len(periods()) > 1


def test_the_database_refuses_two_waves_of_one_schedule_that_overlap() -> None:
    schedule = monthly()
    open_due_waves(now=NOW)
    wave = Wave.objects.get()
    with pytest.raises(IntegrityError, match="one_wave_a_schedule_and_period"):
        Wave.objects.create(
            survey_id=schedule.survey_id,
            version=wave.version,
            schedule=schedule,
            period=DateTimeTZRange(NOW - timedelta(days=20), NOW, "[)"),
            seed=b"x" * 16,
            opened_at=NOW,
            opened_by="t",
            ends_at=NOW,
            audience="messaged",
        )


# --- the sample ---


def test_the_same_seed_and_audience_give_the_same_sample_and_another_seed_another() -> None:
    messaged(60)
    version = survey()

    def drawn(seed: bytes) -> set[str]:
        wave = wave_of(version, seed=seed, sample_size=20, quiet_days=0)
        draw_samples(now=NOW)
        found = customers_of(wave.invitations.all())
        Invitation.objects.all().delete()
        return found

    first = drawn(b"a" * 16)
    assert len(first) == 20
    assert drawn(b"a" * 16) == first
    assert drawn(b"b" * 16) != first


def test_only_the_period_counts_and_each_customer_once() -> None:
    messaged(2)
    messaged(1, first=9, at="2026-03-01T10:00:00+08:00")
    wave = wave_of(survey())
    draw_samples(now=NOW)
    wave.refresh_from_db()
    assert customers_of(wave.invitations.all()) == {"C1", "C2"}
    assert (wave.state, wave.audience_count, wave.eligible_count, wave.taken_count) == ("inviting", 2, 2, 2)


def test_nobody_is_asked_twice_within_the_quiet_days_by_any_survey() -> None:
    messaged(3)
    invite(wave_of(survey(), sample_size=2))
    second = wave_of(survey(name="B"), quiet_days=30)
    invite(second, now=NOW + timedelta(days=29))
    second.refresh_from_db()
    assert (second.taken_count, second.left_out) == (1, {"asked_lately": 2})
    third = wave_of(survey(name="C"), quiet_days=30, now=NOW + timedelta(days=60))
    draw_samples(now=NOW + timedelta(days=60))
    third.refresh_from_db()
    assert third.taken_count == 3


def test_whoever_waits_to_be_asked_is_asked_by_no_other_survey_and_the_quiet_days_run_from_the_text() -> None:
    messaged(1)
    first = wave_of(survey(), open_days=60)
    draw_samples(now=NOW)
    late = NOW + timedelta(days=40)
    second = wave_of(survey(name="B"), quiet_days=30, now=late)
    draw_samples(now=late)
    second.refresh_from_db()
    assert second.left_out == {"asked_lately": 1}  # by the text of the first, which may leave at any time
    send_invitations(wave=first, now=late, ask=let_all_through)
    third = wave_of(survey(name="C"), quiet_days=30, now=late + timedelta(days=29))
    draw_samples(now=late + timedelta(days=29))
    third.refresh_from_db()
    assert third.left_out == {"asked_lately": 1}


def test_whoever_disputes_opted_out_or_has_no_phone_is_left_out_and_counted() -> None:
    messaged(5)
    opened = customer("C1").post(
        "/api/v1/disputes", {"message": {"external_id": "M1"}, "ground": "not_overdue"}, Idempotency_Key="d"
    )
    assert opened.status_code == 201
    out = system("optouts:write").post("/api/v1/opt-outs", {"phone": "+8613800000002", "source": "test"})
    assert out.status_code == 201
    ended = {"number": "+8613800000003", "role": "own", "until": "2026-02-20"}
    send_records({"type": "customer", "external_id": "C3", "version": 2, "phones": [ended]})
    wave = wave_of(survey())
    draw_samples(now=NOW)
    wave.refresh_from_db()
    assert customers_of(wave.invitations.all()) == {"C4", "C5"}
    assert wave.left_out == {"dispute_pending": 1, "opted_out": 1, "no_phone": 1}
    assert (wave.audience_count, wave.eligible_count) == (5, 2)


def test_whose_dispute_has_closed_waits_in_the_sample_until_the_rest_of_its_hold_has_ended() -> None:
    """The outcome was not delivered yet. Left out, those who were rejected would be missing from every figure."""
    send_records(*late_posting())
    opened = customer("C1").post(
        "/api/v1/disputes", {"message": {"external_id": "M1"}, "ground": "already_paid"}, Idempotency_Key="d"
    )
    work()
    closed = system("disputes:read").get(f"/api/v1/disputes/{opened.json()['id']}").json()
    assert closed["status"] == "closed", closed
    now = timezone.now()
    wave = wave_of(survey(), audience="dispute_closed", period=(now - timedelta(days=1), now), now=now)
    draw_samples(now=now)
    send_invitations(wave=wave, now=now)
    waits = wave.invitations.get()
    assert (waits.state, set(waits.denied[:2])) == ("queued", {"dispute_pending", "outcome_not_delivered"})
    customer("C1").get(f"/api/v1/disputes/{opened.json()['id']}")
    work()
    send_invitations(wave=wave, now=now + timedelta(hours=2))
    waits.refresh_from_db()
    assert waits.state == "sent" or waits.denied == ["outside_hours"]


def test_a_hold_by_hand_leaves_its_person_out() -> None:
    messaged(2)
    with transaction.atomic():
        by_hand.place(customer="C1", why="asked for it", actor=SERVICE, now=timezone.now())
    wave = wave_of(survey())
    draw_samples(now=NOW)
    wave.refresh_from_db()
    assert (wave.taken_count, wave.left_out) == (1, {"held": 1})


def test_those_whose_dispute_closed_are_asked_once_it_is_over() -> None:
    send_records(*late_posting())
    opened = customer("C1").post(
        "/api/v1/disputes", {"message": {"external_id": "M1"}, "ground": "already_paid"}, Idempotency_Key="d"
    )
    work()
    assert customer("C1").get(f"/api/v1/disputes/{opened.json()['id']}").json()["outcome"] == "upheld"
    work()
    now = timezone.now()
    wave = wave_of(survey(), audience="dispute_closed", period=(now - timedelta(days=1), now), now=now)
    draw_samples(now=now)
    invitation = wave.invitations.get()
    assert (invitation.customer, invitation.outcome, str(invitation.dispute)) == ("C1", "upheld", opened.json()["id"])


def _two_surveys_at_once() -> int:
    """How many invitations twenty people get from two surveys of one instant, with quiet days."""
    messaged(20)
    for name in ("A", "B"):
        wave_of(survey(name=name), quiet_days=90)
    at_once([lambda: draw_samples(now=NOW)] * 4)
    return Invitation.objects.count()


def test_two_surveys_at_once_ask_nobody_twice() -> None:
    assert _two_surveys_at_once() == 20


def test_without_the_one_lock_of_all_samples_they_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same statements, each in a transaction that is open while the other reads."""
    messaged(20)
    waves = [wave_of(survey(name=name), quiet_days=90) for name in ("A", "B")]
    both_wrote = threading.Barrier(2)

    def unlocked(wave: Wave) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            sampling._insert_sample(cursor, wave=wave, now=NOW)
            both_wrote.wait(PATIENCE)

    at_once([lambda wave=wave: unlocked(wave) for wave in waves])
    assert Invitation.objects.count() == 40


def test_a_sample_is_drawn_whole_or_not_at_all() -> None:
    messaged(3)
    wave = wave_of(survey())
    with contextlib.suppress(Killed), transaction.atomic():
        draw_sample(wave=wave, now=NOW)
        raise Killed
    wave.refresh_from_db()
    assert (wave.state, Invitation.objects.count()) == ("sampling", 0)
    assert draw_samples(now=NOW) == 1
    assert Invitation.objects.count() == 3


# --- over HTTP ---


def test_a_wave_opened_over_http_is_drawn_and_invited_by_the_workers() -> None:
    messaged(3)
    version = survey()
    api = system("surveys:read", "surveys:write")
    body = {"audience": "messaged", "period_from": "2026-02-01T00:00:00Z", "period_until": "2026-03-01T00:00:00Z"}
    address = f"/api/v1/surveys/{version.survey_id}/waves"
    opened = api.post(address, body, Idempotency_Key="w1")
    assert opened.status_code == 201, opened.content
    assert api.post(address, body, Idempotency_Key="w1").json()["id"] == opened.json()["id"]
    work()
    wave = api.get(f"/api/v1/waves/{opened.json()['id']}").json()
    assert (wave["taken_count"], wave["seed"]) == (3, None)
    assert api.get(address).json()["results"] == [wave]


@pytest.mark.parametrize(
    ("change", "attr"),
    [
        ({"audience": "all"}, "audience"),
        ({"period_until": "2999-01-01T00:00:00Z"}, "period_until"),
        ({"period_from": "2026-03-01T00:00:00Z"}, "period_until"),
        ({"sample_size": 0}, "sample_size"),
        ({"open_days": 91}, "open_days"),
        ({"channel": "fax"}, "channel"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_wave_that_is_asked_for_wrongly_names_the_field(change: dict[str, Any], attr: str) -> None:
    version = survey(questions=CONTENT["questions"])
    body = {"audience": "messaged", "period_from": FEBRUARY[0].isoformat(), "period_until": FEBRUARY[1].isoformat()}
    answer = system("surveys:write").post(f"/api/v1/surveys/{version.survey_id}/waves", body | change)
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, attr)
