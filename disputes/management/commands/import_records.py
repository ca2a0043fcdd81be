"""Imports a file of records from a shell, as POST /api/v1/records/import does."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from disputes.records.importing import import_lines
from disputes.records.reading import lines_of

CHUNK = 256 * 1024
EVERY = 0.5
"""Seconds between two looks at the progress."""


class Command(BaseCommand):
    help = "Imports NDJSON records from FILE (- for the standard input); prints the refused lines and a summary."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE")
        parser.add_argument("--dry-run", action="store_true", help="write nothing, and say what an import would do")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            source = sys.stdin.buffer if options["file"] == "-" else open(options["file"], "rb")  # noqa: SIM115
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}") from error
        with source:
            counts = self._import(source, dry_run=options["dry_run"])
        said = ", ".join(f"{count} {result}" for result, count in sorted(counts.items())) or "nothing"
        self.stdout.write(f"{said}{' (nothing was written)' if options['dry_run'] else ''}.")
        if counts["error"]:
            raise CommandError(f"{counts['error']} of {counts.total()} lines were refused.")

    def _import(self, source: BinaryIO, *, dry_run: bool) -> Counter[str]:
        counts: Counter[str] = Counter()
        looked = time.monotonic()
        for result in import_lines(lines=lines_of(_chunks(source)), dry_run=dry_run, now=timezone.now()):
            counts[result.result] += 1
            if result.result == "error":
                self.stdout.write(json.dumps(result.render(), ensure_ascii=False))
            if self.stderr.isatty() and time.monotonic() - looked > EVERY:
                looked = time.monotonic()
                self.stderr.write(f"\r{counts.total():,} lines", ending="")
        return counts


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        yield chunk
