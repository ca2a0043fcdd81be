"""What is kept of a loan as lines come is what its versions add up to, however the lines are cut into batches."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from disputes.check.standing import position_of
from disputes.records import importing, queries
from disputes.records.importing import import_lines
from disputes.records.models import Customer, CustomerPhone, Loan
from tests.disputes.records import importer
from tests.disputes.records.importer import shown, undone

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
INSTANTS = [(datetime(2026, 1, 1, 16, tzinfo=UTC) + timedelta(days=20 * n)).isoformat() for n in range(7)]
AT = st.sampled_from(INSTANTS)
LOANS, REPAYMENTS = ("L1", "L2"), ("P1", "P2", "P3", "P4", "P5")
HEAD = {"posted_at": st.none() | AT, "version": st.none() | st.sampled_from([1, 2])}
PHONES = ("+8613812340001", "+8613812340002")


def record(make: Any, ids: tuple[str, ...], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(make, st.sampled_from(ids), **HEAD, **fields)


def voids(type_: str, ids: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        importer.void, st.just(type_), st.sampled_from(ids), st.sampled_from(["V1", "V2", "V3"]), posted_at=AT
    )


REPAYMENT = record(
    importer.repayment,
    REPAYMENTS,
    loan=st.sampled_from(LOANS),
    amount=st.sampled_from(["0", "50", "100.00", "33.333"]),
    paid_at=AT,
)
LINE = st.one_of(
    REPAYMENT,
    REPAYMENT,
    record(importer.reversal, ("R1", "R2"), repayment=st.sampled_from(REPAYMENTS), reversed_at=AT),
    voids("repayment", REPAYMENTS),
    voids("reversal", ("R1", "R2")),
    voids("void", ("V1", "V2", "V3")),
    record(importer.instalment, ("I1", "I2"), loan=st.sampled_from(LOANS), amount=st.sampled_from(["50", "100.00"])),
    record(importer.loan, LOANS, customer=st.sampled_from(["C1", "C2"])),
    record(
        importer.customer,
        ("C1", "C2", "C3"),
        language=st.sampled_from(["en", "zh-hans"]),
        phones=st.lists(st.sampled_from(PHONES), max_size=2).map(lambda all_: [{"number": one} for one in all_]),
    ),
    voids("customer", ("C1", "C2", "C3")),
)


def revisions() -> dict[str, tuple[int, Any]]:
    return {loan: (revision, kept) for loan, revision, *kept in Loan.objects.values_list("pk", "revision", "paid")}


def assert_kept_is_what_the_versions_say() -> None:
    for loan, history in queries.histories(loans=LOANS).items():
        kept = queries.position(loan=loan)
        expected = position_of(history=history, at=NOW + timedelta(days=1))
        assert kept == expected or (kept is None and (expected.due_on, expected.paid) == ((), 0))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@example(world=[importer.reversal("R1", repayment="P1"), importer.repayment("P1")], sizes=[1])
@example(world=[importer.void("repayment", "P1"), importer.repayment("P1"), importer.repayment("P2")], sizes=[1, 2])
@example(world=[importer.repayment("P1"), importer.repayment("P1", loan="L2", version=2)], sizes=[2])
@given(world=st.lists(LINE, min_size=3, max_size=25), sizes=st.lists(st.integers(1, 8), min_size=1, max_size=9))
def test_sums_never_drift_and_a_changed_sum_raises_the_revision(world: list[dict[str, Any]], sizes: list[int]) -> None:
    raw = importer.encoded(*world)
    with undone():
        begin = 0
        for turn in range(len(raw)):
            size = sizes[turn % len(sizes)]
            before = revisions()
            results = list(import_lines(lines=raw[begin : begin + size], now=NOW + timedelta(minutes=turn)))
            assert [one.result for one in results if one.result == "error"] == []
            for loan, (revision, paid) in revisions().items():
                then, sum_then = before.get(loan, (0, None))
                assert revision >= then
                assert revision > then or paid == sum_then or sum_then is None
            assert_kept_is_what_the_versions_say()
            begin += size


def state() -> tuple[Any, ...]:
    """All that is kept of loans and customers but ids that are made anew, and how often a loan changed."""
    loans = Loan.objects.order_by("pk").values_list("pk", "customer", "paid", "due_on", "amount", "first_received_at")
    customers = Customer.objects.order_by("pk").values_list("pk", "language", "first_received_at", "segment")
    phones = CustomerPhone.objects.order_by("customer", "digest").values_list("customer", "digest", "role", "first")
    return list(loans), list(customers), list(phones)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=st.lists(LINE, min_size=3, max_size=25), size=st.integers(2, 30))
def test_a_batch_ends_as_its_lines_would_one_by_one(
    world: list[dict[str, Any]], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results and state; undated lines too, whose order counts."""
    raw = [json.dumps(line).encode() for line in world]
    ends = []
    for lines in (1, size):
        monkeypatch.setattr(importing, "BATCH_LINES", lines)
        with undone():
            results = [shown(one) for one in import_lines(lines=raw, now=NOW)]
            ends.append((results, state()))
    event(f"{len({*ends[0][0]})} kinds of results")
    assert ends[0] == ends[1]
