"""Every refusal has one shape, names what is wrong, and is never a 500."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from django.test import Client

from config.api.parsing import MAX_DEPTH
from tests.callers import Api
from tests.config.api.probe import made

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.config.api.probe")]


@pytest.fixture
def desk(system: Callable[..., Api]) -> Api:
    return system("disputes:write", "disputes:read", "gate")


def send(api: Api, body: bytes | str | dict[str, Any], **headers: str) -> Any:
    return api.post("/api/v1/probes", body, **{"Idempotency_Key": "k", **headers})


def the_error(answer: Any) -> dict[str, Any]:
    errors = answer.json()["errors"]
    assert len(errors) == 1
    assert set(errors[0]) == {"code", "detail", "attr"}
    return dict(errors[0])


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b'{"name": 1e999}',
        b'{"name": ' + b"9" * 5000 + b"}",
        b'{"name": "a", "name": "b"}',
        b'{"name": "\xff"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"name": "a"} {}',
        b"{'name': 'a'}",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_not_strict_json_is_a_parse_error(desk: Api, body: bytes) -> None:
    answer = send(desk, body)
    assert answer.status_code == 400
    assert answer.json()["type"] == "client_error"
    assert the_error(answer)["code"] == "parse_error"


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b'"text"', b"null", b"true", b"[[]]", b"{}"])
def test_what_is_not_an_object_with_its_fields_is_a_validation_error(desk: Api, body: bytes) -> None:
    answer = send(desk, body)
    assert answer.status_code == 400
    assert answer.json()["type"] == "validation_error"


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        (b'{"name": "a\\u0000b"}', "name"),
        (b'{"name": "\\ud800"}', "name"),
        (b'{"amount": {"amount": "1", "currency": "\\u0000"}}', "amount.currency"),
        (b'{"amount": ["a", "\\udfff"]}', "amount.1"),
    ],
)
def test_a_text_that_the_database_cannot_hold_is_named(desk: Api, body: bytes, attr: str) -> None:
    answer = send(desk, body)
    assert answer.status_code == 400
    assert the_error(answer)["attr"] == attr


def test_a_name_that_the_database_cannot_hold_is_refused(desk: Api) -> None:
    assert send(desk, b'{"\\u0000": 1}').status_code == 400
    assert send(desk, b'{"\\ud800": 1}').status_code == 400


def test_another_content_type_is_415(desk: Api) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/xml", "nonsense"):
        answer = desk.post("/api/v1/probes", b"name=a", content_type=content_type, Idempotency_Key="k")
        assert answer.status_code == 415
        assert the_error(answer)["code"] == "unsupported_media_type"


def test_a_multipart_body_that_is_broken_is_refused(desk: Api) -> None:
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = desk.post("/api/v1/probes", b"nonsense", content_type=content_type, Idempotency_Key="k")
        assert answer.status_code in (400, 415)


def test_a_body_that_is_too_large_is_413(desk: Api, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    for address in ("/api/v1/probes", "/api/v1/plain"):
        answer = desk.post(address, b'{"name": "' + b"a" * 200 + b'"}', Idempotency_Key="k")
        assert answer.status_code == 413
        assert the_error(answer)["code"] == "too_large"
    assert made() == 0


def test_a_body_that_is_too_large_is_413_without_a_key_too(desk: Api, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    answer = desk.post("/api/v1/unkeyed", b'{"name": "' + b"a" * 200 + b'"}')
    assert (answer.status_code, the_error(answer)["code"]) == (413, "too_large")
    assert desk.post("/api/v1/unkeyed", b'{"name": "a"}').json() == {"name": "a"}


def send_in_chunks(api: Api, address: str, body: bytes, content_type: str = "application/json") -> Any:
    environment: dict[str, Any] = {
        "CONTENT_LENGTH": "",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input": BytesIO(body),
    }
    headers = api.headers | {"Idempotency-Key": "k"}
    return api.http.generic("POST", address, body, content_type=content_type, headers=headers, **environment)


def test_a_body_may_come_in_chunks_without_its_length(desk: Api, settings: Any) -> None:
    answer = send_in_chunks(desk, "/api/v1/probes", b'{"name": "one"}')
    assert answer.status_code == 201
    assert send_in_chunks(desk, "/api/v1/probes", b'{"name": "one"}').content == answer.content
    assert send_in_chunks(desk, "/api/v1/probes", b'{"name": "two"}').status_code == 422
    form = send_in_chunks(desk, "/oauth/token", b"grant_type=password", "application/x-www-form-urlencoded")
    assert form.json()["error"] == "unsupported_grant_type"
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    assert send_in_chunks(desk, "/api/v1/probes", b'{"name": "one"}').status_code == 413


def test_an_unknown_field_is_named(desk: Api) -> None:
    error = the_error(send(desk, {"name": "a", "nmae": "b"}))
    assert (error["attr"], error["code"]) == ("nmae", "unknown_field")


def test_an_address_that_is_not_there_is_404_in_the_same_shape(anybody: Api) -> None:
    for address in ("/api/v1/nothing", "/api/", "/oauth/nothing", "/api/v1/probes/a/b"):
        answer = anybody.get(address)
        assert answer.status_code == 404
        assert answer.json() == {
            "type": "client_error",
            "errors": [{"code": "not_found", "detail": "Not found.", "attr": None}],
        }


def test_a_null_character_in_a_path_names_nothing(desk: Api) -> None:
    answer = desk.post("/api/v1/probes/a%00b", {})
    assert answer.status_code == 404


@pytest.mark.parametrize("query", ["limit=%00", "cursor=%00", "x=%00", "%00=x"])
def test_a_null_character_in_a_query_is_refused(desk: Api, query: str) -> None:
    assert desk.get(f"/api/v1/probes?{query}").status_code == 400


def test_bytes_that_are_not_utf8_in_an_address_are_no_500(desk: Api) -> None:
    assert desk.get("/api/v1/probes?cursor=%ff%fe").status_code == 400
    assert desk.get("/api/v1/%ff").status_code == 404


def test_what_nobody_foresaw_is_a_500_that_tells_nothing(system: Callable[..., Api]) -> None:
    answer = system().get("/api/v1/crash")
    assert answer.status_code == 500
    assert answer.json()["type"] == "server_error"
    assert "secret reason" not in answer.content.decode()


def test_a_refusal_can_carry_an_address(desk: Api) -> None:
    answer = send(desk, {"name": "conflict"})
    assert (answer.status_code, answer["Location"]) == (409, "/api/v1/probes/1")
    assert the_error(answer)["code"] == "conflict"
    assert desk.post("/api/v1/plain", b"conflict").status_code == 409


def test_an_answer_is_json_whatever_was_asked_for(desk: Api) -> None:
    for accept in ("text/html", "application/xml", "nonsense", "*/*", ""):
        for answer in (desk.get("/api/v1/probes", Accept=accept), send(desk, {"name": ""}, Accept=accept)):
            assert answer["Content-Type"] == "application/json"


def test_no_cache_on_the_way_keeps_an_answer(desk: Api, anybody: Api) -> None:
    for answer in (
        desk.get("/api/v1/probes"),
        send(desk, {"name": "a"}),
        send(desk, {"name": "a"}),
        anybody.get("/api/v1/probes"),
    ):
        assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("asked", ["abc-123", "A" * 64, "0193.x_y"])
def test_a_plain_request_id_is_kept(anybody: Api, asked: str) -> None:
    assert anybody.get("/api/v1/probes", X_Request_Id=asked)["X-Request-Id"] == asked


@pytest.mark.parametrize("asked", ["", "a b", "A" * 65, "ä", "a/b", '"'])
def test_another_request_id_is_replaced(anybody: Api, asked: str) -> None:
    answer = anybody.get("/api/v1/probes", X_Request_Id=asked)
    assert answer["X-Request-Id"] != asked
    assert len(answer["X-Request-Id"]) == 36


def test_every_answer_has_a_request_id(desk: Api, system: Callable[..., Api]) -> None:
    answers = [
        desk.get("/api/v1/probes"),
        send(desk, {"name": "a"}),
        send(desk, {"name": "a"}),
        desk.get("/nowhere"),
        desk.get("/api/nowhere"),
        desk.post("/api/v1/plain", {}),
        system().get("/api/v1/crash"),
        Client().post("/oauth/token"),
        Client().get("/api/schema/"),
    ]
    ids = [answer["X-Request-Id"] for answer in answers]
    assert len(set(ids)) == len(answers)


@pytest.mark.parametrize("address", ["/admin/auth/user/?username=%00", "/admin/auth/group/%00/change/"])
def test_an_address_with_a_null_character_is_no_page_of_the_back_office(admin_client: Client, address: str) -> None:
    admin_client.raise_request_exception = False
    assert admin_client.get(address).status_code == 400
