"""Prints one check as a table on both clocks, from what it stored: no record is read."""

from __future__ import annotations

import shutil
import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from config.values.ciphertext import CannotOpen
from config.values.ids import read_reference
from disputes.cases.explaining import Explained, explain_check
from disputes.cases.models import Check, Dispute
from disputes.check.canonical import UnreadableInput
from disputes.management.tables import print_explained

CANNOT_RUN = 2
NARROWEST = 120


class Command(BaseCommand):
    help = (
        "Prints one check of a dispute: the message, the account as it was, as known when it was sent and as known at "
        "the sender's list, the findings and causes, the verdict. From the check's stored input alone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("reference", metavar="D-…", help="the dispute's reference, or its id")
        parser.add_argument("--check", metavar="ID", help="this check of it, rather than the newest")
        parser.add_argument("--language", choices=["en", "zh-hans"], default="en", help="of the findings' sentences")

    def handle(self, *args: Any, **options: Any) -> None:
        dispute = _dispute(options["reference"])
        check = _check(dispute, options["check"])
        try:
            explained: Explained = explain_check(check=check, language=options["language"])
        except (UnreadableInput, CannotOpen) as error:
            raise CommandError(f"The stored input cannot be read: {error}", returncode=CANNOT_RUN) from error
        except LookupError as error:
            raise CommandError(f"The pack that it names is not there: {error}", returncode=CANNOT_RUN) from error
        width = max(NARROWEST, shutil.get_terminal_size((NARROWEST, 40)).columns)
        out: Any = self.stdout
        console = Console(file=out, width=width, no_color=not self.stdout.isatty())
        print_explained(explained, console=console)


def _dispute(key: str) -> Dispute:
    reference = read_reference(key)
    rows = Dispute.objects.select_related("last_check")
    try:
        if reference is not None:
            return rows.get(reference=reference)
        return rows.get(pk=uuid.UUID(key))
    except ValueError:
        raise CommandError(
            f"{key}: no reference of a dispute (D-XXXX-XXXX), and no id.", returncode=CANNOT_RUN
        ) from None
    except Dispute.DoesNotExist:
        raise CommandError(f"{key}: there is no such dispute.", returncode=CANNOT_RUN) from None


def _check(dispute: Dispute, key: str | None) -> Check:
    if key is None:
        if dispute.last_check is None:
            raise CommandError(f"{dispute.reference} has not been checked yet.", returncode=CANNOT_RUN)
        dispute.last_check.dispute = dispute
        return dispute.last_check
    try:
        return Check.objects.select_related("dispute").get(pk=uuid.UUID(key), dispute=dispute)
    except (ValueError, Check.DoesNotExist):
        raise CommandError(f"{key}: no check of {dispute.reference}.", returncode=CANNOT_RUN) from None
