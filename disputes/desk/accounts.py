"""The account on both clocks, side by side: as it was, and as the lender's records knew it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from disputes.cases.explaining import FIGURES

NOT_KNOWN = gettext_lazy("not known then")
NOTHING = "–"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One thing on both clocks: the label's cells, then those of each clock; `differs` where the clocks do."""

    label: tuple[str, ...]
    was: tuple[str, ...]
    known: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return self.was != self.known


@dataclass(frozen=True, kw_only=True, slots=True)
class BothClocks:
    """The whole account. `at`: the instant of the message, written on the lender's clock; `currency`: of the amounts of
    instalments and repayments."""

    at: str
    currency: str
    summary: tuple[Row, ...]
    instalments: tuple[Row, ...]
    repayments: tuple[Row, ...]

    @property
    def differs(self) -> bool:
        return any(row.differs for row in (*self.summary, *self.instalments, *self.repayments))


def both_clocks(facts: Mapping[str, Any] | None) -> BothClocks | None:
    """A check's facts as rows to compare; None where the check looked at no account."""
    if not facts or not facts.get("as_it_was") or not facts.get("as_known"):
        return None
    was, known = facts["as_it_was"], facts["as_known"]
    return BothClocks(
        at=local_instant(facts.get("at")),
        currency=(was.get("overdue_amount") or {}).get("currency", ""),
        summary=tuple(
            Row(label=(_(label),), was=(_written(was.get(key)),), known=(_written(known.get(key)),))
            for key, label in FIGURES.items()
        ),
        instalments=_paired(was["instalments"], known["instalments"], key=_instalment_key, cells=_instalment),
        repayments=_repayments(was["repayments"], known["repayments"]),
    )


def _paired(was: list[Any], known: list[Any], *, key: Any, cells: Any) -> tuple[Row, ...]:
    """The rows of both lists, each once, in the order of the fuller reading; what one lacks was not known to it."""
    left, right = ({key(row): row for row in rows} for rows in (was, known))
    missing = (str(NOT_KNOWN), *("" for _ in cells({})[1:]))
    return tuple(
        Row(
            label=name,
            was=cells(left[name]) if name in left else missing,
            known=cells(right[name]) if name in right else missing,
        )
        for name in [*left, *(name for name in right if name not in left)]
    )


def _instalment_key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (str(row["number"]), row["due_on"])


def _instalment(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(_amount(row.get(name)) for name in ("amount", "paid", "outstanding"))


def _repayments(was: list[Any], known: list[Any]) -> tuple[Row, ...]:
    """Each repayment once, with its dates, and what each clock makes of it: the amount, or that it knew nothing of it.

    Its dates are those of the fuller reading; where the records knew another value date then, that clock says so.
    """
    left, right = ({row["external_id"]: row for row in rows} for rows in (was, known))
    rows = []
    for name in [*left, *(name for name in right if name not in left)]:
        shown = left.get(name) or right[name]
        posted = local_instant(shown["posted_at"]) if shown["posted_at"] else _("always known")
        clocks = [_repayment(side.get(name), paid_at=shown["paid_at"]) for side in (left, right)]
        label = (name, local_instant(shown["paid_at"]), posted)
        rows.append(Row(label=label, was=clocks[0], known=clocks[1]))
    return tuple(rows)


def _repayment(row: Mapping[str, Any] | None, *, paid_at: str) -> tuple[str, ...]:
    if row is None:
        return (str(NOT_KNOWN),)
    undone = _(", reversed %(at)s") % {"at": local_instant(row["reversed_at"])} if row["reversed_at"] else ""
    other = _(", paid %(at)s") % {"at": local_instant(row["paid_at"])} if row["paid_at"] != paid_at else ""
    return (f"{_amount(row['amount'])}{other}{undone}",)


def _written(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, Mapping):
        return written_money(value)
    return str(value)


def _amount(value: Mapping[str, Any] | None) -> str:
    """Without its currency, which stands over the column."""
    return written_money({**value, "currency": ""}) if value else NOTHING


def written_money(value: Mapping[str, Any]) -> str:
    """``{"amount": "1280.50", "currency": "CNY"}`` as ``1,280.50 CNY``."""
    whole, point, rest = str(value["amount"]).partition(".")
    return f"{int(whole):,}{point}{rest} {value['currency']}".strip()


def local_instant(at: str | datetime | date | None, *, seconds: bool = False) -> str:
    """An instant (aware, or in ISO form) on the lender's clock, to the minute or the second; empty for none."""
    if not at:
        return ""
    instant = datetime.fromisoformat(at) if isinstance(at, str) else at
    if not isinstance(instant, datetime):
        return instant.isoformat()
    form = "%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M"
    return instant.astimezone(ZoneInfo(settings.LENDER_TIME_ZONE)).strftime(form)
