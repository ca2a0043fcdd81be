"""manage.py set_up_embedded"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from config.credentials import write_credentials
from config.roles import grant_service_role


class Command(BaseCommand):
    help = (
        "Brings the embedded set-up up to date: migrations, the service role's rights, clients, users, the demo "
        "lender. Repeating it changes nothing."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--base-url", default=f"http://localhost:{settings.PORT}", help="what callers are told")
        parser.add_argument("--no-demo", action="store_true", help="leave the demo lender out")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.EMBEDDED:
            raise CommandError("This is not the embedded set-up: DATABASE_URL is set.")
        call_command("migrate", verbosity=options["verbosity"], interactive=False, skip_checks=True)
        grant_service_role(connection=connection, role=settings.SERVICE_ROLE)
        write_credentials(path=settings.CREDENTIALS, base_url=options["base_url"])
        if not options["no_demo"] and "load_demo" in get_commands():
            call_command("load_demo", verbosity=options["verbosity"])
