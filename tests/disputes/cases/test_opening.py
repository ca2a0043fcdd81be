"""Opening a dispute over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection, models
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from disputes.cases import opening
from disputes.cases.models import Dispute
from disputes.holds.models import Hold, HoldCover
from disputes.holds.scopes import stops_messages
from disputes.journal.models import Event
from disputes.notices.models import Notice, WebhookDelivery, WebhookEndpoint
from disputes.outbox.models import OutboxTopic
from disputes.outbox.queue import RESEND_AFTER
from disputes.records.models import Message, MessagePersonal
from disputes.routing.models import Clock
from tests.callers import Api, customer, system
from tests.lines import customer_line, in_arrears, late_posting, loan_lines, message_line, send_records
from tests.work import work

pytestmark = pytest.mark.django_db

DISPUTES = "/api/v1/disputes"


def dispute(api: Api, message: dict | None = None, *, ground: str = "already_paid", key: str | None = None, **more):
    body = {"message": {"external_id": "M1"} if message is None else message, "ground": ground, **more}
    return api.post(DISPUTES, body, Idempotency_Key=key or str(uuid.uuid4()))


def held() -> set[str]:
    """The keys of what is held from messages."""
    return {cover.key for cover in HoldCover.objects.all() if stops_messages(cover.key)}


@pytest.fixture
def lender():
    send_records(*in_arrears())


def message_id(api: Api) -> str:
    return api.get("/api/v1/messages").json()["results"][0]["id"]


@pytest.mark.usefixtures("lender")
class TestAnOpenedDispute:
    def test_is_answered_with_all_that_the_contract_names(self):
        answer = dispute(customer("C1"), statement="我已经还款了。", language="zh-hans")
        assert answer.status_code == 201, answer.content
        body = answer.json()
        assert set(body) == {
            *("id", "reference", "status", "outcome", "ground", "message", "statement", "claimed_payments"),
            *("language", "channel", "opened_at", "deadlines", "hold", "permits_out", "check", "evidence", "closed_at"),
        }
        assert body["status"] == "checking"
        assert body["outcome"] is None
        assert body["statement"] == "我已经还款了。"
        assert body["channel"] == "app"
        assert body["permits_out"] == []
        assert body["hold"]["released_at"] is None
        assert answer["Location"] == f"/api/v1/disputes/{body['id']}"

    def test_stands_together_with_hold_event_and_topic(self):
        body = dispute(customer("C1")).json()
        assert Hold.objects.get().dispute == uuid.UUID(body["id"])
        assert held() == {"l:L1"}
        assert "dispute.opened" in Event.objects.filter(subject_id=body["id"]).values_list("kind", flat=True)
        assert OutboxTopic.objects.filter(topic="dispute.opened", key=body["id"], done_at__isnull=True).exists()

    def test_keeps_no_word_of_the_customer_in_the_clear(self):
        dispute(customer("C1"), statement="sealed words", claimed_payments=[payment()])
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SELECT d::text FROM disputes_dispute d")
            assert "sealed words" not in cursor.fetchone()[0]
        assert Dispute.objects.get().statement == "sealed words"

    def test_is_found_by_id_and_by_reference_as_a_person_types_it(self):
        api = customer("C1")
        body = dispute(api).json()
        typed = body["reference"].lower().replace("-", " ").replace("0", "o").replace("1", "l")
        for key in (body["id"], body["reference"], typed):
            assert api.get(f"{DISPUTES}/{key}").json()["id"] == body["id"]

    def test_stands_on_the_policys_terms(self):
        body = dispute(customer("C1")).json()
        assert body["deadlines"]["acknowledge_by"] <= body["deadlines"]["first_answer_by"]
        assert body["deadlines"]["first_answer_by"] <= body["deadlines"]["decide_by"]


def payment(**more):
    return {"amount": {"amount": "100.00", "currency": "CNY"}, "paid_on": "2026-02-01", "reference": "B-1"} | more


@pytest.mark.usefixtures("lender")
class TestTheSecond:
    def test_on_the_same_message_and_ground_is_409_with_the_firsts_address(self):
        api = customer("C1")
        first = dispute(api).json()
        second = dispute(api)
        assert second.status_code == 409
        assert second["Location"] == f"/api/v1/disputes/{first['id']}"
        assert first["reference"] in second.json()["errors"][0]["detail"]

    def test_on_another_ground_is_taken(self):
        api = customer("C1")
        dispute(api)
        assert dispute(api, ground="too_frequent").status_code == 201

    def test_after_the_first_was_withdrawn_is_taken(self):
        api = customer("C1")
        first = dispute(api).json()
        api.post(f"{DISPUTES}/{first['id']}/withdraw")
        assert dispute(api).status_code == 201

    def test_about_a_message_that_nobody_can_find_is_409_as_well(self):
        api = customer("C1")
        assert dispute(api, {"external_id": "unheard-of"}).status_code == 201
        assert dispute(api, {"external_id": "unheard-of"}).status_code == 409
        assert dispute(api, {"external_id": "another"}).status_code == 201


@pytest.mark.usefixtures("lender")
class TestTheMessage:
    def test_is_named_by_id_external_id_short_ref_or_phone_and_instant(self):
        api = customer("C1")
        forms = [
            {"id": message_id(api)},
            {"external_id": "M1"},
            {"short_ref": "S-M1"},
            {"phone": "138 1234 0001", "received_at": "2026-02-03T10:01:00+08:00"},
        ]
        for form in forms:
            body = dispute(api, form).json()
            assert body["message"]["external_id"] == "M1", form
            api.post(f"{DISPUTES}/{body['id']}/withdraw")

    def test_with_an_unknown_id_is_404(self):
        assert dispute(customer("C1"), {"id": str(uuid.uuid4())}).status_code == 404

    def test_of_somebody_else_by_id_is_404(self):
        assert dispute(customer("C2"), {"id": message_id(customer("C1"))}).status_code == 404
        assert not Hold.objects.exists()

    def test_of_somebody_else_by_other_forms_opens_as_if_nobody_had_it(self):
        mine = dispute(customer("C2"), {"external_id": "M1"}).json()
        unknown = dispute(customer("C2"), {"external_id": "unheard-of"}).json()
        assert mine["message"] is None
        assert unknown["message"] is None
        assert held() == {"c:C2"}

    def test_that_nobody_can_find_holds_the_phone_named(self):
        body = dispute(customer("C1"), {"phone": "+8613899990000", "received_at": "2026-02-03T10:01:00+08:00"}).json()
        assert body["message"] is None
        assert body["hold"]["scope"] == "phone"

    def test_must_be_named_in_one_way(self):
        api = customer("C1")
        for form in ({}, {"external_id": "M1", "short_ref": "S"}, {"phone": "+8613812340001"}, {"id": "x"}):
            answer = dispute(api, form)
            assert answer.status_code == 400, form
            assert answer.json()["errors"][0]["attr"].startswith("message")


@pytest.mark.usefixtures("lender")
class TestASystem:
    def test_acts_for_the_customer_it_names(self):
        body = dispute(system("disputes:write"), customer="C1", channel="phone").json()
        assert body["customer"] == "C1"
        assert body["channel"] == "phone"
        assert customer("C1").get(f"{DISPUTES}/{body['id']}").status_code == 200

    def test_that_names_nobody_acts_for_the_owner_of_the_messages_loan(self):
        assert dispute(system("disputes:write")).json()["customer"] == "C1"

    def test_that_names_nobody_never_shows_the_owner_the_words_of_a_stranger(self):
        strangers, desk = "+8613812340009", system("disputes:write")
        send_records(message_line("M9", phone=strangers))
        answer = dispute(desk, {"external_id": "M9"}, ground="not_my_debt", statement="I am no 王芳.")
        assert (answer.status_code, answer.json()["customer"]) == (201, None)
        work()
        assert customer("C1").get(DISPUTES).json()["results"] == []
        assert {notice.address for notice in Notice.objects.all()} == {strangers}
        assert Hold.objects.get().scope == "phone"
        theirs = dispute(desk, ground="not_my_debt").json()
        assert theirs["customer"] == "C1", "it went to a phone of their own"

    def test_that_names_nobody_for_an_unknown_message_is_told_so(self):
        answer = dispute(system("disputes:write"), {"external_id": "unheard-of"})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["attr"] == "customer"

    def test_alone_may_name_a_customer(self):
        answer = dispute(customer("C1"), customer="C2")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["attr"] == "customer"


@pytest.mark.usefixtures("lender")
class TestABadBody:
    @pytest.mark.parametrize(
        ("more", "attr"),
        [
            ({"ground": "because"}, "ground"),
            ({"statement": "x" * 5001}, "statement"),
            ({"statement": 7}, "statement"),
            ({"language": "fr"}, "language"),
            ({"channel": "pigeon"}, "channel"),
            ({"claimed_payments": [payment(paid_on="2026-02-30")]}, "claimed_payments.0.paid_on"),
            ({"claimed_payments": [payment(paid_on="2999-01-01")]}, "claimed_payments.0.paid_on"),
            ({"claimed_payments": [payment(amount={"amount": 100.0, "currency": "CNY"})]}, "claimed_payments.0.amount"),
            (
                {"claimed_payments": [payment(amount={"amount": "1.001", "currency": "CNY"})]},
                "claimed_payments.0.amount",
            ),
            ({"claimed_payments": [payment(amount={"amount": "1", "currency": "XXX"})]}, "claimed_payments.0.amount"),
            ({"claimed_payments": [payment(amount={"amount": "-1", "currency": "CNY"})]}, "claimed_payments.0.amount"),
            ({"surprise": 1}, "surprise"),
        ],
    )
    def test_names_its_field_and_leaves_nothing(self, more, attr):
        answer = dispute(customer("C1"), **more)
        assert answer.status_code == 400
        assert answer.json()["type"] == "validation_error"
        assert answer.json()["errors"][0]["attr"].startswith(attr)
        assert not Dispute.objects.exists()
        assert not Hold.objects.exists()

    def test_without_an_idempotency_key_is_refused(self):
        answer = customer("C1").post(DISPUTES, {"message": {"external_id": "M1"}, "ground": "other"})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["attr"] == "Idempotency-Key"


@pytest.mark.usefixtures("lender")
class TestWhatTheGroundCovers:
    @pytest.mark.parametrize(
        ("ground", "scope", "kinds"),
        [
            ("not_overdue", "loan", "l"),
            ("already_paid", "loan", "l"),
            ("wrong_amount", "loan", "l"),
            ("no_longer_owed", "loan", "l"),
            ("identity_theft", "loan_and_phone", "lp"),
            ("not_my_debt", "phone", "p"),
            ("third_party_contacted", "phone", "p"),
            ("too_frequent", "customer", "cp"),
            ("outside_hours", "customer", "cp"),
            ("agent_conduct", "customer", "cp"),
            ("other", "customer", "cp"),
        ],
    )
    def test_is_held(self, ground, scope, kinds):
        body = dispute(customer("C1"), ground=ground).json()
        assert body["hold"]["scope"] == scope
        assert "".join(sorted({key[0] for key in held()})) == kinds


@pytest.mark.usefixtures("lender")
class TestSomebodyWhoSaysThatTheDebtIsNotTheirs:
    def test_learns_nothing_of_it(self):
        send_records(customer_line("C2", phone="+8613812340002"), message_line("M9", phone="+8613812340002"))
        api = customer("C2")
        body = dispute(api, {"external_id": "M9"}, ground="not_my_debt")
        assert body.status_code == 201
        assert body.json()["message"]["sent_at"]
        for text in (body.content, api.get(f"{DISPUTES}/{body.json()['id']}").content):
            assert b'"L1"' not in text
            assert b'"C1"' not in text
            assert b"100.00" not in text

    @pytest.mark.parametrize("query", ["loan=L1", "cause=stale_records"])
    def test_cannot_find_it_out_by_a_filter(self, query):
        send_records(*late_posting())
        api, bank = customer("C1"), system("disputes:read")
        silent = dispute(api, ground="identity_theft").json()
        work()
        assert [row["id"] for row in bank.get(f"{DISPUTES}?{query}").json()["results"]] == [silent["id"]]
        assert api.get(f"{DISPUTES}?{query}").json()["results"] == []
        told = dispute(api).json()
        work()
        assert [row["id"] for row in api.get(f"{DISPUTES}?{query}").json()["results"]] == [told["id"]]


@pytest.fixture
def known_for_long(settings: Any) -> None:
    """A system's token that was seen once is not looked for again meanwhile, however slow the machine is."""
    settings.CLIENT_TOKEN_CACHE_SECONDS = 600


@pytest.mark.usefixtures("lender")
class TestTheList:
    def test_shows_a_customer_their_own_alone(self):
        dispute(customer("C1"))
        dispute(customer("C2"), {"external_id": "unheard-of"})
        assert len(customer("C1").get(DISPUTES).json()["results"]) == 1
        assert len(system("disputes:read").get(DISPUTES).json()["results"]) == 2

    def test_is_filtered_and_paged_newest_first(self):
        send_records(*loan_lines("L2"), message_line("M2", loan="L2"))
        api = customer("C1")
        first, second = dispute(api).json(), dispute(api, {"external_id": "M2"}, ground="not_overdue").json()
        assert [row["id"] for row in api.get(DISPUTES).json()["results"]] == [second["id"], first["id"]]
        for query, wanted in {
            "ground=not_overdue": [second],
            "loan=L1": [first],
            "status=closed": [],
            "status=checking": [second, first],
            f"opened_after={first['opened_at']}": [second],
            "cause=stale_records": [],
        }.items():
            rows = api.get(f"{DISPUTES}?{query}").json()["results"]
            assert [row["id"] for row in rows] == [row["id"] for row in wanted], query
        page = api.get(f"{DISPUTES}?limit=1").json()
        assert [row["id"] for row in page["results"]] == [second["id"]]
        assert [row["id"] for row in api.get(page["next"]).json()["results"]] == [first["id"]]

    @pytest.mark.usefixtures("known_for_long")
    def test_asks_no_more_of_the_database_however_many_it_shows(self):
        send_records(*(message_line(f"M{n}", phone=f"+86138123400{n:02}") for n in range(2, 10)))
        api, bank = customer("C1"), system("disputes:read")
        for n in range(1, 10):
            dispute(api, {"external_id": f"M{n}"})
        dispute(api, {"external_id": "unheard-of"})
        MessagePersonal.objects.filter(version_id=Message.objects.get(external_id="M9").version_id).update(sealed=None)
        bank.get(DISPUTES)  # the token is known
        asked = []
        for limit in (2, 4, 10):
            with CaptureQueriesContext(connection) as captured:
                rows = bank.get(f"{DISPUTES}?limit={limit}").json()["results"]
            assert len(rows) == limit
            asked.append(len(captured))
        assert asked == [asked[0]] * 3
        shown = {row["message"]["external_id"]: row["message"]["phone"] for row in rows if row["message"]}
        assert shown["M9"] is None, "erased"
        assert [shown[f"M{n}"][-2:] for n in range(2, 9)] == [f"{n:02}" for n in range(2, 9)]
        assert len(shown) == 9

    @pytest.mark.parametrize(
        "query",
        [
            "status=odd",
            "ground=x",
            "opened_after=yesterday",
            "opened_after=2026-02-03T10:00:00",
            "opened_after=0251-06-21T01:46:06-23:58",
            "limit=0",
            "cursor=zz",
        ],
    )
    def test_refuses_a_bad_query_by_name(self, query):
        answer = customer("C1").get(f"{DISPUTES}?{query}")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["attr"] == query.split("=")[0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("known_for_long")
class TestTheCallsOfTheDatabase:
    """Begin, key and message, what is read under the lanes, what is written with the answer, commit."""

    def asked(self, api: Api, **more: Any) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert dispute(api, **more).status_code == 201
        return [query["sql"] for query in captured.captured_queries]

    @pytest.mark.parametrize("ground", ["already_paid", "too_frequent", "identity_theft"])
    def test_are_five(self, ground: str):
        send_records(*in_arrears())
        lender = system("disputes:write")
        dispute(lender, ground="other")  # the token is known, and queue and calendar are there
        assert len(self.asked(lender, ground=ground)) <= 5
        assert len(self.asked(customer("C1"), ground="not_overdue")) <= 5

    def test_are_five_of_a_customers_own_app_with_all_that_can_be_said(self):
        send_records(*in_arrears())
        api = customer("C1")
        dispute(api, ground="other")
        said = {"statement": "I paid.", "claimed_payments": [payment()], "language": "en", "channel": "app"}
        assert len(self.asked(api, **said)) <= 5

    def test_are_five_where_endpoints_hear_of_it(self):
        send_records(*in_arrears())
        api = customer("C1")
        dispute(api, ground="other")
        for number, events in enumerate(([], ["hold.placed"], ["dispute.closed"])):
            WebhookEndpoint.objects.create(
                url=f"https://lender.example/{number}", secret="s", events=events, created_at=timezone.now()
            )
        assert len(self.asked(api)) <= 5
        told = WebhookDelivery.objects.order_by("message", "endpoint__url")
        assert list(told.values_list("message__event", "endpoint__url")) == [
            ("dispute.opened", "https://lender.example/0"),
            ("hold.placed", "https://lender.example/0"),
            ("hold.placed", "https://lender.example/1"),
        ]
        queued = OutboxTopic.objects.filter(topic="webhook.queued").order_by("id")
        assert [one.payload for one in queued] == [{"endpoint": str(one.endpoint_id), "key": one.key} for one in told]
        assert [one.key for one in queued] == [f"{one.endpoint_id}:{one.message_id}" for one in told]

    def test_none_names_more_than_five_statements(self):
        send_records(*in_arrears())
        api = customer("C1")
        assert max(sql.count(";\n") for sql in self.asked(api)) < 5


@pytest.mark.django_db(transaction=True)
class TestABodyThatIsRefused:
    """The message is looked for in the call that takes the key; a body is refused after that call, as any other."""

    @pytest.mark.parametrize(
        "body", [{"message": {}, "ground": "other"}, [], "{", {"ground": "other", "customer": "C1"}]
    )
    def test_is_another_request_under_a_key_that_was_used(self, lender, body: Any):
        api, key = customer("C1"), str(uuid.uuid4())
        assert dispute(api, key=key).status_code == 201
        assert api.post(DISPUTES, body, Idempotency_Key=key).status_code == 422

    @pytest.mark.parametrize("body", [{"message": {}, "ground": "other"}, [], {"ground": "other", "customer": "C1"}])
    def test_is_told_what_is_wrong_and_leaves_its_key_free(self, lender, body: Any):
        api, key = customer("C1"), str(uuid.uuid4())
        for _ in range(2):
            answer = api.post(DISPUTES, body, Idempotency_Key=key)
            assert (answer.status_code, answer.json()["type"]) == (400, "validation_error")
        assert dispute(api, key=key).status_code == 201


@pytest.mark.django_db(transaction=True)
class TestTheRowsThatItWrites:
    """A function of the database writes them: what it does not name would be left out in silence."""

    @pytest.fixture
    def written(self, monkeypatch: pytest.MonkeyPatch) -> list[models.Model]:
        rows: list[models.Model] = []
        as_row = opening.as_row

        def note(one: models.Model) -> dict[str, Any]:
            rows.append(one)
            return as_row(one)

        monkeypatch.setattr(opening, "as_row", note)
        return rows

    @pytest.mark.parametrize(
        "message",
        [{"external_id": "M1"}, {"phone": "+8613812340001", "received_at": "2026-02-03T10:00:00Z", "text": "還款 \\"}],
    )
    def test_are_whole(self, lender, written: list[models.Model], message: dict[str, str]):
        said = {"statement": 'He said "\\x00"; it\'s %s', "claimed_payments": [payment()], "language": "en"}
        assert dispute(customer("C1"), message, **said).status_code == 201
        assert [type(one).__name__ for one in written] == ["Dispute", "Hold", "Clock", "Clock", "Notice"]
        for one in written:
            by = {"dispute": one.dispute, "kind": one.kind} if isinstance(one, Clock) else {"pk": one.pk}
            stored = type(one).objects.get(**by)
            for field in one._meta.concrete_fields:
                made_by_the_database = field.has_db_default() or isinstance(field, models.AutoField)
                if not made_by_the_database:
                    assert getattr(stored, field.attname) == getattr(one, field.attname), field

    def test_tell_of_the_hold_before_the_dispute(self, lender):
        body = dispute(customer("C1")).json()
        kinds = list(Event.objects.order_by("id").values_list("kind", flat=True))
        assert kinds[-2:] == ["hold.placed", "dispute.opened"]
        topics = OutboxTopic.objects.order_by("id").filter(topic__in=["dispute.opened", "notice.queued"])
        assert [(one.topic, one.payload) for one in topics] == [
            ("dispute.opened", {"dispute": body["id"]}),
            ("notice.queued", {"notice": str(Notice.objects.get(subject=body["id"]).pk)}),
        ]
        assert {one.attempts for one in topics} == {0}
        assert all(one.due_at - one.created_at >= RESEND_AFTER for one in topics)
