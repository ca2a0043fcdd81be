"""What the check found, as an agent reads it: for whom each finding speaks, its sentence, and its facts in full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from disputes.check.sentences import sentence_of
from disputes.desk import words
from disputes.desk.accounts import NOTHING, local_instant, written_money


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One fact: its name in words, and its lines, at least one."""

    label: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownFinding:
    """`code`: for whom it speaks, `speaks` the same in words; `sentence`: what the customer reads, in the language
    of whoever looks."""

    code: str
    speaks: str
    sentence: str
    facts: tuple[Fact, ...]


def shown_findings(findings: Iterable[Mapping[str, Any]]) -> tuple[ShownFinding, ...]:
    """The findings of a check as they are stored, in their order."""
    language = "zh-hans" if get_language() == "zh-hans" else "en"
    return tuple(
        ShownFinding(
            code=row["speaks_for"],
            speaks=words.SPEAKS_FOR[row["speaks_for"]],
            sentence=sentence_of(row, language=language),
            facts=tuple(
                Fact(label=words.plain(name).capitalize(), lines=_lines(value)) for name, value in row["facts"].items()
            ),
        )
        for row in findings
    )


def _lines(value: Any) -> tuple[str, ...]:
    """A list of things a line each; of plain values one line."""
    if isinstance(value, list) and value and any(isinstance(one, (Mapping, list)) for one in value):
        return tuple(_written(one) for one in value)
    return (_written(value),)


def _written(value: Any) -> str:
    if value is None or value in ([], {}):
        return NOTHING
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return ", ".join(_written(one) for one in value)
    if isinstance(value, Mapping):
        if value.keys() == {"amount", "currency"}:
            return written_money(value)
        return ", ".join(f"{words.plain(name)} {_written(one)}" for name, one in value.items())
    return _plain(value) if isinstance(value, str) else str(value)


def _plain(text: str) -> str:
    """An instant on the lender's clock, a local time as it stands; ids, dates and codes as they are written."""
    if len(text) < 16 or text[10] != "T":
        return text
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return at.strftime("%Y-%m-%d %H:%M") if at.tzinfo is None else local_instant(at)
