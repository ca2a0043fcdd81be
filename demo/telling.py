"""How the story is printed: chapters, what is said, what was answered."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

WIDTH = 100


class Book:
    """Prints to `console`; waits a moment after each thing that is to be read, where `slowly`."""

    def __init__(self, *, console: Console, slowly: bool) -> None:
        self.console = console
        self.slowly = slowly
        self._chapter = 0

    def chapter(self, title: str) -> None:
        self._chapter += 1
        self.console.print()
        self.console.rule(f"[bold]{self._chapter}. {escape(title)}", align="left")
        self._pause(0.6)

    def says(self, text: str) -> None:
        self.console.print(escape(text), highlight=False)
        self._pause(0.5)

    def call(self, method: str, address: str, note: str = "") -> None:
        """A call that was made."""
        after = f"  [dim]{escape(note)}" if note else ""
        self.console.print(f"  [cyan]{method:<4} {escape(address)}[/]{after}", highlight=False)

    def quote(self, text: str, *, title: str) -> None:
        """Somebody's words: a message, a statement, a letter."""
        self.console.print(
            Panel(escape(text), title=escape(title), title_align="left", width=WIDTH, border_style="dim")
        )
        self._pause(1.2)

    def verdict(self, text: str, *, good: bool) -> None:
        self.console.print(f"  [{'green' if good else 'red'}]●[/] {text}", highlight=False)
        self._pause(0.8)

    def findings(self, findings: Iterable[dict[str, Any]]) -> None:
        for finding in findings:
            speaks = {"customer": "[green]for the customer[/]", "lender": "[red]for the lender[/]"}
            whom = speaks.get(str(finding.get("speaks_for")), "[dim]for nobody[/]")
            self.console.print(f"    {whom}  {escape(str(finding['sentence']))}", highlight=False)
        self._pause(1.0)

    def gate(self, when: str, decision: dict[str, Any]) -> None:
        """What the gate answers a sender."""
        if decision["outcome"] == "allow":
            said = "[green]allow[/]" + (f"  permit {decision['permit']['id'][:12]}…" if decision.get("permit") else "")
        else:
            said = f"[red]deny[/]  {', '.join(decision['reasons'])}"
        self.console.print(f"  [bold]gate[/] {escape(when):<26} {said}", highlight=False)
        self._pause(0.8)

    def bars(self, rows: Sequence[tuple[str, int]]) -> None:
        """Counts as bars."""
        most = max((count for _, count in rows), default=0) or 1
        for label, count in rows:
            self.console.print(f"  {label:>4} [blue]{'█' * round(30 * count / most)}[/] {count}", highlight=False)
        self._pause(1.0)

    def _pause(self, seconds: float) -> None:
        if self.slowly:
            time.sleep(seconds)
