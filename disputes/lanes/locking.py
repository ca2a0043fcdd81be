"""Taking lanes.

Whoever writes a hold, grants a permit, or changes who owns a loan or a phone locks the lanes of all that it touches
first, and reads holds, caps, permits and owners in the *next* statement, so from a snapshot that is newer than the
lock. Read committed is relied on: under repeatable read the snapshot would be older than the lock, and nothing would
say so.

A lane is found from an external id or a phone's digest, so it is there before the customer is, and it is there still
when an owner changes: whoever moves a loan or a phone takes the lanes of both sides.

A sending rule has no lane: all that a rule sends would wait for one another. It has one of RULE_STRIPES advisory locks,
which decisions share and whoever holds the rule has alone (`docs/decisions/0011-locks-of-sending-rules.md`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import connection, transaction

from config.api.locks import RULES_NAMESPACE
from config.statements import Statement, run
from config.values.ciphertext import stripe, stripes
from disputes.lanes.models import LANES

BITS = LANES.bit_length() - 1
RULE_BITS = 6
RULE_STRIPES = 2**RULE_BITS
"""How many locks sending rules share. It may only change while every gate is stopped."""


class LanesMissing(RuntimeError):
    """Fewer lanes were locked than asked: the table is not what the migration made. Nothing may be granted or held."""


class NotOutermost(RuntimeError):
    """A lane was asked for where its lock would not last until the commit, or would not be followed by a newer
    snapshot."""


def lane_of_customer(external_id: str) -> int:
    """The lane of a customer, by the lender's id: 0 to LANES - 1, the same in every process, version and machine."""
    return stripe(f"c:{external_id}", bits=BITS)


def lane_of_phone(digest: bytes) -> int:
    """The lane of a phone, by its keyed digest."""
    return stripe(f"p:{bytes(digest).hex()}", bits=BITS)


def lane_of_loan(*, loan: str, customer: str | None) -> int:
    """The lane of a loan: its customer's. A loan whose customer is not known has one of its own, which whoever first
    names its customer takes as well."""
    return stripe(f"l:{loan}", bits=BITS) if customer is None else lane_of_customer(customer)


def lanes_of(*, phones: Iterable[bytes], customers: Iterable[str], loans: Iterable[str]) -> set[int]:
    """The lanes of so many at once, as of each by itself: of phones by their digests, of customers, and of loans whose
    customers are not known."""
    keys = [f"p:{digest.hex()}" for digest in phones]
    keys += [f"c:{customer}" for customer in customers]
    keys += [f"l:{loan}" for loan in loans]
    return set(stripes(keys, bits=BITS))


def stripe_of_rule(external_id: str) -> int:
    """The lock of a sending rule, by the lender's id: 0 to RULE_STRIPES - 1, the same in every process, version and
    machine. Rules that share one wait for each other's holds, and for nothing else."""
    return stripe(f"r:{external_id}", bits=RULE_BITS)


def take_lanes(lanes: Iterable[int], *, then: Sequence[Statement] = ()) -> None:
    """Locks the lanes until the commit, waiting for each, in the order of their numbers so that nobody deadlocks.

    Needs the outermost transaction, in read committed: raises NotOutermost. Raises LanesMissing where a row is short.
    `then`: what is read under them, in statements of their own that go in the same call.
    """
    wanted = sorted(set(lanes))
    taken = _lock(wanted, "FOR NO KEY UPDATE", then)
    if len(taken) != len(wanted):
        raise LanesMissing(f"{len(wanted)} lanes asked, {len(taken)} locked")


def take_rules(rules: Iterable[str]) -> None:
    """Waits until no decision about these sending rules (their external ids) is in flight, and keeps others from being
    made until the commit. Taken after lanes, before any other row, and in order, so that nobody deadlocks.

    Decisions share the locks and only ever try for them (`disputes_gate_facts`): from the moment somebody waits here
    PostgreSQL refuses every new one, so that a rule in steady use is held after those in flight at the latest. Who
    reads the permits that are out does so in a later statement. Needs what `take_lanes` needs.
    """
    wanted = sorted({stripe_of_rule(rule) for rule in rules})
    if not wanted:
        return
    check_outermost()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('transaction_isolation'), pg_advisory_xact_lock(%s, stripe)"
            " FROM unnest(%s::int[]) AS stripe",
            [RULES_NAMESPACE, wanted],
        )
        levels = {level for level, _ in cursor.fetchall()}
    _check_levels(levels)


def try_lanes(lanes: Iterable[int]) -> set[int]:
    """Locks those of the lanes that nobody else holds, without waiting, and returns them. Needs what `take_lanes`
    needs."""
    return _lock(sorted(set(lanes)), "FOR NO KEY UPDATE SKIP LOCKED")


def _lock(wanted: list[int], how: str, then: Sequence[Statement] = ()) -> set[int]:
    """NO KEY UPDATE: a foreign key to a lane would not wait for it. The level is read with the rows, at no extra
    call."""
    if not wanted:
        run(*then)
        return set()
    check_outermost()
    lanes = Statement(
        f"SELECT n, current_setting('transaction_isolation') FROM disputes_lane"
        f" WHERE n = ANY(%s::int[]) ORDER BY n {how}",
        [f"{{{','.join(map(str, wanted))}}}"],
    )
    run(lanes, *then)
    _check_levels({level for _, level in lanes.rows})
    return {n for n, _ in lanes.rows}


def _check_levels(levels: set[str]) -> None:
    for level in levels - {"read committed"}:
        raise NotOutermost(f"lanes need read committed, not {level}")


def check_outermost() -> None:
    """Raises NotOutermost where a lane taken now would not last until the commit.

    A row locked inside a savepoint is freed when the savepoint rolls back. The blocks that a test case wraps around a
    test are not ours.
    """
    current = transaction.get_connection()
    if not current.in_atomic_block:
        raise NotOutermost("a lane outside a transaction is freed with its statement")
    savepoints = [None, *current.savepoint_ids]
    ours = [
        savepoint
        for block, savepoint in zip(current.atomic_blocks, savepoints, strict=False)
        if not getattr(block, "_from_testcase", False)
    ]
    if any(ours[1:]):
        raise NotOutermost("a lane locked inside a savepoint is freed with it")
