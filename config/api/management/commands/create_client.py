"""manage.py create_client NAME --scopes records:write gate"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.api.callers import SCOPES
from config.api.clients import create_client


class Command(BaseCommand):
    help = "Makes a client for one of the lender's systems and prints its secret, once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--scopes", nargs="+", required=True, metavar="SCOPE", help=f"of: {' '.join(SCOPES)}")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 < len(options["name"]) <= 255:
            raise CommandError("NAME has 1 to 255 characters")
        try:
            client_id, secret = create_client(name=options["name"], scopes=options["scopes"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"client_id: {client_id}")
        self.stdout.write(f"client_secret: {secret}")
        self.stdout.write("The secret is not shown again: only its hash is stored.")
