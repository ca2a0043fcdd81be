"""Figures and intervals, against the same worked out by another road, and against the truth."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

from feedback.results.figures import merged_rows, question_figures, segment_table
from feedback.results.intervals import change_between, estimate_of, share_interval
from feedback.surveys.questions import read_questions
from tests.feedback.scene import EASE, NPS, WAYS

RECOMMEND, EASY, WAY = read_questions([NPS, EASE, WAYS])


def tally(**counts: int) -> dict[str, int]:
    return {"": sum(counts.values())} | {name.removeprefix("n"): count for name, count in counts.items()}


def test_an_nps_is_promoters_less_detractors_in_a_hundred() -> None:
    figures = question_figures(question=RECOMMEND, tally=tally(n10=20, n9=10, n8=5, n7=5, n6=5, n0=5))
    assert (figures["nps"], figures["n"], figures["too_few"]) == (40.0, 50, False)


def test_its_interval_is_that_of_three_more_answers_spread_evenly() -> None:
    promoters, passives, detractors = 31, 11, 11  # 30, 10 and 10, and one more of each
    n = promoters + passives + detractors
    mean = (promoters - detractors) / n
    variance = ((promoters + detractors) - n * mean**2) / (n - 1)
    half = stats.norm.ppf(0.975) * math.sqrt(variance / n)
    estimate = estimate_of(kind="nps", tally={10: 30, 8: 10, 3: 10})
    assert (estimate.low, estimate.high) == pytest.approx((100 * (mean - half), 100 * (mean + half)))
    assert estimate.figure == pytest.approx(40)


def test_a_mean_is_the_plain_one_with_an_interval_that_stays_on_the_scale() -> None:
    answers = [5] * 28 + [4, 5]
    estimate = estimate_of(kind="csat", tally=dict(Counter(answers)))
    assert estimate.figure == pytest.approx(np.mean(answers))
    assert 1 <= estimate.low < estimate.figure < estimate.high <= 5


def test_a_share_has_wilsons_interval() -> None:
    def score(p: float) -> float:
        return (0.3 - p) ** 2 - stats.norm.ppf(0.975) ** 2 * p * (1 - p) / 40

    low, high = share_interval(count=12, n=40)
    assert low == pytest.approx(optimize.brentq(score, 0.0001, 0.3))
    assert high == pytest.approx(optimize.brentq(score, 0.3, 0.9999))


def test_the_interval_of_thirty_answers_holds_the_truth_in_93_of_100_or_more() -> None:
    """Of 1,500 surveys each; the plain t interval falls far below on the same surveys."""
    seeded = np.random.default_rng(20261124)
    for shares in ([0.9, 0.08, 0.02], [0.4, 0.3, 0.3], [0.05, 0.9, 0.05], [0.97, 0.02, 0.01]):
        truth = 100 * (shares[0] - shares[2])
        drawn, times = np.unique(seeded.multinomial(30, shares, size=1500), axis=0, return_counts=True)
        held = plain = 0
        for (promoters, passives, detractors), count in zip(drawn.tolist(), times.tolist()):
            estimate = estimate_of(kind="nps", tally={10: promoters, 8: passives, 0: detractors})
            held += count * (estimate.low <= truth <= estimate.high)
            values = [100] * promoters + [0] * passives + [-100] * detractors
            spread = stats.sem(values)
            plain += count * (spread > 0 and abs(np.mean(values) - truth) <= stats.t.ppf(0.975, 29) * spread)
        assert held / 1500 >= 0.93, shares
        if shares[0] == 0.97:
            assert plain / 1500 < 0.75


def test_no_change_is_called_one_in_about_five_of_a_hundred_and_a_large_one_is_found() -> None:
    seeded = np.random.default_rng(7)
    shares = [0.5, 0.3, 0.2]

    def wave(of: list[float]) -> Any:
        promoters, passives, detractors = seeded.multinomial(200, of).tolist()
        return estimate_of(kind="nps", tally={10: promoters, 8: passives, 0: detractors})

    false = sum(change_between(before=wave(shares), after=wave(shares)).leaves_out_zero for _ in range(400))
    assert false / 400 <= 0.08
    found = sum(change_between(before=wave(shares), after=wave([0.7, 0.2, 0.1])).leaves_out_zero for _ in range(100))
    assert found >= 90


def test_needed_is_what_a_difference_of_the_same_size_takes() -> None:
    before = estimate_of(kind="nps", tally={10: 50, 8: 30, 0: 20})
    after = estimate_of(kind="nps", tally={10: 60, 8: 25, 0: 15})
    change = change_between(before=before, after=after)
    deviation = math.sqrt((before.deviation**2 + after.deviation**2) / 2)
    factor = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) ** 2
    assert change.difference == pytest.approx(15)
    assert change.needed == pytest.approx(2 * factor * (deviation / 15) ** 2, abs=1)


@pytest.mark.parametrize(
    ("n", "counted", "figure", "told"),
    [(4, False, False, None), (9, True, False, None), (29, True, True, None), (30, True, True, True)],
)
def test_too_few_answers_show_less(n: int, counted: bool, figure: bool, told: bool | None) -> None:
    figures = question_figures(question=RECOMMEND, tally=tally(n10=n), former=tally(n0=40))
    assert (figures["n"] is not None) == counted
    assert (figures["nps"] is not None) == figure == (figures["distribution"] is not None)
    assert figures["too_few"] is (not figure)
    assert (figures["change"] or {}).get("beyond_chance") is told


def test_a_choice_shows_shares_and_words_show_only_how_many() -> None:
    chosen = question_figures(question=WAY, tally={"": 20, "app": 15, "phone": 10})
    assert [(row["value"], row["count"], row["share"]) for row in chosen["distribution"]] == [
        ("app", 15, 0.75),
        ("phone", 10, 0.5),
    ]
    assert chosen["distribution"][0]["interval"] == pytest.approx(share_interval(count=15, n=20), abs=1e-4)


def test_small_groups_are_merged_until_every_row_has_five() -> None:
    assert merged_rows({"a": 20, "b": 7, "c": 3, "d": 1}) == [("a", ["a"]), ("other", ["c", "d", "b"])]
    assert merged_rows({"a": 20, "b": 7}) == [("a", ["a"]), ("b", ["b"])]
    assert merged_rows({"a": 20, "b": 1}) == [("other", ["b", "a"])]
    assert merged_rows({"a": 2, "b": 2}) == []
    seeded = random.Random(3)
    for _ in range(300):
        sizes = {str(n): seeded.choice([1, 2, 4, 5, 6, 30]) for n in range(seeded.randint(1, 8))}
        rows = merged_rows(sizes)
        assert all(sum(sizes[one] for one in members) >= 5 for _, members in rows)
        assert sorted(one for _, members in rows for one in members) == (sorted(sizes) if rows else [])


def test_rows_of_a_table_hold_together_so_their_intervals_are_wider() -> None:
    groups = {name: {"recommend": {"10": 20, "8": 10, "0": 10}} for name in ("a", "b", "c", "d", "e")}
    table = segment_table(dimension="product", questions=[RECOMMEND], groups=groups)
    assert table is not None
    alone = estimate_of(kind="nps", tally={10: 20, 8: 10, 0: 10}, level=0.01)
    row = table["rows"][0]["questions"][0]
    assert row["interval"] == pytest.approx((alone.low, alone.high), abs=0.1)
    assert "distribution" not in row
    assert RECOMMEND.required
    assert EASY.kind == "ces"
