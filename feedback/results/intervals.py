"""Figures with their intervals, by statsmodels. Pure.

A mean of a bounded scale is given K values' worth of three more answers, spread evenly, before its interval is taken:
the adjusted Wald interval of Rocks (2016, arXiv 1601.07235), carried to K values. The usual ones (t, bootstrap) cover
the truth in as few as three of ten surveys of thirty answers where nearly everybody says the same. The figure itself is
the plain mean. A change is MOVER's (Zou and Donner 2008), which takes both intervals as they are.

statsmodels is loaded with the first figure: with what it brings along it is half of what a process of ours weighs and
takes longer to load than all the rest, and most processes never work out a figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from feedback.surveys.questions import SCALES

SPREAD = 3
"""Answers that are added, spread evenly over the values."""
HIDDEN_BELOW, COUNT_ONLY_BELOW, UNCERTAIN_BELOW = 5, 10, 30
"""Fewer answers: nothing is shown; only how many; no word on whether a change is beyond chance."""
LEVEL = 0.05
POWER = 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """`figure`: the NPS (−100 to 100) or a mean; `low`, `high`: its interval, clipped to the scale; `adjusted`: the
    middle that the interval was taken around; `deviation`: the standard deviation of one answer."""

    n: int
    figure: float
    low: float
    high: float
    adjusted: float
    deviation: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """`needed`: answers a wave that would tell a difference as large as this four times in five; None where there is
    none to tell."""

    difference: float
    low: float
    high: float
    needed: int | None

    @property
    def leaves_out_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def estimate_of(*, kind: str, tally: Mapping[int, int], level: float = LEVEL) -> Estimate:
    """The figure of a scale from how often each number was given. `level`: of error, 0.05 for 95%. Raises ValueError
    where nobody answered."""
    if kind == "nps":
        return _mean(counts=_three_groups(tally), level=level, factor=100)
    least, most = SCALES[kind]
    return _mean(counts={value: tally.get(value, 0) for value in range(least, most + 1)}, level=level, factor=1)


def _three_groups(tally: Mapping[int, int]) -> dict[int, int]:
    """Promoters (9, 10) as 1, passives (7, 8) as 0, detractors as −1."""
    groups = {-1: 0, 0: 0, 1: 0}
    for value, count in tally.items():
        groups[1 if value >= 9 else 0 if value >= 7 else -1] += count
    return groups


def _mean(*, counts: Mapping[int, int], level: float, factor: int) -> Estimate:
    from statsmodels.stats.weightstats import DescrStatsW

    n = sum(counts.values())
    if n == 0:
        raise ValueError("nobody answered")
    values = list(counts)
    plain = DescrStatsW(values, weights=list(counts.values()))
    # The weights are frequencies: never a survey's weights, which would shrink the interval.
    spread = DescrStatsW(values, weights=[count + SPREAD / len(values) for count in counts.values()])
    low, high = spread.zconfint_mean(alpha=level)
    return Estimate(
        n=n,
        figure=float(plain.mean) * factor,
        low=max(float(low), min(values)) * factor,
        high=min(float(high), max(values)) * factor,
        adjusted=float(spread.mean) * factor,
        deviation=float(spread.std) * factor,
    )


def change_between(*, before: Estimate, after: Estimate) -> Change:
    """After minus before, by MOVER: `D − √((e2−l2)² + (u1−e1)²)` to `D + √((u2−e2)² + (e1−l1)²)`, around the plain
    difference, with each arm measured from the middle that its interval was taken around."""
    difference = after.figure - before.figure
    down = math.hypot(after.adjusted - after.low, before.high - before.adjusted)
    up = math.hypot(after.high - after.adjusted, before.adjusted - before.low)
    middle = after.adjusted - before.adjusted
    return Change(
        difference=difference,
        low=middle - down,
        high=middle + up,
        needed=_needed(difference=difference, deviation=math.sqrt((before.deviation**2 + after.deviation**2) / 2)),
    )


def _needed(*, difference: float, deviation: float) -> int | None:
    from statsmodels.stats.power import normal_sample_size_one_tail

    if difference == 0 or deviation == 0:
        return None
    # Two waves: the difference of their means deviates √2 times as much; both of its sides count.
    each = normal_sample_size_one_tail(abs(difference), POWER, LEVEL / 2, std_null=math.sqrt(2) * deviation)
    return max(2, math.ceil(each))


def share_interval(*, count: int, n: int) -> tuple[float, float]:
    """Wilson's interval of a share, 0 to 1."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(count, n, alpha=LEVEL, method="wilson")
    return float(low), float(high)


def rounded(value: float, digits: int) -> float:
    """As it is shown; never minus zero."""
    return round(value, digits) + 0.0


def pair(values: Sequence[float], digits: int) -> list[float]:
    return [rounded(value, digits) for value in values]
