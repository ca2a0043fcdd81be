"""Imports at once. The control shows that the positions go wrong with the lock left out."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection, transaction

from disputes.check.standing import position_of
from disputes.outbox.models import OutboxTopic
from disputes.records import importing, queries, settling, watching
from disputes.records.importing import import_lines
from disputes.records.models import Loan
from tests.disputes.records import importer
from tests.disputes.records.importer import encoded, load
from tests.races import PATIENCE, at_once, until_somebody_waits_for_me

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
LOANS = 6


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random nap between what is written and what follows from it, so that the two sides meet in every order."""
    settle = importing.settle

    def after_a_nap(**arguments: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(%s)", [random.random() / 100])
        settle(**arguments)

    monkeypatch.setattr(importing, "settle", after_a_nap)


def sides(turn: int) -> list[list[dict[str, Any]]]:
    """What two systems send at once of a turn's own accounts: payments here, their reversals and voids there.

    Neither names what the other does: a reversal and a void name a payment alone, never its loan.
    """
    payments: list[dict[str, Any]] = []
    undoings: list[dict[str, Any]] = []
    for n in range(LOANS):
        name, loan = f"{turn}-{n}", f"L{turn}-{n}"
        payments += [importer.repayment(f"P{name}", loan=loan), importer.repayment(f"Q{name}", loan=loan)]
        undoings.append(importer.reversal(f"R{name}", repayment=f"P{name}"))
        undoings.append(importer.void("repayment", f"Q{name}", f"V{name}"))
    return [payments, undoings]


def race(turns: Iterable[int]) -> tuple[int, int]:
    """How many positions were wrong after all, and how many imports failed."""
    failed = 0
    for turn in turns:

        def act(lines: list[dict[str, Any]]) -> Callable[[], Any]:
            return lambda: [one.result for one in import_lines(lines=encoded(*lines), now=NOW)]

        outcomes = at_once([act(lines) for lines in sides(turn)])
        failed += sum(isinstance(one, Exception) or "error" in one for one in outcomes)
    histories = queries.histories(loans=Loan.objects.values_list("pk", flat=True))
    wrong = sum(
        queries.position(loan=loan) != position_of(history=history, at=NOW) for loan, history in histories.items()
    )
    return wrong, failed


def test_two_imports_at_once_end_as_one_after_the_other() -> None:
    assert race(range(25)) == (0, 0)


def test_without_the_lock_they_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same race with the import's lock left out."""
    monkeypatch.setattr(importing, "take_import_locks", lambda *, bulk: None)
    for attempt in range(30):
        if race(range(10 * attempt, 10 * attempt + 10)) != (0, 0):
            return
    pytest.fail("the race did not show without the lock: the test proves nothing")


def test_an_import_and_a_check_never_miss_each_other() -> None:
    """A check locks the loan's row and compares its revision: whichever comes second sees the other."""
    list(import_lines(lines=encoded(importer.loan("L1"), importer.repayment("P0")), now=NOW))

    def check() -> tuple[int, Any]:
        with transaction.atomic():
            revision = queries.lock_loan(loan="L1")
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(%s)", [random.random() / 50])
            return revision, Loan.objects.get(pk="L1").paid

    for turn in range(1, 15):
        paid = importer.repayment(f"P{turn}", loan="L1", amount="1.00")
        seen, _ = at_once([check, partial(load, paid)])
        assert seen == (seen[0], 100 + seen[0] - 1)
        assert Loan.objects.get(pk="L1").revision == turn + 1


def nap() -> None:
    time.sleep(random.random() / 20)


def opened_beside_an_import(
    turn: int,
    *,
    locks: bool,
    begins: Callable[[], Any] = nap,
    ended: Callable[[], Any] = nap,
    meanwhile: Callable[[], Any] = nap,
) -> bool:
    """Whether a dispute that is opened while a repayment comes in misses it: its check read the records without it, and
    nobody told it of a change. `locks`: whether the check locks the loan's row, as it must. Called are `begins` before
    the dispute is opened, `ended` when its check has read, and `meanwhile` after the import looked for who waits and
    before its commit."""
    loan = f"O{turn}"
    load(importer.loan(loan))
    OutboxTopic.objects.all().delete()
    tell = settling._tell_of_messages

    def open_and_check() -> Any:
        begins()
        with transaction.atomic():
            watching.watch(keys=[f"loan:{loan}"])
        with transaction.atomic():
            if locks:
                queries.lock_loan(loan=loan)
            paid = Loan.objects.get(pk=loan).paid
            ended()
            return paid

    def late(messages: Any) -> None:
        meanwhile()
        tell(messages)

    with patch.object(settling, "_tell_of_messages", late):
        paid, loaded = at_once([open_and_check, partial(load, importer.repayment(f"P{turn}", loan=loan))])
    for one in (paid, loaded):
        assert not isinstance(one, BaseException), one
    return not paid and not OutboxTopic.objects.filter(topic="loan.changed", key=loan).exists()


def test_a_dispute_that_is_opened_beside_an_import_sees_it_or_hears_of_it() -> None:
    assert not any(opened_beside_an_import(turn, locks=True) for turn in range(25))
    # Whatever the naps made of it: the check comes to the loan's row between the import's look and its commit.
    looked = threading.Event()

    def meanwhile() -> None:
        looked.set()
        until_somebody_waits_for_me()

    assert not opened_beside_an_import(25, locks=True, begins=partial(looked.wait, PATIENCE), meanwhile=meanwhile)


def test_without_the_loans_lock_it_may_miss_it() -> None:
    """The control: the check reads between the import's look and its commit."""
    looked, read = threading.Event(), threading.Event()

    def meanwhile() -> None:
        looked.set()
        assert read.wait(PATIENCE)

    order: dict[str, Callable[[], Any]] = {"begins": partial(looked.wait, PATIENCE), "ended": read.set}
    assert opened_beside_an_import(0, locks=False, meanwhile=meanwhile, **order)
