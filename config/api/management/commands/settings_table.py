"""manage.py settings_table [--write | --check]"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.environment import ROOT, table

PAGE = ROOT / "docs" / "operating.md"
_BEGIN = "<!-- settings: manage.py settings_table --write -->\n"
_END = "<!-- end of settings -->\n"


class Command(BaseCommand):
    help = "Prints the table of settings; --write puts it into docs/operating.md, --check says whether it is there."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--write", action="store_true")
        parser.add_argument("--check", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["write"] and not options["check"]:
            self.stdout.write(table())
            return
        page = PAGE.read_text()
        before, begin, rest = page.partition(_BEGIN)
        _, end, after = rest.partition(_END)
        if not begin or not end:
            raise CommandError("docs/operating.md has no place for the table of settings")
        wanted = before + begin + table() + end + after
        if options["write"]:
            PAGE.write_text(wanted)
        elif wanted != page:
            raise CommandError("docs/operating.md is behind the code: manage.py settings_table --write")
