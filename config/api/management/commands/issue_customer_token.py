"""manage.py issue_customer_token EXTERNAL_ID"""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.api.customer_tokens import issue_customer_token


class Command(BaseCommand):
    help = "Prints a customer's token as its last line. On the embedded set-up alone."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("external_id")
        parser.add_argument("--hours", type=int, default=8, help="how long it is good for (1 to 8760, else 8)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["hours"] <= 8760:
            raise CommandError("--hours is a number from 1 to 8760")
        try:
            token = issue_customer_token(
                external_id=options["external_id"],
                good_for=timedelta(hours=options["hours"]),
                now=datetime.now(tz=UTC),
            )
        except (PermissionError, ValueError) as error:
            raise CommandError(f"No token: {error}.") from error
        self.stdout.write(token)
