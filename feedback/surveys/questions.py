"""What a survey asks: reading the questions of a version, and what makes them wrong.

A question is ``{"key", "kind", "text": {"zh-hans", "en"}, "required", "options": [{"key", "text"}], "low", "high",
"shown_if": {"question", "in": […]}}``. `options` belong to ``choice`` and ``choices`` alone, the words for the ends of
a scale (`low`, `high`) to scales. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LANGUAGES = ("zh-hans", "en")
SCALES: Mapping[str, tuple[int, int]] = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7)}
KINDS = (*SCALES, "choice", "choices", "text")
DIMENSIONS = ("language", "product", "outcome")
"""By what figures may be split: none follows from another."""
MOST_QUESTIONS, MOST_OPTIONS, LONGEST_TEXT, LONGEST_ANSWER = 30, 20, 500, 2000

_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
_FIELDS = frozenset({"key", "kind", "text", "required", "options", "low", "high", "shown_if"})


class BadSurvey(ValueError):
    """`where`: the field at fault, ``questions.2.shown_if``; `code`: the kind of fault."""

    def __init__(self, where: str, detail: str, code: str = "invalid") -> None:
        super().__init__(f"{where}: {detail}")
        self.where, self.detail, self.code = where, detail, code


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """Shown where the earlier `question` was answered with one of `values` (numbers of a scale, keys of options)."""

    question: str
    values: frozenset[int | str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    key: str
    text: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """`low`, `high`: words for the ends of a scale, by language."""

    key: str
    kind: str
    text: Mapping[str, str]
    required: bool
    options: tuple[Option, ...] = ()
    low: Mapping[str, str] | None = None
    high: Mapping[str, str] | None = None
    shown_if: Condition | None = None

    @property
    def scale(self) -> range | None:
        """The numbers that answer it; None where it is no scale."""
        if self.kind not in SCALES:
            return None
        least, most = SCALES[self.kind]
        return range(least, most + 1)


def read_questions(raw: Any) -> tuple[Question, ...]:
    """The questions of a version, in order. Raises BadSurvey, which names the field."""
    if not isinstance(raw, list) or not raw:
        raise BadSurvey("questions", "A list of at least one question.")
    if len(raw) > MOST_QUESTIONS:
        raise BadSurvey("questions", f"At most {MOST_QUESTIONS} questions.", "max_length")
    read: dict[str, Question] = {}
    for place, one in enumerate(raw):
        question = _read_question(one, f"questions.{place}", read)
        if question.key in read:
            raise BadSurvey(f"questions.{place}.key", "Another question has this key.", "unique")
        read[question.key] = question
    return tuple(read.values())


def _read_question(raw: Any, where: str, earlier: Mapping[str, Question]) -> Question:
    if not isinstance(raw, dict):
        raise BadSurvey(where, "An object with key, kind and text.")
    for name in raw:
        if name not in _FIELDS:
            raise BadSurvey(f"{where}.{str(name)[:40]}", "There is no such field.", "unknown_field")
    kind = raw.get("kind")
    if kind not in KINDS:
        raise BadSurvey(f"{where}.kind", f"One of {', '.join(KINDS)}.", "invalid_choice")
    required = raw.get("required", False)
    if not isinstance(required, bool):
        raise BadSurvey(f"{where}.required", "true or false.")
    for end in ("low", "high"):
        if raw.get(end) is not None and kind not in SCALES:
            raise BadSurvey(f"{where}.{end}", "Only a scale has ends.")
    return Question(
        key=_read_key(raw.get("key"), f"{where}.key"),
        kind=kind,
        text=read_text(raw.get("text"), f"{where}.text"),
        required=required,
        options=_read_options(raw.get("options"), kind, f"{where}.options"),
        low=None if raw.get("low") is None else read_text(raw["low"], f"{where}.low"),
        high=None if raw.get("high") is None else read_text(raw["high"], f"{where}.high"),
        shown_if=_read_condition(raw.get("shown_if"), f"{where}.shown_if", earlier),
    )


def _read_key(raw: Any, where: str) -> str:
    if not isinstance(raw, str) or not _KEY.fullmatch(raw):
        raise BadSurvey(where, "A small letter, then small letters, digits or _; at most 40.")
    return raw


def read_text(raw: Any, where: str, *, needed: bool = True) -> dict[str, str]:
    """A text in both languages. Raises BadSurvey; an empty one is taken where it is not `needed`."""
    if not needed and raw in (None, {}, ""):
        return {}
    if not isinstance(raw, dict) or set(raw) != set(LANGUAGES):
        raise BadSurvey(where, "A text in zh-hans and in en.", "languages")
    for language in LANGUAGES:
        text = raw[language]
        if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_TEXT or "\0" in text:
            raise BadSurvey(f"{where}.{language}", f"A text of 1 to {LONGEST_TEXT} characters.")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise BadSurvey(f"{where}.{language}", "Not a text.") from error
    return {language: raw[language].strip() for language in LANGUAGES}


def _read_options(raw: Any, kind: str, where: str) -> tuple[Option, ...]:
    if kind not in ("choice", "choices"):
        if raw not in (None, []):
            raise BadSurvey(where, "Only choice and choices have options.")
        return ()
    if not isinstance(raw, list) or not 2 <= len(raw) <= MOST_OPTIONS:
        raise BadSurvey(where, f"A list of 2 to {MOST_OPTIONS} options.")
    options: dict[str, Option] = {}
    for place, one in enumerate(raw):
        if not isinstance(one, dict) or set(one) != {"key", "text"}:
            raise BadSurvey(f"{where}.{place}", "An object with key and text.")
        key = _read_key(one["key"], f"{where}.{place}.key")
        if key in options:
            raise BadSurvey(f"{where}.{place}.key", "Another option has this key.", "unique")
        options[key] = Option(key=key, text=read_text(one["text"], f"{where}.{place}.text"))
    return tuple(options.values())


def _read_condition(raw: Any, where: str, earlier: Mapping[str, Question]) -> Condition | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or set(raw) != {"question", "in"}:
        raise BadSurvey(where, "An object with question and in.")
    asked = earlier.get(raw["question"]) if isinstance(raw["question"], str) else None
    if asked is None:
        raise BadSurvey(f"{where}.question", "The key of an earlier question.")
    if asked.kind == "text":
        raise BadSurvey(f"{where}.question", "Words are matched with nothing.")
    values = raw["in"]
    known: Sequence[Any] = asked.scale or [option.key for option in asked.options]
    right = isinstance(values, list) and values and all(type(value) is type(known[0]) for value in values)
    if not right or not set(values) <= set(known):
        raise BadSurvey(f"{where}.in", f"Some of the answers of {asked.key}.")
    return Condition(question=asked.key, values=frozenset(values))


def read_dimensions(raw: Any) -> tuple[str, ...]:
    """By what the figures are split, each once. Raises BadSurvey."""
    if not isinstance(raw, list | tuple) or any(one not in DIMENSIONS for one in raw) or len(set(raw)) != len(raw):
        raise BadSurvey("dimensions", f"Some of {', '.join(DIMENSIONS)}, each once.", "invalid_choice")
    return tuple(name for name in DIMENSIONS if name in raw)
