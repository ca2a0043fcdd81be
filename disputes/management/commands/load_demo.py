"""Loads the demo lender, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from disputes.demo import ZONE, demo_lines
from disputes.records.importing import import_lines
from disputes.records.models import Loan


class Command(BaseCommand):
    help = "Loads a small demo lender through the import, unless it is there already."

    def handle(self, *args: Any, **options: Any) -> None:
        if Loan.objects.filter(external_id="L-1001").exists():
            self.stdout.write("The demo lender is there already.")
            return
        now = timezone.now()
        results = list(import_lines(lines=_encoded(now.astimezone(ZoneInfo(ZONE)).date()), dry_run=False, now=now))
        failed = [result for result in results if result.result == "error"]
        if failed:
            raise CommandError(f"{len(failed)} of {len(results)} lines were refused; the first: {failed[0]}")
        self.stdout.write(f"Loaded a demo lender of {len(results)} records.")


def _encoded(today: Any) -> Iterator[bytes]:
    for line in demo_lines(today=today):
        yield json.dumps(line, ensure_ascii=False).encode()
