"""Any order of the same dated lines ends in the same state, on both clocks, and as the pure engine says."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as django_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disputes.check import facts
from disputes.check.account import account_at
from disputes.check.standing import position_of
from disputes.records import importing, queries
from disputes.records.building import arrangements, periods, start_of
from disputes.records.importing import import_lines
from disputes.records.models import VERSIONS, Customer, CustomerPhone, Loan, Message, Moved, SendingRule, Voided
from disputes.records.reading import Line, read_line
from tests.disputes.records.importer import undone

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
DAYS = tuple(datetime(2026, 1, 1, 16, tzinfo=UTC) + timedelta(days=20 * n) for n in range(7))
INSTANTS = tuple(day.isoformat() for day in DAYS)
LOANS = ("L1", "L2")
IDS = {
    "customer": ("C1", "C2"),
    "loan": LOANS,
    "instalment": ("I1", "I2", "I3"),
    "repayment": ("P1", "P2", "P3"),
    "reversal": ("R1", "R2"),
    "void": ("V1", "V2", "V3"),
    "message": ("M1",),
    "sending_rule": ("S1",),
}
AMOUNTS = st.sampled_from(["0", "50", "100.00", "33.333"])
ON = st.sampled_from([day.date().isoformat() for day in DAYS])
AT = st.sampled_from(INSTANTS)
PERIOD = st.tuples(ON, ON).map(lambda pair: {"from": min(pair), "until": max(pair)})
PHONES = st.lists(
    st.fixed_dictionaries(
        {"number": st.sampled_from(["+8613812340001", "+8613812340002"]), "role": st.sampled_from(["own", "contact"])},
        optional={"from": st.just("2026-01-01")},
    ),
    max_size=2,
)

FIELDS: dict[str, dict[str, Any]] = {
    "customer": {"phones": PHONES, "language": st.sampled_from(["en", "zh-hans"])},
    "loan": {
        "customer": st.sampled_from(IDS["customer"]),
        "currency": st.just("CNY"),
        "time_zone": st.sampled_from(["Asia/Shanghai", "America/New_York"]),
        "grace_days": st.sampled_from([0, 5]),
        "tolerance": st.sampled_from(["0", "40.00"]),
        "settled_on": st.none() | ON,
        "pauses": st.lists(PERIOD, max_size=2),
        "arrangements": st.lists(PERIOD, max_size=1),
    },
    "instalment": {
        "loan": st.sampled_from(LOANS),
        "number": st.sampled_from([1, 2]),
        "due_on": ON,
        "amount": AMOUNTS,
    },
    "repayment": {"loan": st.sampled_from(LOANS), "amount": AMOUNTS, "paid_at": AT | ON},
    "reversal": {"repayment": st.sampled_from(IDS["repayment"]), "reversed_at": AT},
    "message": {
        "loan": st.sampled_from(LOANS),
        "phone": st.just("+8613812340001"),
        "channel": st.just("sms"),
        "category": st.just("urge"),
        "sent_at": AT,
        "sending_rule": st.none() | st.just("S1"),
    },
    "sending_rule": {"aim": st.sampled_from(["overdue", "risk"])},
}


@st.composite
def lines(draw: st.DrawFn) -> dict[str, Any]:
    """One dated line: few ids, few instants and few amounts, so that versions, ties and moves are common."""
    type_ = draw(st.sampled_from([*IDS, "instalment", "repayment", "repayment", "void"]))
    line: dict[str, Any] = {"type": type_, "external_id": draw(st.sampled_from(IDS[type_])), "posted_at": draw(AT)}
    if draw(st.booleans()):
        line["version"] = draw(st.sampled_from([1, 2]))
    if type_ in ("loan", "instalment", "customer", "sending_rule") and draw(st.integers(0, 3)) == 0:
        line["effective_at"] = draw(AT)
    if type_ == "void":
        target = draw(
            st.sampled_from(["customer", "loan", "instalment", "repayment", "reversal", "void", "void", "message"])
        )
        return line | {"target_type": target, "target": draw(st.sampled_from(IDS[target]))}
    return line | draw(st.fixed_dictionaries(FIELDS[type_]))


def import_all(raw: list[bytes], *, rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH_LINES", rng.choice([1, 3, 7, 100]))
    failed = [one for one in import_lines(lines=raw, now=NOW) if one.result == "error"]
    assert failed == []


def stored() -> dict[str, Any]:
    """All that is stored, but when it was received and ids that are made anew."""
    state: dict[str, Any] = {}
    apart = {"id", "received_at", "version_id", "revision", "first_mentioned_at", "first_received_at"}
    models: list[Any] = [*VERSIONS.values(), Voided, Moved, Customer, CustomerPhone, Loan, SendingRule, Message]
    for model in models:
        names = [one.attname for one in model._meta.concrete_fields if one.attname not in apart]
        rows = model._default_manager.values_list(*names)
        state[model.__name__] = sorted(repr(row) for row in rows)
    return state


def accounts() -> list[Any]:
    histories = queries.histories(loans=LOANS)
    return [
        account_at(history=histories[loan], at=at, known_at=known_at)
        for loan in LOANS
        for at in DAYS[1::2]
        for known_at in (*DAYS[1::2], None)
    ]


def version_of(line: Line, zones: dict[str, str]) -> facts.Version | None:
    """A line as the check's value, without any database."""
    head: dict[str, Any] = {
        "external_id": line.external_id,
        "version": line.version,
        "posted_at": line.posted_at,
        "content": line.content,
    }
    fields = dict(line.fields)
    if line.type == "loan":
        fields |= {"pauses": periods(fields["pauses"]), "arrangements": arrangements(fields["arrangements"])}
        return facts.LoanVersion(**head, effective_at=line.effective_at, **fields | {"allocation": ()})
    if line.type == "instalment":
        return facts.InstalmentVersion(**head, effective_at=line.effective_at, **fields)
    if line.type == "repayment":
        on, at = fields.pop("paid_on"), fields.pop("paid_at")
        zone = zones.get(fields["loan"], django_settings.LENDER_TIME_ZONE)
        return facts.RepaymentVersion(**head, paid_at=at or start_of(on, zone), **fields)
    if line.type == "reversal":
        return facts.ReversalVersion(**head, **fields)
    return facts.VoidVersion(**head, **fields) if line.type == "void" else None


def plain_histories(raw: Iterable[bytes]) -> dict[str, facts.History]:
    """Histories straight from the lines: every version of everything, for each loan."""
    read = [read_line(one, number=2, now=NOW) for one in raw]
    good = [one for one in read if isinstance(one, Line)]
    loans = [one for one in good if one.type == "loan"]
    ranked = sorted(loans, key=lambda one: (one.version, one.posted_at, one.content))
    zones = {one.external_id: one.fields["time_zone"] for one in ranked}
    found = {}
    for loan in LOANS:
        # A payment's bare day is read in the zone of the loan whose history it is.
        here = dict.fromkeys(LOANS, zones.get(loan, django_settings.LENDER_TIME_ZONE))
        versions = {version_of(one, here) for one in good}
        kinds: dict[str, list[Any]] = {}
        for version in versions:
            if version is not None:
                kinds.setdefault(type(version).__name__, []).append(version)
        found[loan] = facts.History(
            loan=loan,
            lender_time_zone=django_settings.LENDER_TIME_ZONE,
            loans=tuple(kinds.get("LoanVersion", ())),
            instalments=tuple(kinds.get("InstalmentVersion", ())),
            repayments=tuple(kinds.get("RepaymentVersion", ())),
            reversals=tuple(kinds.get("ReversalVersion", ())),
            voids=tuple(kinds.get("VoidVersion", ())),
        )
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=st.lists(lines(), min_size=5, max_size=30), seed=st.integers(0, 2**32))
def test_any_order_of_the_same_dated_lines_ends_in_the_same_state(
    world: list[dict[str, Any]], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    raw = [json.dumps(line).encode() for line in world]
    ends = []
    for turn in range(3):
        order = raw + rng.sample(raw, k=min(3, len(raw))) if turn else list(raw)
        if turn:
            rng.shuffle(order)
        with undone():
            import_all(order, rng=rng, monkeypatch=monkeypatch)
            ends.append((stored(), accounts()))
    assert ends[1] == ends[0]
    assert ends[2] == ends[0]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=st.lists(lines(), min_size=5, max_size=30), seed=st.integers(0, 2**32))
def test_positions_and_histories_are_what_the_lines_themselves_say(
    world: list[dict[str, Any]], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = [json.dumps(line).encode() for line in world]
    plain = plain_histories(raw)
    with undone():
        import_all(raw, rng=random.Random(seed), monkeypatch=monkeypatch)
        for loan, history in queries.histories(loans=LOANS).items():
            expected = position_of(history=plain[loan], at=NOW)
            assert position_of(history=history, at=NOW) == expected
            if (kept := queries.position(loan=loan)) is not None:
                assert kept == expected
            else:
                assert expected.due_on == ()
                assert expected.paid == Decimal(0)
            for at in DAYS[1::2]:
                for known_at in (*DAYS[1::2], None):
                    assert account_at(history=history, at=at, known_at=known_at) == account_at(
                        history=plain[loan], at=at, known_at=known_at
                    )
