"""manage.py demo"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console

from demo.service import CannotTell, running_service
from demo.story import Story
from demo.telling import WIDTH, Book


class Command(BaseCommand):
    help = (
        "Tells the whole road as a story, over HTTP against the service that runs; starts one for as long as it takes "
        "where none does."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--fast", action="store_true", help="without the pauses for a reader")
        parser.add_argument("--patience", type=float, default=45.0, help="seconds to wait for what workers do")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.EMBEDDED:
            raise CommandError("The demo needs the embedded set-up: it makes customers' tokens by itself.")
        slowly = sys.stdout.isatty() and not options["fast"]
        console = Console(width=None if sys.stdout.isatty() else WIDTH + 20)
        book = Book(console=console, slowly=slowly)
        try:
            with running_service(
                credentials=settings.CREDENTIALS, say=book.says, patience=options["patience"]
            ) as service:
                Story(service=service, book=book, now=timezone.now()).tell()
        except CannotTell as error:
            raise CommandError(str(error)) from None
        except httpx.HTTPError as error:
            raise CommandError(f"the service stopped answering: {type(error).__name__}") from None
