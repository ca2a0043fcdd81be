"""Shows what looks impossible among the lender's records, for the quality of its data."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from disputes.holds.policies import pack_in_force
from disputes.records.reporting import EXAMPLES, Finding, report_records


class Command(BaseCommand):
    help = "Shows what looks impossible among the records: how often, a few examples by id, and what it means."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON in place of a table, findings of none too")
        parser.add_argument("--examples", type=int, default=EXAMPLES, metavar="N", help=f"so many each ({EXAMPLES})")
        parser.add_argument("--fail-on-findings", action="store_true", help="end with 1 where there is any")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 <= options["examples"] <= 1_000:
            raise CommandError("--examples is from 0 to 1000", returncode=2)
        at = timezone.now()
        findings = list(report_records(pack=pack_in_force(at=at), at=at, examples=options["examples"]))
        there = [finding for finding in findings if finding.count]
        if options["json"]:
            shown = {"at": at.isoformat(), "findings": [finding.render() for finding in findings]}
            self.stdout.write(json.dumps(shown, ensure_ascii=False, indent=2))
        else:
            self._show(there, looked_for=len(findings))
        if there and options["fail_on_findings"]:
            raise CommandError(f"{len(there)} of {len(findings)} things were found.", returncode=1)

    def _show(self, there: Sequence[Finding], *, looked_for: int) -> None:
        # A pipe has no width of its own: a line that a program reads is not broken.
        file: Any = self.stdout._out
        console = Console(file=file, highlight=False, width=None if self.stdout.isatty() else 160)
        if there:
            table = Table("what", "how often", "examples", "what it means", show_lines=True)
            table.columns[1].justify = "right"
            for finding in there:
                more = "…" if finding.count > len(finding.examples) and finding.examples else ""
                examples = "\n".join([*finding.examples, *([more] if more else [])])
                table.add_row(finding.name, f"{finding.count:,}", escape(examples), escape(finding.meaning))
            console.print(table)
        console.print(f"{looked_for - len(there)} of {looked_for} things that were looked for are nowhere.")
