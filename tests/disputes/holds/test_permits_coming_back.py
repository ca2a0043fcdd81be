"""A message brings back the permit that was granted for it, and no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests import callers
from tests.disputes.holds import scene
from tests.lines import message_line, send_records

pytestmark = pytest.mark.django_db(transaction=True)

GATE = "/api/v1/gate/decisions"


@pytest.fixture(autouse=True)
def _pack(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
    any_hour(customer=1)
    scene.lender()


@pytest.fixture
def vendor() -> callers.Api:
    return callers.system("gate")


def asked(n: int) -> dict[str, Any]:
    return {"phone": scene.number(n), "loan": f"L{n}1", "channel": "sms", "category": "urge"}


def ask(vendor: callers.Api, n: int) -> dict[str, Any]:
    (decision,) = vendor.post(GATE, {"items": [asked(n)]}).json()["decisions"]
    return dict(decision)


def sent(permit: str, n: int = 1, **more: Any) -> dict[str, Any]:
    """The record of a message to Cn that names the permit."""
    fields = {"loan": f"L{n}1", "phone": scene.number(n), "sent_at": datetime.now(tz=UTC).isoformat()}
    return message_line(f"M{n}", permit=permit, **{**fields, **more})


def test_a_message_that_names_anothers_permit_frees_no_slot(vendor: callers.Api) -> None:
    """A sender that mixes two permits up must not open the cap of either person."""
    permit = ask(vendor, 1)["permit"]["id"]
    send_records(sent(permit, 2))
    assert ask(vendor, 1)["reasons"] == ["frequency_cap"]
    assert ask(vendor, 2)["reasons"] == ["frequency_cap"]


@pytest.mark.parametrize("other", [{"phone": scene.number(2)}, {"loan": "L12"}, {"category": "warning"}], ids=str)
def test_nor_does_it_use_the_permit(vendor: callers.Api, other: dict[str, Any]) -> None:
    permit = ask(vendor, 1)["permit"]["id"]
    send_records(sent(permit, **other))
    assert vendor.post(f"/api/v1/gate/permits/{permit}/unused").status_code == 200


def test_its_own_message_uses_it_whichever_came_first_in_an_import(vendor: callers.Api) -> None:
    permit = ask(vendor, 1)["permit"]["id"]
    send_records(sent(permit, 2), sent(permit, 1))
    assert ask(vendor, 1)["reasons"] == ["frequency_cap"]
    back = vendor.post(f"/api/v1/gate/permits/{permit}/unused")
    assert (back.status_code, back.json()["errors"][0]["code"]) == (409, "permit_used")
