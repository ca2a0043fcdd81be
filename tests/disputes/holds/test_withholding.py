"""What an opted-out number is told of its own dispute: by the pack, everything or nothing."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from disputes.holds.opting_out import opt_in, opt_out
from disputes.holds.withholding import KINDS
from disputes.journal.recording import Actor
from disputes.notices.models import Notice, NoticeState
from disputes.notices.sending import NewNotice, queue_notice, send_notice

pytestmark = pytest.mark.django_db(transaction=True)

NUMBER = "+12025550101"


@pytest.fixture(autouse=True)
def _nothing_is_sent_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)


def told(kind: str = "outcome", *, channel: str = "sms", address: str = NUMBER) -> Notice:
    """The notice after its try."""
    now = timezone.now()
    with transaction.atomic():
        notice = queue_notice(
            NewNotice(
                kind=kind,
                subject=uuid.uuid4(),
                key="1",
                channel=channel,
                address=address,
                language="en",
                text="Your dispute is decided.",
            ),
            now=now,
        )
    send_notice(notice_id=notice.pk, now=now)
    notice.refresh_from_db()
    return notice


def opted(*, out: bool) -> None:
    from config.fields import phone_digest

    said = {"phone": phone_digest(NUMBER), "source": "STOP", "actor": Actor(type="system", id="t")}
    with transaction.atomic():
        (opt_out if out else opt_in)(**said, now=timezone.now())


@pytest.mark.parametrize("kind", KINDS)
def test_under_regulation_f_an_opted_out_number_carries_no_notice_of_a_dispute(kind: str, settings: Any) -> None:
    settings.POLICY_PACK = "us"
    assert told(kind).state == NoticeState.HANDED_OVER
    opted(out=True)
    notice = told(kind)
    assert (notice.state, notice.failure) == (NoticeState.FAILED, "withheld: opted_out")
    assert told(kind, channel="email", address="wang@example.org").state == NoticeState.HANDED_OVER
    assert told(kind, address="+12025550102").state == NoticeState.HANDED_OVER
    opted(out=False)
    assert told(kind).state == NoticeState.HANDED_OVER


@pytest.mark.parametrize("kind", KINDS)
def test_by_the_house_who_opened_a_dispute_is_told_of_it_all_the_same(kind: str) -> None:
    opted(out=True)
    assert told(kind).state == NoticeState.HANDED_OVER
