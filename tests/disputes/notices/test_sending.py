"""Notices: queued once, handed over once, tried again while that may help, given up after a day."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from config.fields import phone_digest
from disputes.notices.models import Notice
from disputes.notices.ports import Handed, Unavailable
from disputes.notices.sending import NewNotice, StillSending, queue_notice, send_notice
from disputes.outbox.models import OutboxTopic
from tests.http_receiver import Receiver, Reply, listening
from tests.smtp_receiver import mail_server
from tests.work import work

pytestmark = pytest.mark.django_db

SUBJECT = uuid.UUID(int=5)


def queued(**changes: Any) -> Notice:
    said: dict[str, Any] = {
        "kind": "outcome",
        "subject": SUBJECT,
        "key": "1",
        "channel": "sms",
        "address": "+8613812340001",
    }
    with transaction.atomic():
        return queue_notice(
            NewNotice(**{**said, "language": "en", "text": "Your dispute is closed.", **changes}), now=timezone.now()
        )


@pytest.fixture
def gateway(settings: Any) -> Iterator[Receiver]:
    with listening() as receiver:
        settings.NOTICE_PORTS = {"sms": "http", "email": "smtp"}
        settings.SMS_GATEWAY_URL, settings.SMS_GATEWAY_TOKEN = receiver.url, "t"
        yield receiver


def topics(name: str) -> list[Any]:
    return list(OutboxTopic.objects.filter(topic=name).values_list("payload", flat=True))


def test_a_queued_notice_is_handed_to_the_gateway_by_the_worker(gateway: Receiver) -> None:
    gateway.reply = lambda request: Reply(status=202, body=b'{"id": "g-1"}')
    notice = queued()
    assert notice.state == "queued"
    work()
    notice.refresh_from_db()
    assert (notice.state, notice.provider_ref, notice.attempts) == ("handed_over", "g-1", 1)
    assert notice.handed_over_at is not None
    assert [json.loads(request.body)["to"] for request in gateway.received] == ["+8613812340001"]
    work()
    assert len(gateway.received) == 1


def test_an_email_goes_to_the_mail_server(settings: Any) -> None:
    settings.NOTICE_PORTS = {"sms": "none", "email": "smtp"}
    with mail_server(settings) as server:
        queued(channel="email", address="wang@mail.example", subject_line="Closed")
        work()
    assert [message["To"] for message in server.messages] == ["wang@mail.example"]


def test_the_same_notice_again_is_the_one_that_is_there_unchanged(gateway: Receiver) -> None:
    first = queued()
    again = queued(text="Other words.", address="+8613812340002")
    assert again.pk == first.pk
    assert again.text == "Your dispute is closed."
    assert queued(key="2").pk != first.pk
    assert queued(kind="question").pk not in (first.pk, again.pk)
    work()
    assert len(gateway.received) == 3


def test_what_was_rolled_back_is_not_sent(gateway: Receiver) -> None:
    with transaction.atomic():
        queued()
        transaction.set_rollback(True)
    work()
    assert gateway.received == []
    assert not Notice.objects.exists()


@pytest.mark.parametrize(
    ("channel", "address"),
    [
        ("sms", "13812340001"),
        ("sms", ""),
        ("sms", "+86 138"),
        ("email", "nobody"),
        ("email", "a@b\r\nBcc: c@d"),
        ("email", "a@b,c@d"),
        ("email", "A <a@b>"),
        ("pigeon", "x"),
    ],
)
def test_an_address_that_is_none_is_a_mistake_of_ours(channel: str, address: str) -> None:
    with pytest.raises(ValueError):
        queued(channel=channel, address=address)


def test_number_and_words_are_not_readable_in_the_database() -> None:
    notice = queued(subject_line="Outcome of D-7K3M-92QF")
    with connection.cursor() as cursor:
        cursor.execute("SELECT notice::text FROM disputes_notice notice")
        row = cursor.fetchone()[0]
    for secret in ("13812340001", "Your dispute", "D-7K3M"):
        assert secret not in row
        assert secret.encode().hex() not in row
    assert Notice.objects.get(address_digest=phone_digest("+8613812340001")).pk == notice.pk


def test_a_refused_notice_has_failed_and_says_so_upward(gateway: Receiver) -> None:
    gateway.reply = lambda request: Reply(status=422)
    notice = queued()
    work()
    notice.refresh_from_db()
    assert (notice.state, notice.failure) == ("failed", "refused: http_422")
    assert topics("notice.failed") == [{"notice": str(notice.pk), "kind": "outcome", "subject": str(SUBJECT)}]
    send_notice(notice_id=notice.pk, now=timezone.now())
    assert len(gateway.received) == 1


def test_a_gateway_that_is_away_is_asked_again_under_the_same_key(gateway: Receiver) -> None:
    statuses = iter([503, 429, 200])
    gateway.reply = lambda request: Reply(status=next(statuses))
    notice = queued()
    for _ in range(2):
        with pytest.raises(Unavailable):
            send_notice(notice_id=notice.pk, now=timezone.now())
        notice.refresh_from_db()
        assert notice.state == "queued"
    send_notice(notice_id=notice.pk, now=timezone.now())
    notice.refresh_from_db()
    assert (notice.state, notice.attempts, notice.failure) == ("handed_over", 3, "")
    assert {request.headers["idempotency-key"] for request in gateway.received} == {str(notice.pk)}


def test_after_a_day_without_a_carrier_it_has_failed(gateway: Receiver) -> None:
    gateway.reply = lambda request: Reply(status=429)
    notice = queued()
    with pytest.raises(Unavailable):
        send_notice(notice_id=notice.pk, now=notice.queued_at + timedelta(hours=23))
    send_notice(notice_id=notice.pk, now=notice.queued_at + timedelta(hours=24))
    notice.refresh_from_db()
    assert (notice.state, notice.failure) == ("failed", "unavailable: http_429")
    assert len(topics("notice.failed")) == 1


def test_where_one_try_may_have_got_through_nobody_knows_what_became_of_it(gateway: Receiver) -> None:
    gateway.reply = lambda request: Reply(hang_up=True)
    notice = queued()
    with pytest.raises(Unavailable):
        send_notice(notice_id=notice.pk, now=timezone.now())
    gateway.reply = lambda request: Reply(status=429)
    send_notice(notice_id=notice.pk, now=notice.queued_at + timedelta(hours=25))
    notice.refresh_from_db()
    assert notice.state == "unknown"
    assert len(topics("notice.failed")) == 1


def test_a_notice_that_another_worker_is_at_is_left_to_it_and_comes_back_when_that_one_died(gateway: Receiver) -> None:
    notice = queued()
    ahead = timezone.now() + timedelta(seconds=50)
    Notice.objects.update(state="sending", claimed_until=ahead, attempts=1)
    with pytest.raises(StillSending):
        send_notice(notice_id=notice.pk, now=timezone.now())
    Notice.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    send_notice(notice_id=notice.pk, now=timezone.now())
    notice.refresh_from_db()
    assert (notice.state, notice.attempts) == ("handed_over", 2)


def test_a_try_whose_claim_ran_out_does_not_overwrite_the_later_one(gateway: Receiver) -> None:
    notice = queued()

    class Late:
        """Answers after another worker has had its turn and failed for good."""

        def send(self, notice: Notice) -> Handed:
            Notice.objects.update(attempts=2, state="failed", failed_at=timezone.now(), failure="refused: http_422")
            return Handed(reference="late")

    send_notice(notice_id=notice.pk, now=timezone.now(), port=Late())
    notice.refresh_from_db()
    assert (notice.state, notice.provider_ref) == ("failed", "late")


def test_a_notice_is_queued_in_a_transaction_or_not_at_all(transactional_db: None) -> None:
    with pytest.raises(RuntimeError):
        queue_notice(
            NewNotice(
                kind="outcome",
                subject=SUBJECT,
                key="1",
                channel="sms",
                address="+8613812340001",
                language="en",
                text="x",
            ),
            now=timezone.now(),
        )
