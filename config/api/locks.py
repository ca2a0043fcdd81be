"""Numbers of the advisory locks, in one place so that two purposes never share one.

PostgreSQL keeps locks of one bigint and of two integers apart. The constants here are taken with two integers,
``pg_advisory_xact_lock(NAMESPACE, NUMBER)``, those of sending rules with RULES_NAMESPACE and a stripe; those of an
idempotency key and of a survey wave are one bigint (`idempotency_lock`, `wave_lock`).

Order of locks everywhere: idempotency key, bulk import, import, lanes (sorted), sending rules (sorted), loan rows
(sorted), routing, dispute row, the dispute's case, agents' rows (sorted), and the feed's number last.
"""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID

NAMESPACE = 0x5265  # "Re"
RULES_NAMESPACE = 0x5266  # 21094
"""Of sending rules, by stripe (`disputes.lanes.locking`): shared by decisions, had alone by whoever holds a rule. The
function that decisions take them in (0008_rules_and_requests) names this number."""

BULK_IMPORT = 1
"""One bulk import at a time."""
IMPORT = 2
"""The database part of one batch of an import at a time."""
FEED_NUMBER = 3
"""Makes the suppression feed's numbers rise in commit order; taken last in a transaction that writes a hold."""
ROUTING = 4
"""Gives cases to agents, one batch at a time: the least loaded is known only while nobody else gives."""
PARTITIONS = 5
"""Makes the permits' partitions, one at a time; the function that does it (0002_guards) names this number."""
UNAUTHORISED_SENDS = 7
"""Looks at messages that came or changed, one batch at a time, so that an older look never writes after a newer one."""
SURVEY_SAMPLE = 8
"""One survey's sample at a time, so that nobody is asked by two at once."""


def idempotency_lock(*, caller: str, key: str) -> int:
    """The lock of one caller's idempotency key: a signed 64-bit number, the same in every process."""
    name = f"idempotency\0{caller}\0{key}".encode()
    return int.from_bytes(sha256(name).digest()[:8], "big", signed=True)


def wave_lock(*, wave: UUID) -> int:
    """The lock of one survey wave: whoever answers shares it, whoever closes has it alone."""
    return int.from_bytes(sha256(b"wave\0" + wave.bytes).digest()[:8], "big", signed=True)
