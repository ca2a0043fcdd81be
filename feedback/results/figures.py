"""From tallies to what is shown: figures, intervals, changes, and one-way tables of groups. Pure.

Small groups: every table is of the same people (the questions that everybody answered), by one dimension, each row of 5
or more, what is smaller merged into `other` until it has 5 too. So no row, and no crossing of rows, tells of fewer than
5. By group there is no distribution, which would tell what one person said who is in two small groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from feedback.results.intervals import (
    COUNT_ONLY_BELOW,
    HIDDEN_BELOW,
    LEVEL,
    UNCERTAIN_BELOW,
    Estimate,
    change_between,
    estimate_of,
    pair,
    rounded,
    share_interval,
)
from feedback.results.tallying import Tally, numbers, total
from feedback.surveys.questions import SCALES, Question

DIGITS: Mapping[str, int] = {"nps": 1, "csat": 3, "ces": 3}
OTHER = "other"


def question_figures(*, question: Question, tally: Tally, former: Tally | None = None) -> dict[str, Any]:
    """One question of the summary. `former`: its tally in the closed wave before, where it was asked there too.

    Under 5 answers nothing is shown, under 10 only how many (`too_few`), under 30 (in either wave) no word on whether a
    change is beyond chance.
    """
    n = tally.get("", 0)
    shown: dict[str, Any] = {
        "key": question.key,
        "kind": question.kind,
        "n": n if n >= HIDDEN_BELOW else None,
        "interval": None,
        "distribution": None,
        "too_few": n < COUNT_ONLY_BELOW,
        "change": None,
    }
    if question.kind in SCALES:
        shown["nps" if question.kind == "nps" else "mean"] = None
    if n < COUNT_ONLY_BELOW or question.kind == "text":
        return shown
    shown["distribution"] = _distribution(question, tally, n)
    if question.kind in SCALES:
        estimate = estimate_of(kind=question.kind, tally=numbers(tally))
        shown.update(_figure(question.kind, estimate))
        shown["change"] = _change(question.kind, estimate, former)
    return shown


def _figure(kind: str, estimate: Estimate) -> dict[str, Any]:
    digits = DIGITS[kind]
    return {
        "nps" if kind == "nps" else "mean": rounded(estimate.figure, digits),
        "interval": pair((estimate.low, estimate.high), digits),
    }


def _distribution(question: Question, tally: Tally, n: int) -> list[dict[str, Any]]:
    values: Sequence[int | str] = question.scale or [option.key for option in question.options]
    rows = []
    for value in values:
        count = tally.get(str(value), 0)
        row: dict[str, Any] = {"value": value, "count": count, "share": rounded(count / n, 4)}
        if question.scale is None:
            row["interval"] = pair(share_interval(count=count, n=n), 4)
        rows.append(row)
    return rows


def _change(kind: str, after: Estimate, former: Tally | None) -> dict[str, Any] | None:
    if former is None or total(former) < COUNT_ONLY_BELOW:
        return None
    before = estimate_of(kind=kind, tally=numbers(former))
    change = change_between(before=before, after=after)
    told = min(before.n, after.n) >= UNCERTAIN_BELOW
    return {
        "difference": rounded(change.difference, DIGITS[kind]),
        "interval": pair((change.low, change.high), DIGITS[kind]),
        "beyond_chance": change.leaves_out_zero if told else None,
        "needed": change.needed,
    }


def by_everybody(questions: Sequence[Question]) -> list[Question]:
    """The scales that everybody answered: required, and never hidden."""
    return [one for one in questions if one.kind in SCALES and one.required and one.shown_if is None]


def segment_table(
    *, dimension: str, questions: Sequence[Question], groups: Mapping[str, Mapping[str, Tally]]
) -> dict[str, Any] | None:
    """The one-way table of a dimension; None where it would have no row. `groups`: group → question → tally, of
    questions that everybody answered.

    Intervals are at 1 − 0.05 / rows, so that all of a question's rows hold together in 95 of 100.
    """
    if not questions:
        return None
    sizes = {group: total(tallies.get(questions[0].key, {})) for group, tallies in groups.items()}
    rows = merged_rows(sizes)
    if not rows:
        return None
    figures = [_row(name, members, questions, groups, level=LEVEL / len(rows)) for name, members in rows]
    return {"dimension": dimension, "rows": figures}


def merged_rows(sizes: Mapping[str, int]) -> list[tuple[str, list[str]]]:
    """(row, its groups), largest first: what has fewer than 5 goes into `other`, which takes the next smallest until it
    has 5. Empty where all together are fewer."""
    ordered = sorted(sizes, key=lambda group: (-sizes[group], group))
    if sum(sizes.values()) < HIDDEN_BELOW:
        return []
    kept = [group for group in ordered if sizes[group] >= HIDDEN_BELOW and group != OTHER]
    merged = [group for group in ordered if group not in kept]
    while merged and kept and sum(sizes[group] for group in merged) < HIDDEN_BELOW:
        merged.append(kept.pop())
    rows = [(group, [group]) for group in kept]
    return [*rows, (OTHER, merged)] if merged else rows


def _row(
    name: str,
    members: Sequence[str],
    questions: Sequence[Question],
    groups: Mapping[str, Mapping[str, Tally]],
    *,
    level: float,
) -> dict[str, Any]:
    figures = []
    for question in questions:
        tally: dict[int, int] = {}
        for member in members:
            for value, count in numbers(groups[member].get(question.key, {})).items():
                tally[value] = tally.get(value, 0) + count
        figures.append(_group_figure(question, tally, level))
    return {"group": name, "n": figures[0]["n"], "questions": figures}


def _group_figure(question: Question, tally: Mapping[int, int], level: float) -> dict[str, Any]:
    n = sum(tally.values())
    name = "nps" if question.kind == "nps" else "mean"
    shown: dict[str, Any] = {"key": question.key, "kind": question.kind, "n": n, name: None, "interval": None}
    shown["too_few"] = n < COUNT_ONLY_BELOW
    if n >= COUNT_ONLY_BELOW:
        shown.update(_figure(question.kind, estimate_of(kind=question.kind, tally=tally, level=level)))
    return shown
