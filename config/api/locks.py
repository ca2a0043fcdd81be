"""Numbers of the advisory locks, in one place so that two purposes never share one.

PostgreSQL keeps locks of one bigint and of two integers apart. The constants here are taken with two integers,
``pg_advisory_xact_lock(NAMESPACE, NUMBER)``; the lock of an idempotency key is one bigint (`idempotency_lock`).

Order of locks everywhere: idempotency key, bulk import, import, lanes (sorted), loan rows (sorted), dispute row, and
the feed's number last.
"""

from __future__ import annotations

from hashlib import sha256

NAMESPACE = 0x5265  # "Re"

BULK_IMPORT = 1
"""One bulk import at a time."""
IMPORT = 2
"""The database part of one batch of an import at a time."""
FEED_NUMBER = 3
"""Makes the suppression feed's numbers rise in commit order; taken last in a transaction that writes a hold."""
PARTITIONS = 5
"""Makes the permits' partitions, one at a time; the function that does it (0002_guards) names this number."""


def idempotency_lock(*, caller: str, key: str) -> int:
    """The lock of one caller's idempotency key: a signed 64-bit number, the same in every process."""
    name = f"idempotency\0{caller}\0{key}".encode()
    return int.from_bytes(sha256(name).digest()[:8], "big", signed=True)
