"""What somebody answered, against the questions of the version that asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from feedback.surveys.questions import LONGEST_ANSWER, Question

Value = int | str | list[str]
"""A number of a scale, an option's key or words, the keys of several options."""


class BadAnswers(ValueError):
    """`faults`: question key → (code, detail). `code` ``required`` alone means that the rest may be kept."""

    def __init__(self, faults: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(", ".join(faults))
        self.faults = dict(faults)


def read_answers(*, questions: Sequence[Question], raw: Any) -> dict[str, Value]:
    """The answers by question, each of its question's kind; null and empty ones are left out. Raises BadAnswers, also
    for an answer to a question that the version does not have."""
    if not isinstance(raw, Mapping):
        raise BadAnswers({"answers": ("invalid", "An object: question key → answer.")})
    by_key = {question.key: question for question in questions}
    faults: dict[str, tuple[str, str]] = {}
    answers: dict[str, Value] = {}
    for key, value in raw.items():
        if key not in by_key:
            faults[str(key)[:40].replace("\0", "")] = ("unknown_question", "The survey has no such question.")
            continue
        if value is None or value == "" or value == []:
            continue
        fault = _fault(by_key[key], value)
        if fault:
            faults[key] = ("invalid", fault)
        elif isinstance(value, list):
            answers[key] = [option.key for option in by_key[key].options if option.key in value]
        else:
            answers[key] = value.strip() if by_key[key].kind == "text" else value
    if faults:
        raise BadAnswers(faults)
    return {key: value for key, value in answers.items() if value != ""}


def _fault(question: Question, value: Any) -> str:
    if question.scale is not None:
        whole = isinstance(value, int) and not isinstance(value, bool) and value in question.scale
        return "" if whole else f"A whole number from {question.scale[0]} to {question.scale[-1]}."
    known = {option.key for option in question.options}
    if question.kind == "choice":
        return "" if isinstance(value, str) and value in known else "The key of one of the options."
    if question.kind == "choices":
        right = isinstance(value, list) and all(isinstance(one, str) and one in known for one in value)
        return "" if right and len(set(value)) == len(value) else "Keys of the options, each once."
    if not isinstance(value, str) or "\0" in value or len(value) > LONGEST_ANSWER:
        return f"A text of at most {LONGEST_ANSWER} characters."
    try:
        value.encode()
    except UnicodeEncodeError:
        return "Not a text."
    return ""


def shown(*, questions: Sequence[Question], answers: Mapping[str, Value]) -> list[Question]:
    """The questions that these answers show, in order. A hidden question shows none that hangs on it."""
    visible: dict[str, Question] = {}
    for question in questions:
        condition = question.shown_if
        if condition is not None:
            given = answers.get(condition.question) if condition.question in visible else None
            chosen = given if isinstance(given, list) else [given]
            if not condition.values.intersection(one for one in chosen if one is not None):
                continue
        visible[question.key] = question
    return list(visible.values())


def only_shown(*, questions: Sequence[Question], answers: Mapping[str, Value]) -> dict[str, Value]:
    """Without the answers to questions that a later edit hid."""
    visible = {question.key for question in shown(questions=questions, answers=answers)}
    return {key: value for key, value in answers.items() if key in visible}


def missing(*, questions: Sequence[Question], answers: Mapping[str, Value]) -> list[str]:
    """The keys of shown, required questions without an answer."""
    visible = shown(questions=questions, answers=answers)
    return [question.key for question in visible if question.required and question.key not in answers]
