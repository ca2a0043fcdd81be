"""The report on the records: how often each thing that looks impossible is there, with a few examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from config.values.money import DECIMALS
from disputes.policy.freshness import feeds_behind
from disputes.policy.packs import Pack
from disputes.records.histories import read_watermarks
from disputes.records.impossible import ALL, Impossible

EXAMPLES = 5
FEED_BEHIND = "feed_behind"
_FEED_BEHIND = (
    "A feed has no watermark, or one further back than the policy pack allows: the gate denies, and checks about the "
    "account stay inconclusive. Send watermarks with each load, also where nothing came."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """`count`: how often it is there; `examples`: ids of the first ones, in their order; `meaning`: what it means for
    checks, and what to do."""

    name: str
    count: int
    examples: tuple[str, ...]
    meaning: str

    def render(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"name": self.name, "count": self.count, "examples": list(self.examples), "meaning": self.meaning}


def report_records(*, pack: Pack, at: datetime, examples: int = EXAMPLES) -> Iterator[Finding]:
    """Looks at everything that is stored, one statement a finding; yields each as it is found, also those of none.

    `pack`: how old the feeds may be at `at` (aware). Writes nothing. Nothing but the examples is kept in memory here;
    the database sorts on disk what is too much for its own. Each statement has a transaction of its own.
    """
    behind = feeds_behind(pack=pack, reached={mark.feed: mark.complete_until for mark in read_watermarks()}, at=at)
    yield Finding(name=FEED_BEHIND, count=len(behind), examples=behind[:examples], meaning=_FEED_BEHIND)
    for one in ALL:
        yield _find(one, examples=examples)


def _find(one: Impossible, *, examples: int) -> Finding:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'; SET LOCAL jit = off")
        cursor.execute(
            f"WITH found AS MATERIALIZED ({one.statement}) SELECT (SELECT count(*) FROM found), "
            "ARRAY(SELECT id FROM found ORDER BY id LIMIT %(examples)s)",
            {"codes": list(DECIMALS), "decimals": list(DECIMALS.values()), "examples": examples},
        )
        count, found = cursor.fetchone()
    return Finding(name=one.name, count=count, examples=tuple(found), meaning=one.meaning)
