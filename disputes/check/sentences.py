"""Findings in plain words, for the person who disputes, in English and simplified Chinese.

The texts stand in `texts`; the catalogue beside this file, read by the standard library's gettext, has them in Chinese.
A parameter that is an amount, a date, a time of day or a number of things is written as the reader writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Any

from disputes.check.texts import BETWEEN, CLOCK, COUNTS, SENTENCES

LANGUAGES = ("en", "zh-hans")
CATALOGUES = {"zh-hans": Path(__file__).parent / "locale" / "zh_Hans" / "LC_MESSAGES" / "check.mo"}

_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def sentence_of(finding: Mapping[str, Any], *, language: str) -> str:
    """The sentence of a rendered finding (``{"text", "params", …}``) in `language`; an unknown language reads English.

    Raises KeyError for a text that is none of SENTENCES.
    """
    known = language if language in LANGUAGES else "en"
    sentence = _said(finding, known)
    return sentence[:1].upper() + sentence[1:]


def _said(saying: Mapping[str, Any], language: str) -> str:
    """A text with its parameters, which may be texts in their turn."""
    params = {name: _written(value, language) for name, value in saying["params"].items()}
    return catalogue(language).gettext(SENTENCES[saying["text"]]).format(**params)


@cache
def catalogue(language: str) -> NullTranslations:
    """The translations into `language`; English needs none."""
    path = CATALOGUES.get(language)
    if path is None:
        return NullTranslations()
    with path.open("rb") as file:
        return GNUTranslations(file)


def _written(value: Any, language: str) -> str | _Count:
    """A parameter as the reader writes it: a number of things, a day (ISO), a list of texts, or by its keys an amount,
    a text, a time of day, a span of hours."""
    if isinstance(value, int):
        return _Count(value, language)
    if isinstance(value, str):
        return written_day(date.fromisoformat(value), language)
    if isinstance(value, list):
        return catalogue(language).gettext(BETWEEN).join(_said(one, language) for one in value)
    if "text" in value:
        return _said(value, language)
    if "time" in value:
        return _written_time(value, language)
    if "hours" in value:
        return _written_span(value["hours"], language)
    return written_money(value, language)


class _Count:
    """A number of things: ``{days:day}`` reads "1 day", "2 days"."""

    def __init__(self, count: int, language: str) -> None:
        self.count = count
        self.language = language

    def __format__(self, thing: str) -> str:
        if not thing:
            return str(self.count)
        one, many = COUNTS[thing]
        return catalogue(self.language).ngettext(one, many, self.count).format(count=self.count)


def _written_time(value: Mapping[str, str], language: str) -> str:
    """``22:41``, and where a zone is named whose clock it is: ``22:41 (Shanghai time)``, ``北京时间22:41``."""
    if "zone" not in value:
        return value["time"]
    texts = catalogue(language)
    place = value["zone"].rpartition("/")[2].replace("_", " ")
    return texts.gettext(CLOCK).format(time=value["time"], place=texts.gettext(place))


def _written_span(hours: int, language: str) -> str:
    """``7 days``, where it is whole days and more than one; else hours."""
    if hours % 24 == 0 and hours > 24:
        return f"{_Count(hours // 24, language):day}"
    return f"{_Count(hours, language):hour}"


def written_money(value: Mapping[str, str], language: str) -> str:
    """An amount, ``{"amount", "currency"}``, as the reader writes it."""
    whole, point, rest = value["amount"].partition(".")
    amount = f"{int(whole):,}{point}{rest}"
    if language == "zh-hans":
        return f"{amount}元" if value["currency"] == "CNY" else f"{value['currency']} {amount}"
    return f"{value['currency']} {amount}".strip()


def written_day(day: date, language: str) -> str:
    """A day as the reader writes it: ``3 February 2026``, ``2026年2月3日``."""
    if language == "zh-hans":
        return f"{day.year}年{day.month}月{day.day}日"
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
