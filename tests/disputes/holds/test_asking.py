"""What a sender's library may write, read at the gate's edge."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests import callers
from tests.disputes.holds import scene

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _pack(any_hour: Callable[..., None]) -> None:
    scene.lender()


@pytest.fixture
def vendor() -> callers.Api:
    return callers.system("gate")


def asked(n: int = 1, **more: Any) -> dict[str, Any]:
    return {"phone": scene.number(n), "loan": f"L{n}1", "channel": "sms", "category": "urge"} | more


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), {"deep": [float("nan")]}, 10**400])
def test_what_is_no_number_spoils_its_own_item(vendor: callers.Api, value: Any) -> None:
    """A data frame's empty cell is written as NaN by many libraries, Python's own among them."""
    body = json.dumps({"items": [asked(1), asked(1, sending_rule=value), asked(2)]})
    answer = vendor.request("POST", "/api/v1/gate/decisions", body.encode())
    assert answer.status_code == 200, answer.content
    assert [row["reasons"] for row in answer.json()["decisions"]] == [[], ["malformed"], []]


def test_a_word_that_looks_like_it_is_a_word(vendor: callers.Api) -> None:
    body = json.dumps({"items": [asked(1, vendor="NaN & Infinity"), asked(2, vendor=float("nan"))]})
    answer = vendor.request("POST", "/api/v1/gate/decisions", body.encode())
    assert [row["reasons"] for row in answer.json()["decisions"]] == [[], ["malformed"]]


@pytest.mark.parametrize(
    "body", [b'{"items": [NaN', b'{"items": [], NaN: 1}', b'{"items": NaN}', b'{"items": [], "permit_seconds": NaN}']
)
def test_what_is_not_in_an_item_spoils_the_call(vendor: callers.Api, body: bytes) -> None:
    assert vendor.request("POST", "/api/v1/gate/decisions", body).status_code == 400


def twice(name: str, value: Any, **more: Any) -> str:
    """An item's JSON with this name in it a second time."""
    return json.dumps(asked(1, **more))[:-1] + f', "{name}": {json.dumps(value)}}}'


@pytest.mark.parametrize(
    "bad", [twice("phone", scene.number(2)), twice("loan", "L21", loan=None), twice("category", "service")]
)
def test_an_item_that_says_a_thing_twice_says_nothing(vendor: callers.Api, bad: str) -> None:
    """Whose message it is hangs on which of the two is taken."""
    others = json.dumps(asked(1, vendor="items")), json.dumps(asked(2, category="survey", loan=None, note={"items": 1}))
    answer = vendor.request("POST", "/api/v1/gate/decisions", f'{{"items": [{bad}, {", ".join(others)}]}}'.encode())
    assert [row["reasons"] for row in answer.json()["decisions"]] == [["malformed"], [], []]


@pytest.mark.parametrize("name", ["items", "permit_seconds"])
def test_a_call_that_says_a_thing_twice_is_refused(vendor: callers.Api, name: str) -> None:
    body = f'{{"permit_seconds": 60, "items": [{json.dumps(asked())}], "{name}": {"[]" if name == "items" else 600}}}'
    answer = vendor.request("POST", "/api/v1/gate/decisions", body.encode())
    assert (answer.status_code, answer.json()["errors"][0]) == (
        400,
        {"code": "doubled_field", "detail": "The field comes twice.", "attr": name},
    )


def test_a_compressed_body_is_refused_as_such(vendor: callers.Api) -> None:
    body = gzip.compress(json.dumps({"items": [asked()]}).encode())
    answer = vendor.request("POST", "/api/v1/gate/decisions", body, Content_Encoding="gzip")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (415, "unsupported_media_type")
