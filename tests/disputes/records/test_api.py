"""Records over HTTP."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from config.api import places
from disputes.records import api, feeding
from disputes.records.models import Loan, LoanVersion
from tests import callers
from tests.disputes.records import importer
from tests.disputes.records.importer import encoded

pytestmark = pytest.mark.django_db

IMPORT = "/api/v1/records/import"
NDJSON = "application/x-ndjson"


def body_of(*lines: dict[str, Any]) -> bytes:
    return b"\n".join(encoded(*lines)) + b"\n"


def results_of(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200
    return [json.loads(line) for line in b"".join(answer).splitlines()]


def system() -> callers.Api:
    return callers.system("records:write", "records:read")


def lender() -> None:
    """C1 owns the loan L1, in arrears since March, with a late posted payment; C2 has a phone, to which M2 went."""
    lines = [
        importer.customer("C1", name="王芳", phones=[{"number": "+8613812340001"}]),
        importer.customer("C2", phones=[{"number": "+8613812340002"}]),
        importer.loan(product="cash", time_zone="Asia/Shanghai"),
        importer.instalment("I1"),
        importer.instalment("I2", number=2, due_on="2126-04-01"),
        importer.repayment(amount="40.00", posted_at="2026-03-09T00:00:00+08:00"),
        importer.message("M1", body="请还款", claimed_amount="100.00", claimed_days_past_due=2, short_ref="R1"),
        importer.message("M2", phone="+8613812340002", sent_at="2026-03-04T10:00:00+08:00", body="Pay."),
    ]
    results = results_of(system().post(IMPORT, body_of(*lines), content_type=NDJSON))
    assert {row["result"] for row in results} == {"created"}


def test_the_answer_has_one_result_a_line_in_order() -> None:
    body = body_of(importer.loan()) + b"{\n\n" + body_of(importer.instalment(amount=1.5), importer.loan())
    answer = system().post(IMPORT, body, content_type=NDJSON)
    assert answer["Content-Type"] == NDJSON
    assert results_of(answer) == [
        {"line": 1, "type": "loan", "external_id": "L1", "result": "created", "errors": []},
        {
            "line": 2,
            "type": None,
            "external_id": None,
            "result": "error",
            "errors": [{"code": "not_json", "detail": "Not JSON: Input data was truncated", "attr": None}],
        },
        {
            "line": 4,
            "type": "instalment",
            "external_id": "I1",
            "result": "error",
            "errors": [
                {
                    "code": "float_amount",
                    "detail": 'An amount is a decimal string such as "1280.50", not a number.',
                    "attr": "amount",
                }
            ],
        },
        {"line": 5, "type": "loan", "external_id": "L1", "result": "unchanged", "errors": []},
    ]


def test_an_empty_body_has_no_results() -> None:
    assert results_of(system().post(IMPORT, b"", content_type=NDJSON)) == []


def test_a_dry_run_writes_nothing() -> None:
    answer = system().post(f"{IMPORT}?dry_run=true", body_of(importer.loan()), content_type=NDJSON)
    assert [row["result"] for row in results_of(answer)] == ["created"]
    assert not Loan.objects.exists()
    assert not LoanVersion.objects.exists()


def test_a_flag_that_is_none_is_refused_by_name() -> None:
    answer = system().post(f"{IMPORT}?dry_run=maybe", body_of(importer.loan()), content_type=NDJSON)
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "dry_run")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/csv; charset=gbk"],
)
def test_another_form_is_refused(content_type: str) -> None:
    answer = system().post(IMPORT, body_of(importer.loan()), content_type=content_type)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (415, "unsupported_media_type")
    assert not Loan.objects.exists()


def test_csv_is_answered_as_ndjson_is() -> None:
    body = b'external_id,customer,currency,pauses\r\nL1,C1,CNY,"[]"\r\n\r\nL2,,CNY,{\r\nL1,C1,CNY,\r\n'
    answer = system().post(f"{IMPORT}?type=loan", body, content_type="text/csv; charset=utf-8")
    assert answer["Content-Type"] == NDJSON
    rows = results_of(answer)
    assert [(row["line"], row["external_id"], row["result"]) for row in rows] == [
        (2, "L1", "created"),
        (4, "L2", "error"),
        (5, "L1", "unchanged"),
    ]
    assert [(error["attr"], error["code"]) for error in rows[1]["errors"]] == [("pauses", "not_json")]


def test_csv_of_several_types_has_a_column_for_it() -> None:
    body = b"type,external_id,customer,currency,aim\nloan,L1,C1,CNY,\nsending_rule,S1,,,risk\n"
    rows = results_of(system().post(f"{IMPORT}?dry_run=true", body, content_type="text/csv"))
    assert [row["result"] for row in rows] == ["created", "created"]
    assert not Loan.objects.exists()


@pytest.mark.parametrize(
    ("query", "body", "error"),
    [
        ("", b"external_id\nL1\n", ("required", "type")),
        ("?type=mortgage", b"external_id\nL1\n", ("unknown_type", "type")),
        ("?type=loan", b"external_id,customer,currency,colour\nL1,C1,CNY,red\n", ("unknown_field", "colour")),
        ("?type=loan", b"\n", ("no_header", "non_field_errors")),
    ],
)
def test_a_header_that_cannot_be_is_refused_by_name(query: str, body: bytes, error: tuple[str, str]) -> None:
    answer = system().post(f"{IMPORT}{query}", body, content_type="text/csv")
    first = answer.json()["errors"][0]
    assert (answer.status_code, (first["code"], first["attr"])) == (400, error)


def test_a_compressed_body_is_refused() -> None:
    answer = system().post(IMPORT, b"\x1f\x8b", content_type=NDJSON, Content_Encoding="gzip")
    assert answer.status_code == 415


def test_a_body_of_unknown_length_is_read_to_its_end() -> None:
    """As a client sends it that does not know the length before: in chunks."""
    caller = system()
    served: dict[str, Any] = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}
    served["wsgi.input"] = BytesIO(body_of(importer.loan(), importer.instalment()))
    answer = Client(headers=caller.headers).post(IMPORT, b"", content_type=NDJSON, **served)
    assert [row["result"] for row in results_of(answer)] == ["created", "created"]


def test_bulk_calls_never_take_all_places(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.BULK_CALLS = 1
    monkeypatch.setattr(api, "BULK_FROM", 1)
    with places.take_place():
        refused = system().post(IMPORT, body_of(importer.loan()), content_type=NDJSON)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (429, "throttled")
    assert int(refused["Retry-After"]) > 0
    for _ in range(3):
        results_of(system().post(IMPORT, body_of(importer.loan()), content_type=NDJSON))


def test_a_place_is_free_again_when_the_import_fails(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.BULK_CALLS = 1
    monkeypatch.setattr(api, "BULK_FROM", 1)

    def broken(**arguments: Any) -> Any:
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(feeding, "import_lines", broken)
        assert system().post(IMPORT, body_of(importer.loan()), content_type=NDJSON).status_code == 500
    places.take_place().leave()


def test_what_is_stored_is_shown_with_its_versions() -> None:
    lender()
    later = importer.customer("C1", name="王芳芳", posted_at="2026-03-01T00:00:00Z", version=1)
    results_of(system().post(IMPORT, body_of(later), content_type=NDJSON))
    shown = system().get("/api/v1/records/customer/C1").json()
    assert (shown["type"], shown["external_id"], shown["void"], shown["versions_left_out"]) == (
        "customer",
        "C1",
        False,
        0,
    )
    first, second = shown["versions"]
    assert (first["version"], first["posted_at"], first["in_force"]) == (1, "2026-03-01T00:00:00Z", True)
    assert (first["record"]["name"], first["record"]["phones"]) == ("王芳芳", [])
    assert (second["version"], second["posted_at"], second["in_force"]) == (None, None, False)
    assert second["record"]["phones"] == [{"number": "+8613812340001", "role": "own", "from": None, "until": None}]


@pytest.mark.parametrize("address", ["loan/L9", "mortgage/L1", "loan/", "loan/%00", "void/L1"])
def test_what_never_came_is_not_found(address: str) -> None:
    lender()
    assert system().get(f"/api/v1/records/{address}").status_code == 404


def test_an_id_may_hold_what_an_address_has_a_meaning_for() -> None:
    odd = "A/1?b=c#d%2F&e"
    results_of(system().post(IMPORT, body_of(importer.loan(odd)), content_type=NDJSON))
    shown = system().get(f"/api/v1/records/loan/{quote(odd)}")
    assert shown.status_code == 200
    assert shown.json()["external_id"] == odd


def test_a_customer_sees_their_messages_newest_first() -> None:
    lender()
    rows = callers.customer("C1").get("/api/v1/messages").json()["results"]
    assert [row["external_id"] for row in rows] == ["M2", "M1"]
    assert rows[1] | {"id": "…"} == {
        "id": "…",
        "external_id": "M1",
        "channel": "sms",
        "category": "urge",
        "sent_at": "2026-03-03T02:00:00Z",
        "phone": "+86138****0001",
        "body": "请还款",
        "short_ref": "R1",
        "loan": "L1",
        "claimed_amount": {"amount": "100.00", "currency": "CNY"},
        "claimed_days_past_due": 2,
    }


def test_a_message_shows_what_the_records_say_of_it_now() -> None:
    lender()
    api_of = callers.customer("C1")
    message = api_of.get("/api/v1/messages").json()["results"][1]["id"]
    records = api_of.get(f"/api/v1/messages/{message}").json()["records"]
    assert records["at"] == "2026-03-03T02:00:00Z"
    assert records["account"]["days_past_due"] == 2
    # Though it was posted six days after the message.
    assert records["account"]["overdue_amount"] == {"amount": "60.00", "currency": "CNY"}


def test_a_stranger_whose_phone_was_texted_sees_the_text_and_nothing_of_the_loan() -> None:
    lender()
    api_of = callers.customer("C2")
    rows = api_of.get("/api/v1/messages").json()["results"]
    assert [row["external_id"] for row in rows] == ["M2"]
    shown = api_of.get(f"/api/v1/messages/{rows[0]['id']}").json()
    assert (shown["loan"], shown["claimed_amount"], shown["records"]) == (None, None, None)
    assert "L1" not in json.dumps(shown)


def test_anothers_message_and_loan_are_not_found() -> None:
    lender()
    message = callers.customer("C1").get("/api/v1/messages").json()["results"][1]["id"]
    stranger = callers.customer("C2")
    addresses = (f"messages/{message}", "messages/nonsense", "messages/0", "loans/L1", "loans/none")
    assert [stranger.get(f"/api/v1/{address}").status_code for address in addresses] == [404] * 5
    assert stranger.get("/api/v1/loans").json()["results"] == []


def test_a_customer_sees_what_is_overdue_what_is_next_and_both_days_of_each_payment() -> None:
    lender()
    shown = callers.customer("C1").get("/api/v1/loans/L1").json()
    [listed] = callers.customer("C1").get("/api/v1/loans").json()["results"]
    assert listed.items() <= shown.items()
    assert shown["days_past_due"] > 0
    assert shown["overdue_amount"] == {"amount": "60.00", "currency": "CNY"}
    assert (shown["next_due_on"], shown["next_due_amount"]["amount"]) == ("2126-04-01", "100.00")
    [payment] = shown["payments"]
    assert (payment["paid_at"], payment["posted_at"]) == ("2026-03-01T02:00:00Z", "2026-03-08T16:00:00Z")
    assert [row["outstanding"]["amount"] for row in shown["instalments"]] == ["60.00", "100.00"]


def test_lists_come_in_pages() -> None:
    lender()
    lines = [importer.message(f"N{n}", sent_at=f"2026-03-03T10:{n:02}:00+08:00") for n in range(30)]
    results_of(system().post(IMPORT, body_of(*lines), content_type=NDJSON))
    api_of, seen = callers.customer("C1"), []
    address = "/api/v1/messages?limit=7"
    while address:
        page = api_of.get(address).json()
        seen += [row["external_id"] for row in page["results"]]
        address = page["next"]
    assert len(seen) == len(set(seen)) == 32
