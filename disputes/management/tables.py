"""A check laid open, as tables of a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from disputes.cases.explaining import CLOCKS, Explained, Shown


def print_explained(one: Explained, *, console: Console) -> None:
    """The message, the account on its clocks, findings, causes, verdict."""
    console.rule(escape(one.title))
    console.print(_pairs("The message", one.message))
    console.print(_clocks(f"The account ({one.currency}; times of {one.zone})", ("",), one.figures))
    if one.instalments:
        console.print(_clocks("Instalments: what was paid of them", ("no.", "due on", "amount"), one.instalments))
    if one.repayments:
        console.print(_clocks("Repayments: what of them counts", ("id", "paid", "posted", "reversed"), one.repayments))
    findings = _table("Findings", ("finding", "speaks for", "sentence"))
    for row in one.findings:
        findings.add_row(*map(escape, row))
    console.print(findings)
    causes = _table("Causes that hold, in their order", ("cause", "answers"))
    for pair in one.causes or (("none", ""),):
        causes.add_row(*map(escape, pair))
    console.print(causes)
    console.print(_pairs("The answer", one.ends))
    if one.now:
        console.print(f"[yellow]Judged now, another answer: {escape(one.now)}[/]")


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", expand=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _pairs(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    table = _table(title, ("", ""))
    table.show_header = False
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _clocks(title: str, label: tuple[str, ...], rows: Iterable[Shown]) -> Table:
    """One row a thing; what differs between the clocks stands out."""
    table = _table(title, (*label, *CLOCKS))
    for row in rows:
        cells = [escape(cell) for cell in row.on]
        table.add_row(
            *map(escape, row.label), *([f"[bold yellow]{cell}[/]" for cell in cells] if row.differs else cells)
        )
    return table
