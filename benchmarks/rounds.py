"""Two ways to do the same work, measured in turn in one run: the ratio, its median and its spread.

A spread over 15% is no result. A side returns what it cost (or its rate); the extremes of the ratios are left out of
the spread.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

ROUNDS = 9
WIDEST = 0.15


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """`median`, `low`, `high` of ours / bare, round by round; `spread`: without the extremes, of the median."""

    name: str
    median: float
    low: float
    high: float
    spread: float
    bar: float | None
    most: bool

    @property
    def met(self) -> bool:
        return self.bar is None or (self.median <= self.bar if self.most else self.median >= self.bar)

    def told(self) -> str:
        bar = "" if self.bar is None else f", bar {'<=' if self.most else '>='} {self.bar:g}"
        met = "" if self.bar is None else " met" if self.met else " NOT MET"
        wide = " (spread over 15%: no result)" if self.spread > WIDEST else ""
        return (
            f"{self.name}: {self.median:.2f} [{self.low:.2f}..{self.high:.2f}], spread {self.spread:.0%}"
            f"{bar}{met}{wide}"
        )


def compare(
    *,
    name: str,
    ours: Callable[[], float],
    bare: Callable[[], float],
    bar: float | None = None,
    most: bool = True,
    rounds: int = ROUNDS,
) -> Ratio:
    """Runs both sides `rounds` times, the order turned each time, after one round to warm up; prints the ratio.

    `bar`: what the ratio may be at most (`most`), or must be at least.
    """
    ours(), bare()
    ratios = []
    for number in range(rounds):
        if number % 2:
            below = bare()
            above = ours()
        else:
            above = ours()
            below = bare()
        ratios.append(above / below)
    ratios.sort()
    inner = ratios[1:-1] if len(ratios) > 4 else ratios
    median = statistics.median(ratios)
    found = Ratio(
        name=name,
        median=median,
        low=ratios[0],
        high=ratios[-1],
        spread=(inner[-1] - inner[0]) / median,
        bar=bar,
        most=most,
    )
    print(found.told(), flush=True)
    return found
