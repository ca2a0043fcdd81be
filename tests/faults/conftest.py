"""One service for all tests that kill it, or plant a fault in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.service import FaultsStack


@pytest.fixture(scope="session")
def service() -> Iterator[FaultsStack]:
    stack = FaultsStack(Path(os.environ["RECOURSE_TEST_DIRECTORY"]))
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
