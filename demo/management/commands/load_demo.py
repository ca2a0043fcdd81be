"""manage.py load_demo"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from demo import living, loading


class Command(BaseCommand):
    help = (
        "Loads the demo lender through the import, and tells its last weeks: disputes, decisions, notices and surveys. "
        "What is there already is left as it is."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--refresh", action="store_true", help="only bring the watermarks of its feeds up to now")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        try:
            if not options["refresh"]:
                count = loading.load(now=now)
                self.stdout.write(
                    f"Loaded a demo lender of {count} records." if count else "The demo lender is there already."
                )
                if living.bring_to_life(now=now, tell=self._tell):
                    self.stdout.write("\nIts last weeks are told.")
            if loading.refresh(now=now):
                self.stdout.write("The feeds of the demo lender are complete up to now.")
        except loading.Refused as error:
            raise CommandError(str(error)) from None

    def _tell(self, done: int, left: int) -> None:
        if done % 50 == 0 or not left:
            self.stdout.write(f"\rTelling its last weeks: {done} of {done + left}", ending="")
            self.stdout.flush()
