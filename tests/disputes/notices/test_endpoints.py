"""GET, POST, PATCH and DELETE /webhook-endpoints."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from django.db import connection

from disputes.notices import webhooks
from disputes.notices.models import WebhookEndpoint
from tests.callers import Api, system

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/webhook-endpoints"


@pytest.fixture
def api() -> Api:
    return system("webhooks:write")


def register(api: Api, url: str = "http://127.0.0.1:9/hook", **body: Any) -> Any:
    return api.post(ADDRESS, {"url": url, **body})


def patch(api: Api, registered: Any, body: Any) -> Any:
    return api.request("PATCH", f"{ADDRESS}/{registered.json()['id']}", json.dumps(body).encode())


def test_the_secret_is_shown_when_an_endpoint_is_registered_and_never_again(api: Api) -> None:
    answer = register(api, events=["hold.placed", "dispute.closed"])
    assert answer.status_code == 201
    shown = answer.json()
    secret = shown.pop("secret")
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert shown["events"] == ["dispute.closed", "hold.placed"]
    assert (shown["enabled"], shown["disabled_because"]) == (True, "")
    assert api.get(f"{ADDRESS}/{shown['id']}").json() == shown
    assert api.get(ADDRESS).json()["results"] == [shown]
    with connection.cursor() as cursor:
        cursor.execute("SELECT endpoint::text FROM disputes_webhookendpoint endpoint")
        row = cursor.fetchone()[0]
    assert secret not in row
    assert secret.encode().hex() not in row


def test_a_registration_with_a_key_is_made_once(api: Api) -> None:
    first = api.post(ADDRESS, {"url": "http://127.0.0.1:9/"}, Idempotency_Key="k")
    again = api.post(ADDRESS, {"url": "http://127.0.0.1:9/"}, Idempotency_Key="k")
    assert first.content == again.content
    assert WebhookEndpoint.objects.count() == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/hook",
        "https://10.0.0.1/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://[fd00:ec2::254]/",
        "https://[::ffff:10.0.0.1]/",
        "https://0.0.0.0/",
        "https://[::]/",
        "https://2851995648/",
        "https://0xa9fea9fe/",
        "https://192.168.0.1:8443/",
        "https://100.100.100.200/",
    ],
)
def test_an_address_inside_the_network_is_refused_on_the_embedded_set_up_too(api: Api, url: str) -> None:
    refused = register(api, url)
    assert refused.status_code == 400
    (error,) = refused.json()["errors"]
    assert (error["attr"], error["code"]) == ("url", "private_address")
    kept = register(api)
    assert patch(api, kept, {"url": url}).json()["errors"] == [error]
    assert WebhookEndpoint.objects.get().url == "http://127.0.0.1:9/hook"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:9/hook", "not_https"),
        ("https://127.0.0.1/hook", "private_address"),
        ("https://localhost/hook", "private_address"),
        ("https://127.1/", "private_address"),
        ("https://[::1]/", "private_address"),
        ("https://[::ffff:7f00:1]/", "private_address"),
        ("https://me:secret@127.0.0.1/", "credentials"),
        ("https://nobody.invalid/", "not_resolved"),
    ],
)
def test_in_production_loopback_and_plain_http_are_refused_as_well(
    api: Api, settings: Any, url: str, code: str
) -> None:
    settings.WEBHOOKS_TO_LOOPBACK = False
    refused = register(api, url)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, code)
    assert not WebhookEndpoint.objects.exists()


def test_an_address_of_the_internet_is_taken_in_production(api: Api, settings: Any) -> None:
    settings.WEBHOOKS_TO_LOOPBACK = False
    assert register(api, "https://8.8.8.8/Hook?a=B").json()["url"] == "https://8.8.8.8/Hook?a=B"


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({}, "url"),
        ({"url": 7}, "url"),
        ({"url": None}, "url"),
        ({"url": "http://127.0.0.1/" + "a" * 2000}, "url"),
        ({"url": "http://127.0.0.1/", "events": ["dispute.exploded"]}, "events.0"),
        ({"url": "http://127.0.0.1/", "events": "dispute.closed"}, "events"),
        ({"url": "http://127.0.0.1/", "events": [[]]}, "events.0"),
        ({"url": "http://127.0.0.1/", "secret": "whsec_mine"}, "secret"),
    ],
)
def test_what_is_wrong_is_named(api: Api, body: Any, attr: str) -> None:
    refused = api.post(ADDRESS, body)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["attr"] == attr


def test_events_address_and_whether_it_is_on_can_be_changed_one_by_one(api: Api) -> None:
    kept = register(api)
    assert patch(api, kept, {"events": ["wave.closed", "wave.closed"]}).json()["events"] == ["wave.closed"]
    assert patch(api, kept, {"events": []}).json()["events"] == []
    off = patch(api, kept, {"enabled": False}).json()
    assert (off["enabled"], off["disabled_because"]) == (False, "switched off")
    on = patch(api, kept, {"enabled": True, "url": "http://127.0.0.1:10/"}).json()
    assert (on["enabled"], on["disabled_because"], on["url"]) == (True, "", "http://127.0.0.1:10/")
    assert patch(api, kept, {}).json() == on


@pytest.mark.parametrize("body", [{"secret": "x"}, {"enabled": "perhaps"}, {"enabled": None}, {"url": ""}, []])
def test_another_change_is_refused(api: Api, body: Any) -> None:
    assert patch(api, register(api), body).status_code == 400


@pytest.mark.parametrize("key", ["01890a5d-ac96-774b-bcce-b302099a8057", "x", "1"])
@pytest.mark.parametrize(("method", "part"), [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/secret")])
def test_what_is_not_there_is_404(api: Api, method: str, part: str, key: str) -> None:
    assert api.request(method, f"{ADDRESS}/{key}{part}", b"{}").status_code == 404


def test_a_new_secret_is_another_one(api: Api) -> None:
    kept = register(api)
    changed = api.post(f"{ADDRESS}/{kept.json()['id']}/secret")
    assert changed.status_code == 201
    assert changed.json()["secret"] not in ("", kept.json()["secret"])


def test_there_are_only_so_many(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MOST_ENDPOINTS", 2)
    first, _ = register(api), register(api)
    full = register(api)
    assert (full.status_code, full.json()["errors"][0]["code"]) == (409, "too_many_endpoints")
    api.request("DELETE", f"{ADDRESS}/{first.json()['id']}")
    assert register(api).status_code == 201
