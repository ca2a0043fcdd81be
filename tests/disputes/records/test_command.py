"""`manage.py import_records FILE`."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from disputes.records.models import Loan
from tests.disputes.records import importer
from tests.disputes.records.importer import encoded

pytestmark = pytest.mark.django_db


def run(file: Path, *options: str) -> str:
    said = StringIO()
    call_command("import_records", str(file), *options, stdout=said, stderr=StringIO())
    return said.getvalue()


def test_a_file_is_imported_and_summed_up(tmp_path: Path) -> None:
    file = tmp_path / "records.ndjson"
    file.write_bytes(b"\n".join(encoded(importer.loan(), importer.instalment())))
    assert run(file, "--dry-run") == "2 created (nothing was written).\n"
    assert not Loan.objects.exists()
    assert run(file) == "2 created.\n"
    assert run(file) == "2 unchanged.\n"


def test_a_refused_line_is_shown_and_the_command_fails_after_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "records.ndjson"
    file.write_bytes(b"{\n" + encoded(importer.loan())[0])
    with pytest.raises(CommandError, match="1 of 2 lines were refused"):
        run(file)
    assert Loan.objects.count() == 1


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        run(tmp_path / "none")
