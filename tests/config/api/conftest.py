"""Callers for the tests of the edge."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.core.cache import cache

from config.api.client_tokens import forget_cached_tokens
from tests import callers
from tests.callers import Api
from tests.config.api.probe import Probes


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    forget_cached_tokens()
    cache.clear()
    Probes.begin_again = 0
    yield
    forget_cached_tokens()


@pytest.fixture
def token_for() -> Callable[..., str]:
    return callers.client_token


@pytest.fixture
def system() -> Callable[..., Api]:
    return callers.system


@pytest.fixture
def customer() -> Callable[..., Api]:
    return lambda external_id="C1": callers.customer(external_id)


@pytest.fixture
def anybody() -> Api:
    return callers.anybody()
