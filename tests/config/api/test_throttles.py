"""Somebody who calls too often is told when to come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from config.api import throttles
from config.api.callers import Caller
from config.api.throttles import seconds_to_wait
from tests.callers import Api

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.config.api.probe")]

CALLER = Caller(kind="customer", id="C1", customer="C1")


@pytest.fixture(autouse=True)
def _limits(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CALLS_PER_MINUTE = {"client": 2, "customer": 2}
    monkeypatch.setattr(throttles.time, "time", lambda: 1_800_000_010.0)


def test_too_many_calls_get_429_with_the_time_to_wait(system: Callable[..., Api]) -> None:
    for address in ("/api/v1/probes/a", "/api/v1/plain"):
        api = system("gate")
        answers = [api.post(address, {}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[2]["Retry-After"] == "51"
        assert answers[2].json()["errors"][0]["code"] == "throttled"


def test_one_callers_calls_are_not_anothers(customer: Callable[..., Api]) -> None:
    first, second = customer("C1"), customer("C2")
    statuses = [first.post("/api/v1/probes", {"name": "a"}, Idempotency_Key=str(n)).status_code for n in range(3)]
    assert statuses == [201, 201, 429]
    assert second.post("/api/v1/probes", {"name": "a"}, Idempotency_Key="k").status_code == 201


def test_the_next_window_begins_anew() -> None:
    assert [seconds_to_wait(CALLER, now=60.0 * 10) for _ in range(3)] == [None, None, 61]
    assert seconds_to_wait(CALLER, now=60.0 * 11) is None


def test_a_limit_of_0_is_none(settings: Any) -> None:
    settings.CALLS_PER_MINUTE = {"customer": 0}
    assert {seconds_to_wait(CALLER, now=600.0) for _ in range(10)} == {None}


def test_nobody_is_refused_because_the_cache_is_away(settings: Any) -> None:
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    }
    assert {seconds_to_wait(CALLER, now=600.0) for _ in range(3)} == {None}
