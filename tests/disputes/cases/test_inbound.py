"""What people text back, over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from disputes.cases.answering import withhold_acknowledgement
from disputes.cases.models import Comment, Dispute
from disputes.holds.models import Hold, Permit
from disputes.inbound.models import InboundMessage
from disputes.notices.models import Notice
from tests.callers import Api, customer, system
from tests.disputes.cases.test_opening import dispute
from tests.lines import customer_line, in_arrears, loan_lines, message_line, send_records
from tests.work import work

pytestmark = pytest.mark.django_db

PHONE = "+8613812340001"
RECEIVED = "2026-02-03T10:30:00+08:00"
_numbers = iter(range(10**6))


@pytest.fixture(autouse=True)
def lender() -> None:
    send_records(*in_arrears())


@pytest.fixture
def carrier() -> Api:
    return system("inbound:write")


def deliver(api: Api, text: str, *, id: str | None = None, **more: Any) -> Any:
    body = {"id": id or f"in-{next(_numbers)}", "phone": PHONE, "text": text, "received_at": RECEIVED, **more}
    return api.post("/api/v1/inbound-messages", body)


def told(api: Api, text: str, **more: Any) -> dict[str, Any]:
    answer = deliver(api, text, **more)
    assert answer.status_code == 201, answer.content
    body: dict[str, Any] = answer.json()
    assert set(body) == {"id", "kind", "dispute", "hold", "permits_out"}
    return body


def test_an_opt_out_places_its_hold_and_names_its_source(carrier: Api) -> None:
    body = told(carrier, "ＴＤ!")
    hold = Hold.objects.get()
    assert (body["kind"], body["hold"]["id"], body["dispute"]) == ("opt_out", str(hold.pk), None)
    assert (hold.source, hold.reason, hold.why, hold.scope) == ("opt_out", "opted_out", "sms", "phone")
    assert told(carrier, "退订")["hold"]["id"] == str(hold.pk)
    assert Hold.objects.count() == 1


def test_an_opt_in_takes_it_back_and_names_its_source(carrier: Api) -> None:
    told(carrier, "STOP")
    body = told(carrier, "START")
    assert (body["kind"], body["hold"]["released_at"] is not None) == ("opt_in", True)
    assert Hold.objects.get().release_reason == "opted in: sms"
    assert told(carrier, "START")["hold"] is None


def test_an_opt_in_that_was_sent_before_the_opt_out_is_not_the_last_word(carrier: Api) -> None:
    told(carrier, "STOP", received_at="2026-02-03T12:00:00+08:00")
    assert told(carrier, "START", received_at="2026-02-03T11:59:59+08:00")["hold"] is None
    assert Hold.objects.get().released_at is None
    told(carrier, "STOP", received_at="2026-02-03T14:00:00+08:00")
    assert told(carrier, "START", received_at="2026-02-03T13:00:00+08:00")["hold"] is None
    assert told(carrier, "START", received_at="2026-02-03T14:00:01+08:00")["hold"]["released_at"] is not None


def test_a_dispute_is_about_the_last_message_to_the_number(carrier: Api) -> None:
    send_records(
        message_line("M2", sent_at="2026-02-03T10:10:00+08:00"), message_line("M3", sent_at="2026-02-03T12:00:00+08:00")
    )
    body = told(carrier, "异议,我已经还款了")
    one = Dispute.objects.get()
    assert one.message is not None
    assert (body["kind"], body["dispute"]) == ("dispute", {"id": str(one.pk), "reference": one.reference})
    assert (one.message.external_id, one.ground, one.statement) == ("M2", "already_paid", "我已经还款了")
    assert (one.channel, one.customer, one.opened_by_type) == ("sms", None, "phone")
    assert body["hold"]["scope"] == "loan"
    assert body["hold"]["id"] == str(Hold.objects.get(dispute=one.pk).pk)


def test_it_is_answered_by_sms_with_its_reference_in_the_persons_language(carrier: Api) -> None:
    body = told(carrier, "异议")
    work()
    notice = Notice.objects.get()
    assert (notice.address, notice.language, notice.state) == (PHONE, "en", "handed_over")
    assert body["dispute"]["reference"] in notice.text
    stranger = "+8613812349999"
    told(carrier, "异议", phone=stranger)
    told(carrier, "DISPUTE", phone="+8613812349998")
    assert [one.language for one in Notice.objects.order_by("queued_at")[1:]] == ["zh-hans", "en"]


def test_a_message_of_more_than_thirty_days_ago_is_not_the_last_one(carrier: Api) -> None:
    told(carrier, "DISPUTE", received_at="2026-03-06T10:00:00+08:00")
    one = Dispute.objects.get()
    assert one.message is None
    assert set(Hold.objects.get().covers.values_list("key", flat=True)) >= {f"p:{bytes(one.phone_digest or b'').hex()}"}


def test_a_message_that_is_recorded_later_is_joined_to_its_dispute(carrier: Api) -> None:
    told(carrier, "DISPUTE paid", phone="+8613812340077")
    send_records(customer_line("C7", phone="+8613812340077"), *loan_lines("L7", customer="C7"))
    send_records(message_line("M7", loan="L7", phone="+8613812340077"))
    work()
    one = Dispute.objects.get()
    assert one.message is not None
    assert one.message.external_id == "M7"


def test_the_same_again_joins_the_dispute_that_stands(carrier: Api) -> None:
    first = told(carrier, "DISPUTE I paid")
    again = told(carrier, "dispute: PAID on Monday!")
    assert (again["kind"], again["dispute"]) == ("comment", first["dispute"])
    assert [comment.text for comment in Comment.objects.all()] == ["dispute: PAID on Monday!"]
    assert told(carrier, "DISPUTE not me")["kind"] == "dispute"


def test_where_no_message_is_found_the_same_again_is_one_dispute_too(carrier: Api) -> None:
    first = told(carrier, "异议", phone="+8613812349999")
    again = told(carrier, "异议", phone="+8613812349999", received_at="2026-02-03T11:00:00+08:00")
    assert (again["kind"], again["dispute"]) == ("comment", first["dispute"])


def test_anything_else_joins_the_newest_open_dispute_of_the_number(carrier: Api) -> None:
    told(carrier, "DISPUTE paid")
    second = told(carrier, "DISPUTE wrong amount")
    body = told(carrier, "I have the receipt.")
    assert (body["kind"], body["dispute"]) == ("comment", second["dispute"])
    [comment] = Comment.objects.all()
    assert (comment.text, comment.author_type, str(comment.dispute_id)) == (
        "I have the receipt.",
        "phone",
        second["dispute"]["id"],
    )


def test_a_customers_dispute_is_joined_from_a_phone_of_their_own_only(carrier: Api) -> None:
    opened = dispute(customer("C1")).json()
    assert told(carrier, "hello")["dispute"]["id"] == opened["id"]
    send_records(customer_line("C1", phone="+8613812340055"))
    # The number was texted, but is nobody's of the dispute: its words are not the customer's to read.
    assert told(carrier, "hello")["kind"] == "kept"


def test_an_opt_out_with_words_joins_them_as_well(carrier: Api) -> None:
    first = told(carrier, "DISPUTE paid")
    body = told(carrier, "STOP, I paid last week")
    assert (body["kind"], body["dispute"]) == ("opt_out", first["dispute"])
    assert Comment.objects.get().text == "STOP, I paid last week"
    assert told(carrier, "STOP")["dispute"] is None


def test_what_joins_nothing_is_kept_and_sealed(carrier: Api) -> None:
    body = told(carrier, "what is this about?", to="10690001", vendor="V1")
    assert body == {"id": body["id"], "kind": "kept", "dispute": None, "hold": None, "permits_out": []}
    said = InboundMessage.objects.get()
    assert (said.text, said.phone, said.to, said.vendor) == ("what is this about?", PHONE, "10690001", "V1")
    with connection.cursor() as cursor:
        cursor.execute("SELECT said::text FROM disputes_inboundmessage said")
        row = cursor.fetchone()[0]
    assert "what is" not in row
    assert PHONE not in row


def test_a_closed_dispute_is_not_joined(carrier: Api) -> None:
    first = told(carrier, "DISPUTE paid")
    Dispute.objects.update(status="closed", outcome="withdrawn", closed_at=timezone.now())
    assert told(carrier, "and another thing")["kind"] == "kept"
    assert told(carrier, "DISPUTE paid")["dispute"] != first["dispute"]


def test_permits_that_are_out_are_listed_for_recall(carrier: Api) -> None:
    item = {"request_id": "r", "phone": PHONE, "loan": "L1", "channel": "sms", "category": "statutory"}
    permit = system("gate").post("/api/v1/gate/decisions", {"items": [item]}).json()["decisions"][0]["permit"]
    assert permit is not None
    assert told(carrier, "STOP")["permits_out"] == []  # the house lets statutory texts through
    assert [one["id"] for one in told(carrier, "DISPUTE not me")["permits_out"]] == [permit["id"]]


def test_the_same_id_is_the_same_answer_and_another_text_under_it_is_refused(carrier: Api) -> None:
    first = deliver(carrier, "DISPUTE", id="x1")
    again = deliver(carrier, "DISPUTE", id="x1")
    assert (again.status_code, again.content, again["Idempotent-Replayed"]) == (201, first.content, "true")
    assert Dispute.objects.count() == InboundMessage.objects.count() == 1
    other = deliver(carrier, "STOP", id="x1")
    assert (other.status_code, other.json()["errors"][0]["code"]) == (422, "id_reused")
    assert Hold.objects.filter(source="opt_out").count() == 0
    # Another system has ids of its own.
    assert deliver(system("inbound:write"), "STOP", id="x1").status_code == 201


@pytest.mark.parametrize(
    ("wrong", "attr"),
    [
        ({"phone": "x"}, "phone"),
        ({"phone": None}, "phone"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"text": "a\0b"}, "text"),
        ({"text": "x" * 5001}, "text"),
        ({"received_at": "2026-02-03T10:00:00"}, "received_at"),
        ({"received_at": (timezone.now() + timedelta(days=1)).isoformat()}, "received_at"),
        ({"sauce": 1}, "sauce"),
    ],
)
def test_a_bad_body_names_its_field_and_leaves_nothing(carrier: Api, wrong: dict[str, Any], attr: str) -> None:
    body = {"id": "1", "phone": PHONE, "text": "STOP", "received_at": RECEIVED, **wrong}
    answer = carrier.post("/api/v1/inbound-messages", body)
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, attr)
    assert not InboundMessage.objects.exists()


def test_an_empty_text_is_kept_too(carrier: Api) -> None:
    assert told(carrier, "")["kind"] == "kept"


class TestTheAnswerToATextWhoseNumberOptedOut:
    @pytest.fixture(autouse=True)
    def us(self, settings: Any) -> None:
        settings.POLICY_PACK = "us"

    def ask(self, reply_to: str) -> list[str]:
        item = {"phone": PHONE, "channel": "sms", "category": "service", "reply_to": reply_to}
        reasons: list[str] = (
            system("gate").post("/api/v1/gate/decisions", {"items": [item]}).json()["decisions"][0]["reasons"]
        )
        return reasons

    def test_goes_out_and_is_the_only_one(self, carrier: Api) -> None:
        now = timezone.now().isoformat()
        told(carrier, "STOP", received_at=now)
        told(carrier, "DISPUTE", received_at=now, id="d-1")
        work()
        assert [(one.kind, one.state) for one in Notice.objects.all()] == [("acknowledgement", "handed_over")]
        assert self.ask("d-1") == ["opted_out"]

    def test_waits_for_nobody_where_somebody_else_has_answered(self, carrier: Api) -> None:
        now = timezone.now().isoformat()
        told(carrier, "STOP", received_at=now)
        told(carrier, "DISPUTE", received_at=now, id="d-1")
        assert self.ask("d-1") == []
        work()
        assert [(one.state, one.failure) for one in Notice.objects.all()] == [("failed", "withheld: opted_out")]

    def test_is_tried_again_after_its_permit_has_expired(self, carrier: Api) -> None:
        now = timezone.now().isoformat()
        told(carrier, "STOP", received_at=now)
        told(carrier, "DISPUTE", received_at=now)
        notice = Notice.objects.get()
        assert withhold_acknowledgement(notice, timezone.now()) == ""
        assert withhold_acknowledgement(notice, timezone.now()) == ""
        Permit.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        assert withhold_acknowledgement(notice, timezone.now()) == ""
        assert Permit.objects.filter(unused_at__isnull=True).count() == 1
