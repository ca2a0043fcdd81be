"""Transactions of the workers, begun again where what was read before a lock is no longer so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError, transaction

from config.api.idempotency import BeginAgain

TRIES = 8
_WORTH_ANOTHER_TRY = {"40P01", "40001"}  # deadlock, serialization failure

Result = TypeVar("Result")


def in_transaction(work: Callable[[], Result]) -> Result:
    """Runs `work` in the outermost transaction, which this opens, and again where it raises BeginAgain or is a
    deadlock's victim, up to TRIES times: then the error is raised, and the outbox tries later."""
    for attempt in range(1, TRIES + 1):
        try:
            with transaction.atomic(durable=True):
                return work()
        except BeginAgain:
            if attempt == TRIES:
                raise
        except OperationalError as error:
            if attempt == TRIES or getattr(error.__cause__, "sqlstate", None) not in _WORTH_ANOTHER_TRY:
                raise
    raise AssertionError("not reached")
