"""Invitations: each text passes the gate, once when it is queued and once more before it leaves."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from disputes.notices.models import Notice
from disputes.notices.receipts import note_receipt
from disputes.notices.sending import send_notice
from feedback.results.closing import close_wave
from feedback.waves.inviting import send_invitations
from feedback.waves.models import Invitation, InvitationLink, Wave
from feedback.waves.sampling import draw_samples
from tests.callers import customer, system
from tests.feedback.scene import (
    NOW,
    invite,
    let_all_through,
    messaged,
    survey,
    wave_of,
)
from tests.lines import customer_line, send_records
from tests.races import at_once
from tests.work import work

pytestmark = pytest.mark.django_db(transaction=True)


def test_each_gets_one_text_with_their_link_in_their_language() -> None:
    messaged(2)
    messaged(1, first=3, language="zh-CN")
    wave = wave_of(survey())
    tokens = invite(wave)
    assert sorted(tokens) == ["C1", "C2", "C3"]
    assert len(set(tokens.values())) == 3
    assert {len(token) for token in tokens.values()} == {12}
    texts = {str(notice.language): str(notice.text) for notice in Notice.objects.filter(kind="survey")}
    assert "一分钟" in texts["zh-hans"]
    assert "one minute" in texts["en"]
    assert send_invitations(wave=wave, now=NOW) == 0
    wave.refresh_from_db()
    assert wave.state == "open"


def test_the_gate_is_asked_for_each_and_a_dispute_opened_meanwhile_stops_it() -> None:
    messaged(2)
    wave = wave_of(survey(), now=timezone.now())
    draw_samples(now=timezone.now())
    customer("C1").post("/api/v1/disputes", {"message": {"external_id": "M1"}, "ground": "other"}, Idempotency_Key="d")
    send_invitations(wave=wave, now=timezone.now())
    assert not Notice.objects.filter(kind="survey", subject=wave.invitations.get(customer="C1").pk).exists()
    stopped = wave.invitations.get(customer="C1")
    assert (stopped.state, "dispute_pending" in stopped.denied) == ("queued", True)
    other = wave.invitations.get(customer="C2")
    assert other.state == "sent" or other.denied == ["outside_hours"]
    close_wave(wave_id=wave.pk, now=timezone.now())
    stopped.refresh_from_db()
    assert (stopped.state, stopped.asked_at) == ("not_sent", None)


def test_four_workers_send_nobody_two_texts() -> None:
    messaged(30)
    wave = wave_of(survey())
    draw_samples(now=NOW)
    at_once([lambda: send_invitations(wave=wave, now=NOW, ask=let_all_through)] * 4)
    assert Notice.objects.filter(kind="survey").count() == 30


def test_a_text_that_never_left_counts_for_no_quiet_days() -> None:
    messaged(2)
    wave = wave_of(survey())
    draw_samples(now=NOW)
    send_invitations(wave=wave, now=NOW, ask=let_all_through)
    failing, fine = wave.invitations.order_by("customer")
    notice = Notice.objects.get(subject=failing.pk)
    Notice.objects.filter(pk=notice.pk).update(attempts=1)
    send_notice(notice_id=Notice.objects.get(subject=fine.pk).pk, now=NOW)
    with transaction.atomic():
        note_receipt(notice_id=notice.pk, status="failed", at=NOW, now=NOW)
        note_receipt(notice_id=Notice.objects.get(subject=fine.pk).pk, status="delivered", at=NOW, now=NOW)
    work()
    failing.refresh_from_db()
    fine.refresh_from_db()
    assert (failing.asked_at, failing.failed_at) == (None, NOW)
    assert (fine.asked_at, fine.delivered_at) == (NOW, NOW)


class TestATextThatWaitsForTheCarrier:
    """Its permit is granted, and its customer may still say no."""

    @pytest.fixture
    def waiting(self) -> Notice:
        messaged(1)
        now = timezone.now()
        wave = wave_of(survey(), now=now)
        draw_samples(now=now)
        send_invitations(wave=wave, now=now, ask=let_all_through)
        return Notice.objects.get(kind="survey")

    def test_does_not_leave_once_its_customer_has_opened_a_dispute(self, waiting: Notice) -> None:
        customer("C1").post(
            "/api/v1/disputes", {"message": {"external_id": "M1"}, "ground": "not_overdue"}, Idempotency_Key="k"
        )
        send_notice(notice_id=waiting.pk, now=timezone.now())
        waiting.refresh_from_db()
        assert (waiting.state, waiting.failure) == ("failed", "withheld: dispute_pending")
        work()
        waits = Invitation.objects.get()
        assert (waits.state, waits.asked_at) == ("queued", None)
        send_invitations(wave=waits.wave, now=timezone.now())
        waits.refresh_from_db()
        assert "dispute_pending" in waits.denied
        send_invitations(wave=waits.wave, now=timezone.now() + timedelta(hours=20), ask=let_all_through)
        assert Notice.objects.filter(kind="survey", state="queued").count() == 1
        assert InvitationLink.objects.count() == 1  # the same link

    def test_does_not_leave_once_its_number_has_opted_out(self, waiting: Notice) -> None:
        system("optouts:write").post("/api/v1/opt-outs", {"phone": waiting.address, "source": "call"})
        send_notice(notice_id=waiting.pk, now=timezone.now())
        waiting.refresh_from_db()
        assert waiting.failure == "withheld: opted_out"

    def test_does_not_leave_at_night_once_its_permit_has_expired(self, waiting: Notice) -> None:
        blocked = {"blocked": [{"days": ["MO", "TU", "WE", "TH", "FR", "SA", "SU"], "from": "00:00", "until": "00:00"}]}
        send_records(
            customer_line(
                "C1", phone=waiting.address, version=2, time_zones=["America/New_York"], contact_preferences=blocked
            )
        )
        send_notice(notice_id=waiting.pk, now=timezone.now() + timedelta(minutes=20))
        waiting.refresh_from_db()
        assert waiting.failure == "withheld: outside_hours"

    def test_does_not_leave_once_its_wave_is_over(self, waiting: Notice) -> None:
        close_wave(wave_id=Wave.objects.get().pk, now=timezone.now())
        send_notice(notice_id=waiting.pk, now=timezone.now())
        work()
        waiting.refresh_from_db()
        assert (waiting.failure, Invitation.objects.get().asked_at) == ("withheld: wave_ended", None)

    def test_is_in_doubt_and_not_repeated_where_an_earlier_try_may_have_arrived(self, waiting: Notice) -> None:
        Notice.objects.update(in_doubt=True)
        system("optouts:write").post("/api/v1/opt-outs", {"phone": waiting.address, "source": "call"})
        send_notice(notice_id=waiting.pk, now=timezone.now())
        work()
        waiting.refresh_from_db()
        assert (waiting.state, Invitation.objects.get().state) == ("unknown", "sent")

    def test_leaves_otherwise_whatever_the_clock_says_by_now(self, waiting: Notice) -> None:
        send_notice(notice_id=waiting.pk, now=timezone.now())
        waiting.refresh_from_db()
        assert waiting.state == "handed_over"
