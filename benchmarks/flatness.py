"""The cost of one check (read, judged, written) with 1,000,000 loans in the database, against 10,000.

Two databases of one server, asked in turn by one process on kept connections. The loans that are checked have 12
instalments and 12 repayments; those that stand around them have two of each. The bar is 1.3.

    python -m benchmarks.flatness             # 1,000,000; some minutes, nearly all of it to make the loans
    python -m benchmarks.flatness 200000      # against so many
"""

from __future__ import annotations

import sys
from time import perf_counter

from benchmarks.book import fill, own_database
from benchmarks.rounds import compare

BAR = 1.3
DISPUTED, SMALL, LARGE = 200, 10_000, 1_000_000
AT_A_TIME = 100


class Checks:
    """Checks disputes one by one, in one database or the other; each time as another engine, so that each writes."""

    def __init__(self) -> None:
        from disputes.cases.models import Dispute

        self.ids = list(Dispute.objects.order_by("pk").values_list("pk", flat=True))[:AT_A_TIME]
        self.number = 0

    def cost(self, database: str) -> float:
        """Seconds a check."""
        from django.db import connection
        from django.utils import timezone

        from disputes.cases import checking, weighing

        if connection.settings_dict["NAME"] != database:
            connection.close()
            connection.settings_dict["NAME"] = database
            checking.run_check(dispute_id=self.ids[0], now=timezone.now())
        self.number += 1
        weighing.ENGINE_VERSION = f"bench-{self.number}"
        began = perf_counter()
        for pk in self.ids:
            if checking.run_check(dispute_id=pk, now=timezone.now()) is None:
                raise SystemExit("nothing was judged")
        return (perf_counter() - began) / len(self.ids)


def main() -> None:
    large = next(map(int, filter(str.isdigit, sys.argv[1:])), LARGE)
    with own_database():
        from django.db import connection

        began = perf_counter()
        fill(loans=DISPUTED)
        fill(loans=SMALL - DISPUTED, first=DISPUTED + 1, lines=2, disputed=False)
        name = connection.settings_dict["NAME"]
        connection.close()
        connection.settings_dict["NAME"] = "postgres"
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE small TEMPLATE {name}")
        connection.close()
        connection.settings_dict["NAME"] = name
        fill(loans=large - SMALL, first=SMALL + 1, lines=2, disputed=False)
        print(f"{large:,} loans, made in {perf_counter() - began:.0f} s", flush=True)
        checks, costs = Checks(), {name: 0.0, "small": 0.0}

        def side(database: str) -> float:
            costs[database] = checks.cost(database)
            return costs[database]

        compare(
            name=f"one check with {large:,} loans / with {SMALL:,}",
            ours=lambda: side(name),
            bare=lambda: side("small"),
            bar=BAR,
        )
        print(f"  the last round: {costs[name] * 1e3:.2f} ms and {costs['small'] * 1e3:.2f} ms a check")


if __name__ == "__main__":
    main()
